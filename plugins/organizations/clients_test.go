package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"mortise/core/fault"
	"mortise/plugins/internal/moduletest"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/particle/particletest"
)

type shownCreated struct {
	ClientID  string        `json:"client_id"`
	Secret    string        `json:"secret"`
	Operation operationView `json:"operation"`
}

type shownOperation struct {
	Operation operationView `json:"operation"`
}

// make creates a client for linking.
func (b *bench) make(t *testing.T, once string) (moduletest.Answer, shownCreated) {
	t.Helper()
	a := b.Post(ada, first+"/clients/new", url.Values{"purpose": {forLinking}, "name": {"Garden site"}, "once": {once}})
	if a.Status != http.StatusCreated {
		t.Fatalf("answered %d: %s", a.Status, a.Body)
	}
	return a, decode[shownCreated](t, a)
}

func TestClients_AreCreatedByPurpose(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	for _, tc := range []struct {
		name string
		form url.Values
		want particle.ClientInfo
	}{
		{"link", url.Values{"purpose": {forLinking}, "redirect_uri": {"https://evil.example/"}},
			particle.ClientInfo{Type: typeWeb, RedirectURI: "https://site.example/linking/particle/callback"}},
		{"server", url.Values{"purpose": {forServer}, "product": {"10001"}}, particle.ClientInfo{Type: typeInstalled}},
		{"app", url.Values{"purpose": {forApp}, "product": {"10001"}}, particle.ClientInfo{Type: typeInstalled, Scope: scopeCustomers}},
		{"alexa", url.Values{"purpose": {forService}, "region": {"Europe"}, "vendor_id": {"M2ABC"}},
			particle.ClientInfo{Type: typeWeb, RedirectURI: "https://layla.amazon.com/api/skill/link/M2ABC"}},
		{"custom", url.Values{"purpose": {forCustom}, "type": {typeInstalled}, "scope": {scopeCustomers}}, particle.ClientInfo{Type: typeInstalled, Scope: scopeCustomers}},
	} {
		tc.form.Set("name", tc.name)
		tc.form.Set("once", newOnce())
		a := b.Post(ada, first+"/clients/new", tc.form)
		if a.Status != http.StatusCreated {
			t.Errorf("%s: %d %s", tc.name, a.Status, a.Body)
			continue
		}
		d := decode[shownCreated](t, a)
		got := b.clientsAt(t, tc.form.Get("product"))[d.ClientID]
		if got.Name != tc.name || got.Type != tc.want.Type || got.RedirectURI != tc.want.RedirectURI || got.Scope != tc.want.Scope || len(d.Secret) != 40 {
			t.Errorf("%s: made %#v", tc.name, got)
		}
		if b.Host.LogText() != "" && strings.Contains(b.Host.LogText(), d.Secret) || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: the secret is logged or may be kept by the browser", tc.name)
		}
		if kept := d.Operation.HandOver; kept != (tc.name == "link" || tc.name == "server") {
			t.Errorf("%s: can be handed over: %v", tc.name, kept)
		}
	}
	if n := len(b.Host.Sealed("handover")); n != 2 {
		t.Errorf("%d secrets are kept", n)
	}
}

func TestClients_RefuseWhatParticleWouldRegret(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	before := b.upstream()
	for name, tc := range map[string]struct {
		field string
		form  url.Values
	}{
		"no purpose":        {"purpose", url.Values{"name": {"A"}}},
		"no name":           {"name", url.Values{"purpose": {forLinking}}},
		"server no product": {"product", url.Values{"purpose": {forServer}, "name": {"A"}}},
		"http":              {"redirect_uri", url.Values{"purpose": {forService}, "name": {"A"}, "redirect_uri": {"http://example.com/cb"}}},
		"query":             {"redirect_uri", url.Values{"purpose": {forService}, "name": {"A"}, "redirect_uri": {"https://example.com/cb?x=1"}}},
		"bare mark":         {"redirect_uri", url.Values{"purpose": {forService}, "name": {"A"}, "redirect_uri": {"https://example.com/cb?"}}},
		"fragment":          {"redirect_uri", url.Values{"purpose": {forService}, "name": {"A"}, "redirect_uri": {"https://example.com/#x"}}},
		"vendor":            {"vendor_id", url.Values{"purpose": {forService}, "name": {"A"}, "region": {"Japan"}, "vendor_id": {"a/b"}}},
		"type":              {"type", url.Values{"purpose": {forCustom}, "name": {"A"}, "type": {"app"}}},
		"scope":             {"scope", url.Values{"purpose": {forCustom}, "name": {"A"}, "type": {typeInstalled}, "scope": {"*:*"}}},
	} {
		tc.form.Set("once", newOnce())
		if a := b.Post(ada, first+"/clients/new", tc.form); a.Status != http.StatusUnprocessableEntity || a.View.FieldErrors[tc.field] == "" {
			t.Errorf("%s: %d %v", name, a.Status, a.View.FieldErrors)
		}
	}
	if b.upstream() != before {
		t.Error("Particle was asked")
	}
}

