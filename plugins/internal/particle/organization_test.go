package particle_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/particle/particletest"
)

func TestProducts_AreListedOnceWhateverTheyBelongTo(t *testing.T) {
	t.Parallel()
	var cloud particletest.Server
	client, token := newCloud(t, &cloud, particle.Timeouts{})
	ctx := t.Context()
	orgs, err := client.Organizations(ctx, token)
	if err != nil || len(orgs) != 1 || orgs[0].Slug != particletest.DemoOrganization {
		t.Fatalf("got %+v, %v", orgs, err)
	}
	if org, err := client.Organization(ctx, token, particletest.DemoOrganization); err != nil || org != orgs[0] {
		t.Errorf("by slug: got %+v, %v", org, err)
	}
	_, err = client.Organization(ctx, token, "nobody")
	wantKind(t, err, particle.NotFound)
	own, err := client.UserProducts(ctx, token)
	if err != nil || len(own) != 1 || own[0].Slug != "garden-lamp-10001" || !slices.Equal(own[0].Groups, []string{"bench", "north", "south"}) {
		t.Errorf("own: got %+v, %v", own, err)
	}
	all, err := client.AllProducts(ctx, token)
	if err != nil || len(all) != 2 || all[1].Slug != "weather-station-v1" || all[1].ID != "10002" || all[1].OrganizationID != orgs[0].ID {
		t.Errorf("all: got %+v, %v", all, err)
	}
	cloud.Faults.Set(particletest.Faults{ProductList: true})
	if p, err := client.Product(ctx, token, "weather-station-v1"); err != nil || p.ID != "10002" {
		t.Errorf("by slug, in a list: got %+v, %v", p, err)
	}
	stranger := cloud.IssueToken("stranger@example.com", "")
	if orgs, err := client.Organizations(ctx, stranger); err != nil || len(orgs) != 0 {
		t.Errorf("a stranger: got %+v, %v", orgs, err)
	}
	_, err = client.OrganizationProducts(ctx, stranger, particletest.DemoOrganization)
	wantKind(t, err, particle.NotFound)
}

func TestAPIUser_HasOneTokenThatDiesWithItsScopes(t *testing.T) {
	t.Parallel()
	var cloud particletest.Server
	client, token := newCloud(t, &cloud, particle.Timeouts{})
	ctx := t.Context()
	for _, of := range []particle.TeamOf{{Product: "garden-lamp-10001"}, {Organization: particletest.DemoOrganization}} {
		made, err := client.CreateAPIUser(ctx, token, of, "Pump CMS", []string{"products:list", "devices:list"})
		if err != nil || made.Token == "" || !strings.HasPrefix(made.Username, "pump-cms+") || strings.Contains(made.GoString(), made.Token) {
			t.Fatalf("got %v, %v", made, err)
		}
		info, err := client.CurrentToken(ctx, made.Token)
		if err != nil || !info.ExpiresAt.IsZero() || !slices.Equal(info.Scopes, made.Scopes) {
			t.Errorf("the token is %+v, %v", info, err)
		}
		list, err := client.Products(ctx, made.Token)
		if err != nil || len(list) != 1 {
			t.Fatalf("it sees %+v, %v", list, err)
		}
		_, err = client.Product(ctx, made.Token, list[0].ID)
		wantKind(t, err, particle.MissingScope)
		if scope := particle.MissingScopeOf(err); scope != "products:get" || !strings.Contains(err.(*particle.Error).Message, scope) {
			t.Errorf("got scope %q in %q", scope, err.(*particle.Error).Message)
		}
		renewed, err := client.UpdateAPIUser(ctx, token, of, made.Username, made.Name, append(made.Scopes, "products:get"))
		if err != nil || renewed.Token == made.Token || renewed.Username != made.Username || len(renewed.Scopes) != 3 {
			t.Fatalf("got %v, %v", renewed, err)
		}
		_, err = client.Products(ctx, made.Token)
		wantKind(t, err, particle.DeadToken)
		_, err = client.Product(ctx, renewed.Token, list[0].ID)
		must(t, err)
		team, err := client.TeamMembers(ctx, token, of)
		found := slices.IndexFunc(team, func(m particle.TeamMember) bool { return m.Username == made.Username })
		if err != nil || found < 0 || !team[found].Programmer || team[found].Name != "Pump CMS" {
			t.Errorf("the team is %+v, %v", team, err)
		}
		must(t, client.RemoveMember(ctx, token, of, made.Username))
		_, err = client.Products(ctx, renewed.Token)
		wantKind(t, err, particle.DeadToken)
		err = client.RemoveMember(ctx, token, of, made.Username)
		wantKind(t, err, particle.NotFound)
		if !particle.IsGone(err) {
			t.Error("removed twice is not gone")
		}
	}
	_, err := client.CreateAPIUser(ctx, token, particle.TeamOf{}, "x", []string{"devices:list"})
	wantKind(t, err, particle.Invalid)
	_, err = client.CreateAPIUser(ctx, token, particle.TeamOf{Product: "10001"}, "x", []string{"devices:eat cake"})
	wantKind(t, err, particle.Invalid)
}

