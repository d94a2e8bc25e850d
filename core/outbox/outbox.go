package outbox

import (
	"context"
	"database/sql"
	"log/slog"
	"time"

	"mortise/core/manifest"
	"mortise/core/sdk"
	"mortise/core/store"
)

// HostSource is the source of the host's own events.
const HostSource = "host"

// Limits of an event.
const (
	MaxPayload = 64 << 10 // bytes of JSON
	maxSubject = 200      // bytes
)

// Subscriber is a module that is enabled or paused: what it publishes and what it wants.
type Subscriber struct {
	Module string
	Paused bool
	Events manifest.Events
}

// Options say what the outbox works with. Store, Subscribers and Deliver are needed.
type Options struct {
	Store *store.Store
	// Subscribers gives every module that is enabled or paused. It is asked for each event, so it must be quick.
	Subscribers func() []Subscriber
	// Deliver hands an event to a running module. An error in whose chain is *sdk.RefuseError is the refusal of a question.
	Deliver func(ctx context.Context, module string, event sdk.Event) error
	// Running tells whether the module's process takes events now; nil means that all do. Call Wake when one comes back.
	Running func(module string) bool
	Log     *slog.Logger     // nil discards
	Now     func() time.Time // nil is time.Now

	DeliverTimeout time.Duration                    // of one fact, 10 s
	AskTimeout     time.Duration                    // of one question, 2 s
	Retry          func(failures int) time.Duration // pause after so many failures, from 1; 1 s doubling to 10 min
	GiveUp         time.Duration                    // of failing, until a delivery is dead: 3 days
	Retention      time.Duration                    // of facts that everybody has got: 7 days
	TrimEvery      time.Duration                    // 1 hour
}

// Outbox is safe for concurrent use. Run dispatches.
type Outbox struct {
	o    Options
	wake chan struct{}
}

// New makes an outbox. Facts can be published at once; Run delivers them.
func New(o Options) *Outbox {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Running == nil {
		o.Running = func(string) bool { return true }
	}
	if o.Retry == nil {
		o.Retry = retryPause
	}
	setDefault(&o.DeliverTimeout, 10*time.Second)
	setDefault(&o.AskTimeout, 2*time.Second)
	setDefault(&o.GiveUp, 3*24*time.Hour)
	setDefault(&o.Retention, 7*24*time.Hour)
	setDefault(&o.TrimEvery, time.Hour)
	return &Outbox{o: o, wake: make(chan struct{}, 1)}
}

func setDefault(d *time.Duration, value time.Duration) {
	if *d <= 0 {
		*d = value
	}
}

func retryPause(failures int) time.Duration {
	return min(time.Second<<min(max(failures-1, 0), 10), 10*time.Minute)
}

func (o *Outbox) now() time.Time { return o.o.Now().UTC() }

// Wake has the queue looked at: after a transaction with Insert or Publish was committed, and when a module runs again.
func (o *Outbox) Wake() {
	select {
	case o.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// Executor is the transaction that an event is written in: *sql.Tx, *sql.Conn or GORM's ConnPool.
type Executor interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}
