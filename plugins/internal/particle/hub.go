package particle

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// StreamState is how the upstream of an account is.
type StreamState string

// The states that a subscriber is told about.
const (
	Connecting   StreamState = "connecting"   // the first attempt
	Live         StreamState = "live"         // events arrive
	Reconnecting StreamState = "reconnecting" // it broke; the next attempt is being waited for or made. Events may be missed
	Dead         StreamState = "dead"         // the token is not accepted: no further attempt until Reconnect; offer to link again
)

// HubOptions configure a Hub.
type HubOptions struct {
	// Connect opens the upstream of an account. It is called for each attempt, so it should ask for the account's token each
	// time. Its ctx lives as long as the stream may. An *Error of kind DeadToken, Denied, MissingScope or BadRefresh, or another fault that is
	// Denied or NotFound (there is no link), ends the attempts; any other error is followed by the next one.
	Connect func(ctx context.Context, account string) (*Stream, error)

	Linger      time.Duration // how long an upstream stays after its last subscriber left, for page changes; 5 s
	Buffer      int           // events kept for a slow subscriber; 64
	BackoffMin  time.Duration // before the second attempt; 2 s
	BackoffMax  time.Duration // 5 min
	RateLimited time.Duration // least wait after 429; 60 s
	Stable      time.Duration // how long a stream must have lived for the next wait to be BackoffMin again; 30 s
	DeadRetry   time.Duration // a new subscriber of an account whose token is dead makes one attempt after so long; 10 s
	MaxAccounts int           // upstreams at once, since the cloud allows 100 from one address; 90
	MaxReaders  int           // subscribers of one account; 10,000
	Log         *slog.Logger  // nil: none
}

func (o HubOptions) withDefaults() HubOptions {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&o.Linger, 5 * time.Second}, {&o.BackoffMin, 2 * time.Second}, {&o.BackoffMax, 5 * time.Minute},
		{&o.RateLimited, time.Minute}, {&o.Stable, 30 * time.Second}, {&o.DeadRetry, 10 * time.Second},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	for _, d := range []struct {
		field *int
		value int
	}{{&o.Buffer, 64}, {&o.MaxAccounts, 90}, {&o.MaxReaders, 10000}} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Hub shares one upstream stream per account among any number of subscribers.
//
//	subscribe ──► account has no upstream: connect ──► live ──► fan out to each subscriber's own small buffer
//	last one leaves ──► linger ──► close
//	stream breaks ──► wait (doubling, with jitter) ──► connect;  dead token ──► stop and say so
//
// A subscriber that does not keep up loses its oldest events and is told how many. It never holds up another one.
type Hub struct {
	options HubOptions
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu        sync.Mutex
	upstreams map[string]*upstream
	closed    bool
}

// Errors of Subscribe and Subscription.Next.
var (
	ErrHubClosed  = errors.New("particle: the event hub is closed")
	ErrHubFull    = errors.New("particle: too many event streams")
	ErrDropped    = errors.New("particle: the account is no longer linked")
	ErrSubscriber = errors.New("particle: the subscription was closed")
)

// NewHub makes a hub. Close it.
func NewHub(o HubOptions) *Hub {
	ctx, cancel := context.WithCancel(context.Background())
	return &Hub{options: o.withDefaults(), ctx: ctx, cancel: cancel, upstreams: map[string]*upstream{}}
}

// Subscribe adds a subscriber to an account, opening its upstream when it has none. account is any key that Connect
// understands. device narrows the events to one device; "" means all. The first message is the upstream's state.
// Close the subscription.
func (h *Hub) Subscribe(account, device string) (*Subscription, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, ErrHubClosed
	}
	u := h.upstreams[account]
	if u == nil {
		if len(h.upstreams) >= h.options.MaxAccounts {
			return nil, ErrHubFull
		}
		u = newUpstream(h, account)
		h.upstreams[account] = u
		u.start()
	} else if u.deadFor() > h.options.DeadRetry {
		u.stop()
		u.start()
	}
	s := newSubscription(u, NormalID(device), h.options.Buffer)
	if !u.add(s, h.options.MaxReaders) {
		return nil, ErrHubFull
	}
	return s, nil
}

// Reconnect opens the account's upstream anew, with a new token: call it after the account was linked again. It does
// nothing for an account without subscribers.
func (h *Hub) Reconnect(account string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if u := h.upstreams[account]; u != nil && !h.closed {
		u.stop()
		u.start()
	}
}

// Drop ends the account's upstream and its subscriptions with ErrDropped: call it after the account was unlinked.
func (h *Hub) Drop(account string) {
	h.mu.Lock()
	u := h.upstreams[account]
	delete(h.upstreams, account)
	h.mu.Unlock()
	if u != nil {
		u.stop()
		u.endAll(ErrDropped)
	}
}

// Close ends everything and waits for it. Subscriptions end with ErrHubClosed.
func (h *Hub) Close() {
	h.mu.Lock()
	h.closed = true
	all := h.upstreams
	h.upstreams = map[string]*upstream{}
	h.mu.Unlock()
	h.cancel()
	for _, u := range all {
		u.stop()
		u.endAll(ErrHubClosed)
	}
	h.running.Wait()
}

// HubStats counts what a hub holds.
type HubStats struct {
	Accounts    int // upstreams, open or being opened
	Subscribers int
}

// Stats counts.
func (h *Hub) Stats() HubStats {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := HubStats{Accounts: len(h.upstreams)}
	for _, u := range h.upstreams {
		s.Subscribers += u.count()
	}
	return s
}

// leave forgets an upstream that has stayed without subscribers.
func (h *Hub) leave(u *upstream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if u.count() == 0 && h.upstreams[u.account] == u {
		delete(h.upstreams, u.account)
		u.stop()
	}
}