func FuzzCheckRedirect(f *testing.F) {
	for _, seed := range []string{"https://example.com/cb", "http://localhost:8080/cb", "http://[::1]/cb", "https://a@b/", "https://x/?", "javascript:alert(1)", "https://example.com/a b", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		wrong, note := checkRedirect(uri)
		if wrong != "" {
			return
		}
		u, err := url.Parse(uri)
		if err != nil || u.RawQuery != "" || u.Fragment != "" || u.User != nil || u.Scheme != "https" && (!isLoopback(u.Hostname()) || note == "") {
			t.Errorf("accepted %q", uri)
		}
	})
}

func TestClients_AFormSentTwiceActsOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	once := newOnce()
	_, d := b.make(t, once)
	a := b.Post(ada, first+"/clients/new", url.Values{"purpose": {forLinking}, "name": {"Garden site"}, "once": {once}})
	if a.Status != http.StatusSeeOther || a.Location != d.Operation.Path || strings.Contains(a.Body+a.Flash, d.Secret) {
		t.Errorf("again: %d %s %s", a.Status, a.Location, a.Flash)
	}
	if n := len(b.clientsAt(t, "")); n != 2 {
		t.Errorf("there are %d clients", n)
	}
}

func TestHandOver_GivesTheClientToLinkingAndErasesTheSecret(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	_, d := b.make(t, newOnce())
	if text := b.Get(ada, d.Operation.Path).Body; strings.Contains(text, d.Secret) {
		t.Error("the operation's page shows the secret")
	}
	b.linking.fail = fault.New(fault.Denied, "no")
	a := b.Post(ada, d.Operation.Path+"/hand-over", url.Values{"once": {newOnce()}})
	if !strings.HasPrefix(a.Flash, "bad ") || len(b.Host.Sealed("handover")) != 1 {
		t.Errorf("refused: %q", a.Flash)
	}
	b.linking.fail = nil
	a = b.Post(ada, d.Operation.Path+"/hand-over", url.Values{"once": {newOnce()}})
	if !strings.HasPrefix(a.Flash, "good ") || b.linking.clientID != d.ClientID || b.linking.secret != d.Secret || b.linking.baseURL != b.url {
		t.Errorf("handed over: %q %q", a.Flash, b.linking.clientID)
	}
	if len(b.Host.Sealed("handover")) != 0 {
		t.Error("the secret is still kept")
	}
	if a := b.Post(ada, d.Operation.Path+"/hand-over", url.Values{"once": {newOnce()}}); !strings.HasPrefix(a.Flash, "warn ") {
		t.Errorf("once more: %q", a.Flash)
	}
	type page struct {
		Clients []clientView `json:"clients"`
	}
	used := 0
	for _, c := range decode[page](t, b.Get(staff, first+"/clients")).Clients {
		if c.UsedBy != "" && c.ID == d.ClientID {
			used++
		}
	}
	if used != 1 {
		t.Error("the list does not say who uses the client")
	}
}

func TestHandOver_ForgetsTheSecretAfterTenMinutes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	_, d := b.make(t, newOnce())
	b.clock.forward(11 * time.Minute)
	if a := b.Post(ada, d.Operation.Path+"/hand-over", url.Values{"once": {newOnce()}}); !strings.HasPrefix(a.Flash, "warn ") || b.linking.clientID != "" {
		t.Errorf("too late: %q", a.Flash)
	}
	if err := b.module.Run(t.Context(), "resume"); err != nil || len(b.Host.Sealed("handover")) != 0 {
		t.Errorf("still kept: %v", err)
	}
}

func TestClients_AreRenamedRescopedAndDeleted(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	at := first + "/clients/old-client-1"
	if a := b.Post(ada, at, url.Values{"name": {"New name"}, "scope": {scopeCustomers}, "once": {newOnce()}}); !strings.HasPrefix(a.Flash, "good ") {
		t.Fatalf("narrowed: %d %q %s", a.Status, a.Flash, a.Body)
	}
	if c := b.clientsAt(t, "")["old-client-1"]; c.Name != "New name" || c.Scope != scopeCustomers {
		t.Errorf("is %#v %q", c, c.Scope)
	}
	if a := b.Post(ada, at, url.Values{"name": {"New name"}, "scope": {""}, "once": {newOnce()}}); a.Status != http.StatusUnprocessableEntity || a.View.FieldErrors["widen"] == "" {
		t.Errorf("widened without a word: %d", a.Status)
	}
	if a := b.Post(ada, at, url.Values{"name": {"New name"}, "scope": {""}, "widen": {"on"}, "once": {newOnce()}}); !strings.HasPrefix(a.Flash, "good ") {
		t.Errorf("widened: %q", a.Flash)
	}
	if a := b.Post(ada, at+"/delete", url.Values{"confirm": {"New name"}, "once": {newOnce()}}); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("deleted by its name: %d", a.Status)
	}
	if a := b.Post(ada, at+"/delete", url.Values{"confirm": {"old-client-1"}, "once": {newOnce()}}); !strings.HasPrefix(a.Flash, "good ") || len(b.clientsAt(t, "")) != 0 {
		t.Errorf("deleted: %q", a.Flash)
	}
	if a := b.Get(ada, at); a.Status != http.StatusNotFound {
		t.Errorf("gone: %d", a.Status)
	}
}

