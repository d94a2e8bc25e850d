package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"mortise/core/fault"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/tokenapi"
)

const (
	maxGlances     = 60        // feeds that page views alone may keep open, of the 90 that the cloud allows
	replayEvents   = 50        // of one device
	replayBytes    = 128 << 10 // of one device
	replayDevices  = 200       // of one account
	watcherBuffer  = 64        // messages for a page that does not keep up
	maxWatchers    = 200       // pages of one account
	maxEventLength = 16 << 10  // of what a page is sent of one event's data
)

// live holds the event streams: one upstream an account, however many pages are open. Tokens are kept here as long as their
// stream is.
type live struct {
	m   *Devices
	hub *particle.Hub

	mu     sync.Mutex
	feeds  map[string]*feed
	closed bool
}

// feed is the events of one account: it remembers the last ones of each device and hands each message to the pages.
type feed struct {
	live    *live
	key     string
	account tokenapi.Account
	cancel  context.CancelFunc

	mu       sync.Mutex
	state    particle.StreamState
	next     int64 // number of the next message; starts at the clock, so that numbers never come again
	rings    map[string][]message
	watchers map[*watcher]struct{}
	until    time.Time // kept without watchers until then
	ended    bool
}

// message is one thing that pages are told, encoded once for all of them.
type message struct {
	number int64
	name   string // the SSE event's name: event, value, call, device, upstream
	device string // "" for all devices of the account
	data   []byte // JSON on one line
}

// watcher is one open page.
type watcher struct {
	feed   *feed
	device string
	queue  chan message
	done   chan struct{} // closed when the feed ends
	mu     sync.Mutex
	missed int
}

func newLive(m *Devices) *live {
	l := &live{m: m, feeds: map[string]*feed{}}
	l.hub = particle.NewHub(particle.HubOptions{Connect: l.connect, Linger: time.Second, Buffer: 1024, Log: m.host.Log()})
	return l
}

func feedKey(acc tokenapi.Account) string { return fmt.Sprintf("%d/%d", acc.ID, acc.Generation) }

// connect opens the upstream of a feed, with the token it was opened with. A newer token makes a feed of its own.
func (l *live) connect(ctx context.Context, key string) (*particle.Stream, error) {
	l.mu.Lock()
	f := l.feeds[key]
	l.mu.Unlock()
	if f == nil {
		return nil, &particle.Error{Kind: particle.DeadToken, Op: "open event stream"}
	}
	cloud, err := l.m.cloud(f.account.BaseURL)
	if err != nil {
		return nil, err
	}
	return cloud.OpenStream(ctx, f.account.AccessToken, particle.Source{})
}

var (
	errBusy     = fault.New(fault.Unavailable, "Too many event streams are open on this site at the moment. Try again in a minute.")
	errTooMany  = fault.New(fault.TooMany, "Too many pages of this account are open. Close some of them.")
	errStopping = fault.New(fault.Unavailable, "Devices is being restarted. Try again in a moment.")
)

// feed finds or opens the feed of an account.
func (l *live) feed(acc tokenapi.Account) (*feed, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, errStopping
	}
	key := feedKey(acc)
	if f := l.feeds[key]; f != nil {
		return f, nil
	}
	ctx, cancel := context.WithCancel(l.m.host.Context())
	now := l.m.now()
	f := &feed{live: l, key: key, account: acc, cancel: cancel, state: particle.Connecting, next: now.UnixMicro(),
		rings: map[string][]message{}, watchers: map[*watcher]struct{}{}, until: now.Add(l.m.patience.linger)}
	l.feeds[key] = f // before Subscribe: connect looks for it
	sub, err := l.subscribe(key)
	if err != nil {
		delete(l.feeds, key)
		cancel()
		return nil, err
	}
	go f.run(ctx, sub)
	return f, nil
}

func (l *live) subscribe(key string) (*particle.Subscription, error) {
	sub, err := l.hub.Subscribe(key, "")
	if errors.Is(err, particle.ErrHubFull) {
		return nil, errBusy
	}
	return sub, err
}