func TestTeam_InvitesPeopleAndChangesRoles(t *testing.T) {
	t.Parallel()
	var cloud particletest.Server
	client, token := newCloud(t, &cloud, particle.Timeouts{})
	ctx, of := t.Context(), particle.TeamOf{Product: particletest.DemoProduct}
	cloud.AddAccount(particletest.Account{Username: "bob@example.com", Password: "pw"})
	bob := cloud.IssueToken("bob@example.com", "")
	must(t, client.InviteMember(ctx, token, of, "bob@example.com", ""))
	wantKind(t, client.InviteMember(ctx, token, of, "bob@example.com", "Developer"), particle.Duplicate)
	wantKind(t, client.InviteMember(ctx, token, of, "nobody@example.com", ""), particle.NotFound)
	wantKind(t, client.InviteMember(ctx, token, of, "", ""), particle.Invalid)
	_, err := client.Product(ctx, bob, of.Product)
	if e := wantKind(t, err, particle.Denied); e.Scope != "products:get" {
		t.Errorf("an invited person: got scope %q", e.Scope)
	}
	cloud.AcceptInvitation("bob@example.com")
	_, err = client.Product(ctx, bob, of.Product)
	must(t, err)
	must(t, client.SetMemberRole(ctx, token, of, "bob@example.com", "Support"))
	wantKind(t, client.SetMemberRole(ctx, token, of, "bob@example.com", "King"), particle.Invalid)
	team, err := client.TeamMembers(ctx, bob, of)
	if last := team[len(team)-1]; err != nil || last.Role != "Support" || last.Invited || last.Programmer {
		t.Errorf("got %+v, %v", last, err)
	}
	must(t, client.RemoveMember(ctx, token, of, "bob@example.com"))
	_, err = client.Product(ctx, bob, of.Product)
	wantKind(t, err, particle.Denied)
}

func TestCheckToken_TellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	var cloud particletest.Server
	client, token := newCloud(t, &cloud, particle.Timeouts{})
	ctx := t.Context()
	h, err := client.CheckToken(ctx, token, "garden-lamp-10001")
	if err != nil || h.Username != particletest.DemoEmail || len(h.Products) != 2 || len(h.Organizations) != 1 || len(h.Missing) != 0 || h.Scopes != nil {
		t.Errorf("a person: got %+v, %v", h, err)
	}
	if now := time.Now(); h.ExpiresWithin(80*24*time.Hour, now) || !h.ExpiresWithin(91*24*time.Hour, now) {
		t.Errorf("a person's token ends at %v", h.ExpiresAt)
	}
	h, err = client.CheckToken(ctx, particletest.DemoAPIToken, "")
	if err != nil || h.Username != "" || len(h.Products) != 1 || len(h.Missing) != 0 || h.ExpiresWithin(1e18, time.Now()) {
		t.Errorf("the site's API user: got %+v, %v", h, err)
	}
	for _, as := range []int{400, 403} {
		cloud.Faults.Set(particletest.Faults{ScopeAs: as})
		h, err = client.CheckToken(ctx, particletest.DemoReadToken, "")
		if err != nil || len(h.Products) != 1 || !slices.Contains(h.Missing, "customers:list") || !slices.Contains(h.Missing, "devices:import") || slices.Contains(h.Missing, "devices:list") {
			t.Errorf("an API user with few scopes, refused as %d: got %+v, %v", as, h, err)
		}
	}
	cloud.Faults.Set(particletest.Faults{})
	for name, c := range map[string]struct {
		client                *particle.Client
		token, product, field string
		kind                  particle.Kind
	}{
		"dead token":   {client, strings.Repeat("0", 40), "", "token", particle.DeadToken},
		"no token":     {client, " ", "", "token", particle.Invalid},
		"no product":   {client, token, "nobody", "product", particle.NotFound},
		"wrong server": {answering(t, 404, "text/plain", "Not Found"), token, "", "base_url", particle.NotParticle},
		"a web site":   {answering(t, 200, "text/html", "<p>hello</p>"), token, "", "base_url", particle.NotParticle},
		"unreachable":  {newClient(t, "http://127.0.0.1:1", quick), token, "", "base_url", particle.Unreachable},
		"slow down":    {answering(t, 429, "application/json", `{"error":"rate_limit_exceeded"}`), token, "", "", particle.RateLimited},
	} {
		_, err := c.client.CheckToken(ctx, c.token, c.product)
		if e := wantKind(t, err, c.kind); e.Field != c.field {
			t.Errorf("%s: got field %q, want %q", name, e.Field, c.field)
		}
	}
}

