package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"mortise/core/fault"
	"mortise/core/jobs"
	"mortise/core/manifest"
	"mortise/core/store"
)

// clock stands still until it is told to go on.
type clock struct {
	mu      sync.Mutex
	now     time.Time
	waiting []alarm
}

type alarm struct {
	at time.Time
	c  chan time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }

func (c *clock) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := alarm{c.now.Add(d), make(chan time.Time, 1)}
	c.waiting = append(c.waiting, a)
	return a.c
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	c.waiting = slices.DeleteFunc(c.waiting, func(a alarm) bool {
		if a.at.After(c.now) {
			return false
		}
		a.c <- c.now
		return true
	})
}

// site is a scheduler with modules whose jobs tell what they do.
type site struct {
	*jobs.Scheduler
	clock *clock
	store *store.Store

	mu      sync.Mutex
	modules []jobs.Module
	work    func(ctx context.Context, module, job string) error
	done    []string
}

func module(id string, list ...manifest.Job) jobs.Module { return jobs.Module{ID: id, Jobs: list} }

func job(id, schedule string) manifest.Job {
	return manifest.Job{ID: id, Title: "Job " + id, Schedule: schedule}
}

func newSite(t *testing.T, path string, c *clock, modules ...jobs.Module) *site {
	t.Helper()
	st, err := store.Open(t.Context(), store.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	s := &site{clock: c, store: st, modules: modules}
	s.Scheduler = jobs.New(jobs.Options{
		Store: st, Clock: c,
		Modules: func() []jobs.Module { s.mu.Lock(); defer s.mu.Unlock(); return slices.Clone(s.modules) },
		RunJob: func(ctx context.Context, module, job string) error {
			s.mu.Lock()
			work := s.work
			s.mu.Unlock()
			var err error
			if work != nil {
				err = work(ctx, module, job)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			s.done = append(s.done, fmt.Sprintf("%s/%s %v", module, job, err == nil))
			return err
		},
		Retry: func(n int) time.Duration { return time.Duration(n) * time.Minute }, Retries: 2,
	})
	return s
}

func (s *site) run(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("run: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	s.until(t, "a start", func() bool { // the loop sleeps on the clock
		s.clock.mu.Lock()
		defer s.clock.mu.Unlock()
		return len(s.clock.waiting) > 0
	})
	return stop
}

func (s *site) state(i int, state jobs.State) {
	s.mu.Lock()
	s.modules[i].State = state
	s.mu.Unlock()
	s.Reload()
}

func (s *site) finished() []string { s.mu.Lock(); defer s.mu.Unlock(); return slices.Clone(s.done) }

func (s *site) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s; done %v", what, s.finished())
		}
		time.Sleep(2 * time.Millisecond) // polling
	}
}

// idle waits until n runs have been recorded and none is under way.
func (s *site) idle(t *testing.T, n int) []jobs.Run {
	t.Helper()
	var runs []jobs.Run
	s.until(t, fmt.Sprintf("%d recorded runs", n), func() bool {
		list, err := s.List(t.Context(), "")
		if err != nil || slices.ContainsFunc(list, func(j jobs.Job) bool { return j.Running }) {
			return false
		}
		// A run can begin between the two looks.
		runs, err = s.Runs(t.Context(), "", "", 50)
		return err == nil && len(runs) == n && !slices.ContainsFunc(runs, func(r jobs.Run) bool { return r.EndedAt.IsZero() })
	})
	return runs
}

// skip advances minute by minute, as time does, and lets the loop look each time.
func (s *site) skip(t *testing.T, minutes int) {
	t.Helper()
	for range minutes {
		s.clock.advance(time.Minute)
		s.until(t, "a look at the clock", func() bool {
			s.clock.mu.Lock()
			defer s.clock.mu.Unlock()
			return len(s.clock.waiting) > 0
		})
	}
}

func path(t *testing.T) string { return filepath.Join(t.TempDir(), "site.db") }

