package supervisor

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mortise/core/fault"
	"mortise/core/manifest"
	"mortise/core/sdk"
	"mortise/core/wire"
)

// Options are what a Supervisor works with. Times that are 0 get the documented values.
type Options struct {
	RunDir    string // for run folders and records, see wire.Sweep
	Log       *slog.Logger
	Lines     func(module, version string, line wire.Line) // called for each line of a module's log; may be nil
	Catalogue Catalogue
	Services  wire.HostServices
	Tunnel    func(TunnelRequest) (Tunnel, error)                              // nil: there is no store
	Applied   func(ctx context.Context, module string) (map[int]string, error) // the migration steps that ran: number to name
	Publish   func(context.Context) error                                      // builds the routes from the rows; an error undoes what led to it
	Site      func() sdk.Site

	CheckEvery       time.Duration // 10 s
	CheckTime        time.Duration // 2 s
	StartTime        time.Duration // 10 s until the program answers
	OperationTime    time.Duration // 30 s for a start, a migration, a test of settings
	DrainTime        time.Duration // 10 s
	FirstPause       time.Duration // 0.5 s before the second restart in a row, doubled for each further one; the first waits a fifth of it
	LongestPause     time.Duration // 60 s
	HealthyAfter     time.Duration // 10 min, then the pauses begin anew
	QuarantineWindow time.Duration // 10 min
	QuarantineAfter  int           // 5 ends in the window
	Now              func() time.Time
}

func (o *Options) fillIn() {
	set := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	set(&o.CheckEvery, 10*time.Second)
	set(&o.CheckTime, 2*time.Second)
	set(&o.StartTime, wire.DefaultStartTime)
	set(&o.OperationTime, 30*time.Second)
	set(&o.DrainTime, 10*time.Second)
	set(&o.FirstPause, 500*time.Millisecond)
	set(&o.LongestPause, time.Minute)
	set(&o.HealthyAfter, 10*time.Minute)
	set(&o.QuarantineWindow, 10*time.Minute)
	if o.QuarantineAfter == 0 {
		o.QuarantineAfter = 5
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Publish == nil {
		o.Publish = func(context.Context) error { return nil }
	}
	if o.Site == nil {
		o.Site = func() sdk.Site { return sdk.Site{} }
	}
	if o.Applied == nil {
		o.Applied = func(context.Context, string) (map[int]string, error) { return nil, nil }
	}
}

// Supervisor runs the modules of one site. It is safe for concurrent use.
type Supervisor struct {
	o      Options
	base   context.Context // ends when the host stops
	cancel context.CancelFunc
	closed chan struct{} // closed when every process has ended
	once   sync.Once
	units  sync.WaitGroup

	mu       sync.Mutex
	byID     atomic.Pointer[map[string]*unit] // replaced, never changed
	watchers map[chan Status]struct{}
}

// New makes a supervisor that runs nothing yet.
func New(o Options) *Supervisor {
	o.fillIn()
	s := &Supervisor{o: o, closed: make(chan struct{}), watchers: map[chan Status]struct{}{}}
	s.base, s.cancel = context.WithCancel(context.Background())
	s.byID.Store(&map[string]*unit{})
	return s
}

func (s *Supervisor) unit(id string) *unit { return (*s.byID.Load())[id] }

// adopt gives the unit of a row, made when there is none.
func (s *Supervisor) adopt(row Row, m *manifest.Manifest) (*unit, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := *s.byID.Load()
	if u, ok := all[row.ID]; ok {
		return u, nil
	}
	if s.base.Err() != nil {
		return nil, errStopping()
	}
	u := newUnit(s, row, m)
	more := make(map[string]*unit, len(all)+1)
	for id, one := range all {
		more[id] = one
	}
	more[row.ID] = u
	s.byID.Store(&more)
	s.units.Add(1)
	go u.run()
	return u, nil
}

func errStopping() error { return fault.New(fault.Unavailable, "The site is stopping.") }

// Status tells how a module is; false for one that was never enabled.
func (s *Supervisor) Status(id string) (Status, bool) {
	u := s.unit(id)
	if u == nil {
		return Status{}, false
	}
	return u.current(), true
}

// Statuses tells how every module is that was ever enabled, by id.
func (s *Supervisor) Statuses() []Status {
	all := *s.byID.Load()
	list := make([]Status, 0, len(all))
	for _, u := range all {
		list = append(list, u.current())
	}
	slices.SortFunc(list, func(a, b Status) int { return strings.Compare(a.ID, b.ID) })
	return list
}

// Watch gives the status of a module each time it changes its state or was checked, until ctx ends; then the channel is closed.
// Whoever reads too slowly misses some: ask Status for the newest.
func (s *Supervisor) Watch(ctx context.Context) <-chan Status {
	c := make(chan Status, 64)
	s.mu.Lock()
	s.watchers[c] = struct{}{}
	s.mu.Unlock()
	end := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if _, ok := s.watchers[c]; ok {
			delete(s.watchers, c)
			close(c)
		}
	}
	go func() {
		select {
		case <-ctx.Done():
		case <-s.closed:
		}
		end()
	}()
	return c
}

