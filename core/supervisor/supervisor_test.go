package supervisor_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/core/supervisor"
	"mortise/core/wire"
)

// get asks a page of the module and gives its status; 0 when nobody answers.
func get(s *supervisor.Supervisor, path string) (int, error) {
	lease, err := s.Acquire("probe")
	if err != nil {
		return 0, err
	}
	defer lease.Release()
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.SetRequestURI("http://module" + path)
	req.Header.Set(wire.TokenHeader, lease.Token())
	begin := time.Now()
	if err := lease.Client().DoTimeout(req, resp, 10*time.Second); err != nil {
		return 0, err
	}
	_ = resp.Body() // to its end, so that the connection is clean
	lease.Observe(resp.StatusCode(), time.Since(begin))
	return resp.StatusCode(), nil
}

func TestEnable_ReportsItsStepsAndServesAtOnce(t *testing.T) {
	t.Parallel()
	r := newRows(t)
	var published atomic.Int32
	o := options(t, r)
	o.Publish = func(context.Context) error { published.Add(1); return nil }
	s := start(t, o)
	var told []string
	begin := time.Now()
	report, err := s.Enable(t.Context(), "probe", "ann", func(step supervisor.Step) { told = append(told, step.Name+" "+step.State) })
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("enabled in %s: %+v", time.Since(begin), report.Steps)
	want := "verify start describe connect migrate configure check swap"
	var steps []string
	for _, step := range report.Steps {
		steps = append(steps, step.Name)
	}
	if got := strings.Join(steps, " "); got != want || len(told) != 16 {
		t.Errorf("steps %q, %d told; want %q, 16", got, len(told), want)
	}
	if !report.Changed || report.State != supervisor.Running || published.Load() != 1 || r.want("probe") != supervisor.DesiredEnabled {
		t.Errorf("report %+v, published %d, wanted %s", report, published.Load(), r.want("probe"))
	}
	if code, err := get(s, "/probe/who"); code != 200 {
		t.Errorf("the first page: %d, %v", code, err)
	}
	st := status(t, s, "probe")
	if st.PID == 0 || st.RSS == 0 || st.Requests != 1 || st.P50 == 0 || len(st.Findings) != 1 || st.Version != "1.0.0" {
		t.Errorf("status = %+v", st)
	}
	if again := enable(t, s, "probe"); again.Changed {
		t.Error("enabling what is enabled changes something")
	}
}

