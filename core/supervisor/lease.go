package supervisor

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"mortise/core/fault"
)

// Lease is a place in a running instance for one page or stream. The instance is not stopped before it is released, within the
// bound of draining.
type Lease struct {
	unit     *unit
	instance *instance
	counter  *atomic.Int64
	released atomic.Bool
}

// Client speaks with the instance's pages socket; it is the same for every lease of one instance. It streams answers' bodies,
// tries once and has no read timeout: set a deadline on the request. Trap: fasthttp gives a connection whose body was not read
// to its end back to its pool; call SetConnectionClose on such an answer before closing its body.
func (l *Lease) Client() *fasthttp.HostClient { return l.instance.client }

// Token is the value of the header Mortise-Token.
func (l *Lease) Token() string { return l.instance.process.PagesToken() }

// Done is closed when the instance takes no more work or has ended; streams should end then.
func (l *Lease) Done() <-chan struct{} { return l.instance.done }

// Observe counts an answer: its status, and how long it took until its first byte.
func (l *Lease) Observe(status int, took time.Duration) {
	l.unit.requests.Add(1)
	if status >= 500 {
		l.unit.failures.Add(1)
	}
	l.unit.latency.observe(took)
}

// Release gives the place back. Further calls do nothing.
func (l *Lease) Release() {
	if l.released.CompareAndSwap(false, true) {
		l.counter.Add(-1)
		l.instance.leave()
	}
}

// Acquire takes a place for one page. The error is an Unavailable fault when the module does not run, with RetryAfter, and
// TooMany when it has as many pages as its manifest's concurrency allows.
func (s *Supervisor) Acquire(id string) (*Lease, error) {
	return s.acquire(id, func(i *instance) (*atomic.Int64, int) { return &i.pages, i.manifest.Resources.Pages() })
}

// AcquireStream takes a place for one page with stream: true.
func (s *Supervisor) AcquireStream(id string) (*Lease, error) {
	return s.acquire(id, func(i *instance) (*atomic.Int64, int) { return &i.streams, i.manifest.Resources.OpenStreams() })
}

func (s *Supervisor) acquire(id string, class func(*instance) (*atomic.Int64, int)) (*Lease, error) {
	u := s.unit(id)
	if u == nil {
		return nil, unavailable(id, Available, 0)
	}
	i := u.instance.Load()
	if i == nil || !i.enter() {
		return nil, u.notRunning()
	}
	counter, limit := class(i)
	if counter.Add(1) > int64(limit) {
		counter.Add(-1)
		i.leave()
		return nil, fault.New(fault.TooMany, "%s has too much to do at the moment. Try again soon.", u.name())
	}
	return &Lease{unit: u, instance: i, counter: counter}, nil
}

func unavailable(id string, state State, after time.Duration) error {
	return fault.Wrap(fault.Unavailable, &NotRunningError{State: state, After: after}, "The module %s does not run at the moment.", id)
}

// noticeTime is how long an instance may be dead before this package knows: the kernel closes a process's sockets some
// milliseconds before it reports the end.
const noticeTime = 30 * time.Millisecond

// WaitRunning is for trying again after a request failed: it waits until the module runs or ctx ends; then the error is as
// Acquire's. It returns at once for a module that nobody is going to start, and within a moment for one that seems to run.
func (s *Supervisor) WaitRunning(ctx context.Context, id string) error {
	u := s.unit(id)
	if u == nil {
		return unavailable(id, Available, 0)
	}
	for {
		state, changed := u.watch()
		if i := u.instance.Load(); i != nil && !i.closed.Load() {
			select {
			case <-i.process.Exited():
			case <-time.After(noticeTime):
				return nil
			case <-ctx.Done():
				return nil
			}
		}
		if !state.on() {
			return u.notRunning()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return u.notRunning()
		case <-s.closed:
			return u.notRunning()
		}
	}
}
