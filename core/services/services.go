package services

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"mortise/core/fault"
	"mortise/core/manifest"
	"mortise/core/sdk"
)

// Secrets keeps sealed values; secret.Vault is one.
type Secrets interface {
	Get(ctx context.Context, module, name, key string) (string, error)
	Set(ctx context.Context, module, name, key, value string) error
	Delete(ctx context.Context, module, name, key string) error
}

// People looks up the users of the site.
type People interface {
	// User fails with fault.NotFound for an unknown id.
	User(ctx context.Context, id int64) (sdk.User, error)
	// Users gives those of the ids that exist.
	Users(ctx context.Context, ids []int64) ([]sdk.User, error)
	// Identity is the person as a module may see them now: current roles, and those of the module's permissions that they give. It
	// fails with fault.Denied when the person is blocked or gone, and with fault.SignedOut when the session (if not "") is over.
	Identity(ctx context.Context, userID int64, session, module string) (sdk.Identity, error)
}

// Options say what the services work with. All functions are needed, unless it says otherwise.
type Options struct {
	// Manifest gives the accepted manifest of an enabled module. The same pointer has to come back as long as nothing changed.
	Manifest func(module string) (*manifest.Manifest, bool)
	// Enabled gives the accepted manifests of all enabled modules.
	Enabled func() []*manifest.Manifest
	// Running tells whether a module's process takes calls now.
	Running func(module string) bool
	// CallModule hands a call to a running module.
	CallModule func(ctx context.Context, module string, call sdk.Call, claim, requestID string) ([]byte, error)
	// CallHost answers calls of the host's own services; nil: there are none.
	CallHost HostProvider
	// PublishFact puts a module's fact into the outbox, in a transaction of its own.
	PublishFact func(ctx context.Context, source, name, subject string, payload []byte) error
	// QueueMail takes one mail; toName may be "".
	QueueMail func(ctx context.Context, to, toName, subject, text string) error
	// RequestID is the visitor's request of which a call without a claim comes, as the module says; nil: it never says.
	RequestID func(ctx context.Context) string
	// HoldsWriter tells whether a module is in a write transaction at this moment; nil: never.
	HoldsWriter func(module string) bool
	Secrets     Secrets
	People      People
	Claims      *Claims
	Log         *slog.Logger // nil discards

	CallTimeout time.Duration // of one call between modules, 30 s
	MailEvery   time.Duration // a module gets one mail more in so long, 2 s
	MailBurst   int           // and may save up so many, 100
}

// Limits of calls between modules.
const (
	MaxDepth   = 4       // calls that lead to calls
	MaxMessage = 1 << 20 // bytes of input, and of output
	maxCalls   = 64      // at once, of one module
)

// Services is safe for concurrent use.
type Services struct {
	o       Options
	schemas schemas

	mu      sync.Mutex
	calls   map[string]int // under way, by caller
	mailers map[string]*rate.Limiter
}

// New makes the services.
func New(o Options) *Services {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.HoldsWriter == nil {
		o.HoldsWriter = func(string) bool { return false }
	}
	if o.RequestID == nil {
		o.RequestID = func(context.Context) string { return "" }
	}
	if o.CallTimeout <= 0 {
		o.CallTimeout = 30 * time.Second
	}
	if o.MailEvery <= 0 {
		o.MailEvery = 2 * time.Second
	}
	if o.MailBurst <= 0 {
		o.MailBurst = 100
	}
	return &Services{o: o, calls: map[string]int{}, mailers: map[string]*rate.Limiter{}}
}

func (s *Services) manifest(module string) (*manifest.Manifest, error) {
	if m, ok := s.o.Manifest(module); ok {
		return m, nil
	}
	return nil, fault.New(fault.Denied, "the module %s is not enabled", module)
}

// Publish puts a fact into the outbox.
func (s *Services) Publish(ctx context.Context, module, name, subject string, payload []byte) error {
	return s.o.PublishFact(ctx, module, name, subject, payload)
}

// How long a service that writes waits for the module's own transaction to end.
const (
	writerWait = time.Second
	writerPoll = 5 * time.Millisecond
)

// notWriting fails with fault.Conflict when the module stays in a write transaction: what it asks for has to write too, and would wait
// for a transaction that most likely waits for the answer. A transaction of another request of the module is over in a moment.
func (s *Services) notWriting(ctx context.Context, module string) error {
	if !s.o.HoldsWriter(module) {
		return nil
	}
	over := time.NewTimer(writerWait)
	defer over.Stop()
	tick := time.NewTicker(writerPoll)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if !s.o.HoldsWriter(module) {
				return nil
			}
		case <-over.C:
			return fault.New(fault.Conflict, "the module %s asked the host for something while it had a write transaction open: it has to finish the transaction first", module)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
