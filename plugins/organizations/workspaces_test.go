package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"mortise/plugins/internal/particle/particletest"
)

type shownWorkspace struct {
	Workspace workspaceView `json:"workspace"`
	Checks    []check       `json:"checks"`
}

func TestWorkspace_IsAddedTestedAndItsTokenSealed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	a := b.Get(ada, first)
	d := decode[shownWorkspace](t, a)
	if d.Workspace.Health != healthGood && d.Workspace.Problem != "token_ends" || d.Workspace.Username != maker || d.Workspace.Products != 2 || len(d.Checks) < 5 {
		t.Errorf("shown %+v %+v", d.Workspace, d.Checks)
	}
	if got := b.Host.Sealed("credential")["1"]; got != b.url+" "+b.token {
		t.Errorf("sealed %q", got)
	}
	everything := a.Body + b.Get(ada, root).Body + b.Get(ada, first+"/edit").Body + b.Get(ada, first+"/products").Body + b.Host.LogText()
	if strings.Contains(everything, b.token) {
		t.Error("the token is shown or logged")
	}
}

func TestWorkspace_TestTellsExactlyWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, problem, sentence string
		spoil                   func(*bench)
	}{
		{"revoked token", "dead_token", "refuses the credential", func(b *bench) { b.cloud.RevokeToken(b.token) }},
		{"missing scope", "missing_scope", "customers:list", func(b *bench) {
			b.cloud.Faults.Set(particletest.Faults{Rules: []particletest.Rule{{Prefix: "/v1/products/10001/customers", Status: 403}}})
		}},
		{"another server", "not_particle", "does not answer like", func(b *bench) {
			b.cloud.Faults.Set(particletest.Faults{Rules: []particletest.Rule{{HTML: true, Status: 200}}})
		}},
		{"no connection", "unreachable", "could not be reached", func(b *bench) {
			b.cloud.Faults.Set(particletest.Faults{Rules: []particletest.Rule{{Drop: true}}})
		}},
		{"no answer", "no_answer", "did not answer", func(b *bench) {
			b.cloud.Faults.Set(particletest.Faults{Rules: []particletest.Rule{{Hang: true}}})
		}},
		{"slow down", "rate_limited", "slow down", func(b *bench) {
			b.cloud.Faults.Set(particletest.Faults{Rules: []particletest.Rule{{Status: 429}}})
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.connect(t)
			tc.spoil(b)
			if a := b.Post(ada, first+"/test", url.Values{}); a.Status != http.StatusSeeOther {
				t.Fatalf("answered %d: %s", a.Status, a.Body)
			}
			d := decode[shownWorkspace](t, b.Get(staff, first))
			if d.Workspace.Problem != tc.problem || !strings.Contains(d.Workspace.Sentence, tc.sentence) || d.Workspace.Remedy == "" {
				t.Errorf("shown %q: %q %q", d.Workspace.Problem, d.Workspace.Sentence, d.Workspace.Remedy)
			}
			b.cloud.Faults.Set(particletest.Faults{})
		})
	}
}

func TestWorkspace_SaysBeforeATokenDies(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	ends := b.clock.now().Add(60 * 24 * time.Hour)
	if err := b.module.records.note(t.Context(), 1, map[string]any{"health": healthGood, "expires_at": &ends}); err != nil {
		t.Fatal(err)
	}
	if list, err := b.module.Check(t.Context()); err != nil || len(list) != 0 {
		t.Fatalf("too early: %v %v", list, err)
	}
	b.clock.forward(50 * 24 * time.Hour)
	list, err := b.module.Check(t.Context())
	if err != nil || len(list) != 1 || list[0].Level != "warning" || !strings.Contains(list[0].Title, "expires on") || list[0].Link != first {
		t.Errorf("findings %+v %v", list, err)
	}
}

func TestWorkspace_JobFindsADeadToken(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	b.cloud.RevokeToken(b.token)
	if err := b.module.Run(t.Context(), "health"); err != nil {
		t.Fatal(err)
	}
	list, err := b.module.Check(t.Context())
	if err != nil || len(list) != 1 || list[0].Level != "error" || !strings.Contains(list[0].Title, "Garden") {
		t.Errorf("findings %+v %v", list, err)
	}
}