func TestClients_SayWhichScopeIsMissing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	b.cloud.Faults.Set(particletest.Faults{Rules: []particletest.Rule{{Prefix: "/v1/clients", Status: 403}}})
	type page struct {
		Trouble *trouble `json:"trouble"`
	}
	if d := decode[page](t, b.Get(staff, first+"/clients")); d.Trouble == nil || d.Trouble.Scope != "clients:list" {
		t.Errorf("shown %+v", d.Trouble)
	}
	a := b.Post(ada, first+"/clients/new", url.Values{"purpose": {forLinking}, "name": {"A"}, "once": {newOnce()}})
	if d := decode[page](t, a); a.Status != http.StatusForbidden || d.Trouble == nil || d.Trouble.Scope != "clients:list" {
		t.Errorf("create: %d %+v", a.Status, d.Trouble)
	}
	b.cloud.Faults.Set(particletest.Faults{})
}

// cut records an operation as a process would that is killed before it ends.
func (b *bench) cut(t *testing.T, op operation, input any) int64 {
	t.Helper()
	text, err := json.Marshal(input)
	if err != nil {
		t.Fatal(err)
	}
	op.Once, op.WorkspaceID, op.Workspace, op.Input, op.State, op.StartedAt, op.NextAt = newOnce(), 1, "Garden", string(text), opRunning, b.clock.now(), b.clock.now()
	if err := b.module.records.saveOperation(t.Context(), &op); err != nil {
		t.Fatal(err)
	}
	return op.ID
}

func (b *bench) stateOf(t *testing.T, id int64) operationView {
	t.Helper()
	return decode[shownOperation](t, b.Get(ada, root+"/operations/"+keyOf(id))).Operation
}

func TestResume_DeletesAClientWhoseSecretIsLost(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	in := createInput{Purpose: forServer, Name: "Server", Type: typeInstalled, Before: []string{"old-client-1"}}
	nothing := b.cut(t, operation{Kind: opClientCreate, Name: "Never made"}, createInput{Name: "Never made", Type: typeInstalled, Before: []string{"old-client-1"}})
	id := b.cut(t, operation{Kind: opClientCreate, Name: "Server"}, in)
	b.cloud.AddClient(particletest.Client{ID: "server-1", Name: "Server", Secret: "lost", Type: particletest.Installed, Owner: maker})
	b.cloud.AddClient(particletest.Client{ID: "another-2", Name: "Another", Secret: "x", Type: particletest.Installed, Owner: maker})
	b.restart(t)
	left := b.clientsAt(t, "")
	if _, there := left["server-1"]; there || len(left) != 2 {
		t.Errorf("left over: %v", left)
	}
	if got := b.stateOf(t, id); got.State != opUndone || got.Subject != "server-1" {
		t.Errorf("recorded %+v", got)
	}
	if got := b.stateOf(t, nothing); got.State != opUndone || !strings.Contains(got.Sentence, "Nothing is left over") {
		t.Errorf("recorded %+v", got)
	}
}

func TestResume_KeepsAClientWhoseSecretWasSealed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	until := b.clock.now().Add(handOverTime)
	id := b.cut(t, operation{Kind: opClientCreate, Name: "Site", SecretUntil: &until}, createInput{Purpose: forLinking, Name: "Site", Type: typeWeb})
	if err := b.Host.Secrets().Set(t.Context(), "handover", keyOf(id), `{"id":"old-client-1","secret":"s","base_url":"`+b.url+`"}`); err != nil {
		t.Fatal(err)
	}
	b.restart(t)
	if got := b.stateOf(t, id); got.State != opDone || got.Subject != "old-client-1" || !got.HandOver || len(b.clientsAt(t, "")) != 1 {
		t.Errorf("recorded %+v", got)
	}
}

