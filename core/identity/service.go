package identity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"gorm.io/gorm"

	"mortise/core/store"
)

// Options are what a Service works with. Only Log may not be nil.
type Options struct {
	Log          *slog.Logger
	Now          func() time.Time // for tests; the clock when nil
	Limits       Limits           // zero values take the default
	HashParallel int              // how many passwords are hashed at once, 19 MiB each; 0: half as many as processors

	RegistrationOpen func() bool                  // nil: open
	KnownPermission  func(permission string) bool // nil: any well-formed one

	// Publish puts a fact into the outbox within tx: user.registered, user.invited, user.changed (name, address, roles, or the first password), user.blocked,
	// user.unblocked, user.deleted. subject is "user/<id>", payload encodes to {"user_id": <id>}. It must not call this service. nil:
	// nobody listens.
	Publish func(ctx context.Context, tx *gorm.DB, name, subject string, payload any) error
	// Ask puts the question user.will_be_deleted to the modules, outside of any transaction because they may need the store for
	// their answer. An error forbids it.
	Ask func(ctx context.Context, name, subject string, payload any) error
	// Notify sends a mail. nil: none are sent.
	Notify func(ctx context.Context, n Notice) error
}

// Service is the only owner of the identity tables. It is safe for concurrent use.
type Service struct {
	o      Options
	store  *store.Store
	log    *slog.Logger
	now    func() time.Time
	limits Limits
	hasher *hasher
	flood  *flood

	changing chan struct{} // holds one token: changes are written and taken over into memory one at a time
	sessions *sessions
	people   *people
	rights   atomic.Pointer[rights]
	someone  atomic.Bool // whether there is an administrator
	refused  atomic.Uint64

	notices chan func(context.Context)
	stop    context.CancelFunc
	stopped sync.WaitGroup
}

// New reads the sessions and permissions into memory and starts the background work; Close ends it.
func New(ctx context.Context, st *store.Store, o Options) (*Service, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.HashParallel <= 0 {
		// Each takes a processor and 19 MiB: signing in must leave room for everybody's pages.
		o.HashParallel = max(1, runtime.GOMAXPROCS(0)/2)
	}
	s := &Service{
		o: o, store: st, log: o.Log, limits: o.Limits.orDefault(), hasher: newHasher(o.HashParallel),
		now:      func() time.Time { return o.Now().UTC().Truncate(time.Millisecond) },
		changing: make(chan struct{}, 1), notices: make(chan func(context.Context), 256),
		sessions: newSessions(), people: newPeople(),
	}
	s.flood = newFlood(s.now)
	if err := s.loadRights(st.Read(ctx)); err != nil {
		return nil, err
	}
	if err := s.loadSessions(ctx); err != nil {
		return nil, err
	}
	n, err := administrators(st.Read(ctx), 0)
	if err != nil {
		return nil, err
	}
	s.someone.Store(n > 0)
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.stopped.Go(func() { s.upkeep(background) })
	s.stopped.Go(func() { s.postman(background) })
	return s, nil
}

// Close ends the background work and writes when people were last seen. The service must not be used afterwards.
func (s *Service) Close(ctx context.Context) error {
	s.stop()
	s.stopped.Wait()
	return s.flushSeen(ctx)
}

// change runs write in a transaction and then, if it was committed, take, which brings the memory up to date. No other change
// comes in between: otherwise a sign-in that was committed before a block could enter the memory after it.
func (s *Service) change(ctx context.Context, write func(tx *gorm.DB) error, take func()) error {
	select {
	case s.changing <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.changing }()
	if err := s.store.Write(ctx, write); err != nil {
		return err
	}
	if take != nil {
		take()
	}
	return nil
}

func (s *Service) publish(ctx context.Context, tx *gorm.DB, name string, id int64) error {
	if s.o.Publish == nil {
		return nil
	}
	if err := s.o.Publish(ctx, tx, name, subject(id), userPayload(id)); err != nil {
		return fmt.Errorf("publish %s: %w", name, err)
	}
	return nil
}

func subject(id int64) string { return "user/" + strconv.FormatInt(id, 10) }

// upkeep writes when people were last seen once a minute, and throws away what is over.
func (s *Service) upkeep(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for minute := 1; ; minute++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.flushSeen(ctx); err != nil && !errors.Is(err, context.Canceled) {
			s.log.Warn("cannot write when people were last seen", "error", err)
		}
		if minute%10 == 0 {
			s.flood.sweep()
			if err := s.Sweep(ctx); err != nil && !errors.Is(err, context.Canceled) {
				s.log.Warn("cannot remove sessions and links that are over", "error", err)
			}
		}
	}
}

// Sweep removes sessions and one-time links that are over. The service does it by itself every ten minutes.
func (s *Service) Sweep(ctx context.Context) error {
	over := s.overdue()
	return s.change(ctx, func(tx *gorm.DB) error {
		for _, id := range over {
			if err := tx.Where("id = ?", id).Delete(&sessionRow{}).Error; err != nil {
				return fmt.Errorf("remove a session: %w", err)
			}
		}
		if err := tx.Where("expires_at < ?", s.now()).Delete(&linkRow{}).Error; err != nil {
			return fmt.Errorf("remove one-time links: %w", err)
		}
		return nil
	}, func() {
		s.sessions.remove(over...)
		s.people.keep(func(id int64) bool { return len(s.sessions.of(id)) > 0 })
	})
}

// postman does what must not take time while somebody waits for an answer: an answer that takes longer for known addresses would tell
// them apart.
func (s *Service) postman(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case do := <-s.notices:
			limited, cancel := context.WithTimeout(ctx, 30*time.Second)
			do(limited)
			cancel()
		}
	}
}

// later hands work to the postman; false when too much waits already.
func (s *Service) later(do func(context.Context)) bool {
	select {
	case s.notices <- do:
		return true
	default:
		return false
	}
}

func (s *Service) notify(ctx context.Context, n Notice) {
	if s.o.Notify == nil {
		return
	}
	if err := s.o.Notify(ctx, n); err != nil {
		s.log.ErrorContext(ctx, "cannot send a notice", "kind", string(n.Kind), "user_id", n.User.ID, "error", err)
	}
}

// Stats are numbers for the metrics.
type Stats struct {
	Sessions       int
	PasswordChecks uint64 // passwords hashed to check them
	DummyChecks    uint64 // of these for names without a password
	Refused        uint64 // attempts that had to wait
}

// Stats gives the numbers since the start.
func (s *Service) Stats() Stats {
	return Stats{
		Sessions: s.sessions.len(), PasswordChecks: s.hasher.checks.Load(), DummyChecks: s.hasher.dummies.Load(), Refused: s.refused.Load(),
	}
}
