package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/robfig/cron/v3"

	"mortise/core/fault"
	"mortise/core/manifest"
	"mortise/core/store"
)

// State is what a module can do at present.
type State uint8

// The states.
const (
	Running State = iota // its jobs run
	Down                 // enabled, but not running: what is due waits
	Paused               // by the administrator: what is due is skipped
)

// Module is a module with its jobs.
type Module struct {
	ID    string
	Jobs  []manifest.Job
	State State
}

// Clock is where time comes from.
type Clock interface {
	Now() time.Time
	After(d time.Duration) <-chan time.Time
}

type realClock struct{}

func (realClock) Now() time.Time                         { return time.Now() }
func (realClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// Options say what the scheduler works with. Store, Modules and RunJob are needed.
type Options struct {
	Store *store.Store
	// Modules gives every module that is enabled or paused. Call Reload when something about them changes.
	Modules func() []Module
	// RunJob has a running module do a job. Its ctx ends at the job's deadline.
	RunJob    func(ctx context.Context, module, job string) error
	Clock     Clock          // nil is the real one
	Location  *time.Location // of cron fields; nil is UTC
	PerModule int            // jobs of one module at once, 2
	Log       *slog.Logger   // nil discards

	Retries int                              // after a failed run, 5
	Retry   func(failures int) time.Duration // pause before the next try, from 1; 30 s doubling to 30 min
}

// Scheduler is safe for concurrent use. Run does the work.
type Scheduler struct {
	o     Options
	wake  chan struct{}
	ended chan struct{} // a run has ended

	mu       sync.Mutex
	plans    map[jobID]*plan
	inFlight map[string]int // runs, by module
	ctx      context.Context
	workers  sync.WaitGroup
}

type jobID struct{ module, job string }

// plan is a job with its times. The times are the host's memory of core_jobs.
type plan struct {
	id       jobID
	of       manifest.Job
	every    cron.Schedule // nil for manual jobs
	state    State
	due      time.Time // zero for manual jobs
	retry    time.Time // zero when the last run succeeded or was given up
	failures int
	running  bool
	since    time.Time
}

// next is when the job runs; zero: only by hand.
func (p *plan) next() time.Time {
	if p.retry.IsZero() || !p.due.IsZero() && p.due.Before(p.retry) {
		return p.due
	}
	return p.retry
}

// New makes a scheduler.
func New(o Options) *Scheduler {
	if o.Clock == nil {
		o.Clock = realClock{}
	}
	if o.Location == nil {
		o.Location = time.UTC
	}
	if o.PerModule <= 0 {
		o.PerModule = 2
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Retries <= 0 {
		o.Retries = 5
	}
	if o.Retry == nil {
		o.Retry = func(n int) time.Duration { return min(30*time.Second<<min(max(n-1, 0), 10), 30*time.Minute) }
	}
	return &Scheduler{o: o, wake: make(chan struct{}, 1), ended: make(chan struct{}, 1), plans: map[jobID]*plan{}, inFlight: map[string]int{}}
}

// Reload has the modules looked at again: after one was enabled, paused, resumed, removed, or came back.
func (s *Scheduler) Reload() { poke(s.wake) }

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is awake already
	}
}

// longestSleep bounds the timer, for a clock that was set.
const longestSleep = time.Minute

// Run runs jobs until ctx ends, then waits for those under way, whose context has ended too.
func (s *Scheduler) Run(ctx context.Context) error {
	if err := s.markInterrupted(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	s.ctx = ctx
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.ctx = nil
		s.mu.Unlock()
		s.workers.Wait()
	}()
	reload := true
	for {
		if reload {
			if err := s.load(ctx); err != nil && ctx.Err() == nil {
				s.o.Log.ErrorContext(ctx, "the times of jobs cannot be read", "error", err)
			}
		}
		sleep := s.startDue(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
			reload = true
		case <-s.ended:
			reload = false
		case <-s.o.Clock.After(sleep):
			reload = false
		}
	}
}

// load brings the plans in line with the modules and with what the store remembers.
func (s *Scheduler) load(ctx context.Context) error {
	rows, err := s.readTimes(ctx)
	if err != nil {
		return err
	}
	now := s.o.Clock.Now()
	var changed []*plan
	seen := map[jobID]bool{}
	s.mu.Lock()
	for _, m := range s.o.Modules() {
		for _, j := range m.Jobs {
			id := jobID{m.ID, j.ID}
			seen[id] = true
			p := s.plans[id]
			if p == nil {
				p = &plan{id: id}
				s.plans[id] = p
			}
			p.state = m.State
			if p.of.Schedule != j.Schedule || p.of.ID == "" {
				p.of = j
				if s.schedule(p, rows[id], now) {
					changed = append(changed, p)
				}
			}
			p.of = j
		}
	}
	for id, p := range s.plans {
		if !seen[id] && !p.running {
			delete(s.plans, id)
		}
	}
	s.mu.Unlock()
	return s.writeTimes(ctx, changed)
}

// schedule sets the times of a plan from its row; changed means that the row does not fit any more.
func (s *Scheduler) schedule(p *plan, row timesRow, now time.Time) (changed bool) {
	p.every, p.due, p.retry, p.failures = nil, time.Time{}, time.Time{}, row.Failures
	if row.RetryAt != nil {
		p.retry = *row.RetryAt
	}
	if p.of.Schedule == "manual" {
		return row.Schedule != p.of.Schedule
	}
	every, err := cron.ParseStandard("CRON_TZ=" + s.o.Location.String() + " " + p.of.Schedule)
	if err != nil {
		every, err = cron.ParseStandard(p.of.Schedule) // "@every" knows no time zone
	}
	if err != nil { // the manifest was checked; a job that cannot be read is only run by hand
		s.o.Log.Error("the schedule of a job cannot be read", "module", p.id.module, "job", p.id.job, "error", err)
		return false
	}
	p.every = every
	if row.Schedule == p.of.Schedule && row.DueAt != nil {
		p.due = *row.DueAt
		return false
	}
	p.due = every.Next(now)
	return true
}

