package main

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"mortise/plugins/internal/particle"
)

// feed is the events of one source: it remembers the last ones of each device and hands each message to the pages.
type feed struct {
	live   *live
	source *feedSource
	cancel context.CancelFunc

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
	device string // "" for all devices of the source
	user   int64  // whose pages alone; 0 for everybody's
	data   []byte // JSON on one line
}

func (f *feed) add(w *watcher, after int64) (past []message, state particle.StreamState, ok bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return nil, "", false, nil
	}
	own := 0
	for other := range f.watchers {
		if other.user == w.user {
			own++
		}
	}
	if own >= maxWatchers {
		return nil, "", false, errTooMany
	}
	f.watchers[w] = struct{}{}
	return f.past(w.device, after), f.state, true, nil
}

// past lists the remembered messages of a device, and of the source itself, that are newer than after, the oldest first.
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
func (f *feed) run(ctx context.Context, up upstream) {
	defer f.end(up)
	go f.mind(ctx)
	for {
		msg, err := up.Next(ctx)
		switch {
		case err != nil:
			return
		case msg.Event != nil:
			f.take(msg.Event)
		case msg.State != "":
			f.turn(msg.State)
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

func (f *feed) end(up upstream) {
	up.Close()
	f.cancel()
	f.live.mu.Lock()
	if f.live.feeds[f.source.key] == f {
		delete(f.live.feeds, f.source.key)
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

// part ends a person's pages of a device, or with "" of all devices.
func (f *feed) part(user int64, device string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for w := range f.watchers {
		if w.user == user && (device == "" || w.device == device) {
			close(w.done)
			delete(f.watchers, w)
		}
	}
}

// forget lets go of the remembered events of a device, or with "" of all.
func (f *feed) forget(device string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if device == "" {
		clear(f.rings)
		return
	}
	delete(f.rings, device)
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
	device := strings.ToLower(e.DeviceID)
	if f.source.lacks != nil && f.source.lacks(device) {
		device = "" // what a person publishes carries the person's id, which looks like that of a device
	}
	if device == "" && !f.source.common { // the maker's, and not for customers
		return
	}
	f.send(message{name: "event", device: device}, true, func(number int64) any {
		return eventView{Number: number, Name: e.Name, Data: data, DeviceID: device, PublishedAt: at}
	})
	if online, ok := e.Online(); ok && device != "" {
		f.source.moved(device)
		f.send(message{name: "device", device: device}, false, func(int64) any {
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
func (s *feedSource) stateText(state particle.StreamState) string {
	switch state {
	case particle.Live:
		return "live"
	case particle.Dead:
		return s.ended
	case particle.Reconnecting:
		return "reconnecting to Particle"
	}
	return "connecting"
}

func (s *feedSource) upstreamView(state particle.StreamState) map[string]any {
	return map[string]any{"upstream": map[string]any{"state": string(state), "text": s.stateText(state)}}
}

func (f *feed) turn(state particle.StreamState) {
	f.mu.Lock()
	f.state = state
	f.mu.Unlock()
	if state == particle.Dead {
		f.live.m.host.Log().Info("an event stream ended because Particle does not accept its credential", "feed", f.source.key)
	}
	f.send(message{name: "upstream"}, false, func(int64) any { return f.source.upstreamView(state) })
}

// send numbers and encodes a message, remembers it when it is an event, and hands it to the pages.
func (f *feed) send(msg message, remember bool, view func(number int64) any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	msg.number = f.next
	data, err := json.Marshal(view(msg.number))
	if err != nil {
		return
	}
	f.next++
	msg.data = data
	if remember {
		f.remember(msg)
	}
	for w := range f.watchers {
		if (msg.device == "" || msg.device == w.device) && (msg.user == 0 || msg.user == w.user) {
			w.push(msg)
		}
	}
}

func (f *feed) remember(msg message) {
	ring, known := f.rings[msg.device]
	if !known && len(f.rings) >= replayDevices {
		f.makeRoom()
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

// makeRoom forgets the device that has been silent for the longest time: a product may have many more than are remembered.
func (f *feed) makeRoom() {
	silent, since := "", int64(-1)
	for device, ring := range f.rings {
		if last := ring[len(ring)-1].number; since < 0 || last < since {
			silent, since = device, last
		}
	}
	delete(f.rings, silent)
}
