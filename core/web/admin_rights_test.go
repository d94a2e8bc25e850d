package web_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"mortise/core/identity"
	"mortise/core/web"
)

// samplePath fills the parameters of a route with something that exists where that is easy.
func samplePath(r web.RouteInfo) string {
	id := "1"
	if strings.HasPrefix(r.Path, "/admin/modules/") || strings.HasPrefix(r.Path, "/admin/help/module/") {
		id = "lamp"
	}
	return strings.NewReplacer(":id", id, ":job", "tidy", ":event", "1", ":theme", "customer", ":page", "index").Replace(r.Path)
}

func (b *browser) call(r web.RouteInfo, headers ...header) answer {
	b.t.Helper()
	if r.Method == "GET" {
		return b.get(samplePath(r), headers...)
	}
	return b.post(samplePath(r), url.Values{}, headers...)
}

// adminRoutes are the host's URLs that demand a permission, but not the endless stream.
func (o *office) adminRoutes() []web.RouteInfo {
	return slices.DeleteFunc(o.server.Routes(), func(r web.RouteInfo) bool {
		return r.Access != "permission" || r.Path == "/admin/modules/live" && r.Method == "GET"
	})
}

func TestAdmin_EveryRouteRefusesWhoMayNotAndOnlyThem(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	var all []string
	for _, p := range identity.HostPermissions() {
		all = append(all, p.ID)
	}
	o.person("ann@example.com", identity.RoleCustomer)
	customer := o.signIn("ann@example.com")
	stranger := o.browser()
	stranger.get("/login")
	without, only := map[string]*browser{}, map[string]*browser{}
	for i, p := range all {
		rest := slices.DeleteFunc(slices.Clone(all), func(q string) bool { return q == p })
		without[p], only[p] = o.clerk(fmt.Sprintf("without%d", i), rest...), o.clerk(fmt.Sprintf("only%d", i), p)
	}
	routes := o.adminRoutes()
	if len(routes) < 40 {
		t.Fatalf("only %d admin routes were found", len(routes))
	}
	for _, r := range routes {
		name := r.Method + " " + r.Path
		o.later(time.Second) // the limit on requests of one address is not what is tried here
		if a := stranger.call(r, asJSON); a.status != 401 {
			t.Errorf("%s answered a stranger %d as JSON, want 401", name, a.status)
		}
		a := stranger.call(r)
		if asked := a.status == 303 && strings.HasPrefix(a.header.Get("Location"), "/login?next="); !asked && (r.Method == "GET" || a.status != 401) {
			t.Errorf("%s answered a stranger %d, want to be asked to sign in", name, a.status)
		}
		for who, b := range map[string]*browser{"a customer": customer, "all but " + r.Permission: without[r.Permission]} {
			for kind, h := range map[string]header{"HTML": {"Accept": "text/html"}, "JSON": asJSON} {
				if a := b.call(r, h); a.status != 403 || strings.Contains(a.body, "Switches lamps") {
					t.Errorf("%s answered %s %d as %s, want 403", name, who, a.status, kind)
				}
			}
		}
		if r.Method == "GET" {
			if a := only[r.Permission].call(r); a.status == 403 || a.status == 401 || a.status >= 500 {
				t.Errorf("%s answered who has %s %d", name, r.Permission, a.status)
			}
		}
	}
}

func TestOverview_ShowsOnlyWhatTheVisitorMaySeeElsewhere(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.book.Logger().Warn("the cellar is wet", "depth", 3)
	must(t, o.book.Flush(t.Context()))
	clerk, boss := o.clerk("desk", identity.AdminAccess), o.boss("ada@example.com")
	for _, h := range []header{{"Accept": "text/html"}, asJSON} {
		if a := clerk.get("/admin", h); a.status != 200 || strings.Contains(a.body, "cellar") || strings.Contains(a.body, "site.db") {
			t.Errorf("the overview shows who may see nothing else: %d %s", a.status, a.body)
		}
		if a := boss.get("/admin", h); !strings.Contains(a.body, "the cellar is wet") || !strings.Contains(a.body, "site.db") {
			t.Errorf("the overview hides the warnings from an administrator: %d", a.status)
		}
	}
}

