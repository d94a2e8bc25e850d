package supervisor

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"mortise/core/manifest"
	"mortise/core/wire"
)

// Limits of the connections to one instance.
const (
	dialTime       = 2 * time.Second
	idleTime       = time.Minute
	maxHeader      = 64 << 10
	controlAtOnce  = 64 // events, jobs and calls that one module does at the same time
	instanceMargin = 16 // connections beside those of pages and streams
)

// instance is one running process of a module and everything that belongs to it.
type instance struct {
	manifest *manifest.Manifest
	process  *wire.Process
	client   *fasthttp.HostClient
	tunnel   Tunnel // nil: no store
	ready    time.Time

	inflight atomic.Int64 // pages, streams, events, jobs and calls
	pages    atomic.Int64
	streams  atomic.Int64
	control  atomic.Int64
	closed   atomic.Bool
	idle     chan struct{} // gets a value when the last one leaves a closed instance
	done     chan struct{} // closed when the instance takes no more work
	doneOnce sync.Once
	endOnce  sync.Once
}

func newInstance(m *manifest.Manifest, p *wire.Process) *instance {
	socket := p.PagesSocket()
	return &instance{
		manifest: m, process: p, idle: make(chan struct{}, 1), done: make(chan struct{}),
		client: &fasthttp.HostClient{
			Addr:     "module",
			Dial:     func(string) (net.Conn, error) { return net.DialTimeout("unix", socket, dialTime) },
			MaxConns: m.Resources.Pages() + m.Resources.OpenStreams() + instanceMargin, MaxIdleConnDuration: idleTime,
			MaxIdemponentCallAttempts: 1, RetryIf: func(*fasthttp.Request) bool { return false },
			ReadBufferSize: maxHeader, WriteTimeout: 30 * time.Second, StreamResponseBody: true,
			NoDefaultUserAgentHeader: true, DisablePathNormalizing: true, SecureErrorLogMessage: true,
		},
	}
}

// enter counts one piece of work in; false when the instance takes no more. It counts first and tests then: whoever closes the
// instance afterwards sees the count.
func (i *instance) enter() bool {
	i.inflight.Add(1)
	if i.closed.Load() {
		i.leave()
		return false
	}
	return true
}

func (i *instance) leave() {
	if i.inflight.Add(-1) == 0 && i.closed.Load() {
		select {
		case i.idle <- struct{}{}:
		default:
		}
	}
}

// close lets nothing new in.
func (i *instance) close() {
	i.closed.Store(true)
	i.doneOnce.Do(func() { close(i.done) })
}

// drain waits until everything that was let in has left, or ctx ends.
func (i *instance) drain(ctx context.Context) error {
	for i.inflight.Load() > 0 {
		select {
		case <-i.idle:
		case <-i.process.Exited():
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// openStore opens a door to the store for this instance under a name in its run folder.
func (i *instance) openStore(open func(TunnelRequest) (Tunnel, error), r TunnelRequest, name string) (Tunnel, string, error) {
	r.Manifest = i.manifest
	pid := i.process.PID()
	r.AllowPID = func(other int) bool { return other == pid }
	tunnel, err := open(r)
	if err != nil {
		return nil, "", err
	}
	path := filepath.Join(i.process.RunDir(), name)
	listener, err := net.Listen("unix", path)
	if err == nil {
		err = os.Chmod(path, 0o600)
	}
	if err != nil {
		if listener != nil {
			_ = listener.Close()
		}
		return nil, "", errors.Join(err, tunnel.Close())
	}
	go func() { _ = tunnel.Serve(listener) }() // ends with Close, and the sessions with it
	return tunnel, path, nil
}

// end ends the process, gracefully or not, and what belongs to it. It is bounded and may be called several times.
func (i *instance) end(ctx context.Context, gracefully bool) (err error) {
	i.close()
	i.endOnce.Do(func() {
		if gracefully {
			err = i.process.Stop(ctx)
		} else {
			i.process.Kill()
		}
		if i.tunnel != nil {
			err = errors.Join(err, i.tunnel.Close())
		}
		i.client.CloseIdleConnections()
	})
	return err
}
