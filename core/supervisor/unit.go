package supervisor

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mortise/core/manifest"
	"mortise/core/wire"
)

// How much of a module's past is kept.
const (
	keptExits = 20
	keptLines = 200
	keptPanic = 16 << 10 // bytes
)

// unit is one module. Its goroutine, run, owns everything that is not guarded by mu or atomic.
type unit struct {
	s        *Supervisor
	id       string
	commands chan func()
	instance atomic.Pointer[instance] // the one that answers

	// Owned by the goroutine.
	desired  Desired
	unlucky  int // starts in a row that did not last
	retry    *time.Timer
	misses   int
	checking bool
	checks   chan checkResult

	requests atomic.Uint64
	failures atomic.Uint64
	latency  latency

	mu        sync.Mutex
	status    Status
	changed   chan struct{} // closed and replaced at each change of state
	interrupt context.CancelFunc
	lines     []wire.Line
	panicking bool
	forgiven  time.Time // ends before it do not count: an administrator resumed the module then
}

func newUnit(s *Supervisor, row Row, m *manifest.Manifest) *unit {
	u := &unit{
		s: s, id: row.ID, desired: row.Desired, commands: make(chan func()), checks: make(chan checkResult, 1), changed: make(chan struct{}),
		retry: time.NewTimer(time.Hour),
	}
	u.retry.Stop()
	u.status = Status{ID: row.ID, Name: row.ID, State: initial[row.Desired], Reason: row.Reason, Since: s.o.Now()}
	if row.Desired == DesiredQuarantined {
		u.status.Remedy = remedyQuarantine
	}
	u.know(m)
	return u
}

// know keeps the words of a manifest for the status.
func (u *unit) know(m *manifest.Manifest) {
	if m == nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.status.Name, u.status.Version = m.Name, m.Version
}

func (u *unit) name() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.status.Name
}

func (u *unit) state() State {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.status.State
}

// watch gives the state and a channel that is closed when it changes.
func (u *unit) watch() (State, <-chan struct{}) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.status.State, u.changed
}

func (u *unit) notRunning() error {
	u.mu.Lock()
	state, next := u.status.State, u.status.NextStart
	u.mu.Unlock()
	after := time.Duration(0)
	switch state {
	case Starting, Running, Draining, Stopped:
		after = time.Second
	case Backoff:
		after = max(time.Until(next), time.Second)
	case Paused:
		after = time.Minute
	}
	return unavailable(u.name(), state, after)
}

// move changes the state by the table. What the table does not have is a mistake of this package: it is logged and left out.
func (u *unit) move(e Event, reason, remedy string) {
	u.mu.Lock()
	from := u.status.State
	to, ok := next(from, e)
	if ok {
		u.status.State, u.status.Reason, u.status.Remedy, u.status.Since = to, reason, remedy, u.s.o.Now()
		u.status.NextStart = time.Time{}
		close(u.changed)
		u.changed = make(chan struct{})
	}
	u.mu.Unlock()
	if !ok {
		u.s.o.Log.Error("a module cannot change its state like this", "module", u.id, "state", string(from), "event", string(e))
		return
	}
	u.s.o.Log.Info("module changed its state", "module", u.id, "from", string(from), "to", string(to), "reason", reason)
	u.s.tell(u)
}

// run is the module's goroutine.
func (u *unit) run() {
	defer u.s.units.Done()
	check := time.NewTicker(u.s.o.CheckEvery)
	defer check.Stop()
	defer u.retry.Stop()
	for {
		var exited <-chan struct{}
		if i := u.instance.Load(); i != nil {
			exited = i.process.Exited()
		}
		select {
		case do := <-u.commands:
			do()
		case <-exited:
			u.ended("")
		case <-u.retry.C:
			u.restartItself()
		case <-check.C:
			u.check()
		case r := <-u.checks:
			u.checked(r)
		case <-u.s.closed:
			return
		}
	}
}

// do has the goroutine do something and waits for it. It is false when the supervisor is closed.
func (u *unit) do(f func()) bool {
	done := make(chan struct{})
	select {
	case u.commands <- func() { defer close(done); f() }:
		<-done
		return true
	case <-u.s.closed:
		return false
	}
}

// stopWaiting interrupts an automatic start, so that an administrator does not wait for it.
func (u *unit) stopWaiting() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.interrupt != nil {
		u.interrupt()
	}
}

// interruptible gives a context that stopWaiting ends.
func (u *unit) interruptible(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(parent)
	u.mu.Lock()
	u.interrupt = cancel
	u.mu.Unlock()
	return ctx, func() {
		u.mu.Lock()
		u.interrupt = nil
		u.mu.Unlock()
		cancel()
	}
}

// line keeps one line of the module's log and hands it on.
func (u *unit) line(version string, l wire.Line) {
	u.mu.Lock()
	// Lines are appended and never changed, so that the tail can be shared; a new array now and then lets old ones go.
	if len(u.lines) == cap(u.lines) {
		kept := u.lines[max(0, len(u.lines)-keptLines):]
		u.lines = append(make([]wire.Line, 0, 2*keptLines), kept...)
	}
	u.lines = append(u.lines, l)
	u.notePanic(l)
	u.mu.Unlock()
	if u.s.o.Lines != nil {
		u.s.o.Lines(u.id, version, l)
	}
}

// notePanic keeps the words of a panic.
func (u *unit) notePanic(l wire.Line) {
	if !l.Raw || l.Stream != "stderr" {
		return
	}
	if strings.HasPrefix(l.Message, "panic: ") || strings.HasPrefix(l.Message, "fatal error: ") {
		u.panicking, u.status.Panic = true, ""
	}
	if u.panicking && l.Level == slog.LevelError && len(u.status.Panic) < keptPanic {
		u.status.Panic += l.Message + "\n"
	}
}

func (u *unit) startedAnew() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.panicking = false
}

// noteExit keeps one end of the process.
func (u *unit) noteExit(e Exit) {
	u.mu.Lock()
	defer u.mu.Unlock()
	exits := append(slices.Clone(u.status.Exits), e)
	u.status.Exits = exits[max(0, len(exits)-keptExits):]
}

// recentExits counts the ends within the window of the quarantine.
func (u *unit) recentExits() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	n := 0
	for _, e := range u.status.Exits {
		if u.s.o.Now().Sub(e.At) < u.s.o.QuarantineWindow && e.At.After(u.forgiven) {
			n++
		}
	}
	return n
}

// current is the status now.
func (u *unit) current() Status {
	u.mu.Lock()
	st := u.status
	st.Tail = u.lines[max(0, len(u.lines)-keptLines):len(u.lines):len(u.lines)]
	u.mu.Unlock()
	st.Requests, st.Errors = u.requests.Load(), u.failures.Load()
	st.P50, st.P99 = u.latency.quantiles()
	if i := u.instance.Load(); i != nil {
		st.InFlight, st.Streams = int(i.inflight.Load()), int(i.streams.Load())
	}
	return st
}
