package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"mortise/core/sdk"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/particle/particletest"
)

const (
	acme     = "5f0c1a2b3c4d5e6f70819203"
	acmePage = first + "/organizations/" + acme
	bob      = "bob@particle.example"
)

// organize gives the cloud an organization with a product, and connects.
func (b *bench) organize(t *testing.T) {
	t.Helper()
	b.cloud.AddAccount(particletest.Account{Username: bob, Password: "x"})
	b.cloud.AddOrganization(particletest.Organization{ID: acme, Slug: "acme", Name: "Acme", Team: []string{maker}})
	b.cloud.AddOrganization(particletest.Organization{ID: "5f0c1a2b3c4d5e6f70819204", Slug: "foreign", Name: "Foreign", Team: []string{"other@particle.example"}})
	b.cloud.AddProduct(particletest.Product{ID: 10004, Slug: "mill-v2", Name: "Mill", Platform: 12, Organization: "acme"})
	b.connect(t)
}

type shownMembers struct {
	Members []memberView `json:"members"`
	Trouble *trouble     `json:"trouble"`
	Used    uses         `json:"used"`
}

func named(list []memberView, name string) *memberView {
	for i := range list {
		if list[i].Username == name {
			return &list[i]
		}
	}
	return nil
}

func TestOrganizations_AreListedWithTheirProductsAndTeam(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.organize(t)
	list := decode[struct {
		Organizations []organizationView `json:"organizations"`
	}](t, b.Get(staff, first+"/organizations")).Organizations
	if len(list) != 1 || list[0].Slug != "acme" || list[0].ID != acme || len(list[0].Products) != 1 || list[0].Products[0].Name != "Mill" {
		t.Fatalf("listed %+v", list)
	}
	d := decode[struct {
		Organization organizationView `json:"organization"`
		Members      []memberView     `json:"members"`
	}](t, b.Get(staff, acmePage))
	if d.Organization.Name != "Acme" || len(d.Members) != 1 || d.Members[0].Role != "Owner" {
		t.Errorf("shown %+v", d)
	}
	b.cloud.Faults.Set(particletest.Faults{Rules: []particletest.Rule{{Prefix: "/v1/orgs/" + acme + "/team", Status: 403}}})
	if d := decode[shownMembers](t, b.Get(staff, acmePage)); d.Trouble == nil || d.Trouble.Scope != "teams.users:list" {
		t.Errorf("refused: %+v", d.Trouble)
	}
}

func TestOrganizations_AreNoneForACloudThatHasNone(t *testing.T) {
	t.Parallel()
	for _, rule := range []particletest.Rule{{Status: 404}, {Status: 404, HTML: true}, {Status: 403}} {
		b := newBench(t)
		rule.Prefix = "/v1/orgs"
		b.cloud.Faults.Set(particletest.Faults{Rules: []particletest.Rule{rule}})
		b.connect(t)
		d := decode[struct {
			Products []productView `json:"products"`
			Trouble  *trouble      `json:"trouble"`
		}](t, b.Get(staff, first+"/products"))
		if d.Trouble != nil || len(d.Products) != 2 {
			t.Errorf("%+v: %+v", rule, d)
		}
	}
}

func TestTeam_InvitesAndRemovesAPersonAsRecordedOperations(t *testing.T) {
	t.Parallel()
	for name, whose := range map[string]url.Values{"product": {"product": {"10001"}}, "organization": {"organization": {acme}}} {
		b := newBench(t)
		b.organize(t)
		list := first + "/team?product=10001"
		if name == "organization" {
			list = acmePage
		}
		with := func(more url.Values) url.Values {
			form := url.Values{"once": {newOnce()}}
			for _, values := range []url.Values{whose, more} {
				for key, v := range values {
					form[key] = v
				}
			}
			return form
		}
		form := with(url.Values{"username": {" Bob@particle.example "}, "role": {"Support"}})
		if a := b.Post(ada, first+"/team/invite", form); a.Location != list || !strings.HasPrefix(a.Flash, "good ") {
			t.Fatalf("%s: answered %d %s %q", name, a.Status, a.Location, a.Flash)
		}
		if a := b.Post(ada, first+"/team/invite", form); !strings.HasPrefix(a.Flash, "good ") {
			t.Errorf("%s: the same form: %q", name, a.Flash)
		}
		m := named(decode[shownMembers](t, b.Get(ada, list)).Members, bob)
		if m == nil || !m.Invited || m.Role != "Support" {
			t.Fatalf("%s: is %+v", name, m)
		}
		for text, who := range map[string]string{"was invited already": bob, "knows no account": "nobody@particle.example"} {
			if a := b.Post(ada, first+"/team/invite", with(url.Values{"username": {who}})); !strings.HasPrefix(a.Flash, "bad ") || !strings.Contains(a.Flash, text) {
				t.Errorf("%s: %q instead of %q", name, a.Flash, text)
			}
		}
		for field, wrong := range map[string]url.Values{"username": {"username": {"bob"}}, "role": {"username": {bob}, "role": {"Owner"}}} {
			if a := b.Post(ada, first+"/team/invite", with(wrong)); a.Status != http.StatusUnprocessableEntity || a.View.FieldErrors[field] == "" {
				t.Errorf("%s: %s: %d", name, field, a.Status)
			}
		}
		if a := b.Get(ada, m.RemovePath); a.Status != http.StatusOK {
			t.Errorf("%s: %s answered %d", name, m.RemovePath, a.Status)
		}
		if a := b.Post(ada, first+"/team/remove", with(url.Values{"username": {bob}, "confirm": {"bob"}})); a.Status != http.StatusUnprocessableEntity {
			t.Errorf("%s: by half the name: %d", name, a.Status)
		}
		if a := b.Post(ada, first+"/team/remove", with(url.Values{"username": {bob}, "confirm": {bob}})); !strings.HasPrefix(a.Flash, "good ") {
			t.Errorf("%s: removed: %q", name, a.Flash)
		}
		if named(decode[shownMembers](t, b.Get(ada, list)).Members, bob) != nil {
			t.Errorf("%s: is still there", name)
		}
		if a := b.Post(ada, first+"/team/remove", with(url.Values{"username": {maker}, "confirm": {maker}})); !strings.Contains(a.Flash, "owner of a team cannot be removed") {
			t.Errorf("%s: the owner: %q", name, a.Flash)
		}
	}
}