func TestWorkspace_NeverSendsItsTokenToAnotherAddress(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	other := &particletest.Server{}
	address, stop, err := other.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	form := url.Values{"name": {"Garden"}, "base_url": {address}, "version": {"1"}}
	if a := b.Post(ada, first+"/edit", form); a.Status != http.StatusUnprocessableEntity || a.View.FieldErrors["token"] == "" {
		t.Errorf("without a token: %d %v", a.Status, a.View.FieldErrors)
	}
	if err := b.module.records.note(t.Context(), 1, map[string]any{"base_url": address}); err != nil { // as a stop in between would leave it
		t.Fatal(err)
	}
	b.Post(ada, first+"/test", url.Values{})
	d := decode[shownWorkspace](t, b.Get(ada, first))
	if d.Workspace.Problem != noCredential || len(other.AllCalls()) != 0 {
		t.Errorf("%q, asked %v", d.Workspace.Problem, other.AllCalls())
	}
}

func TestWorkspace_TwoAdministratorsDoNotOverwriteEachOther(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	form := func(name string) url.Values { return url.Values{"name": {name}, "base_url": {b.url}, "version": {"1"}} }
	if a := b.Post(ada, first+"/edit", form("First")); a.Status != http.StatusSeeOther {
		t.Fatalf("answered %d: %s", a.Status, a.Body)
	}
	if a := b.Post(ada, first+"/edit", form("Second")); a.Status != http.StatusConflict {
		t.Errorf("the second one: %d", a.Status)
	}
	if d := decode[shownWorkspace](t, b.Get(ada, first)); d.Workspace.Name != "First" {
		t.Errorf("is called %q", d.Workspace.Name)
	}
}

func TestWorkspace_RefusesWhatCannotBeRight(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	before := b.upstream()
	for field, form := range map[string]url.Values{
		"name":     {"name": {" "}, "base_url": {b.url}, "token": {"x"}},
		"base_url": {"name": {"A"}, "base_url": {"http://cloud.example.com"}, "token": {"x"}},
		"token":    {"name": {"A"}, "base_url": {b.url}, "token": {"ann@example.com"}},
	} {
		if a := b.Post(ada, root+"/workspaces/new", form); a.Status != http.StatusUnprocessableEntity || a.View.FieldErrors[field] == "" {
			t.Errorf("%s: %d %v", field, a.Status, a.View.FieldErrors)
		}
	}
	if a := b.Post(ada, root+"/workspaces/new", url.Values{"name": {"Garden"}, "base_url": {b.url}, "token": {"x"}}); a.View.FieldErrors["name"] == "" {
		t.Errorf("a name twice: %d %s", a.Status, a.Body)
	}
	if b.upstream() != before {
		t.Error("Particle was asked")
	}
}

func TestWorkspace_IsRemovedOnlyWhenItsNameIsTyped(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	if a := b.Post(ada, first+"/remove", url.Values{"confirm": {"garden"}}); a.Status != http.StatusUnprocessableEntity {
		t.Fatalf("answered %d", a.Status)
	}
	if a := b.Post(ada, first+"/remove", url.Values{"confirm": {"Garden"}}); a.Status != http.StatusSeeOther {
		t.Fatalf("answered %d: %s", a.Status, a.Body)
	}
	if a := b.Get(ada, first); a.Status != http.StatusNotFound {
		t.Errorf("still there: %d", a.Status)
	}
	if len(b.Host.Sealed("credential")) != 0 {
		t.Error("the credential is still sealed")
	}
}

func TestProducts_ArePickedFromWhatParticleSays(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	type page struct {
		Products []productView `json:"products"`
		Total    int           `json:"total"`
		Trouble  *trouble      `json:"trouble"`
	}
	d := decode[page](t, b.GetJSON(staff, first+"/products"))
	if d.Total != 2 || d.Products[0].Slug != "garden-lamp-v1" || d.Products[0].ID != "10001" || d.Products[0].Platform != "Argon" ||
		d.Products[0].Devices == nil || *d.Products[0].Devices != 2 || d.Products[0].Customers == nil || *d.Products[0].Customers != 1 || *d.Products[1].Devices != 0 {
		t.Errorf("shown %+v", d)
	}
	if a := b.Post(ada, first+"/products/10002/default", url.Values{}); a.Status != http.StatusSeeOther {
		t.Errorf("default: %d", a.Status)
	}
	if a := b.Post(ada, first+"/products/10003/default", url.Values{}); a.Status != http.StatusNotFound {
		t.Errorf("a foreign product: %d", a.Status)
	}
	if d := decode[page](t, b.Get(staff, first+"/products?q=pump")); d.Total != 1 || !d.Products[0].Default {
		t.Errorf("found %+v", d)
	}
	b.cloud.Faults.Set(particletest.Faults{Rules: []particletest.Rule{{Status: 500}}})
	b.clock.forward(time.Hour)
	if d := decode[page](t, b.Get(staff, first+"/products")); d.Total != 2 || d.Trouble == nil || d.Trouble.Kind != "upstream" {
		t.Errorf("with a broken cloud: %+v", d)
	}
}

