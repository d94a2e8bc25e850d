package main

import (
	"context"
	"encoding/json"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/core/theme"
	"mortise/plugins/internal/moduletest"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/particle/particletest"
	"mortise/themes"
)

const (
	maker = "maker@particle.example"
	root  = "/admin/organizations"
	first = root + "/workspaces/1"
	lamp  = "0a10aced202194944a000001"
)

var (
	ada    = sdk.Identity{UserID: 1, Name: "Ada", Roles: []string{"administrator"}, Permissions: []string{"organizations.view", "organizations.manage", "organizations.devices"}}
	staff  = sdk.Identity{UserID: 2, Name: "Sam", Roles: []string{"staff"}, Permissions: []string{"organizations.view"}}
	ann    = sdk.Identity{UserID: 3, Name: "Ann", Roles: []string{"customer"}}
	nobody = sdk.Identity{}
)

// bench is the module on a site, with a cloud and a stand-in for linking.
type bench struct {
	*moduletest.Site
	cloud   *particletest.Server
	url     string // of the cloud
	module  *Organizations
	clock   *clock
	linking *linkingDouble
	shadows *shadowsDouble
	token   string
}

// linkingDouble stands for the module linking.
type linkingDouble struct {
	mu       sync.Mutex
	clientID string
	secret   string
	baseURL  string
	fail     error
}

func (l *linkingDouble) call(_ context.Context, service, method string, input []byte) (any, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case service != linkingService:
		return nil, fault.New(fault.NotFound, "no such service")
	case method == "get":
		return linkingClient{ClientID: l.clientID, RedirectURI: "https://site.example/linking/particle/callback", Configured: l.clientID != ""}, nil
	case l.fail != nil:
		return nil, l.fail
	}
	var in sealedClient
	var raw map[string]string
	if err := json.Unmarshal(input, &raw); err != nil {
		return nil, err
	}
	in = sealedClient{raw["client_id"], raw["client_secret"], raw["base_url"]}
	l.clientID, l.secret, l.baseURL = in.ID, in.Secret, in.BaseURL
	return struct{}{}, nil
}

// shadowsDouble stands for the module customers.
type shadowsDouble struct {
	mu      sync.Mutex
	absent  bool
	fail    error
	clients []map[string]any
}

func (s *shadowsDouble) call(method string, input []byte) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.absent:
		return nil, fault.New(fault.Unavailable, "not installed")
	case method == "get":
		list := []map[string]any{}
		for _, c := range s.clients {
			list = append(list, map[string]any{"client_id": c["client_id"], "workspace_id": c["workspace_id"], "product_id": c["product_id"]})
		}
		return map[string]any{"clients": list}, nil
	}
	var in map[string]any
	if err := json.Unmarshal(input, &in); err != nil {
		return nil, err
	}
	if s.fail == nil || fault.Is(s.fail, fault.Timeout) {
		s.clients = append(s.clients, in)
	}
	return struct{}{}, s.fail
}

func (b *bench) answer(ctx context.Context, service, method string, input []byte) (any, error) {
	if service == customersService {
		return b.shadows.call(method, input)
	}
	return b.linking.call(ctx, service, method, input)
}