func TestScheduler_RunsJobsAtTheirTimes(t *testing.T) {
	t.Parallel()
	s := newSite(t, path(t), newClock(), module("devices", job("often", "@every 10m"), job("hourly", "0 * * * *"), job("never", "manual")))
	s.run(t)
	s.skip(t, 9)
	if got := s.finished(); len(got) != 0 {
		t.Fatalf("too early: %v", got)
	}
	s.skip(t, 1)
	runs := s.idle(t, 1)
	if r := runs[0]; r.Job != "often" || r.Result != jobs.ResultDone || r.Cause != jobs.CauseSchedule || r.EndedAt.IsZero() {
		t.Errorf("run = %+v", r)
	}
	for i := range 5 {
		s.skip(t, 10)
		want := 2 + i
		if i == 4 {
			want++ // and the hourly one
		}
		s.idle(t, want)
	}
	list, err := s.List(t.Context(), "devices")
	if err != nil || len(list) != 3 || list[0].ID != "hourly" || !list[0].Next.Equal(s.clock.Now().Add(time.Hour)) || list[0].Last == nil || !list[1].Next.IsZero() {
		t.Errorf("list = %+v, %v", list, err)
	}
}

func TestScheduler_CollapsesWhatWasMissedWhileTheHostWasDown(t *testing.T) {
	t.Parallel()
	p, c := path(t), newClock()
	first := newSite(t, p, c, module("devices", job("often", "@every 10m"), job("daily", "@every 24h")))
	first.run(t)()
	if err := first.store.Close(); err != nil {
		t.Fatal(err)
	}
	c.advance(3 * time.Hour)
	second := newSite(t, p, c, module("devices", job("often", "@every 10m"), job("daily", "@every 24h")))
	second.run(t)
	second.idle(t, 1)
	second.skip(t, 9)
	if got := second.finished(); !slices.Equal(got, []string{"devices/often true"}) {
		t.Errorf("done = %v, want one run for all that was missed", got)
	}
	list, err := second.List(t.Context(), "")
	if err != nil || !list[0].Next.Equal(time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)) {
		t.Errorf("a restart moved the daily job: %+v, %v", list, err)
	}
}

func TestScheduler_SkipsWhatIsDueWhilePausedAndKeepsWhatIsDueWhileDown(t *testing.T) {
	t.Parallel()
	s := newSite(t, path(t), newClock(), module("paused", job("a", "@every 10m")), module("down", job("b", "@every 10m")))
	s.modules[0].State, s.modules[1].State = jobs.Paused, jobs.Down
	s.run(t)
	s.skip(t, 35)
	if got := s.finished(); len(got) != 0 {
		t.Fatalf("done = %v", got)
	}
	if err := s.RunNow(t.Context(), "paused", "a", "ann"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("run now of a paused module: %v", err)
	}
	s.state(0, jobs.Running)
	s.state(1, jobs.Running)
	s.idle(t, 1)
	if got := s.finished(); !slices.Equal(got, []string{"down/b true"}) {
		t.Errorf("done = %v", got)
	}
}

func TestScheduler_TriesAgainWithGrowingPausesAndThenWaits(t *testing.T) {
	t.Parallel()
	s := newSite(t, path(t), newClock(), module("devices", job("a", "@every 1h")))
	s.work = func(context.Context, string, string) error { return errors.New("cloud says no") }
	s.run(t)
	s.skip(t, 60)
	s.idle(t, 1)
	s.skip(t, 1)
	s.idle(t, 2)
	s.skip(t, 1)
	s.idle(t, 2)
	s.skip(t, 1)
	runs := s.idle(t, 3)
	if runs[0].Cause != jobs.CauseRetry || runs[0].Error != "cloud says no" || runs[0].Result != jobs.ResultFailed || runs[2].Cause != jobs.CauseSchedule {
		t.Errorf("runs = %+v", runs)
	}
	s.skip(t, 30)
	s.idle(t, 3)
	list, err := s.List(t.Context(), "")
	if err != nil || list[0].Failures != 3 || !list[0].Next.Equal(time.Date(2026, 3, 1, 14, 0, 0, 0, time.UTC)) {
		t.Errorf("list = %+v, %v; want the next regular time", list, err)
	}
}

