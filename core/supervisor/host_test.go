package supervisor_test

import (
	"context"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mortise/core/fault"
	"mortise/core/supervisor"
)

func TestStartAll_StartsWhatIsWantedAndStopAllLeavesNothing(t *testing.T) {
	t.Parallel()
	r := newRows(t)
	second := *r.specs["probe"].Manifest
	broken := second
	r.specs["paused"], r.specs["gone"] = supervisor.Spec{Manifest: &second}, supervisor.Spec{Manifest: &broken}
	delete(r.specs, "gone")
	r.wanted = map[string]supervisor.Desired{"probe": "enabled", "paused": "paused", "held": "quarantined", "gone": "enabled"}
	o := options(t, r)
	s := supervisor.New(o)
	err := s.StartAll(t.Context())
	if err == nil || !strings.Contains(err.Error(), "gone") {
		t.Errorf("err = %v, want the one whose folder is gone", err)
	}
	want := map[string]supervisor.State{"probe": supervisor.Running, "paused": supervisor.Paused, "held": supervisor.Quarantined, "gone": supervisor.Stopped}
	for _, st := range s.Statuses() {
		if st.State != want[st.ID] {
			t.Errorf("%s is %s, want %s", st.ID, st.State, want[st.ID])
		}
	}
	if err := s.StopAll(t.Context()); err != nil {
		t.Error(err)
	}
	if st := status(t, s, "probe"); st.State != supervisor.Stopped || st.PID != 0 || r.want("probe") != supervisor.DesiredEnabled {
		t.Errorf("after the end: %s, pid %d, row %s", st.State, st.PID, r.want("probe"))
	}
	if _, err := s.Enable(t.Context(), "probe", "ann", nil); !fault.Is(err, fault.Unavailable) {
		t.Errorf("enable after the end = %v", err)
	}
	if left, _ := os.ReadDir(o.RunDir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestStopAll_InterruptsAStartAndIsBounded(t *testing.T) {
	t.Parallel()
	r := newRows(t)
	r.behave(t, "silent")
	s := supervisor.New(options(t, r))
	done := make(chan error, 1)
	go func() {
		_, err := s.Enable(context.Background(), "probe", "ann", nil)
		done <- err
	}()
	waitFor(t, "the start", 2*time.Second, func() bool { st, ok := s.Status("probe"); return ok && st.State == supervisor.Starting })
	begin := time.Now()
	_ = s.StopAll(t.Context())
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("stopping took %s", took)
	}
	if err := <-done; err == nil {
		t.Error("the interrupted enable succeeded")
	}
}

func TestStartAll_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	r := newRows(t)
	r.behave(t, "silent")
	r.wanted["probe"] = supervisor.DesiredEnabled
	s := start(t, options(t, r))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.StartAll(ctx) }()
	waitFor(t, "the start", 2*time.Second, func() bool { st, ok := s.Status("probe"); return ok && st.State == supervisor.Starting })
	begin := time.Now()
	cancel()
	if err := <-done; err == nil || time.Since(begin) > 5*time.Second {
		t.Errorf("err = %v after %s", err, time.Since(begin))
	}
}

func TestPause_InterruptsAnAutomaticStart(t *testing.T) {
	t.Parallel()
	r := newRows(t)
	r.behave(t, "silent")
	r.wanted["probe"] = supervisor.DesiredEnabled
	s := start(t, options(t, r))
	go func() { _ = s.StartAll(context.Background()) }()
	waitFor(t, "the start", 2*time.Second, func() bool { st, ok := s.Status("probe"); return ok && st.State == supervisor.Starting })
	begin := time.Now()
	report, err := s.Pause(t.Context(), "probe", "ann")
	if err != nil || report.State != supervisor.Paused || time.Since(begin) > 5*time.Second {
		t.Errorf("pause = %+v, %v after %s", report, err, time.Since(begin))
	}
}

func TestWatch_TellsChangesAndEnds(t *testing.T) {
	t.Parallel()
	s := start(t, options(t, newRows(t)))
	ctx, cancel := context.WithCancel(t.Context())
	changes := s.Watch(ctx)
	enable(t, s, "probe")
	var states []string
	for range 2 {
		states = append(states, string((<-changes).State))
	}
	if got := strings.Join(states, " "); got != "starting running" {
		t.Errorf("states = %q", got)
	}
	cancel()
	for range changes { // ends because the channel is closed
	}
}