func (s *Supervisor) tell(u *unit) {
	st := u.current()
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.watchers {
		select {
		case c <- st:
		default:
		}
	}
}

// Adopt learns from the rows which modules there are and how each was left, without starting any. Operations then work on a site
// that does not run as well.
func (s *Supervisor) Adopt(ctx context.Context) error {
	rows, err := s.o.Catalogue.Rows(ctx)
	if err != nil {
		return err
	}
	for _, row := range rows {
		spec, err := s.o.Catalogue.Spec(ctx, row.ID)
		if err != nil {
			spec = Spec{} // its start will say why; until then the row is all there is
		}
		if _, err := s.adopt(row, spec.Manifest); err != nil {
			return err
		}
	}
	return nil
}

// StartAll takes up every module that the catalogue has a row for and starts those that are enabled: in parallel, each after
// those that it requires. A module that does not start is tried again; the error names those that did not start at first. When ctx
// ends, starts that are under way are interrupted.
func (s *Supervisor) StartAll(ctx context.Context) error {
	if err := s.Adopt(ctx); err != nil {
		return err
	}
	rows, err := s.o.Catalogue.Rows(ctx)
	if err != nil {
		return err
	}
	tried := map[string]chan struct{}{} // closed when the first start was tried
	specs := map[string]Spec{}
	for _, row := range rows {
		spec, specErr := s.o.Catalogue.Spec(ctx, row.ID)
		if specErr == nil {
			specs[row.ID] = spec
		}
		if row.Desired == DesiredEnabled {
			tried[row.ID] = make(chan struct{})
		}
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for id, done := range tried {
		wg.Go(func() {
			defer close(done)
			waitFor(ctx, id, required(specs[id]), tried)
			u := s.unit(id)
			u.do(func() {
				if u.state() != Stopped || ctx.Err() != nil {
					return
				}
				if err := u.startItself(ctx); err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
				}
			})
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func required(spec Spec) []string {
	if spec.Manifest == nil {
		return nil
	}
	ids := make([]string, 0, len(spec.Manifest.Requires))
	for id := range spec.Manifest.Requires {
		ids = append(ids, id)
	}
	return ids
}

// waitFor waits for others. Modules that require each other in a circle do not install; should it happen, a while is enough.
func waitFor(ctx context.Context, id string, others []string, tried map[string]chan struct{}) {
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	for _, other := range others {
		done, ok := tried[other]
		if !ok || other == id {
			continue
		}
		select {
		case <-done:
		case <-limit.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// stopAllTime bounds StopAll; a process that is not stopped by then is killed, which takes three more seconds at most.
const stopAllTime = 15 * time.Second

// StopAll stops every process, in parallel, dependents before what they require, and ends the supervisor. It is bounded. The rows
// stay as they are.
func (s *Supervisor) StopAll(ctx context.Context) error {
	s.once.Do(func() {
		s.cancel() // ends starts that are under way and refuses new ones
		ctx, cancel := context.WithTimeout(ctx, stopAllTime)
		defer cancel()
		s.mu.Lock()
		all := *s.byID.Load()
		s.mu.Unlock()
		stopped := map[string]chan struct{}{}
		dependents := map[string][]string{}
		for id, u := range all {
			stopped[id] = make(chan struct{})
			if i := u.instance.Load(); i != nil {
				for other := range i.manifest.Requires {
					dependents[other] = append(dependents[other], id)
				}
			}
		}
		var wg sync.WaitGroup
		for id, u := range all {
			wg.Go(func() {
				defer close(stopped[id])
				waitFor(ctx, id, dependents[id], stopped)
				u.do(func() { u.stopForGood(ctx) })
			})
		}
		wg.Wait()
		close(s.closed)
		s.units.Wait()
	})
	return nil
}