func TestScopes_CoverWhatTheCallsNeed(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, s := range particle.Scopes() {
		if known[s.Name] || s.Purpose == "" || s.Group == "" {
			t.Errorf("%+v", s)
		}
		known[s.Name] = true
	}
	for _, name := range particle.SuggestedScopes() {
		if !known[name] {
			t.Errorf("%s is suggested and not listed", name)
		}
	}
	var cloud particletest.Server
	client, _ := newCloud(t, &cloud, particle.Timeouts{})
	bare := cloud.IssueAPIToken(particletest.DemoProduct, "sims:list")
	ctx, in := t.Context(), client.InProduct(particletest.DemoProduct)
	lamp, of := particletest.DemoLamp, particle.TeamOf{Product: particletest.DemoProduct}
	for name, do := range map[string]func() error{
		"devices:update":        func() error { return in.SetGroups(ctx, bare, lamp, nil) },
		"devices:remove":        func() error { return in.RemoveFromProduct(ctx, bare, lamp) },
		"devices:release":       func() error { return in.Unclaim(ctx, bare, lamp) },
		"devices:ping":          func() error { _, err := in.Ping(ctx, bare, lamp); return err },
		"devices:get":           func() error { _, err := in.Device(ctx, bare, lamp); return err },
		"devices.function:call": func() error { _, err := in.Call(ctx, bare, lamp, "led", "on"); return err },
		"devices.variable:get":  func() error { _, err := in.Variable(ctx, bare, lamp, "led"); return err },
		"events:get":            func() error { _, err := in.OpenStream(ctx, bare, particle.Source{}); return err },
		"events:send":           func() error { return in.Publish(ctx, bare, "a", "b") },
		"clients:create": func() error {
			_, err := in.CreateClient(ctx, bare, particle.ClientInfo{Name: "a", Type: particle.ClientInstalled})
			return err
		},
		"customers:remove":   func() error { return client.DeleteCustomer(ctx, bare, of.Product, particletest.DemoCustomer) },
		"teams.users:update": func() error { return client.SetMemberRole(ctx, bare, of, particletest.DemoOtherEmail, "Support") },
		"devices:import": func() error {
			_, err := client.AddDevices(ctx, bare, of.Product, []string{particletest.SpareID(1)}, particle.ImportOptions{})
			return err
		},
	} {
		for _, as := range []int{400, 403} {
			cloud.Faults.Set(particletest.Faults{ScopeAs: as})
			var e *particle.Error
			if err := do(); !errors.As(err, &e) || e.Scope != name || !known[name] {
				t.Errorf("%s as %d: got %v", name, as, err)
			}
		}
	}
	if n := cloud.Called(lamp, "led"); n != 0 {
		t.Error("the function ran without the scope for it")
	}
	cloud.Faults.Set(particletest.Faults{})
	_, err := client.CreateCustomerByTeam(ctx, bare, of.Product, "x@example.com", "")
	if e := wantKind(t, err, particle.Denied); !strings.Contains(e.Message, "API user") {
		t.Errorf("got %q", e.Message)
	}
}