func TestTeam_ExplainsAMissingScope(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.organize(t)
	b.token = b.cloud.AddAPIUser(particletest.APIUser{Product: "10001", Name: "Reader", Scopes: []string{"products:list", "devices:list", "customers:list", "clients:list", "teams.users:list"}})
	if a := b.Post(ada, first+"/edit", url.Values{"name": {"Garden"}, "base_url": {b.url}, "version": {"1"}, "token": {b.token}}); a.Status != http.StatusSeeOther {
		t.Fatal(a.Body)
	}
	a := b.Post(ada, first+"/team/invite", url.Values{"product": {"10001"}, "username": {bob}, "once": {newOnce()}})
	if !strings.HasPrefix(a.Flash, "bad ") || !strings.Contains(a.Flash, "teams.users:invite") {
		t.Errorf("invite: %q", a.Flash)
	}
	reader := ""
	for username := range b.programsAtWith(t, b.cloud.IssueToken(maker, "")) {
		reader = username
	}
	d := decode[shownMembers](t, b.Get(ada, first+"/team/remove?product=10001&username="+url.QueryEscape(reader)))
	if len(d.Used.Unasked) != 1 || len(d.Used.By) != 0 {
		t.Errorf("its own token, entered by hand: %+v", d.Used)
	}
	a = b.Post(ada, first+"/team/remove", url.Values{"product": {"10001"}, "username": {reader}, "confirm": {reader}, "once": {newOnce()}})
	if !strings.HasPrefix(a.Flash, "bad ") || !strings.Contains(a.Flash, "teams.users:remove") {
		t.Errorf("remove: %q", a.Flash)
	}
}

func (b *bench) programsAtWith(t *testing.T, token string) map[string]particle.TeamMember {
	t.Helper()
	before := b.token
	defer func() { b.token = before }()
	b.token = token
	return b.programsAt(t)
}

func TestTeam_WarnsBeforeTheWorkspacesOwnCredentialIsRemoved(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	b.rotate("Site")
	for username := range b.programsAt(t) {
		d := decode[shownMembers](t, b.Get(ada, first+"/team/remove?product=10001&username="+url.QueryEscape(username)))
		if len(d.Used.By) != 1 || !strings.HasPrefix(d.Used.By[0], "This workspace") {
			t.Errorf("says %+v", d.Used)
		}
	}
}

func TestTeam_IsNotChangedByThoseWhoMayNotNorInForgedPlaces(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.organize(t)
	before := b.upstream()
	for _, path := range []string{"/team/invite", "/team/remove?username=" + maker} {
		for name, person := range map[string]sdk.Identity{"staff": staff, "a customer": ann} {
			for _, method := range []string{"GET", "POST"} {
				if a := b.Do(person, method, first+path, url.Values{}, "text/html"); a.Status != http.StatusForbidden {
					t.Errorf("%s, %s %s: %d", name, method, path, a.Status)
				}
			}
		}
	}
	for _, path := range []string{"/organizations/5f0c1a2b3c4d5e6f70819204", "/organizations/foreign", "/organizations/..%2Fuser", "/team/invite?organization=foreign",
		"/team/invite?organization=5f0c1a2b3c4d5e6f70819204", "/team/invite?product=10003", "/team/remove?product=10003&username=" + maker,
		"/team/remove?organization=" + strings.Repeat("x", 100) + "&username=" + maker} {
		if a := b.Get(ada, first+path); a.Status != http.StatusNotFound {
			t.Errorf("forged %s: %d", path, a.Status)
		}
	}
	form := url.Values{"organization": {"5f0c1a2b3c4d5e6f70819204"}, "username": {bob}, "once": {newOnce()}}
	if a := b.Post(ada, first+"/team/invite", form); a.Status != http.StatusNotFound {
		t.Errorf("into a foreign team: %d", a.Status)
	}
	if b.upstream() != before {
		t.Error("Particle was asked")
	}
	if a := b.Get(ada, first+"/team/remove?product=10001&username="+bob); a.Status != http.StatusNotFound {
		t.Errorf("nobody's page: %d", a.Status)
	}
}
