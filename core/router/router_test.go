package router_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"mortise/core/fault"
	"mortise/core/manifest"
	"mortise/core/router"
)

func devices() *manifest.Manifest {
	return &manifest.Manifest{
		ID: "devices", Name: "Devices", Group: "Particle",
		Permissions: []manifest.Permission{{ID: "devices.use"}, {ID: "devices.control"}},
		Pages: []manifest.Page{
			{Path: "/devices", Permission: "devices.use"},
			{Path: "/devices/new", Permission: "devices.control"},
			{Path: "/devices/{id}", Permission: "devices.use"},
			{Path: "/devices/{id}", Permission: "devices.control", Methods: []string{"POST", "DELETE"}},
			{Path: "/devices/{id}/functions/{name}", Permission: "devices.control", Methods: []string{"POST"}},
			{Path: "/devices/files/{path...}", Public: true},
		},
		Links: []manifest.Link{{Menu: "main", Title: "Devices", Path: "/devices", Weight: 5}},
	}
}

func linking() *manifest.Manifest {
	return &manifest.Manifest{
		ID: "linking", Name: "Account linking", Group: "Particle",
		Permissions: []manifest.Permission{{ID: "linking.use"}},
		Pages:       []manifest.Page{{Path: "/linking", Permission: "linking.use"}},
		Links: []manifest.Link{
			{Menu: "main", Title: "Linked accounts", Path: "/linking", Weight: 1},
			{Menu: "admin", Title: "Attempts", Path: "/admin/linking/attempts", Permission: "linking.use"},
		},
	}
}