// glance keeps the feed of an account open for a while because somebody looked at a device, unless many are open. nil: there
// is none.
func (l *live) glance(acc tokenapi.Account) *feed {
	l.mu.Lock()
	f, open := l.feeds[feedKey(acc)], len(l.feeds)
	l.mu.Unlock()
	if f == nil && open >= maxGlances || acc.State != tokenapi.Active {
		return nil
	}
	f, err := l.feed(acc)
	if err != nil {
		return nil
	}
	f.mu.Lock()
	f.until = l.m.now().Add(l.m.patience.linger)
	f.mu.Unlock()
	return f
}

// watch opens a page's view of an account's events. after is the number of the last message that the page has. Close it.
func (l *live) watch(acc tokenapi.Account, device string, after int64) (*watcher, []message, particle.StreamState, error) {
	for range 3 { // the feed may end between being found and being watched
		f, err := l.feed(acc)
		if err != nil {
			return nil, nil, "", err
		}
		w := &watcher{feed: f, device: device, queue: make(chan message, watcherBuffer), done: make(chan struct{})}
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

func (f *feed) add(w *watcher, after int64) (past []message, state particle.StreamState, ok bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return nil, "", false, nil
	}
	if len(f.watchers) >= maxWatchers {
		return nil, "", false, errTooMany
	}
	f.watchers[w] = struct{}{}
	return f.past(w.device, after), f.state, true, nil
}

// past lists the remembered messages of a device, and of the account itself, that are newer than after, the oldest first.
func (f *feed) past(device string, after int64) []message {
	own, common := f.rings[device], f.rings[""]
	merged := make([]message, 0, len(own)+len(common))
	for len(own) > 0 || len(common) > 0 {
		from := &own
		if len(own) == 0 || len(common) > 0 && common[0].number < own[0].number {
			from = &common
		}
		if (*from)[0].number > after {
			merged = append(merged, (*from)[0])
		}
		*from = (*from)[1:]
	}
	return merged
}

// history lists the remembered events of a device, the oldest first, with the number of the last one.
func (f *feed) history(device string) (list []message, last int64, state particle.StreamState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.past(device, 0), f.next - 1, f.state
}

// run reads the upstream until nobody has watched for a while, or the feed is closed.
func (f *feed) run(ctx context.Context, sub *particle.Subscription) {
	defer f.end(sub)
	go f.mind(ctx)
	for {
		msg, err := sub.Next(ctx)
		switch {
		case err != nil:
			return
		case msg.Event != nil:
			f.take(msg.Event)
		case msg.State != "":
			f.turn(msg.State, msg.Err)
		case msg.Lagged > 0:
			f.live.m.host.Log().Warn("events were lost because too many arrived at once", "count", msg.Lagged)
		}
	}
}

// mind ends the feed when nobody has watched for a while.
func (f *feed) mind(ctx context.Context) {
	ticker := time.NewTicker(max(f.live.m.patience.linger/4, time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		f.mu.Lock()
		idle := len(f.watchers) == 0 && !f.live.m.now().Before(f.until)
		f.mu.Unlock()
		if idle {
			f.cancel()
			return
		}
	}
}

func (f *feed) end(sub *particle.Subscription) {
	sub.Close()
	f.cancel()
	f.live.mu.Lock()
	if f.live.feeds[f.key] == f {
		delete(f.live.feeds, f.key)
	}
	f.live.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = true
	for w := range f.watchers {
		close(w.done)
		delete(f.watchers, w)
	}
}

// eventView is an event as pages and programs see it.
type eventView struct {
	Number      int64     `json:"number"` // grows; a stream goes on after it
	Name        string    `json:"name"`
	Data        string    `json:"data"`
	DeviceID    string    `json:"device_id"` // "" when the account published it, not a device
	PublishedAt time.Time `json:"published_at"`
}

func (f *feed) take(e *particle.Event) {
	data := e.Data
	if len(data) > maxEventLength {
		data = strings.ToValidUTF8(data[:maxEventLength], "") + "…"
	}
	at := e.PublishedAt
	if at.IsZero() {
		at = f.live.m.now()
	}
	device := e.DeviceID
	if f.live.m.lists.lacks(f.account.ID, device) {
		device = "" // what a person publishes carries the person's id, which looks like that of a device
	}
	f.send("event", device, true, func(number int64) any {
		return eventView{Number: number, Name: e.Name, Data: data, DeviceID: device, PublishedAt: at}
	})
	if online, ok := e.Online(); ok && device != "" {
		f.live.m.lists.drop(f.account.ID)
		f.send("device", device, false, func(int64) any {
			return map[string]any{"device": map[string]any{"online": online, "status": onlineWord(online), "last_heard": at}}
		})
	}
}

func onlineWord(online bool) string {
	if online {
		return "Online"
	}
	return "Offline"
}

// stateText says how the upstream is.
func stateText(s particle.StreamState) string {
	switch s {
	case particle.Live:
		return "live"
	case particle.Dead:
		return "ended: link your account again"
	case particle.Reconnecting:
		return "reconnecting to Particle"
	}
	return "connecting"
}

func upstreamView(s particle.StreamState) map[string]any {
	return map[string]any{"upstream": map[string]any{"state": string(s), "text": stateText(s)}}
}

func (f *feed) turn(state particle.StreamState, err error) {
	f.mu.Lock()
	f.state = state
	f.mu.Unlock()
	if state == particle.Dead && err != nil {
		f.live.m.host.Log().Info("an event stream ended because its link is dead", "account", f.account.ID)
	}
	f.send("upstream", "", false, func(int64) any { return upstreamView(state) })
}

// send numbers and encodes a message, remembers it when it is an event, and hands it to the pages.
func (f *feed) send(name, device string, remember bool, view func(number int64) any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	number := f.next
	data, err := json.Marshal(view(number))
	if err != nil {
		return
	}
	f.next++
	msg := message{number: number, name: name, device: device, data: data}
	if remember {
		f.remember(msg)
	}
	for w := range f.watchers {
		if device == "" || device == w.device {
			w.push(msg)
		}
	}
}

func (f *feed) remember(msg message) {
	ring, known := f.rings[msg.device]
	if !known && len(f.rings) >= replayDevices {
		return
	}
	ring = append(ring, msg)
	size := 0
	for _, one := range ring {
		size += len(one.data)
	}
	for len(ring) > replayEvents || size > replayBytes && len(ring) > 1 {
		size -= len(ring[0].data)
		ring = ring[1:]
	}
	f.rings[msg.device] = append(make([]message, 0, len(ring)+1), ring...) // lets go of what fell out
}

// push never waits: a page that does not keep up loses its oldest messages and is told how many.
func (w *watcher) push(msg message) {
	for {
		select {
		case w.queue <- msg:
			return
		default:
		}
		select {
		case <-w.queue:
			w.mu.Lock()
			w.missed++
			w.mu.Unlock()
		default:
		}
	}
}

// takeMissed gives how many messages were lost since it was asked last.
func (w *watcher) takeMissed() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.missed
	w.missed = 0
	return n
}

// close leaves the feed.
func (w *watcher) close() {
	w.feed.mu.Lock()
	defer w.feed.mu.Unlock()
	delete(w.feed.watchers, w)
	w.feed.until = w.feed.live.m.now().Add(w.feed.live.m.patience.linger / 4) // the page that follows finds it open
}

// tell gives a message of our own to the open pages of a device.
func (l *live) tell(acc tokenapi.Account, device, name string, view any) {
	l.mu.Lock()
	f := l.feeds[feedKey(acc)]
	l.mu.Unlock()
	if f != nil {
		f.send(name, device, false, func(int64) any { return view })
	}
}

// drop ends every feed of an account: it was unlinked, or its token is dead.
func (l *live) drop(accountID int64) {
	prefix := accountKey(accountID) + "/"
	l.mu.Lock()
	var ending []*feed
	for key, f := range l.feeds {
		if strings.HasPrefix(key, prefix) {
			ending = append(ending, f)
		}
	}
	l.mu.Unlock()
	for _, f := range ending {
		f.cancel()
		l.hub.Drop(f.key)
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