func TestPages_AreClosedToThoseWithoutThePermission(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	before := b.upstream()
	manage := []string{"GET /workspaces/new", "POST /workspaces/new", "GET /workspaces/1/edit", "POST /workspaces/1/edit", "POST /workspaces/1/test", "GET /workspaces/1/remove",
		"POST /workspaces/1/remove", "POST /workspaces/1/products/refresh", "POST /workspaces/1/products/10001/default", "GET /workspaces/1/clients/new", "POST /workspaces/1/clients/new",
		"GET /workspaces/1/clients/old-client-1", "POST /workspaces/1/clients/old-client-1", "GET /workspaces/1/clients/old-client-1/delete",
		"POST /workspaces/1/clients/old-client-1/delete", "POST /operations/1/hand-over", "GET /workspaces/1/team/new", "POST /workspaces/1/team/new",
		"GET /workspaces/1/devices/" + lamp, "POST /workspaces/1/devices/" + lamp, "GET /workspaces/1/devices/" + lamp + "/remove", "POST /workspaces/1/devices/" + lamp + "/remove",
		"GET /workspaces/1/imports", "GET /workspaces/1/imports/new", "POST /workspaces/1/imports/new", "GET /workspaces/1/imports/1", "GET /workspaces/1/imports/1/report",
		"POST /workspaces/1/imports/1/cancel", "POST /workspaces/1/imports/1/go-on",
		"GET /workspaces/1/team/invite", "POST /workspaces/1/team/invite", "GET /workspaces/1/team/remove", "POST /workspaces/1/team/remove"}
	view := []string{"GET ", "GET /workspaces/1", "GET /workspaces/1/products", "GET /workspaces/1/clients", "GET /operations", "GET /operations/1", "GET /workspaces/1/team", "GET /workspaces/1/devices",
		"GET /workspaces/1/organizations", "GET /workspaces/1/organizations/" + acme}
	if want := len(manage) + len(view); want != len(b.Manifest.Pages)+countDouble(b) {
		t.Errorf("the matrix has %d entries, the manifest %d", want, len(b.Manifest.Pages)+countDouble(b))
	}
	ask := func(line string) (method, path string) {
		method, path, _ = strings.Cut(line, " ")
		return method, root + path
	}
	for _, line := range append(append([]string{}, manage...), view...) {
		method, path := ask(line)
		if a := b.Do(ann, method, path, url.Values{}, "text/html"); a.Status != http.StatusForbidden {
			t.Errorf("a customer, %s: %d", line, a.Status)
		}
		if a := b.Do(nobody, method, path, url.Values{}, "text/html"); a.Status != http.StatusUnauthorized {
			t.Errorf("nobody, %s: %d", line, a.Status)
		}
	}
	for _, line := range manage {
		method, path := ask(line)
		if a := b.Do(staff, method, path, url.Values{}, "text/html"); a.Status != http.StatusForbidden {
			t.Errorf("staff, %s: %d", line, a.Status)
		}
	}
	for _, path := range []string{"/workspaces/2", "/workspaces/x", "/workspaces/2/clients", "/workspaces/1/clients?product=10003", "/workspaces/1/clients?product=../../user", "/operations/7",
		"/workspaces/2/clients/old-client-1", "/workspaces/1/clients/new?product=10003&purpose=server", "/workspaces/1/team?product=10003",
		"/workspaces/1/devices?product=10003", "/workspaces/1/devices/" + lamp, "/workspaces/1/devices/" + lamp + "?product=10003", "/workspaces/1/devices/events?product=10001"} {
		if a := b.Get(ada, root+path); a.Status != http.StatusNotFound {
			t.Errorf("forged %s: %d", path, a.Status)
		}
	}
	if b.upstream() != before {
		t.Error("Particle was asked")
	}
}

// countDouble counts the methods beyond the first of each page.
func countDouble(b *bench) int {
	n := 0
	for _, p := range b.Manifest.Pages {
		n += max(0, len(p.Methods)-1)
	}
	return n
}
