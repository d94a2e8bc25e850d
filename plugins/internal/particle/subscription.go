package particle

import (
	"context"
	"sync"
)

// Message is what a subscriber is told: an event, a loss or a state; exactly one of the first three is set.
type Message struct {
	Event  *Event
	Lagged int         // so many events were dropped, because this subscriber did not keep up
	State  StreamState // the upstream's state has become this one
	Err    error       // with State: why it is Reconnecting or Dead; an *Error, or what Connect returned
}

// Subscription is one reader of an account's events.
type Subscription struct {
	upstream *upstream
	device   string
	wake     chan struct{} // holds one token when there is something to read

	mu     sync.Mutex
	ring   []*Event // made at the first event
	size   int
	first  int
	count  int
	lagged int
	state  StreamState // to be told; "" when told
	err    error
	ended  error
}

func newSubscription(u *upstream, device string, size int) *Subscription {
	return &Subscription{upstream: u, device: device, size: size, wake: make(chan struct{}, 1)}
}

// Next waits for the next message: a state before a loss before an event. It returns ctx's error, ErrHubClosed, ErrDropped or
// ErrSubscriber. Call it from one goroutine.
func (s *Subscription) Next(ctx context.Context) (Message, error) {
	for {
		if m, ok, err := s.take(); ok || err != nil {
			return m, err
		}
		select {
		case <-ctx.Done():
			return Message{}, ctx.Err()
		case <-s.wake:
		}
	}
}

func (s *Subscription) take() (m Message, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended != nil:
		return Message{}, false, s.ended
	case s.state != "":
		m = Message{State: s.state, Err: s.err}
		s.state, s.err = "", nil
	case s.lagged > 0:
		m = Message{Lagged: s.lagged}
		s.lagged = 0
	case s.count > 0:
		m = Message{Event: s.ring[s.first]}
		s.ring[s.first] = nil
		s.first = (s.first + 1) % s.size
		s.count--
	default:
		return Message{}, false, nil
	}
	return m, true, nil
}

// Close leaves the account. It may be called more than once.
func (s *Subscription) Close() {
	s.upstream.remove(s)
	s.end(ErrSubscriber)
}

func (s *Subscription) push(e *Event) {
	s.mu.Lock()
	if s.ring == nil {
		s.ring = make([]*Event, s.size)
	}
	if s.count == s.size { // drop the oldest
		s.ring[s.first] = nil
		s.first = (s.first + 1) % s.size
		s.count--
		s.lagged++
	}
	s.ring[(s.first+s.count)%s.size] = e
	s.count++
	s.mu.Unlock()
	s.signal()
}

func (s *Subscription) setState(state StreamState, err error) {
	s.mu.Lock()
	s.state, s.err = state, err
	s.mu.Unlock()
	s.signal()
}

func (s *Subscription) end(err error) {
	s.mu.Lock()
	if s.ended == nil {
		s.ended = err
	}
	s.mu.Unlock()
	s.signal()
}

func (s *Subscription) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
