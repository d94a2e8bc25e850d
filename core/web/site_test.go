package web_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/valyala/fasthttp"

	"mortise/core/config"
	"mortise/core/fault"
	"mortise/core/identity"
	"mortise/core/manifest"
	"mortise/core/router"
	"mortise/core/sdk"
	"mortise/core/store"
	"mortise/core/theme"
	"mortise/core/web"
	"mortise/themes"
)

// site is a whole web layer on a real listener, over a real store, real identity and the shipped themes, with one module
// "shop" whose process is an HTTP server on a unix socket.
type site struct {
	t      testing.TB
	url    string
	server *web.Server
	people *identity.Service
	conf   *config.Site
	routes *router.Router
	shop   *process
	log    *logText
	look   *theme.Renderer
}

// logText is a log that tests can read while it is written.
type logText struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

const shopToken = "per-start-bearer"

func shopManifest() *manifest.Manifest {
	page := func(path string, change func(*manifest.Page)) manifest.Page {
		p := manifest.Page{Path: path, Permission: "shop.use", Methods: []string{"GET", "POST"}}
		if change != nil {
			change(&p)
		}
		return p
	}
	public := func(p *manifest.Page) { p.Public, p.Permission = true, "" }
	return &manifest.Manifest{
		ID: "shop", Name: "Shop", Version: "1.0.0",
		Permissions: []manifest.Permission{{ID: "shop.use", Title: "Use the shop"}, {ID: "shop.manage", Title: "Manage the shop"}},
		Pages: []manifest.Page{
			page("/shop", nil), page("/shop/open", public), page("/shop/items/{id}", nil),
			page("/shop/small", func(p *manifest.Page) { p.BodyLimit = "1KiB" }),
			page("/shop/quick", func(p *manifest.Page) { p.Timeout = "150ms" }),
			page("/shop/away", func(p *manifest.Page) { p.Offsite = true }),
			page("/shop/live", func(p *manifest.Page) { p.Stream = true; p.Methods = nil }),
			page("/shop/news", func(p *manifest.Page) { p.Stream = true; p.Methods = nil; public(p) }),
			page("/admin/shop", func(p *manifest.Page) { p.Permission = "shop.manage" }),
		},
		Links: []manifest.Link{
			{Menu: "main", Title: "Shop window", Path: "/shop"}, {Menu: "admin", Title: "Shop desk", Path: "/admin/shop"},
		},
	}
}

const rowsTemplate = `<h1>{{.Title}}</h1><ul class="rows">{{range .Data.rows}}<li class="row"><a href="{{url "/shop/items" .id}}">{{.name}}</a>{{if .online}}online{{else}}offline{{end}} {{.heard}}</li>{{end}}</ul>`

const itemTemplate = `<h1>{{.Title}}</h1><p id="item">{{.Data.name}} {{.Data.number}}</p><form method="post">{{csrf $}}</form>`

type optionFunc func(*web.Options)