func TestScheduler_NeverRunsAJobBesideItselfNorLetsAModuleDelayOthers(t *testing.T) {
	t.Parallel()
	s := newSite(t, path(t), newClock(), module("slow", job("a", "@every 1m"), job("b", "@every 1m"), job("c", "@every 1m")), module("quick", job("q", "@every 1m")))
	release := make(chan struct{})
	s.work = func(ctx context.Context, module, _ string) error {
		if module == "slow" {
			select {
			case <-release:
			case <-ctx.Done():
			}
		}
		return nil
	}
	s.run(t)
	for i := range 3 {
		s.skip(t, 1)
		s.until(t, "the quick one", func() bool {
			list, err := s.List(t.Context(), "quick") // a time that comes before the run is over would be skipped
			return err == nil && len(s.finished()) == i+1 && !list[0].Running
		})
	}
	var list []jobs.Job
	s.until(t, "two slow ones", func() bool {
		list, _ = s.List(t.Context(), "slow")
		n := 0
		for _, j := range list {
			if j.Running {
				n++
			}
		}
		return n == 2
	})
	running := list[slices.IndexFunc(list, func(j jobs.Job) bool { return j.Running })]
	if err := s.RunNow(t.Context(), "slow", running.ID, "ann"); !fault.Is(err, fault.Conflict) {
		t.Errorf("run now of a running job: %v", err)
	}
	if err := s.Forget(t.Context(), "slow"); !fault.Is(err, fault.Conflict) {
		t.Errorf("forget while running: %v", err)
	}
	close(release)
	s.until(t, "the third slow one", func() bool { return slices.Contains(s.finished(), "slow/c true") && len(s.finished()) >= 6 })
}

func TestScheduler_EndsARunAtItsDeadline(t *testing.T) {
	t.Parallel()
	j := job("a", "manual")
	j.Deadline = "20ms"
	s := newSite(t, path(t), newClock(), module("devices", j))
	s.work = func(ctx context.Context, _, _ string) error { <-ctx.Done(); return ctx.Err() }
	s.run(t)
	if err := s.RunNow(t.Context(), "devices", "a", "ann"); err != nil {
		t.Fatal(err)
	}
	runs := s.idle(t, 1)
	if r := runs[0]; r.Result != jobs.ResultTimeout || r.StartedBy != "ann" || r.Cause != jobs.CauseManual || r.Error == "" {
		t.Errorf("run = %+v", r)
	}
	if err := s.RunNow(t.Context(), "devices", "nothing", "ann"); !fault.Is(err, fault.NotFound) {
		t.Errorf("unknown job: %v", err)
	}
	if err := s.Forget(t.Context(), "devices"); err != nil {
		t.Fatal(err)
	}
	if runs, err := s.Runs(t.Context(), "devices", "a", 10); err != nil || len(runs) != 0 {
		t.Errorf("runs = %v, %v", runs, err)
	}
}

func TestScheduler_MarksWhatTheEndOfTheHostInterruptedAndRunsItAgain(t *testing.T) {
	t.Parallel()
	p, c := path(t), newClock()
	s := newSite(t, p, c, module("devices", job("a", "@every 1m")))
	began := make(chan struct{})
	s.work = func(ctx context.Context, _, _ string) error { close(began); <-ctx.Done(); return ctx.Err() }
	stop := s.run(t)
	s.clock.advance(time.Minute)
	<-began
	stop()
	runs, err := s.Runs(t.Context(), "devices", "a", 10)
	if err != nil || len(runs) != 1 || runs[0].Result != jobs.ResultInterrupted {
		t.Fatalf("runs = %+v, %v", runs, err)
	}
	if err := s.store.Close(); err != nil {
		t.Fatal(err)
	}
	again := newSite(t, p, c, module("devices", job("a", "@every 1m")))
	again.run(t)
	if runs := again.idle(t, 2); runs[0].Result != jobs.ResultDone || runs[0].Cause != jobs.CauseRetry {
		t.Errorf("runs = %+v", runs)
	}
}
