package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"mortise/plugins/internal/moduletest"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/particle/particletest"
)

// programsAt lists the API users of a product's team at the cloud, by friendly name.
func (b *bench) programsAt(t *testing.T) map[string]particle.TeamMember {
	t.Helper()
	c, err := particle.New(particle.Options{BaseURL: b.url})
	if err != nil {
		t.Fatal(err)
	}
	list, err := c.Team(t.Context(), b.token, "10001")
	if err != nil {
		t.Fatal(err)
	}
	programs := map[string]particle.TeamMember{}
	for _, one := range list {
		if one.Programmer {
			programs[one.Username] = one
		}
	}
	return programs
}

func (b *bench) rotate(name string) moduletest.Answer {
	form := url.Values{"name": {name}, "scopes": append(particle.SuggestedScopes(), "teams.users:invite", "teams.users:remove"), "use": {"1"}, "once": {newOnce()}}
	return b.Post(ada, first+"/team/new?product=10001", form)
}

func TestTeam_ListsPeopleAndMakesAnAPIUserWhoseTokenIsShownOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	once := newOnce()
	form := url.Values{"name": {"Billing"}, "scopes": {"devices:list", "customers:list"}, "once": {once}}
	a := b.Post(ada, first+"/team/new?product=10001", form)
	d := decode[struct {
		Username string `json:"username"`
		Token    string `json:"token"`
	}](t, a)
	if a.Status != http.StatusCreated || d.Token == "" || b.programsAt(t)[d.Username].Name != "Billing" {
		t.Fatalf("answered %d %s", a.Status, a.Body)
	}
	if again := b.Post(ada, first+"/team/new?product=10001", form); again.Status != http.StatusSeeOther || len(b.programsAt(t)) != 1 {
		t.Errorf("sent twice: %d", again.Status)
	}
	list := b.Get(staff, first+"/team?product=10001")
	members := decode[struct {
		Members []memberView `json:"members"`
	}](t, list).Members
	if len(members) != 2 || strings.Contains(list.Body+b.Host.LogText(), d.Token) {
		t.Errorf("listed %+v", members)
	}
	for field, wrong := range map[string]url.Values{"name": {"scopes": {"devices:list"}}, "scopes": {"name": {"A"}, "scopes": {"everything"}}} {
		wrong.Set("once", newOnce())
		if a := b.Post(ada, first+"/team/new?product=10001", wrong); a.Status != http.StatusUnprocessableEntity || a.View.FieldErrors[field] == "" {
			t.Errorf("%s: %d", field, a.Status)
		}
	}
}

func TestTeam_RenewsTheWorkspacesTokenInOneStep(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	if a := b.rotate("Site"); a.Status != http.StatusSeeOther || strings.HasPrefix(a.Flash, "bad ") {
		t.Fatalf("answered %d %q %s", a.Status, a.Flash, a.Body)
	}
	before := b.Host.Sealed("credential")["1"]
	if strings.Contains(before, b.token) {
		t.Error("the token is the one before")
	}
	if a := b.rotate("Site"); a.Status != http.StatusSeeOther || strings.HasPrefix(a.Flash, "bad ") {
		t.Fatalf("once more: %d %q %s", a.Status, a.Flash, a.Body)
	}
	if n := len(b.programsAt(t)); n != 1 || b.Host.Sealed("credential")["1"] == before {
		t.Errorf("there are %d API users", n)
	}
	if d := decode[shownWorkspace](t, b.Get(ada, first)); d.Workspace.Health == healthBad {
		t.Errorf("is %+v", d.Workspace)
	}
}

func TestTeam_KeepsTheTokenWhenRenewingIsRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	before := b.Host.Sealed("credential")["1"]
	b.cloud.Faults.Set(particletest.Faults{Rules: []particletest.Rule{{Prefix: "/v1/products/10001/team", Method: "POST", Status: 403}}})
	if a := b.rotate("Site"); a.Status != http.StatusForbidden || b.Host.Sealed("credential")["1"] != before {
		t.Errorf("answered %d", a.Status)
	}
}

func TestResume_RemovesAnAPIUserWhoseTokenIsLost(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	id := b.cut(t, operation{Kind: opUserRotate, ProductID: "10001", Name: "Site"}, userInput{Name: "Site", Before: []string{maker}})
	b.cloud.AddAPIUser(particletest.APIUser{Product: "10001", Name: "Site", Scopes: []string{"devices:list"}})
	b.cloud.AddAPIUser(particletest.APIUser{Product: "10001", Name: "Another", Scopes: []string{"devices:list"}})
	b.restart(t)
	if got := b.stateOf(t, id); got.State != opUndone || len(b.programsAt(t)) != 1 {
		t.Errorf("recorded %+v, left %v", got, b.programsAt(t))
	}
	if got := b.Host.Sealed("credential")["1"]; got != b.url+" "+b.token {
		t.Error("the credential is another one")
	}
}

func TestResume_EndsARenewalWhoseTokenWasSealed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	b.rotate("Old")
	old := ""
	for name := range b.programsAt(t) {
		old = name
	}
	token := b.cloud.AddAPIUser(particletest.APIUser{Product: "10001", Name: "New", Scopes: []string{"teams.users:list", "teams.users:remove"}})
	username := ""
	for name := range b.programsAt(t) {
		if name != old {
			username = name
		}
	}
	id := b.cut(t, operation{Kind: opUserRotate, ProductID: "10001", Name: "New", Subject: username}, userInput{Name: "New", Old: old})
	if err := b.Host.Secrets().Set(t.Context(), "credential", "1", b.url+" "+token+" "+username); err != nil {
		t.Fatal(err)
	}
	b.restart(t)
	left := b.programsAt(t)
	if _, there := left[old]; there || len(left) != 1 {
		t.Errorf("left %v", left)
	}
	if got := b.stateOf(t, id); got.State != opDone {
		t.Errorf("recorded %+v", got)
	}
}
