package web

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"mortise/core/web/upstream"
)

// Modules gives access to the processes of the modules. Use Supervised for core/supervisor's.
type Modules interface {
	// Acquire holds a place for one page; Unavailable when the module does not run, TooMany when it is full. An error with a method
	// RetryAfter() time.Duration says when it is going to run again.
	Acquire(module string) (Lease, error)
	// AcquireStream holds a place for one stream.
	AcquireStream(module string) (Lease, error)
	// WaitRunning waits until the module runs or ctx ends.
	WaitRunning(ctx context.Context, module string) error
}

// Lease is a held place in one running instance of a module.
type Lease interface {
	Client() *fasthttp.HostClient // whose Dial opens the pages socket; the same for every lease of one instance
	Token() string                // what the pages socket asks for
	Done() <-chan struct{}        // closed when the instance stops or died
	Observe(status int, took time.Duration)
	Release()
}

// Claim is what the proof for calls on a visitor's behalf says.
type Claim struct {
	UserID    int64
	Session   string // identity's Session.ID
	Module    string
	RequestID string
	ExpiresAt time.Time
}

// clients keeps one upstream client for each running instance.
type clients struct{ byInstance sync.Map } // *fasthttp.HostClient to *upstream.Client

// of gives the client of a lease's instance; it is forgotten when the instance ends.
func (c *clients) of(lease Lease) *upstream.Client {
	instance := lease.Client()
	if known, ok := c.byInstance.Load(instance); ok {
		return known.(*upstream.Client)
	}
	fresh := upstream.New(dialer(instance))
	known, loaded := c.byInstance.LoadOrStore(instance, fresh)
	if !loaded {
		done := lease.Done()
		go func() {
			<-done
			c.byInstance.Delete(instance)
			fresh.Close()
		}()
	}
	return known.(*upstream.Client)
}

// dialer opens connections to an instance's pages socket.
func dialer(instance *fasthttp.HostClient) upstream.DialFunc {
	return func(context.Context) (net.Conn, error) { return instance.Dial(instance.Addr) }
}
