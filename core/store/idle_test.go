package store

import (
	"bytes"
	"path/filepath"
	"testing"
	"time"
)

func TestTunnel_ClosesConnectionsThatNobodyUses(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), "site.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	tun := s.Tunnel(TunnelOptions{Module: "blog"})
	defer tun.Close()
	a, err := tun.takeReader()
	if err != nil {
		t.Fatal(err)
	}
	b, err := tun.takeReader()
	if err != nil {
		t.Fatal(err)
	}
	tun.giveReader(a)
	if err := s.queue.acquire(t.Context(), "blog"); err != nil {
		t.Fatal(err)
	}
	w, err := tun.takeWriter()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.run(w.begin); err != nil {
		t.Fatal(err)
	}
	tun.giveWriter(w) // rolls back
	if !w.db.AutoCommit() {
		t.Fatal("the connection is still in a transaction")
	}
	s.queue.release()
	between := time.Now()
	tun.giveReader(b)
	tun.closeIdle(between)
	if len(tun.idle) != 1 || tun.idle[0] != b || tun.writer != nil {
		t.Fatalf("%d idle, writer %v", len(tun.idle), tun.writer)
	}
	if c, err := tun.takeReader(); err != nil || c != b {
		t.Fatalf("got %p, want %p: %v", c, b, err)
	}
	tun.giveReader(b)
}

func TestConn_ForgetsTheOldestStatementAndKeepsThoseInUse(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), "site.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	tun := s.Tunnel(TunnelOptions{Module: "blog"})
	defer tun.Close()
	c, err := tun.takeReader()
	if err != nil {
		t.Fatal(err)
	}
	defer tun.giveReader(c)
	for n := range 300 {
		text := append([]byte("SELECT 1"), bytes.Repeat([]byte(" "), n)...)
		p, err := c.prepare(text)
		if err != nil {
			t.Fatal(err)
		}
		p.busy = n == 0
		if again, err := c.prepare(text); n > 0 && (err != nil || again != p) {
			t.Fatalf("statement %d was not kept: %v", n, err)
		}
		if _, ok := c.cached["SELECT 1"]; !ok {
			t.Fatalf("after %d a statement in use was dropped", n)
		}
	}
	if len(c.cached) != maxPrepared {
		t.Fatalf("%d kept", len(c.cached))
	}
	first := c.cached["SELECT 1"]
	loose, err := c.prepare([]byte("SELECT 1"))
	if err != nil || loose == first || !loose.loose {
		t.Fatalf("the statement in use was given twice: %v", err)
	}
	c.done(loose)
	c.done(first)
}