// startDue starts what is due and can run, and tells how long until the next look.
func (s *Scheduler) startDue(ctx context.Context) time.Duration {
	now := s.o.Clock.Now()
	sleep := longestSleep
	var moved []*plan
	s.mu.Lock()
	for _, p := range s.plans {
		next := p.next()
		if next.IsZero() || p.running {
			continue
		}
		if next.After(now) {
			sleep = min(sleep, next.Sub(now))
			continue
		}
		switch {
		case p.state == Paused:
			s.moveOn(p, now)
			p.retry = time.Time{}
			moved = append(moved, p)
		case p.state == Down || s.inFlight[p.id.module] >= s.o.PerModule:
			// It waits for a Reload, or for the end of another run.
		default:
			cause := CauseSchedule
			if !p.retry.IsZero() && next.Equal(p.retry) {
				cause = CauseRetry
			}
			s.moveOn(p, now)
			s.start(ctx, p, cause, "")
		}
	}
	s.mu.Unlock()
	if err := s.writeTimes(ctx, moved); err != nil && ctx.Err() == nil {
		s.o.Log.ErrorContext(ctx, "the times of jobs cannot be kept", "error", err)
	}
	return max(sleep, time.Millisecond)
}

// moveOn sets the next regular time after now: however many were missed, they count as one.
func (s *Scheduler) moveOn(p *plan, now time.Time) {
	if p.every != nil && !p.due.After(now) {
		p.due = p.every.Next(now)
	}
}

// RunNow starts a job by hand and returns. by is who asked for it.
//
// Errors: fault.NotFound for an unknown job, fault.Conflict when it runs already, fault.Unavailable when the module or the scheduler does
// not run, fault.TooMany when the module's workers are busy.
func (s *Scheduler) RunNow(ctx context.Context, module, job, by string) error {
	if err := s.load(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.plans[jobID{module, job}]
	switch {
	case p == nil:
		return fault.New(fault.NotFound, "the module %s has no job %q", module, job)
	case p.running:
		return fault.New(fault.Conflict, "%s runs already, since %s", p.of.Title, p.since.UTC().Format("15:04:05 MST"))
	case p.state != Running || s.ctx == nil:
		return fault.New(fault.Unavailable, "the module %s does not run at the moment", module)
	case s.inFlight[module] >= s.o.PerModule:
		return fault.New(fault.TooMany, "the module %s has %d jobs running; try again when one has ended", module, s.inFlight[module])
	}
	s.start(s.ctx, p, CauseManual, by)
	return nil
}

// start begins a run. The caller holds mu.
func (s *Scheduler) start(ctx context.Context, p *plan, cause, by string) {
	p.running, p.since = true, s.o.Clock.Now()
	s.inFlight[p.id.module]++
	of := p.of
	s.workers.Go(func() {
		outcome := s.perform(ctx, p.id, of, cause, by)
		s.settle(ctx, p, cause, outcome)
		poke(s.ended)
	})
}

// settle decides when the job runs next. A run by hand that failed changes nothing about that: who started it sees the error.
func (s *Scheduler) settle(ctx context.Context, p *plan, cause string, err error) {
	now := s.o.Clock.Now()
	s.mu.Lock()
	p.running = false
	if s.inFlight[p.id.module]--; s.inFlight[p.id.module] == 0 {
		delete(s.inFlight, p.id.module)
	}
	switch {
	case err == nil:
		p.failures, p.retry = 0, time.Time{}
	case cause == CauseManual:
	case ctx.Err() != nil: // the host stops: again as soon as it is back
		p.retry = now
	default:
		p.failures++
		p.retry = time.Time{}
		if p.failures <= s.o.Retries {
			p.retry = now.Add(s.o.Retry(p.failures))
		}
	}
	s.moveOn(p, now)
	s.mu.Unlock()
	if err := s.writeTimes(context.WithoutCancel(ctx), []*plan{p}); err != nil {
		s.o.Log.ErrorContext(ctx, "the times of jobs cannot be kept", "error", err)
	}
}

// perform does one run and keeps its record.
func (s *Scheduler) perform(ctx context.Context, id jobID, of manifest.Job, cause, by string) error {
	began := s.o.Clock.Now()
	run, err := s.recordStart(context.WithoutCancel(ctx), id, cause, by, began)
	if err != nil {
		s.o.Log.ErrorContext(ctx, "the run of a job cannot be recorded", "module", id.module, "job", id.job, "error", err)
		return fmt.Errorf("record the run: %w", err)
	}
	limited, cancel := context.WithTimeout(ctx, of.TimeLimit())
	defer cancel()
	err = s.o.RunJob(limited, id.module, id.job)
	result, text := ResultDone, ""
	switch {
	case err == nil:
	case ctx.Err() != nil:
		result, text = ResultInterrupted, "The host stopped."
	case limited.Err() != nil:
		result, text = ResultTimeout, fmt.Sprintf("It was not done within %s.", of.TimeLimit())
	default:
		result, text = ResultFailed, err.Error()
	}
	if err != nil && ctx.Err() == nil {
		s.o.Log.WarnContext(ctx, "a job failed", "module", id.module, "job", id.job, "error", err)
	}
	if e := s.recordEnd(context.WithoutCancel(ctx), id, run, began, s.o.Clock.Now(), result, text); e != nil {
		s.o.Log.ErrorContext(ctx, "the run of a job cannot be recorded", "module", id.module, "job", id.job, "error", e)
	}
	return err
}
