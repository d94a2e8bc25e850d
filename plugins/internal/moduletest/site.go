package moduletest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"mortise/core/identity"
	"mortise/core/manifest"
	"mortise/core/router"
	"mortise/core/sdk"
	"mortise/core/store"
	"mortise/core/tunnel"
)

// Options say what the module finds.
type Options struct {
	Settings  sdk.Settings // over the manifest's defaults
	PublicURL string       // "" means "https://site.example"
	// People gives the site people: host.people, host.settings and host.privacy are the real ones, over the test's store.
	People bool
	// Call answers calls of services of other modules, and without People of host services as well. ctx holds the sdk.Request whose user is meant. nil refuses all.
	Call func(ctx context.Context, service, method string, input []byte) (any, error)
}

// Site is a site with one module.
type Site struct {
	URL      string // of a server that serves the module's pages
	Manifest *manifest.Manifest
	Host     *Host
	People   *identity.Service // with Options.People

	services *hostServices
	t        testing.TB
	module   sdk.Module
	snapshot *router.Snapshot
}

const (
	bearer        = "for-running"
	migrateBearer = "for-migrating"
)

// Start migrates and starts a module. It stops with the test.
func Start(t testing.TB, module sdk.Module, manifestYAML []byte, o Options) *Site {
	t.Helper()
	m, err := manifest.Parse(manifestYAML)
	if err != nil {
		t.Fatal(err)
	}
	host := newHost(m, o)
	st, socket := openStore(t, m, host)
	s := &Site{Manifest: m, Host: host, t: t, module: module}
	if o.People {
		host.services = openHostServices(t, st, module, host)
		s.services, s.People = host.services, host.services.people
	}
	if migrator, ok := module.(sdk.Migrator); ok {
		if _, err := tunnel.Migrate(t.Context(), tunnel.Options{Socket: socket, Bearer: migrateBearer}, nil, migrator.Migrations()); err != nil {
			t.Fatal(err)
		}
	}
	host.store = tunnel.NewConnector(tunnel.Options{Socket: socket, Bearer: bearer})
	if err := module.Start(t.Context(), host); err != nil {
		t.Fatal(err)
	}
	if s.snapshot, err = router.Build([]router.Entry{{Manifest: m}}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(s.serve))
	s.URL = server.URL
	t.Cleanup(func() {
		host.cancel()
		server.CloseClientConnections()
		server.Close()
		limited, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := module.Stop(limited); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return s
}

// openStore opens a store with the module's tunnel and gives its socket.
func openStore(t testing.TB, m *manifest.Manifest, host *Host) (*store.Store, string) {
	t.Helper()
	st, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "site.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	dir, err := os.MkdirTemp("", "mod") // t.TempDir is too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "store.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	tun := st.Tunnel(store.TunnelOptions{Module: m.ID, Tables: m.Tables, Bearer: bearer, MigrateBearer: migrateBearer,
		Publish: func(_ context.Context, _ *gorm.DB, _, name, subject string, payload []byte) error {
			return host.published(name, subject, append([]byte(nil), payload...))
		}})
	var serving sync.WaitGroup
	serving.Go(func() { _ = tun.Serve(listener) })
	t.Cleanup(func() {
		_ = tun.Close()
		serving.Wait()
		_ = os.RemoveAll(dir)
	})
	return st, socket
}

// personHeader carries the identity from the test to serve; the real host has a sealed one of its own.
const personHeader = "Test-Person"

// serve checks what the host would check from the manifest, and passes the request on.
func (s *Site) serve(w http.ResponseWriter, r *http.Request) {
	person := people.of(r.Header.Get(personHeader))
	match := s.snapshot.Match(r.Method, r.URL.EscapedPath())
	switch {
	case match.Outcome == router.MethodNotAllowed:
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	case match.Outcome != router.Found:
		w.WriteHeader(http.StatusNotFound)
		return
	case !match.Page.Public && !person.SignedIn():
		w.WriteHeader(http.StatusUnauthorized)
		return
	case match.Page.Permission != "" && !person.Can(match.Page.Permission):
		w.WriteHeader(http.StatusForbidden)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, match.Page.Limit())
	r.Header.Del(personHeader)
	ctx := sdk.WithRequest(r.Context(), sdk.Request{ID: "test", User: person, Claim: fmt.Sprintf("claim of %d", person.UserID)})
	s.module.(http.Handler).ServeHTTP(w, r.WithContext(ctx))
}

// people numbers the identities that tests use, so that a header can name them.
var people registry

type registry struct {
	mu   sync.Mutex
	list []sdk.Identity
}

func (g *registry) add(p sdk.Identity) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.list = append(g.list, p)
	return fmt.Sprint(len(g.list))
}

func (g *registry) of(key string) sdk.Identity {
	var n int
	if _, err := fmt.Sscan(key, &n); err != nil {
		return sdk.Identity{}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.list[n-1]
}