// door is a tunnel that counts.
type door struct {
	open, closed *atomic.Int32
	request      supervisor.TunnelRequest
	l            atomic.Pointer[net.Listener]
}

func (d *door) Serve(l net.Listener) error { d.l.Store(&l); d.open.Add(1); return nil }
func (d *door) Close() error {
	d.closed.Add(1)
	if l := d.l.Load(); l != nil {
		return (*l).Close()
	}
	return nil
}

func TestTunnel_BelongsToOneInstance(t *testing.T) {
	t.Parallel()
	var opened, closed atomic.Int32
	var mu sync.Mutex
	var doors []*door
	o := options(t, newRows(t))
	o.Tunnel = func(r supervisor.TunnelRequest) (supervisor.Tunnel, error) {
		mu.Lock()
		defer mu.Unlock()
		doors = append(doors, &door{open: &opened, closed: &closed, request: r})
		return doors[len(doors)-1], nil
	}
	s := start(t, o)
	enable(t, s, "probe")
	pid := status(t, s, "probe").PID
	mu.Lock()
	request := doors[0].request
	mu.Unlock()
	if request.Bearer == "" || request.MigrateBearer != "" || !request.AllowPID(pid) || request.AllowPID(pid+1) {
		t.Errorf("request = %+v", request)
	}
	if _, err := s.Restart(t.Context(), "probe", "ann"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the first door's end", time.Second, func() bool { return closed.Load() == 1 })
	if len(doors) != 2 || doors[1].request.Bearer == request.Bearer {
		t.Errorf("%d doors; want a second one with another bearer", len(doors))
	}
}

// Not parallel: it counts goroutines of the whole test process.
func TestCycles_LeakNothing(t *testing.T) {
	r := newRows(t)
	o := options(t, r)
	cycle := func() {
		s := supervisor.New(o)
		if _, err := s.Enable(t.Context(), "probe", "ann", nil); err != nil {
			t.Fatal(err)
		}
		if code, err := get(s, "/probe/who"); code != 200 {
			t.Errorf("%d, %v", code, err)
		}
		if err := s.StopAll(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	cycle()
	before := goroutines()
	for range 3 {
		cycle()
	}
	waitFor(t, "the end of all goroutines", 10*time.Second, func() bool { return goroutines() <= before })
	if left, _ := os.ReadDir(o.RunDir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// goroutines counts all but fasthttp's that clean the pool of a client: those end by themselves, a minute after the last
// connection.
func goroutines() int {
	buf := make([]byte, 1<<20)
	stacks := string(buf[:runtime.Stack(buf, true)])
	return strings.Count(stacks, "\n\ngoroutine ") + 1 - strings.Count(stacks, "connsCleaner(")
}

func TestUnderLoad_OnlyRequestsInFlightAreLost(t *testing.T) {
	t.Parallel()
	o := options(t, newRows(t))
	o.FirstPause = 10 * time.Millisecond
	s := start(t, o)
	enable(t, s, "probe")
	var lost, unavailable, good atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				code, err := get(s, "/probe/who")
				switch {
				case code == 200:
					good.Add(1)
				case fault.Is(err, fault.Unavailable):
					unavailable.Add(1)
					_ = s.WaitRunning(t.Context(), "probe")
				default:
					lost.Add(1)
					_ = s.WaitRunning(t.Context(), "probe")
				}
			}
		})
	}
	waitFor(t, "load", 5*time.Second, func() bool { return good.Load() > 200 })
	pid := status(t, s, "probe").PID
	_ = syscall.Kill(pid, syscall.SIGKILL)
	waitFor(t, "the restart", 5*time.Second, func() bool { st := status(t, s, "probe"); return st.State == supervisor.Running && st.PID != pid })
	before := good.Load()
	waitFor(t, "load after the restart", 5*time.Second, func() bool { return good.Load() > before+200 })
	close(stop)
	wg.Wait()
	t.Logf("%d good, %d lost, %d told to wait", good.Load(), lost.Load(), unavailable.Load())
	// Each of the three may lose what it had in flight, and one more that dialled before the end was noticed.
	if lost.Load() > 6 {
		t.Errorf("%d requests were lost", lost.Load())
	}
}