func newBench(t testing.TB) *bench {
	t.Helper()
	cloud := &particletest.Server{}
	cloud.AddAccount(particletest.Account{Username: maker, Password: "x"})
	cloud.AddAccount(particletest.Account{Username: "other@particle.example", Password: "x"})
	cloud.AddProduct(particletest.Product{ID: 10001, Slug: "garden-lamp-v1", Name: "Garden lamp", Platform: 12, Team: []string{maker}})
	cloud.AddProduct(particletest.Product{ID: 10002, Slug: "pump-v3", Name: "Pump", Platform: 6, Team: []string{maker}})
	cloud.AddProduct(particletest.Product{ID: 10003, Slug: "foreign-v1", Name: "Foreign", Team: []string{"other@particle.example"}})
	for _, id := range []string{"0a10aced202194944a000001", "0a10aced202194944a000002"} {
		cloud.AddDevice(particletest.Device{ID: id, Name: "lamp", Owner: maker, Product: "10001", Platform: 12})
	}
	cloud.AddCustomer(particletest.Customer{Email: "c1@site.example", Product: "10001"})
	cloud.AddClient(particletest.Client{ID: "old-client-1", Name: "Old client", Secret: "x", Type: particletest.Installed, Owner: maker})
	address, stop, err := cloud.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	b := &bench{cloud: cloud, url: address, module: New(), clock: &clock{at: time.Now().UTC()}, linking: &linkingDouble{}, shadows: &shadowsDouble{}, token: cloud.IssueToken(maker, "")}
	b.prepare(b.module)
	b.Site = moduletest.Start(t, b.module, manifest, moduletest.Options{Call: b.answer})
	return b
}

func (b *bench) prepare(m *Organizations) {
	m.now = b.clock.now
	m.limits = particle.Timeouts{Connect: time.Second, Token: 600 * time.Millisecond, Call: 600 * time.Millisecond, Device: 600 * time.Millisecond}
	m.pace = 0
	m.patience.linger, m.patience.dead = 100*time.Millisecond, 100*time.Millisecond // of this clock, which stands still by itself
	m.hubOptions = particle.HubOptions{BackoffMin: 5 * time.Millisecond, BackoffMax: 20 * time.Millisecond, RateLimited: 10 * time.Millisecond, Linger: time.Millisecond}
}

// restart starts the module's program anew on the same store, as after a kill, and waits until it has looked at what was left.
func (b *bench) restart(t *testing.T) *Organizations {
	t.Helper()
	m := New()
	b.prepare(m)
	if err := m.Start(t.Context(), b.Host); err != nil {
		t.Fatal(err)
	}
	m.background.Wait()
	return m
}

// connect adds the workspace that most tests use.
func (b *bench) connect(t testing.TB) {
	t.Helper()
	a := b.Post(ada, root+"/workspaces/new", url.Values{"name": {"Garden"}, "base_url": {b.url}, "token": {b.token}})
	if a.Status != http.StatusSeeOther || a.Location != first || !strings.HasPrefix(a.Flash, "warn ") && !strings.HasPrefix(a.Flash, "good ") {
		t.Fatalf("answered %d %s %q: %s", a.Status, a.Location, a.Flash, a.Body)
	}
}

// upstream counts the requests that reached the cloud.
func (b *bench) upstream() int {
	n := 0
	for _, calls := range b.cloud.AllCalls() {
		n += calls
	}
	return n
}

// clientsAt lists the ids of the clients at the cloud.
func (b *bench) clientsAt(t *testing.T, product string) map[string]particle.ClientInfo {
	t.Helper()
	c, err := particle.New(particle.Options{BaseURL: b.url})
	if err != nil {
		t.Fatal(err)
	}
	if product != "" {
		c = c.InProduct(product)
	}
	list, err := c.Clients(t.Context(), b.token)
	if err != nil {
		t.Fatal(err)
	}
	byID := map[string]particle.ClientInfo{}
	for _, one := range list {
		byID[one.ID] = one
	}
	return byID
}

func decode[T any](t *testing.T, a moduletest.Answer) T {
	t.Helper()
	var data T
	if err := a.Decode(&data); err != nil {
		t.Fatalf("%d %s: %v", a.Status, a.Body, err)
	}
	return data
}

// clock is the module's, which tests put forward.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func TestTemplates_DrawInEveryTheme(t *testing.T) {
	t.Parallel()
	for _, p := range theme.Check(theme.CheckOptions{Themes: []fs.FS{themes.FS}, Modules: []theme.Module{{ID: "organizations", Digest: "test", Templates: os.DirFS("templates")}}}) {
		if p.Module == "organizations" {
			t.Error(p.Error())
		}
	}
}