func TestMatrix_SavesOnlyWhatChangedAndLeavesOthersWorkAlone(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	ada, bea := o.boss("ada@example.com"), o.boss("bea@example.com")
	page := ada.get("/admin/permissions?module=shop").body
	for _, want := range []string{`data-changed-only`, `value="customer shop.use"`, "Use the shop"} {
		if !strings.Contains(page, want) {
			t.Errorf("the matrix lacks %s", want)
		}
	}
	bea.get("/admin/permissions")
	granted := func(permission string) bool { return o.people.Matrix().Granted["customer"][permission] }
	// The script sends what was touched.
	if a := ada.post("/admin/permissions", url.Values{"module": {"shop"}, "change": {"customer shop.use 1 0"}}); a.status != 303 || !granted("shop.use") {
		t.Fatalf("the change was not saved: %d", a.status)
	}
	// Bea still sees the page from before: without script the difference counts, and her other change is saved.
	a := bea.post("/admin/permissions", url.Values{"module": {"shop"}, "on": {"customer shop.manage"}})
	if a.status != 303 || !granted("shop.manage") || !granted("shop.use") {
		t.Errorf("saving from an older page took away what Ada had given: %d", a.status)
	}
	// Both changed the same box to different ends: it is left alone and said.
	bea.post("/admin/permissions", url.Values{"change": {"customer shop.use 0 1"}})
	_, got := ada.json("POST", "/admin/permissions", map[string]any{"changes": []any{
		map[string]any{"role": "customer", "permission": "shop.use", "want": false, "seen": true},
		map[string]any{"role": "administrator", "permission": "shop.use", "want": false, "seen": true},
		map[string]any{"role": "nobody", "permission": "shop.use", "want": true, "seen": false},
	}})
	if conflicts, _ := got["conflicts"].([]any); got["changed"] != 0.0 || len(conflicts) != 2 {
		t.Errorf("got %v, want two conflicts and nothing changed", got)
	}
}

func TestPower_NeedsAPasswordThatWasGivenNotLongAgo(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	ada := o.boss("ada@example.com")
	give := url.Values{"module": {"host"}, "change": {"customer admin.modules 1 0"}}
	granted := func() bool { return o.people.Matrix().Granted["customer"]["admin.modules"] }
	o.later(31 * time.Minute)
	ada.get("/admin")
	a := ada.post("/admin/permissions", give)
	if a.status != 403 || granted() || !strings.Contains(a.body, `name="current_password"`) || !strings.Contains(a.body, `data-seen="0" checked`) {
		t.Fatalf("power was given without the password (%d), or what was ticked is lost", a.status)
	}
	status, problem := ada.json("POST", "/admin/permissions", map[string]any{"change": "customer admin.modules 1 0"})
	if fields, _ := problem["fields"].(map[string]any); status != 403 || problem["kind"] != "denied" || fields["current_password"] == nil {
		t.Errorf("a program got %d %v, want to be told to send current_password", status, problem)
	}
	give.Set("current_password", "wrong")
	if a := ada.post("/admin/permissions", give); a.status != 422 || granted() {
		t.Errorf("a wrong password answered %d", a.status)
	}
	// What gives no power does not ask.
	if a := ada.post("/admin/permissions", url.Values{"change": {"customer shop.use 1 0"}}); a.status != 303 {
		t.Errorf("an ordinary change answered %d", a.status)
	}
	for _, path := range []string{"/admin/modules/lamp/enable", "/admin/modules/lamp/remove"} {
		if a := ada.post(path, url.Values{}); a.status != 403 || !strings.Contains(a.body, `name="current_password"`) {
			t.Errorf("%s answered %d, want to be asked for the password", path, a.status)
		}
	}
	give.Set("current_password", password)
	if a := ada.post("/admin/permissions", give); a.status != 303 || !granted() {
		t.Errorf("the right password answered %d", a.status)
	}
}

func TestPower_GivenWithARoleNeedsThePasswordToo(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	ada := o.boss("ada@example.com")
	bob := o.person("bob@example.com", identity.RoleCustomer).ID
	path := fmt.Sprintf("/admin/people/%d", bob)
	isBoss := func() bool {
		u, err := o.people.User(t.Context(), bob)
		if err != nil {
			t.Fatal(err)
		}
		return u.Administrator()
	}
	o.later(31 * time.Minute)
	ada.get("/admin")
	give := url.Values{"_roles": {"1"}, "roles": {"customer", "administrator"}}
	if a := ada.post(path, give); a.status != 403 || isBoss() || !strings.Contains(a.body, `name="current_password"`) {
		t.Fatalf("the role was given without the password: %d", a.status)
	}
	if a := ada.post("/admin/people", url.Values{"name": {"Eve"}, "email": {"eve@example.com"}, "roles": {"administrator"}}); a.status != 403 || !strings.Contains(a.body, `name="current_password"`) {
		t.Errorf("an account with the role was made without the password: %d", a.status)
	}
	// Other changes do not ask.
	if a := ada.post(path, url.Values{"name": {"Robert"}, "_roles": {"1"}, "roles": {"customer"}}); a.status != 303 {
		t.Errorf("a new name answered %d", a.status)
	}
	give.Set("current_password", password)
	if a := ada.post(path, give); a.status != 303 || !isBoss() {
		t.Errorf("the right password answered %d", a.status)
	}
}
