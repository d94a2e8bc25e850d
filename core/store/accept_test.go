package store_test

import (
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"mortise/core/store"
)

// poorListener has no file descriptors left for its first callers.
type poorListener struct {
	net.Listener
	failures atomic.Int32
}

func (l *poorListener) Accept() (net.Conn, error) {
	if l.failures.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return l.Listener.Accept()
}

func TestTunnel_OutlivesAShortageOfFileDescriptors(t *testing.T) {
	t.Parallel()
	tun := openStore(t).Tunnel(store.TunnelOptions{Module: "shop", Bearer: bearer})
	dir, err := os.MkdirTemp("", "tun")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "store.sock"))
	if err != nil {
		t.Fatal(err)
	}
	poor := &poorListener{Listener: l}
	poor.failures.Store(4)
	served := make(chan error, 1)
	go func() { served <- tun.Serve(poor) }()
	db := (&site{socket: filepath.Join(dir, "store.sock")}).open(t)
	if err := db.PingContext(t.Context()); err != nil {
		t.Errorf("after the shortage: %v", err)
	}
	if err := tun.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Errorf("serve: %v", err)
	}
}