func TestEnable_ChangesNothingWhenAStepFails(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, behaviour, step, reason string
		prepare                       func(*rows, *supervisor.Options)
	}{
		{"no folder", "", "verify", "no module", func(r *rows, _ *supervisor.Options) { delete(r.specs, "probe") }},
		{"a wrong checksum", "", "start", "checksum", func(r *rows, _ *supervisor.Options) {
			spec := r.specs["probe"]
			spec.Digest = strings.Repeat("0", 64)
			r.specs["probe"] = spec
		}},
		{"a program that ends", "exit-at-start", "start", "code 3", nil},
		{"another manifest", "", "describe", "another module.yaml", func(r *rows, _ *supervisor.Options) {
			spec := r.specs["probe"]
			changed := *spec.Manifest
			changed.Name = "Changed"
			spec.Manifest = &changed
			r.specs["probe"] = spec
		}},
		{"a claim that the program does not keep", "", "describe", "another module.yaml", func(r *rows, _ *supervisor.Options) {
			spec := r.specs["probe"]
			changed := *spec.Manifest
			changed.Tables = []string{"probe_things"}
			spec.Manifest = &changed
			r.specs["probe"] = spec
		}},
		{"no door to the store", "", "connect", "store is full", func(_ *rows, o *supervisor.Options) {
			o.Tunnel = func(supervisor.TunnelRequest) (supervisor.Tunnel, error) { return nil, errors.New("store is full") }
		}},
		{"a Start that fails", "start-fails", "configure", "The word is missing.", nil},
		{"a Check that fails", "check-fails", "check", "out of order", nil},
		{"a row that cannot be written", "", "swap", "disk full", func(r *rows, _ *supervisor.Options) { r.refuse = errors.New("disk full") }},
		{"routes that collide", "", "swap", "collide", func(_ *rows, o *supervisor.Options) {
			o.Publish = func(context.Context) error { return fault.New(fault.Conflict, "The pages collide.") }
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRows(t)
			if c.behaviour != "" {
				r.behave(t, c.behaviour)
			}
			o := options(t, r)
			if c.prepare != nil {
				c.prepare(r, &o)
			}
			s := start(t, o)
			report, err := s.Enable(t.Context(), "probe", "ann", nil)
			if err == nil || report.Failed != c.step || !strings.Contains(report.Reason, c.reason) || report.Remedy == "" || report.Changed {
				t.Errorf("report = %+v, %v; want a failure of %s that says %q", report, err, c.step, c.reason)
			}
			if want := r.want("probe"); want != "" && want != supervisor.DesiredRemoved {
				t.Errorf("the row says %q", want)
			}
			if st, ok := s.Status("probe"); ok && (st.State != supervisor.Available || st.PID != 0) {
				t.Errorf("state = %s, pid %d; want available and no process", st.State, st.PID)
			}
			if _, err := s.Acquire("probe"); !fault.Is(err, fault.Unavailable) {
				t.Errorf("acquire = %v, want unavailable", err)
			}
			if left, _ := os.ReadDir(o.RunDir); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestEnable_RefusesWhatRequiresAModuleThatIsOff(t *testing.T) {
	t.Parallel()
	r := newRows(t)
	needy := *r.specs["probe"].Manifest
	needy.Requires = map[string]string{"linking": "^1.0"}
	r.specs["probe"] = supervisor.Spec{Manifest: &needy, Program: probe, Dir: t.TempDir()}
	s := start(t, options(t, r))
	_, err := s.Enable(t.Context(), "probe", "ann", nil)
	if message, _ := fault.Visible(err); !fault.Is(err, fault.Conflict) || !strings.Contains(message, "linking") {
		t.Errorf("err = %v, want a conflict that names linking", err)
	}
}

func TestKilledProcess_IsBackWithinASecond(t *testing.T) {
	t.Parallel()
	r := newRows(t)
	s := start(t, options(t, r))
	enable(t, s, "probe")
	if err := syscall.Kill(status(t, s, "probe").PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	waitFor(t, "the end being noticed", time.Second, func() bool { return status(t, s, "probe").State != supervisor.Running })
	noticed := time.Since(begin)
	_, err := s.Acquire("probe")
	if !fault.Is(err, fault.Unavailable) || supervisor.RetryAfter(err) == 0 {
		t.Errorf("acquire = %v, retry after %s", err, supervisor.RetryAfter(err))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := s.WaitRunning(ctx, "probe"); err != nil {
		t.Fatal(err)
	}
	if code, err := get(s, "/probe/who"); code != 200 {
		t.Errorf("page after the restart: %d, %v", code, err)
	}
	back := time.Since(begin)
	t.Logf("noticed after %s, back after %s", noticed, back)
	if back > time.Second {
		t.Errorf("back after %s, want a second at most", back)
	}
	st := status(t, s, "probe")
	if st.Restarts != 1 || len(st.Exits) != 1 || !strings.Contains(st.Exits[0].How, "killed") {
		t.Errorf("restarts %d, exits %+v", st.Restarts, st.Exits)
	}
	if r.want("probe") != supervisor.DesiredEnabled {
		t.Errorf("the row says %s", r.want("probe"))
	}
}

func TestFiveEnds_PutAModuleInQuarantineUntilItIsResumed(t *testing.T) {
	t.Parallel()
	r := newRows(t)
	o := options(t, r)
	o.FirstPause, o.LongestPause = time.Millisecond, 5*time.Millisecond
	s := start(t, o)
	enable(t, s, "probe")
	for n := range 5 {
		waitFor(t, "running", 5*time.Second, func() bool { return status(t, s, "probe").State == supervisor.Running })
		if n == 4 {
			_, _ = get(s, "/probe/die") // never answers: the process panics
		} else if err := syscall.Kill(status(t, s, "probe").PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the end", 5*time.Second, func() bool { return len(status(t, s, "probe").Exits) == n+1 })
	}
	waitFor(t, "quarantine", time.Second, func() bool { return status(t, s, "probe").State == supervisor.Quarantined })
	st := status(t, s, "probe")
	if !strings.Contains(st.Reason, "5 times within 10 minutes") || st.Remedy == "" || !strings.Contains(st.Panic, "a goroutine is broken") ||
		!strings.Contains(st.Panic, "goroutine ") || len(st.Tail) == 0 {
		t.Errorf("status = %q, %q, panic %q, %d lines", st.Reason, st.Remedy, st.Panic, len(st.Tail))
	}
	waitFor(t, "the row", time.Second, func() bool { return r.want("probe") == supervisor.DesiredQuarantined })
	if _, err := s.Acquire("probe"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("acquire = %v", err)
	}
	if _, err := s.Restart(t.Context(), "probe", "ann"); !fault.Is(err, fault.Conflict) {
		t.Errorf("restart = %v, want a conflict", err)
	}
	if report, err := s.Resume(t.Context(), "probe", "ann", nil); err != nil || !report.Changed {
		t.Fatalf("resume = %+v, %v", report, err)
	}
	if err := syscall.Kill(status(t, s, "probe").PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "a restart after the resume", 5*time.Second, func() bool {
		st := status(t, s, "probe")
		return len(st.Exits) == 6 && st.State == supervisor.Running
	})
}

func TestPause_LetsRequestsFinishAndEndsStreams(t *testing.T) {
	t.Parallel()
	r := newRows(t)
	s := start(t, options(t, r))
	enable(t, s, "probe")
	pid := status(t, s, "probe").PID
	answered := make(chan int, 1)
	entered, err := s.AcquireStream("probe")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		code, _ := get(s, "/probe/slow")
		answered <- code
	}()
	waitFor(t, "the slow page", time.Second, func() bool { return status(t, s, "probe").InFlight == 2 })
	go func() { <-entered.Done(); entered.Release(); entered.Release() }()
	report, err := s.Pause(t.Context(), "probe", "ann")
	if err != nil || !report.Changed || report.State != supervisor.Paused {
		t.Fatalf("pause = %+v, %v", report, err)
	}
	if code := <-answered; code != 200 {
		t.Errorf("the page in flight: %d, want 200", code)
	}
	if err := syscall.Kill(pid, 0); err == nil {
		t.Error("the process lives")
	}
	_, err = s.Acquire("probe")
	if !fault.Is(err, fault.Unavailable) || r.want("probe") != supervisor.DesiredPaused {
		t.Errorf("acquire = %v, row %s", err, r.want("probe"))
	}
	if again, err := s.Pause(t.Context(), "probe", "ann"); err != nil || again.Changed {
		t.Errorf("pausing again = %+v, %v", again, err)
	}
	if err := s.WaitRunning(t.Context(), "probe"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("waiting for a paused module = %v, want an answer at once", err)
	}
	if report, err := s.Resume(t.Context(), "probe", "ann", nil); err != nil || !report.Changed {
		t.Errorf("resume = %+v, %v", report, err)
	}
	if code, err := get(s, "/probe/who"); code != 200 {
		t.Errorf("after the resume: %d, %v", code, err)
	}
}

func TestAcquire_KeepsTheManifestsLimits(t *testing.T) {
	t.Parallel()
	s := start(t, options(t, newRows(t)))
	enable(t, s, "probe")
	var leases []*supervisor.Lease
	for range 4 {
		lease, err := s.Acquire("probe")
		if err != nil {
			t.Fatal(err)
		}
		leases = append(leases, lease)
	}
	if _, err := s.Acquire("probe"); !fault.Is(err, fault.TooMany) || supervisor.RetryAfter(err) == 0 {
		t.Errorf("the fifth page: %v, want too many", err)
	}
	if lease, err := s.AcquireStream("probe"); err != nil {
		t.Errorf("a stream beside the pages: %v", err)
	} else {
		lease.Release()
	}
	leases[0].Release()
	leases[0].Release() // a second time counts nothing
	if lease, err := s.Acquire("probe"); err != nil {
		t.Errorf("after a release: %v", err)
	} else {
		leases = append(leases, lease)
	}
	if _, err := s.Acquire("probe"); !fault.Is(err, fault.TooMany) {
		t.Errorf("a double release gave a place away: %v", err)
	}
	for _, lease := range leases {
		lease.Release()
	}
	if st := status(t, s, "probe"); st.InFlight != 0 {
		t.Errorf("%d in flight after all were released", st.InFlight)
	}
}

func TestChecks_RestartAModuleThatMissesThree(t *testing.T) {
	t.Parallel()
	o := options(t, newRows(t))
	o.CheckEvery, o.CheckTime, o.FirstPause = 20*time.Millisecond, 100*time.Millisecond, time.Millisecond
	s := start(t, o)
	enable(t, s, "probe")
	first := status(t, s, "probe").PID
	if err := syscall.Kill(first, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "a new process", 10*time.Second, func() bool {
		st := status(t, s, "probe")
		return st.State == supervisor.Running && st.PID != first
	})
	st := status(t, s, "probe")
	if len(st.Exits) != 1 || !strings.Contains(st.Exits[0].How, "missed 3 checks") {
		t.Errorf("exits = %+v", st.Exits)
	}
	waitFor(t, "a good check", 5*time.Second, func() bool {
		st := status(t, s, "probe")
		return st.CheckError == "" && len(st.Findings) == 1
	})
}

func TestCalls_ReachTheModuleOnlyWhileItRuns(t *testing.T) {
	t.Parallel()
	r := newRows(t)
	s := start(t, options(t, r))
	ctx := t.Context()
	if _, err := s.Call(ctx, "probe", sdk.Call{}, "", ""); !fault.Is(err, fault.Unavailable) {
		t.Errorf("call before enable = %v", err)
	}
	enable(t, s, "probe")
	out, err := s.Call(ctx, "probe", sdk.Call{Service: "probe.echo", Method: "say", Input: []byte(`1`), Caller: "other"}, "c", "r")
	if err != nil || string(out) != `{"caller":"other","claim":"c","input":1,"request":"r","user":""}` {
		t.Errorf("call = %s, %v", out, err)
	}
	var refusal *sdk.RefuseError
	if err := s.Deliver(ctx, "probe", sdk.Event{Name: "user.will_be_deleted"}); !errors.As(err, &refusal) {
		t.Errorf("deliver = %v", err)
	}
	if problems, err := s.TestSettings(ctx, "probe", nil); err != nil || len(problems) != 1 {
		t.Errorf("test = %v, %v", problems, err)
	}
	r.change(func(r *rows) { r.settings = map[string]any{"word": "bad"} })
	if err := s.Configure(ctx, "probe"); fault.FieldsOf(err)["word"] == "" {
		t.Errorf("configure = %v, want the module's own fault", err)
	}
	// A pause does not wait for a job: the module is told to end it.
	job := make(chan error, 1)
	go func() { job <- s.RunJob(ctx, "probe", "wait") }()
	waitFor(t, "the job", time.Second, func() bool { return status(t, s, "probe").InFlight == 1 })
	begin := time.Now()
	if _, err := s.Pause(ctx, "probe", "ann"); err != nil {
		t.Fatal(err)
	}
	if err := <-job; !fault.Is(err, fault.Unavailable) || time.Since(begin) > 5*time.Second {
		t.Errorf("the job gave %v after %s", err, time.Since(begin))
	}
	if err := s.Deliver(ctx, "probe", sdk.Event{Name: "user.deleted"}); err == nil {
		t.Error("a paused module takes an event")
	}
}

func TestRemove_StopsAndErases(t *testing.T) {
	t.Parallel()
	r := newRows(t)
	s := start(t, options(t, r))
	if _, err := s.Remove(t.Context(), "probe", "ann", supervisor.KeepData); !fault.Is(err, fault.Conflict) {
		t.Errorf("removing what is not there = %v", err)
	}
	enable(t, s, "probe")
	needy := *r.specs["probe"].Manifest
	needy.ID, needy.Name, needy.Requires = "needy", "Needy", map[string]string{"probe": "^1.0"}
	r.change(func(r *rows) {
		r.specs["needy"], r.wanted["needy"] = supervisor.Spec{Manifest: &needy}, supervisor.DesiredEnabled
	})
	if _, err := s.Remove(t.Context(), "probe", "ann", supervisor.KeepData); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "Needy") {
		t.Errorf("removing what is needed = %v", err)
	}
	r.change(func(r *rows) { delete(r.specs, "needy"); delete(r.wanted, "needy") })
	report, err := s.Remove(t.Context(), "probe", "ann", supervisor.DeleteData)
	if err != nil || report.State != supervisor.Removed || !slices.Contains(r.erased, "probe delete") {
		t.Errorf("remove = %+v, %v, erased %v", report, err, r.erased)
	}
	if report := enable(t, s, "probe"); !report.Changed {
		t.Error("a removed module cannot be enabled again")
	}
}

func TestRemove_AnErasureThatFailedCanBeRepeated(t *testing.T) {
	t.Parallel()
	r := newRows(t)
	s := start(t, options(t, r))
	enable(t, s, "probe")
	r.change(func(r *rows) { r.eraseErr = errors.New("the disk is full") })
	if report, err := s.Remove(t.Context(), "probe", "ann", supervisor.DeleteData); err == nil || report.State != supervisor.Removed {
		t.Fatalf("remove on a full disk = %+v, %v", report, err)
	}
	r.change(func(r *rows) { r.eraseErr = nil })
	if report, err := s.Remove(t.Context(), "probe", "ann", supervisor.KeepData); err != nil || report.Changed {
		t.Errorf("removing what is removed = %+v, %v", report, err)
	}
	if report, err := s.Remove(t.Context(), "probe", "ann", supervisor.DeleteData); err != nil || !report.Changed || len(r.erased) != 1 {
		t.Errorf("again = %+v, %v, erased %v", report, err, r.erased)
	}
}
