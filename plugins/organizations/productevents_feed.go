package main

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"mortise/core/fault"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/productapi"
)

const (
	ringEvents   = 400       // that are kept of one product
	ringBytes    = 256 << 10 // and their size as JSON
	answerEvents = 200       // of one poll
	answerBytes  = 512 << 10
	maxEventData = 16 << 10
)

// feed is the events of one product: it numbers them, keeps the last ones, and wakes the polls.
type feed struct {
	streams *streams
	key     productKey
	cancel  context.CancelFunc

	mu      sync.Mutex
	state   productapi.StreamState
	turned  time.Time   // when the state became what it is
	broken  bool        // the stream was live or tried before, so that events may be missing when it is live again
	begin   int64       // the first number; the clock's, so that numbers never come again after a restart
	next    int64       // the number of the next event
	ring    []keptEvent // the oldest first
	bytes   int
	gap     int64         // the last break that fell out of the ring
	changed chan struct{} // closed at the next event or state
	polls   int
	until   time.Time // kept without polls until then
	ended   bool
}

// keptEvent is an event, or a break: the stream was not open before it.
type keptEvent struct {
	event productapi.Event
	size  int
	brk   bool
}

func newFeed(s *streams, key productKey, cancel context.CancelFunc) *feed {
	now := s.m.now()
	return &feed{streams: s, key: key, cancel: cancel, state: productapi.Connecting, turned: now, begin: now.UnixMicro(), next: now.UnixMicro(),
		changed: make(chan struct{}), until: now.Add(s.m.patience.linger)}
}

// run reads the upstream until the feed ends.
func (f *feed) run(ctx context.Context, sub *particle.Subscription) {
	defer func() {
		sub.Close()
		f.streams.mu.Lock()
		f.streams.end(f)
		f.streams.mu.Unlock()
	}()
	for {
		msg, err := sub.Next(ctx)
		switch {
		case err != nil:
			return
		case msg.Event != nil:
			f.take(msg.Event)
		case msg.State != "":
			f.turn(stateOf(msg.State), msg.Err)
		case msg.Lagged > 0:
			f.lose(msg.Lagged)
		}
	}
}