func TestResume_TouchesNothingWhenItCannotTell(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	id := b.cut(t, operation{Kind: opClientCreate, Name: "Twin"}, createInput{Name: "Twin", Type: typeInstalled, Before: []string{"old-client-1"}})
	for _, twin := range []string{"twin-1", "twin-2"} {
		b.cloud.AddClient(particletest.Client{ID: twin, Name: "Twin", Secret: "x", Type: particletest.Installed, Owner: maker})
	}
	b.restart(t)
	if got := b.stateOf(t, id); got.State != opUnclear || !strings.Contains(got.Sentence, "twin-1, twin-2") || len(b.clientsAt(t, "")) != 3 {
		t.Errorf("recorded %+v", got)
	}
	if list, err := b.module.Check(t.Context()); err != nil || len(list) != 1 {
		t.Errorf("findings %v %v", list, err)
	}
}

func TestResume_FinishesADeletionAndAChange(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	b.cloud.AddClient(particletest.Client{ID: "gone-1", Name: "Gone", Secret: "x", Type: particletest.Installed, Owner: maker})
	del := b.cut(t, operation{Kind: opClientDelete, Subject: "gone-1", Name: "Gone"}, struct{}{})
	twice := b.cut(t, operation{Kind: opClientDelete, Subject: "never-was", Name: "Gone"}, struct{}{})
	change := b.cut(t, operation{Kind: opClientChange, Subject: "old-client-1", Name: "Renamed"}, changeInput{Name: "Renamed"})
	b.restart(t)
	for _, id := range []int64{del, twice, change} {
		if got := b.stateOf(t, id); got.State != opDone {
			t.Errorf("recorded %+v", got)
		}
	}
	left := b.clientsAt(t, "")
	if len(left) != 1 || left["old-client-1"].Name != "Renamed" {
		t.Errorf("left %v", left)
	}
}

func TestResume_LooksWhetherLinkingHadTheClient(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	_, d := b.make(t, newOnce())
	taken := b.cut(t, operation{Kind: opHandOver, Subject: d.ClientID}, handOverInput{Source: d.Operation.ID})
	not := b.cut(t, operation{Kind: opHandOver, Subject: "another-7"}, handOverInput{Source: 99})
	b.linking.clientID = d.ClientID
	b.restart(t)
	if got := b.stateOf(t, taken); got.State != opDone || len(b.Host.Sealed("handover")) != 0 {
		t.Errorf("taken: %+v", got)
	}
	if got := b.stateOf(t, not); got.State != opFailed {
		t.Errorf("not taken: %+v", got)
	}
}

func TestResume_WaitsForABrokenCloudAndThenGoesOn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	b.cloud.Faults.Set(particletest.Faults{Rules: []particletest.Rule{{Prefix: "/v1/clients/old", Status: 503}}})
	a := b.Post(ada, first+"/clients/old-client-1/delete", url.Values{"confirm": {"old-client-1"}, "once": {newOnce()}})
	if !strings.HasPrefix(a.Flash, "warn ") {
		t.Errorf("answered %d %q", a.Status, a.Flash)
	}
	b.cloud.Faults.Set(particletest.Faults{})
	if err := b.module.Run(t.Context(), "resume"); err != nil || len(b.clientsAt(t, "")) != 1 {
		t.Errorf("too early: %v", err)
	}
	b.clock.forward(time.Minute)
	if err := b.module.Run(t.Context(), "resume"); err != nil || len(b.clientsAt(t, "")) != 0 {
		t.Errorf("gone on: %v", err)
	}
}

func TestResume_CleansUpWhenTheAnswerToACreationWasLost(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	b.cloud.Faults.Set(particletest.Faults{Rules: []particletest.Rule{{Prefix: "/v1/clients", Method: "POST", After: true, Drop: true, Times: 1}}})
	a := b.Post(ada, first+"/clients/new", url.Values{"purpose": {forCustom}, "type": {typeInstalled}, "name": {"Lost"}, "once": {newOnce()}})
	if a.Status < 500 || len(b.clientsAt(t, "")) != 2 {
		t.Fatalf("answered %d, %d clients", a.Status, len(b.clientsAt(t, "")))
	}
	b.clock.forward(time.Minute)
	if err := b.module.Run(t.Context(), "resume"); err != nil || len(b.clientsAt(t, "")) != 1 {
		t.Errorf("left %v %v", b.clientsAt(t, ""), err)
	}
}

func TestClients_OfTheDefaultProductAreShownFirst(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	b.Post(ada, first+"/products/10002/default", url.Values{})
	type page struct {
		Product string       `json:"product"`
		Clients []clientView `json:"clients"`
	}
	if d := decode[page](t, b.Get(staff, first+"/clients")); d.Product != "10002" || len(d.Clients) != 0 {
		t.Errorf("shown %+v", d)
	}
	if d := decode[page](t, b.Get(staff, first+"/clients?product=")); d.Product != "" || len(d.Clients) != 1 {
		t.Errorf("of the account %+v", d)
	}
}
