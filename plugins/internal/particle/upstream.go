package particle

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"mortise/core/fault"
)

// upstream is the one stream of an account, with its subscribers.
type upstream struct {
	hub     *Hub
	account string

	mu          sync.Mutex
	subscribers []*Subscription
	state       StreamState
	err         error     // why the state is Reconnecting or Dead
	since       time.Time // of the state
	cancel      context.CancelFunc
	ended       chan struct{} // closed when the latest run is over; nil before the first
	turn        int           // counts starts, so that a stopped run cannot set the state of its successor
	linger      *time.Timer
}

func newUpstream(h *Hub, account string) *upstream {
	return &upstream{hub: h, account: account, state: Connecting}
}

// start begins to connect. The hub's mutex is held, so it cannot race with Close.
func (u *upstream) start() {
	ctx, cancel := context.WithCancel(u.hub.ctx)
	u.mu.Lock()
	u.turn++
	turn := u.turn
	u.cancel = cancel
	before, ended := u.ended, make(chan struct{})
	u.ended = ended
	u.mu.Unlock()
	u.hub.running.Go(func() {
		defer close(ended)
		defer cancel()
		if before != nil {
			<-before // stopped, so it ends at once: there are never two streams of one account
		}
		u.run(ctx, turn)
	})
}

func (u *upstream) stop() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.turn++
	if u.cancel != nil {
		u.cancel()
	}
	if u.linger != nil {
		u.linger.Stop()
	}
}

// run connects and passes events on until it is stopped or the token is dead.
func (u *upstream) run(ctx context.Context, turn int) {
	o := u.hub.options
	for attempt := 0; ; attempt++ {
		if attempt == 0 {
			u.tell(turn, Connecting, nil)
		}
		since := time.Now()
		err := u.pump(ctx, turn)
		if ctx.Err() != nil {
			return
		}
		if isFinal(err) {
			o.Log.Info("event stream stopped", "reason", string(KindOf(err)))
			u.tell(turn, Dead, err)
			return
		}
		if time.Since(since) >= o.Stable {
			attempt = 0
		}
		wait := backoff(o, attempt, err)
		o.Log.Debug("event stream will be opened again", "reason", string(KindOf(err)), "wait", wait)
		u.tell(turn, Reconnecting, err)
		if !sleep(ctx, wait) {
			return
		}
	}
}

// isFinal tells an error after which only a new token helps. Connect may also fail with a fault of whoever keeps the tokens.
func isFinal(err error) bool {
	switch KindOf(err) {
	case DeadToken, Denied, MissingScope, BadRefresh:
		return true
	case "":
		return fault.Is(err, fault.Denied) || fault.Is(err, fault.NotFound)
	}
	return false
}

// pump opens the stream and passes its events on until it ends, which it always does with an error.
func (u *upstream) pump(ctx context.Context, turn int) error {
	stream, err := u.hub.options.Connect(ctx, u.account)
	if err != nil {
		return err
	}
	defer stream.Close()
	u.tell(turn, Live, nil)
	for {
		event, err := stream.Next()
		if err != nil {
			return err
		}
		u.fanOut(turn, event)
	}
}

// backoff doubles from BackoffMin to BackoffMax and takes a random part of the upper half, so that the streams of all
// accounts do not come back at the same moment after an outage.
func backoff(o HubOptions, attempt int, err error) time.Duration {
	wait := o.BackoffMax
	if attempt < 16 && o.BackoffMin<<attempt < o.BackoffMax {
		wait = o.BackoffMin << attempt
	}
	var e *Error
	if errors.As(err, &e) && e.Kind == RateLimited {
		wait = max(wait, o.RateLimited, e.RetryAfter)
		return wait + rand.N(wait/4+1)
	}
	return wait/2 + rand.N(wait/2+1)
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func (u *upstream) tell(turn int, state StreamState, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if turn != u.turn {
		return
	}
	u.state, u.err, u.since = state, err, time.Now()
	for _, s := range u.subscribers {
		s.setState(state, err)
	}
}

func (u *upstream) fanOut(turn int, e *Event) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if turn != u.turn {
		return
	}
	for _, s := range u.subscribers {
		if s.device == "" || s.device == e.DeviceID {
			s.push(e)
		}
	}
}

func (u *upstream) add(s *Subscription, limit int) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.subscribers) >= limit {
		return false
	}
	if u.linger != nil {
		u.linger.Stop()
	}
	u.subscribers = append(u.subscribers, s)
	s.setState(u.state, u.err)
	return true
}

// remove takes a subscriber away; after the last one the upstream lingers.
func (u *upstream) remove(s *Subscription) {
	u.mu.Lock()
	defer u.mu.Unlock()
	i := slices.Index(u.subscribers, s)
	if i < 0 {
		return
	}
	last := len(u.subscribers) - 1
	u.subscribers[i] = u.subscribers[last]
	u.subscribers[last] = nil
	u.subscribers = u.subscribers[:last]
	if last == 0 {
		u.linger = time.AfterFunc(u.hub.options.Linger, func() { u.hub.leave(u) })
	}
}

// deadFor is how long the token has been dead; 0 when it is not.
func (u *upstream) deadFor() time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.state != Dead {
		return 0
	}
	return time.Since(u.since)
}

func (u *upstream) count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.subscribers)
}

func (u *upstream) endAll(err error) {
	u.mu.Lock()
	all := u.subscribers
	u.subscribers = nil
	u.mu.Unlock()
	for _, s := range all {
		s.end(err)
	}
}