// mind ends the feed when nobody has polled for a while, and tries a refused credential again now and then: its owner may have been
// given what it lacked.
func (f *feed) mind(ctx context.Context) {
	m := f.streams.m
	ticker := time.NewTicker(max(min(m.patience.linger, m.patience.dead)/4, time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if f.streams.endIdle(f) {
			return
		}
		f.mu.Lock()
		again := f.state == productapi.Dead && m.now().Sub(f.turned) >= m.patience.dead
		f.mu.Unlock()
		if again {
			f.streams.hub.Reconnect(f.key.name())
		}
	}
}

func (f *feed) isIdle(now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.polls == 0 && !now.Before(f.until)
}

// finish wakes the polls for the last time.
func (f *feed) finish() {
	f.cancel()
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.ended {
		f.ended = true
		close(f.changed)
	}
}

// wake tells the polls that there is news. The mutex is held.
func (f *feed) wake() {
	if !f.ended {
		close(f.changed)
		f.changed = make(chan struct{})
	}
}

func (f *feed) turn(state productapi.StreamState, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if state == productapi.Dead && f.state != state {
		f.streams.m.host.Log().Info("the events of a product ended because the credential is refused", "workspace", f.key.workspace, "product", f.key.product, "reason", string(particle.KindOf(err)))
	}
	if state == productapi.Live && f.broken {
		f.add(keptEvent{brk: true})
	}
	f.broken = f.broken || state != productapi.Connecting // a credential that was replaced connects anew, too
	f.state, f.turned = state, f.streams.m.now()
	f.wake()
}

// lose counts events that came faster than they could be taken.
func (f *feed) lose(n int) {
	f.streams.m.host.Log().Warn("events of a product were lost because too many came at once", "count", n)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next += int64(n)
	f.wake()
}

func (f *feed) take(e *particle.Event) {
	data := e.Data
	if len(data) > maxEventData {
		data = strings.ToValidUTF8(data[:maxEventData], "") + "…"
	}
	at := e.PublishedAt
	if at.IsZero() {
		at = f.streams.m.now()
	}
	event := productapi.Event{Name: e.Name, Data: data, DeviceID: e.DeviceID, PublishedAt: at.UTC()}
	if online, ok := event.Online(); ok {
		f.streams.m.fleets.heard(f.key, event.DeviceID, online, f.streams.m.now())
	}
	text, err := json.Marshal(event)
	if err != nil { // a time outside of the years that JSON knows
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.add(keptEvent{event: event, size: len(text) + 24}) // with the number
	f.wake()
}

// add numbers and keeps an entry. The mutex is held.
func (f *feed) add(e keptEvent) {
	e.event.Number = f.next
	f.next++
	f.ring = append(f.ring, e)
	f.bytes += e.size
	drop := 0
	for len(f.ring)-drop > ringEvents || f.bytes > ringBytes && len(f.ring)-drop > 1 {
		old := f.ring[drop]
		if f.bytes -= old.size; old.brk {
			f.gap = old.event.Number
		}
		drop++
	}
	if drop > 0 {
		f.ring = append(f.ring[:0], f.ring[drop:]...)
		clear(f.ring[len(f.ring):min(cap(f.ring), len(f.ring)+drop)]) // lets go of what fell out
	}
}

// since gives what came after a cursor, and whether it is worth an answer for a caller who knows the state as seen.
func (f *feed) since(after int64, seen productapi.StreamState) (out productapi.Events, worth bool) {
	out = productapi.Events{Events: []productapi.Event{}, Cursor: f.next - 1, State: f.state, Gap: after < f.begin-1 || after < f.gap}
	from := max(after, f.begin-1)
	size, taken := 0, int64(0)
	for i, e := range f.ring {
		if e.event.Number <= from {
			continue
		}
		if len(out.Events) >= answerEvents || size+e.size > answerBytes && size > 0 {
			out.Cursor = f.ring[i-1].event.Number // the rest comes with the next poll
			break
		}
		taken++
		if e.brk {
			out.Gap = true
			continue
		}
		size += e.size
		out.Events = append(out.Events, e.event)
	}
	out.Missed = int(out.Cursor - from - taken)
	return out, len(out.Events) > 0 || out.Gap || out.Missed > 0 || out.State != seen
}

// enter begins a poll. It gives the cursor to start from and the state to compare with; ok is false when the feed has ended.
func (f *feed) enter(q productapi.Poll) (after int64, seen productapi.StreamState, ok bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return 0, "", false, nil
	}
	after, seen = q.After, q.State
	switch {
	case after == 0:
		if after = f.next - 1; seen == "" {
			seen = productapi.Connecting // the first poll is answered as soon as there are events to wait for
		}
	case after >= f.next: // given before a restart, and the clock was put back since
		if after > f.streams.m.now().Add(24*time.Hour).UnixMicro() {
			return 0, "", false, wrongField("after", "take the cursor of the answer before, or 0")
		}
		f.next, f.begin = after+1, after+1
		f.ring, f.bytes, f.gap = nil, 0, after+1
		f.add(keptEvent{brk: true})
	}
	if seen == "" {
		seen = f.state
	}
	f.polls++
	return after, seen, true, nil
}

func (f *feed) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.polls--
	f.until = f.streams.m.now().Add(f.streams.m.patience.linger)
}

// wait answers a poll when there is something to tell, or when its time is over.
func (f *feed) wait(ctx context.Context, q productapi.Poll) (out productapi.Events, ok bool, err error) {
	after, seen, ok, err := f.enter(q)
	if !ok || err != nil {
		return out, false, err
	}
	defer f.leave()
	over := time.NewTimer(time.Duration(q.WaitMS) * time.Millisecond)
	defer over.Stop()
	late := q.WaitMS == 0
	for {
		f.mu.Lock()
		out, worth := f.since(after, seen)
		changed, ended := f.changed, f.ended
		f.mu.Unlock()
		switch {
		case worth || late:
			return out, true, nil
		case ended:
			return out, false, nil
		}
		select {
		case <-ctx.Done():
			return out, false, fault.Wrap(fault.Unavailable, ctx.Err(), "The question was given up.")
		case <-over.C:
			late = true
		case <-changed:
		}
	}
}

// serveEvents waits for the events of a product.
func (m *Organizations) serveEvents(ctx context.Context, in productapi.Poll) (out productapi.Events, err error) {
	key, err := keyOfProduct(in.Product)
	if err != nil {
		return out, err
	}
	switch in.State {
	case "", productapi.Connecting, productapi.Live, productapi.Reconnecting, productapi.Dead:
	default:
		return out, wrongField("state", "take the state of the answer before")
	}
	if in.After < 0 {
		return out, wrongField("after", "take the cursor of the answer before, or 0")
	}
	if in.WaitMS < 0 || in.WaitMS > productapi.MaxWait.Milliseconds() {
		return out, wrongField("wait_ms", "0 to 25000 milliseconds")
	}
	for range 3 { // the feed may end between being found and being waited for
		f, err := m.streams.feed(ctx, key)
		if err != nil {
			return out, err
		}
		out, ok, err := f.wait(ctx, in)
		if ok || err != nil {
			return out, err
		}
	}
	return out, errRestarting
}