func newSite(t testing.TB, options ...optionFunc) *site {
	t.Helper()
	ctx := context.Background()
	s := &site{t: t, log: &logText{}, routes: &router.Router{}}
	log := slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	st, err := store.Open(ctx, store.Options{Path: filepath.Join(t.TempDir(), "site.db"), Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	t.Cleanup(func() { _ = st.Close() })
	s.conf, err = config.OpenSite(ctx, st)
	must(t, err)
	s.people, err = identity.New(ctx, st, identity.Options{Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	t.Cleanup(func() { _ = s.people.Close(ctx) })
	look, err := theme.New(theme.Options{Themes: []fs.FS{themes.FS}})
	must(t, err)
	s.look = look
	templates := fstest.MapFS{"item.html": {Data: []byte(itemTemplate)}, "rows.html": {Data: []byte(rowsTemplate)}, "broken.html": {Data: []byte(`{{.Data.name.first.second}}{{index .Data.name 99}}`)}}
	_, err = look.Update(func(c *theme.Config) {
		c.Modules = append(c.Modules, theme.Module{ID: "shop", Digest: "1", Templates: templates})
	})
	must(t, err)
	s.shop = newProcess(t)
	s.publish(router.Serving)

	ln := listener(t)
	s.url = "http://" + ln.Addr().String()
	o := web.Options{
		Log: log, PublicURL: s.url, Key: bytes.Repeat([]byte{7}, 32), People: s.people, Site: s.conf, Theme: look,
		Routes: s.routes.Load, Modules: s.shop, Claim: func(c web.Claim) string { return "claim-" + c.Module },
	}
	for _, change := range options {
		change(&o)
	}
	s.server, err = web.New(o)
	must(t, err)
	if o.Certificate != nil {
		s.url = "https://" + ln.Addr().String()
	}
	served := make(chan error, 1)
	go func() { served <- s.server.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.server.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return s
}

// publish makes the route snapshot with the shop in a state.
func (s *site) publish(state router.State) {
	s.t.Helper()
	snapshot, err := router.Build([]router.Entry{{Manifest: shopManifest(), State: state, Egress: []string{"https://pay.example"}}})
	must(s.t, err)
	s.routes.Store(snapshot)
}

func listener(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	return ln
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// person makes an account with a role that may use the shop unless none is asked for.
func (s *site) person(email string, roles ...string) identity.User {
	s.t.Helper()
	u, err := s.people.CreateUser(context.Background(), identity.System, identity.NewUser{Name: "Ann", Email: email, Password: password, Roles: roles})
	must(s.t, err)
	return u
}

const password = "correct horse battery staple"

// grant lets customers use the shop.
func (s *site) grant() {
	s.t.Helper()
	must(s.t, s.people.GrantDefaults(context.Background(), map[string][]string{"shop.use": {"customer"}}))
}

// browser keeps cookies, follows nothing, and remembers the token of the last page.
type browser struct {
	t     testing.TB
	s     *site
	c     *http.Client
	token string
}

func (s *site) browser() *browser {
	jar, _ := cookiejar.New(nil)
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} // a certificate of the test's own
	s.t.Cleanup(transport.CloseIdleConnections)
	return &browser{t: s.t, s: s, c: &http.Client{
		Jar: jar, Timeout: 20 * time.Second, Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// customer is a signed-in customer who may use the shop.
func (s *site) customer() *browser {
	s.t.Helper()
	s.grant()
	s.person("ann@example.com", "customer")
	return s.signIn("ann@example.com")
}

func (s *site) signIn(email string) *browser {
	s.t.Helper()
	b := s.browser()
	b.get("/login")
	if a := b.post("/login", url.Values{"email": {email}, "password": {password}}); a.status != 303 {
		s.t.Fatalf("sign-in of %s answered %d: %s", email, a.status, a.body)
	}
	b.get("/")
	return b
}

type answer struct {
	status int
	header http.Header
	body   string
}

type header map[string]string

func (b *browser) get(path string, headers ...header) answer {
	b.t.Helper()
	return b.do("GET", path, nil, headers...)
}

// post sends a form with the token of the last page.
func (b *browser) post(path string, form url.Values, headers ...header) answer {
	b.t.Helper()
	body := url.Values{"_csrf": {b.token}}
	for k, v := range form {
		body[k] = v
	}
	return b.do("POST", path, strings.NewReader(body.Encode()), append([]header{{"Content-Type": "application/x-www-form-urlencoded"}}, headers...)...)
}

func (b *browser) do(method, path string, body io.Reader, headers ...header) answer {
	b.t.Helper()
	r, err := http.NewRequest(method, b.s.url+path, body)
	must(b.t, err)
	for _, h := range headers {
		for k, v := range h {
			if k == "Host" {
				r.Host = v
			}
			r.Header.Set(k, v)
		}
	}
	res, err := b.c.Do(r)
	must(b.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	must(b.t, err)
	if token := res.Header.Get("X-CSRF-Token"); token != "" {
		b.token = token
	}
	return answer{status: res.StatusCode, header: res.Header, body: string(text)}
}

var asJSON = header{"Accept": "application/json"}

// process stands for the supervised process of the module: an HTTP server on a unix socket that speaks the contract.
type process struct {
	t       testing.TB
	mu      sync.Mutex
	handle  http.Handler
	server  *http.Server
	client  *fasthttp.HostClient
	done    chan struct{}
	socket  string
	seen    []http.Header
	held    int
	back    chan struct{} // closed when the process runs again
	downFor time.Duration // while it does not run: when it is going to
	status  []int         // what Observe was told
	quiet   bool          // for benchmarks: remember nothing
}

func newProcess(t testing.TB) *process {
	p := &process{t: t, handle: http.NotFoundHandler()}
	p.start()
	t.Cleanup(p.stop)
	return p
}

func (p *process) start() {
	dir, err := os.MkdirTemp("", "mw")
	must(p.t, err)
	p.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "pages.sock")
	ln, err := net.Listen("unix", socket)
	must(p.t, err)
	server := &http.Server{Handler: http.HandlerFunc(p.serve)}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.server, p.socket, p.done = server, socket, make(chan struct{})
	p.client = &fasthttp.HostClient{Addr: "module", Dial: func(string) (net.Conn, error) { return net.Dial("unix", socket) }}
	go func() { _ = server.Serve(ln) }()
}

// stop ends the process as kill -9 does: connections break.
func (p *process) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server != nil {
		_ = p.server.Close()
		close(p.done)
		p.server = nil
	}
}

func (p *process) on(handle http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handle = handle
}

func (p *process) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	if !p.quiet {
		p.seen = append(p.seen, r.Header.Clone())
	}
	handle := p.handle
	p.mu.Unlock()
	if r.Header.Get("Mortise-Token") != shopToken {
		http.Error(w, "token", http.StatusUnauthorized)
		return
	}
	who, err := base64.RawURLEncoding.DecodeString(r.Header.Get("Mortise-Identity"))
	if err != nil {
		http.Error(w, "identity", http.StatusBadRequest)
		return
	}
	request := sdk.Request{ID: r.Header.Get("Mortise-Request"), Claim: r.Header.Get("Mortise-Claim")}
	if err := json.Unmarshal(who, &request.User); err != nil {
		http.Error(w, "identity", http.StatusBadRequest)
		return
	}
	handle.ServeHTTP(w, r.WithContext(sdk.WithRequest(r.Context(), request)))
}

func (p *process) lastSeen() http.Header {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.seen) == 0 {
		return nil
	}
	return p.seen[len(p.seen)-1]
}

func (p *process) requests() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.seen)
}

func (p *process) leases() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held
}

func (p *process) Acquire(string) (web.Lease, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server == nil {
		return nil, &down{fault.New(fault.Unavailable, "Shop is restarting."), p.downFor}
	}
	p.held++
	return &lease{p: p, client: p.client, done: p.done}, nil
}

// down says when the shop is back.
type down struct {
	error
	wait time.Duration
}

func (e *down) Unwrap() error             { return e.error }
func (e *down) RetryAfter() time.Duration { return e.wait }

func (p *process) AcquireStream(module string) (web.Lease, error) { return p.Acquire(module) }

func (p *process) WaitRunning(ctx context.Context, _ string) error {
	p.mu.Lock()
	back := p.back
	p.mu.Unlock()
	if back == nil {
		return nil
	}
	select {
	case <-back:
		return nil
	case <-ctx.Done():
		return fault.New(fault.Unavailable, "Shop is not running.")
	}
}

type lease struct {
	p      *process
	client *fasthttp.HostClient
	done   chan struct{}
	once   sync.Once
}

func (l *lease) Client() *fasthttp.HostClient { return l.client }
func (l *lease) Token() string                { return shopToken }
func (l *lease) Done() <-chan struct{}        { return l.done }
func (l *lease) Observe(status int, _ time.Duration) {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	if !l.p.quiet {
		l.p.status = append(l.p.status, status)
	}
}
func (l *lease) Release() {
	l.once.Do(func() {
		l.p.mu.Lock()
		defer l.p.mu.Unlock()
		l.p.held--
	})
}

// eventually waits until ok is true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// item is a handler that renders one item.
func item(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		sdk.Render(w, r, sdk.View{Template: "item", Title: "Item", Data: map[string]any{"name": name, "number": int64(9007199254740993)}})
	}
}
