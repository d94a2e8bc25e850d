package store_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gorm.io/gorm"

	"mortise/core/sdk"
	"mortise/core/sdk/sdkdb"
	"mortise/core/store"
	"mortise/core/tunnel"
)

const (
	bearer        = "a-bearer-for-running"
	migrateBearer = "a-bearer-for-migrating"
)

// site is a store with one module's tunnel, as the host sets it up.
type site struct {
	store  *store.Store
	tunnel *store.Tunnel
	socket string
}

// openTunnel opens a tunnel for a module; change may alter its options.
func openTunnel(t testing.TB, s *store.Store, module string, tables []string, change ...func(*store.TunnelOptions)) *site {
	t.Helper()
	o := store.TunnelOptions{Module: module, Tables: tables, Bearer: bearer, MigrateBearer: migrateBearer}
	for _, c := range change {
		c(&o)
	}
	tun := s.Tunnel(o)
	dir, err := os.MkdirTemp("", "tun") // t.TempDir is too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "store.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- tun.Serve(l) }()
	t.Cleanup(func() {
		if err := tun.Close(); err != nil {
			t.Errorf("close the tunnel: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
		_ = os.RemoveAll(dir)
	})
	return &site{store: s, tunnel: tun, socket: socket}
}

func (s *site) options() tunnel.Options { return tunnel.Options{Socket: s.socket, Bearer: bearer} }

// open gives a pool as a module has it.
func (s *site) open(t testing.TB) *sql.DB {
	t.Helper()
	db := sql.OpenDB(tunnel.NewConnector(s.options()))
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func (s *site) migrate(t testing.TB, statements ...string) error {
	t.Helper()
	_, err := tunnel.Migrate(t.Context(), tunnel.Options{Socket: s.socket, Bearer: migrateBearer}, nil, []sdk.Migration{sqlStep(1, statements...)})
	return err
}

func sqlStep(number int, statements ...string) sdk.Migration {
	return sdk.Migration{Number: number, Name: "step", Up: func(ctx context.Context, tx *sql.Tx) error {
		for _, s := range statements {
			if _, err := tx.ExecContext(ctx, s); err != nil {
				return err
			}
		}
		return nil
	}}
}

// blog is a site with a module that has two tables.
func blog(t testing.TB, change ...func(*store.TunnelOptions)) *site {
	t.Helper()
	s := openTunnel(t, openStore(t), "blog", []string{"blog_posts", "blog_tags"}, change...)
	if err := s.migrate(t,
		`CREATE TABLE blog_posts (id INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT NOT NULL UNIQUE, body BLOB, rating REAL, live BOOLEAN, at DATETIME)`,
		`CREATE TABLE blog_tags (id INTEGER PRIMARY KEY, post_id INTEGER REFERENCES blog_posts(id), name TEXT)`); err != nil {
		t.Fatal(err)
	}
	return s
}

// fakeHost is what sdkdb.Open needs of a host.
type fakeHost struct {
	id        string
	ctx       context.Context
	connector driver.Connector
}

func (h fakeHost) ModuleID() string         { return h.id }
func (h fakeHost) Context() context.Context { return h.ctx }
func (h fakeHost) Log() *slog.Logger        { return slog.New(slog.DiscardHandler) }
func (h fakeHost) Settings() sdk.Settings   { return nil }
func (h fakeHost) Site() sdk.Site           { return sdk.Site{} }
func (h fakeHost) Secrets() sdk.Secrets     { return nil }
func (h fakeHost) Users() sdk.Users         { return nil }
func (h fakeHost) Store() driver.Connector  { return h.connector }
func (h fakeHost) Publish(context.Context, string, string, any) error {
	return errors.New("not here")
}
func (h fakeHost) Call(context.Context, string, string, any, any) error {
	return errors.New("not here")
}
func (h fakeHost) Mail(context.Context, sdk.Mail) error { return errors.New("not here") }

// gorm gives GORM as a module has it.
func (s *site) gorm(t testing.TB, module string) *gorm.DB {
	t.Helper()
	db, err := sdkdb.Open(fakeHost{id: module, ctx: t.Context(), connector: tunnel.NewConnector(s.options())})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// eventually waits for something that another goroutine brings about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("timed out: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}