func build(t testing.TB, entries ...router.Entry) *router.Snapshot {
	t.Helper()
	s, err := router.Build(entries)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMatch_FindsThePageAndItsParameters(t *testing.T) {
	t.Parallel()
	s := build(t, router.Entry{Manifest: devices(), State: router.Serving})
	for _, tc := range []struct{ method, path, pattern, params string }{
		{"GET", "/devices", "/devices", ""},
		{"HEAD", "/devices", "/devices", ""},
		{"GET", "/devices/new", "/devices/new", ""},
		{"POST", "/devices/new", "/devices/{id}", "id=new"}, // passed over: the literal page answers GET only
		{"GET", "/devices/0123abc", "/devices/{id}", "id=0123abc"},
		{"GET", "/%64evices/0123abc", "/devices/{id}", "id=0123abc"},
		{"POST", "/devices/a/functions/set%20led", "/devices/{id}/functions/{name}", "id=a name=set led"},
		{"POST", "/devices/a%2Fb/functions/x%25", "/devices/{id}/functions/{name}", "id=a/b name=x%"},
		{"POST", "/devices/a/functions/caf%C3%A9+", "/devices/{id}/functions/{name}", "id=a name=café+"},
		{"GET", "/devices/files/a/b.png", "/devices/files/{path...}", "path=a/b.png"},
		{"GET", "/devices/files", "/devices/{id}", "id=files"},
		{"GET", "/devices/...", "/devices/{id}", "id=..."},
	} {
		m := s.Match(tc.method, tc.path)
		if m.Outcome != router.Found || m.Page.Path != tc.pattern {
			t.Errorf("%s %s = %v %v, want %s", tc.method, tc.path, m.Outcome, m.Page, tc.pattern)
			continue
		}
		if got := show(m.Params()); got != tc.params {
			t.Errorf("%s %s: parameters %q, want %q", tc.method, tc.path, got, tc.params)
		}
	}
}

func show(params map[string]string) string {
	var list []string
	for k, v := range params {
		list = append(list, k+"="+v)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

func TestMatch_RefusesPathsThatMeanSomethingElseToSomebody(t *testing.T) {
	t.Parallel()
	s := build(t, router.Entry{Manifest: devices(), State: router.Serving})
	for _, path := range []string{
		"", "/", "devices", "//devices", "/devices//a", "//evil.example/devices/", "/devices/.", "/devices/..", "/devices/%2e%2e",
		"/devices/%2E", "/devices/files/../new", "/devices/files/..%2f..%2fetc", "/devices/files/a%5c..%5cb", "/devices/%zz", "/devices/%",
		"/devices/a%00b", "/devices/%0d%0aSet-Cookie:x", "/devices/%ff", "/devices/\x7f", "/nothing", "/DEVICES",
		"/devices/files/" + strings.Repeat("a/", 70) + "a", "/devices/" + strings.Repeat("a", 5000),
	} {
		if m := s.Match("GET", path); m.Outcome != router.NotFound {
			t.Errorf("%.40q = %v %v, want not found", path, m.Outcome, m.Page)
		}
	}
}

func TestMatch_SaysWhichMethodsThePathHas(t *testing.T) {
	t.Parallel()
	s := build(t, router.Entry{Manifest: devices(), State: router.Serving})
	if m := s.Match("PUT", "/devices/a"); m.Outcome != router.MethodNotAllowed || m.Allow != "GET, HEAD, POST, DELETE" {
		t.Errorf("match = %v, allow %q", m.Outcome, m.Allow)
	}
}

func TestMatch_MovesASlashAtTheEndAwayForReadersOnly(t *testing.T) {
	t.Parallel()
	s := build(t, router.Entry{Manifest: devices(), State: router.Serving})
	if m := s.Match("GET", "/devices/a%2Fb/"); m.Outcome != router.Moved || m.Location != "/devices/a%2Fb" {
		t.Errorf("match = %v %q", m.Outcome, m.Location)
	}
	for _, bad := range []string{"/devices//", "/nothing/", "//"} {
		if m := s.Match("GET", bad); m.Outcome != router.NotFound {
			t.Errorf("%s = %v", bad, m.Outcome)
		}
	}
	if m := s.Match("POST", "/devices/a/"); m.Outcome != router.NotFound {
		t.Errorf("POST = %v, want not found: a redirected form loses its fields", m.Outcome)
	}
}

func TestBuild_RefusesTwoPagesForOneRequest(t *testing.T) {
	t.Parallel()
	twice := devices()
	twice.Pages = append(twice.Pages, manifest.Page{Path: "/devices/{device}", Public: true})
	foreign := &manifest.Manifest{ID: "greedy", Pages: []manifest.Page{{Path: "/devices/{id}/functions/led", Methods: []string{"POST"}}}}
	all := &manifest.Manifest{ID: "all", Pages: []manifest.Page{{Path: "/{rest...}"}}}
	for _, tc := range []struct {
		name    string
		entries []router.Entry
		want    []string
	}{
		{"one module", []router.Entry{{Manifest: twice}}, []string{"devices", "/devices/{device}"}},
		{"two modules", []router.Entry{{Manifest: devices()}, {Manifest: foreign}}, []string{"devices", "greedy"}},
		{"everything", []router.Entry{{Manifest: devices()}, {Manifest: all}}, []string{"devices", "all"}},
		{"same id", []router.Entry{{Manifest: devices()}, {Manifest: devices()}}, []string{"devices", "twice"}},
	} {
		_, err := router.Build(tc.entries)
		if !fault.Is(err, fault.Conflict) {
			t.Errorf("%s: err = %v, want a conflict", tc.name, err)
			continue
		}
		for _, want := range tc.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not name %q", tc.name, err, want)
			}
		}
	}
}

func TestSnapshot_KeepsTheRoutesOfAPausedModuleWithoutItsLinks(t *testing.T) {
	t.Parallel()
	everything := func(string) bool { return true }
	s := build(t, router.Entry{Manifest: devices(), State: router.Paused}, router.Entry{Manifest: linking(), State: router.Unavailable})
	if m := s.Match("GET", "/devices"); m.Outcome != router.Found || m.Entry.State != router.Paused {
		t.Errorf("match = %v, want the paused module", m.Outcome)
	}
	if menu := s.Menu("main", everything); len(menu) != 1 || menu[0].Module != "linking" {
		t.Errorf("menu = %v, want linking alone", menu)
	}
	if p := s.Permissions(); len(p) != 2 || p[0].Module != "linking" {
		t.Errorf("permissions = %v, want those of both, by name", p)
	}
}

func TestMenu_ShowsWhatTheVisitorMayOpenInOrder(t *testing.T) {
	t.Parallel()
	light := &manifest.Manifest{ID: "shop", Group: "Shop", Pages: []manifest.Page{{Path: "/shop", Public: true}},
		Links: []manifest.Link{{Menu: "main", Title: "Shop", Path: "/shop", Weight: 2}}}
	s := build(t, router.Entry{Manifest: devices(), State: router.Serving}, router.Entry{Manifest: linking(), State: router.Serving},
		router.Entry{Manifest: light, State: router.Serving})
	titles := func(can func(string) bool) (list []string) {
		for _, it := range s.Menu("main", can) {
			list = append(list, it.Title)
		}
		return list
	}
	if got := titles(func(string) bool { return true }); !slices.Equal(got, []string{"Linked accounts", "Devices", "Shop"}) {
		t.Errorf("menu = %v, want the Particle group together at its lightest link", got)
	}
	if got := titles(nil); !slices.Equal(got, []string{"Shop"}) {
		t.Errorf("a visitor sees %v, want the public page alone", got)
	}
	if s.Menu("nowhere", nil) == nil {
		t.Error("an unknown menu is nil")
	}
}

func TestRouter_IsEmptyUntilSomethingIsStored(t *testing.T) {
	t.Parallel()
	var r router.Router
	if m := r.Load().Match("GET", "/devices"); m.Outcome != router.NotFound {
		t.Errorf("match = %v", m.Outcome)
	}
	r.Store(build(t, router.Entry{Manifest: devices(), State: router.Serving}))
	if m := r.Load().Match("GET", "/devices"); m.Outcome != router.Found {
		t.Errorf("match = %v", m.Outcome)
	}
}

// The module routes with ServeMux after the host has checked the permission of the page it found: both must find the same.
func FuzzMatch(f *testing.F) {
	s := build(f, router.Entry{Manifest: devices(), State: router.Serving})
	mux := http.NewServeMux()
	for _, p := range devices().Pages {
		methods := p.Methods
		if len(methods) == 0 {
			methods = []string{"GET"}
		}
		for _, method := range methods {
			mux.HandleFunc(method+" "+p.Path, func(http.ResponseWriter, *http.Request) {})
		}
	}
	for _, seed := range []string{"/devices", "/devices/new", "/devices/a%2Fb", "/devices/files/a/b", "/devices/%2e%2e/x", "//devices", "/devices/files/%2F", "/devices/a/functions/b"} {
		f.Add("GET", seed)
		f.Add("POST", seed)
	}
	f.Fuzz(func(t *testing.T, method, path string) {
		m := s.Match(method, path)
		if m.Outcome == router.Moved && strings.HasPrefix(m.Location, "//") {
			t.Fatalf("%q moves to another site: %q", path, m.Location)
		}
		if m.Outcome != router.Found || strings.ContainsAny(path, "?#") {
			return
		}
		for name, value := range m.Params() {
			if value == "" || value == "." || value == ".." || strings.Contains(value, "\x00") {
				t.Fatalf("%q: parameter %s = %q", path, name, value)
			}
		}
		req, err := http.NewRequest(method, path, nil)
		if err != nil {
			return
		}
		req.Host = httptest.DefaultRemoteAddr
		if _, pattern := mux.Handler(req); pattern != "" && !strings.HasSuffix(pattern, " "+m.Page.Path) {
			t.Fatalf("%s %q: the host found %s, ServeMux %s", method, path, m.Page.Path, pattern)
		}
	})
}

func BenchmarkMatch_200Modules(b *testing.B) {
	var entries []router.Entry
	for i := range 200 {
		m := devices()
		m.ID = fmt.Sprintf("module%d", i)
		for j := range m.Pages {
			m.Pages[j].Path = strings.Replace(m.Pages[j].Path, "/devices", "/"+m.ID, 1)
		}
		m.Links = nil
		entries = append(entries, router.Entry{Manifest: m, State: router.Serving})
	}
	s := build(b, entries...)
	b.ReportAllocs()
	for b.Loop() {
		if m := s.Match("POST", "/module150/0123456789abcdef/functions/led"); m.Outcome != router.Found {
			b.Fatal("not found")
		}
	}
}
