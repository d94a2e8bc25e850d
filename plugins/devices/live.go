package main

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"mortise/core/fault"
	"mortise/plugins/internal/particle"
)

const (
	maxGlances     = 60        // feeds of accounts that page views alone may keep open, of the 90 that the cloud allows
	replayEvents   = 50        // of one device
	replayBytes    = 128 << 10 // of one device
	replayDevices  = 200       // of one source
	watcherBuffer  = 64        // messages for a page that does not keep up
	maxWatchers    = 200       // pages of one person at one source
	maxEventLength = 16 << 10  // of what a page is sent of one event's data
)

// live holds the event streams: one upstream a source, however many pages are open. Tokens are kept here as long as their
// stream is.
type live struct {
	m   *Devices
	hub *particle.Hub

	mu     sync.Mutex
	feeds  map[string]*feed
	closed bool
}

// feedSource tells where the events of a source come from, and how its feed behaves.
type feedSource struct {
	key     string // of the feed, beginning with the source's
	open    func(key string) (upstream, error)
	connect func(ctx context.Context) (*particle.Stream, error) // of a source whose upstream is the hub's
	most    int                                                 // feeds of this kind at once; 0: the hub decides
	glances int                                                 // of which page views alone may keep open; 0: maxGlances
	recheck time.Duration                                       // how often a stream asks whether the person still has the device
	common  bool                                                // events of no device are for every page
	lacks   func(device string) bool                            // a device is known not to be one of the source's; may be nil
	moved   func(device string)                                 // a device went on- or offline
	ended   string                                              // what pages read when the upstream is dead
	died    func(ctx context.Context)                           // it is dead, and a stream is to end; nil: it may come back, and streams go on
}

// upstream is where a feed reads. A particle.Subscription is one.
type upstream interface {
	Next(ctx context.Context) (particle.Message, error)
	Close()
}

func newLive(m *Devices) *live {
	l := &live{m: m, feeds: map[string]*feed{}}
	l.hub = particle.NewHub(particle.HubOptions{Connect: l.connect, Linger: time.Second, Buffer: 1024, Log: m.host.Log()})
	return l
}

// connect opens the hub's upstream of a feed, with the token it was opened with. A newer token makes a feed of its own.
func (l *live) connect(ctx context.Context, key string) (*particle.Stream, error) {
	l.mu.Lock()
	f := l.feeds[key]
	l.mu.Unlock()
	if f == nil {
		return nil, &particle.Error{Kind: particle.DeadToken, Op: "open event stream"}
	}
	return f.source.connect(ctx)
}

// subscribe opens an upstream of the hub's.
func (l *live) subscribe(key string) (upstream, error) {
	sub, err := l.hub.Subscribe(key, "")
	if errors.Is(err, particle.ErrHubFull) {
		return nil, errBusy
	}
	return sub, err
}

var (
	errBusy     = fault.New(fault.Unavailable, "Too many event streams are open on this site at the moment. Try again in a minute.")
	errTooMany  = fault.New(fault.TooMany, "Too many of your pages are open. Close some of them.")
	errStopping = fault.New(fault.Unavailable, "Devices is being restarted. Try again in a moment.")
)

// kindOf is the part of a feed's key that says what kind of source it is.
func kindOf(key string) string {
	kind, _, _ := strings.Cut(key, "/")
	return kind
}

func (l *live) countLocked(kind string) int {
	n := 0
	for key := range l.feeds {
		if kindOf(key) == kind {
			n++
		}
	}
	return n
}

// feed finds or opens the feed of a source.
func (l *live) feed(from *feedSource) (*feed, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, errStopping
	}
	if f := l.feeds[from.key]; f != nil {
		return f, nil
	}
	if from.most > 0 && l.countLocked(kindOf(from.key)) >= from.most {
		return nil, errBusy
	}
	ctx, cancel := context.WithCancel(l.m.host.Context())
	now := l.m.now()
	f := &feed{live: l, source: from, cancel: cancel, state: particle.Connecting, next: now.UnixMicro(),
		rings: map[string][]message{}, watchers: map[*watcher]struct{}{}, until: now.Add(l.m.patience.linger)}
	l.feeds[from.key] = f // before it is opened: connect looks for it
	up, err := from.open(from.key)
	if err != nil {
		delete(l.feeds, from.key)
		cancel()
		return nil, err
	}
	go f.run(ctx, up)
	return f, nil
}

// glance keeps the feed of a source open for a while because somebody looked at a device, unless many are open. nil: there
// is none.
func (l *live) glance(h *holding) *feed {
	from := h.events()
	if from == nil || h.refusal != nil {
		return nil
	}
	most := from.glances
	if most == 0 {
		most = maxGlances
	}
	l.mu.Lock()
	f, open := l.feeds[from.key], l.countLocked(kindOf(from.key))
	l.mu.Unlock()
	if f == nil && open >= most {
		return nil
	}
	f, err := l.feed(from)
	if err != nil {
		return nil
	}
	f.mu.Lock()
	f.until = l.m.now().Add(l.m.patience.linger)
	f.mu.Unlock()
	return f
}

// watch opens a person's page's view of a device's events. after is the number of the last message that the page has. Close it.
func (l *live) watch(from *feedSource, user int64, device string, after int64) (*watcher, []message, particle.StreamState, error) {
	for range 3 { // the feed may end between being found and being watched
		f, err := l.feed(from)
		if err != nil {
			return nil, nil, "", err
		}
		w := &watcher{feed: f, user: user, device: device, queue: make(chan message, watcherBuffer), done: make(chan struct{})}
		past, state, ok, err := f.add(w, after)
		if err != nil {
			return nil, nil, "", err
		}
		if ok {
			return w, past, state, nil
		}
	}
	return nil, nil, "", errStopping
}

// tell gives a message of our own to the open pages of a device: to the person's own, or for user 0 to everybody's.
func (l *live) tell(h *holding, user int64, device, name string, view any) {
	from := h.events()
	if from == nil {
		return
	}
	l.mu.Lock()
	f := l.feeds[from.key]
	l.mu.Unlock()
	if f != nil {
		f.send(message{name: name, device: device, user: user}, false, func(int64) any { return view })
	}
}

// belowLocked gives the feeds of a source.
func (l *live) belowLocked(source string) []*feed {
	var list []*feed
	for key, f := range l.feeds {
		if key == source || strings.HasPrefix(key, source+"/") {
			list = append(list, f)
		}
	}
	return list
}

// drop ends every feed of a source: it was unlinked, or its token is dead.
func (l *live) drop(source string) {
	l.mu.Lock()
	ending := l.belowLocked(source)
	l.mu.Unlock()
	for _, f := range ending {
		f.cancel()
		l.hub.Drop(f.source.key)
	}
}

// part ends a person's open pages of a source's device, or with "" of all its devices. Others' pages go on.
func (l *live) part(user int64, source, device string) {
	l.mu.Lock()
	feeds := l.belowLocked(source)
	l.mu.Unlock()
	for _, f := range feeds {
		f.part(user, device)
	}
}

// forget lets go of what a source's device has said, or with "" of all its devices: it was somebody's, and the next one who has it is
// told nothing of that time.
func (l *live) forget(source, device string) {
	l.mu.Lock()
	feeds := l.belowLocked(source)
	l.mu.Unlock()
	for _, f := range feeds {
		f.forget(device)
	}
}

func (l *live) close() {
	l.mu.Lock()
	l.closed = true
	var ending []*feed
	for _, f := range l.feeds {
		ending = append(ending, f)
	}
	l.mu.Unlock()
	for _, f := range ending {
		f.cancel()
	}
	l.hub.Close()
}
