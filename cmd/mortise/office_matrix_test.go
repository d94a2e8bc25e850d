package main_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mortise/core/manifest"
	"mortise/plugins"
)

// somebody is one of those whom the pages are tried with.
type somebody struct {
	name string
	may  []string // permissions
	page *visitor // asks as a browser
	data *visitor // asks as a program
}

// fromAnywhere has each connection of a browser come from another address of this machine: changes are counted for each address.
func (v *visitor) fromAnywhere() *visitor {
	var n atomic.Int64
	v.http.Transport = &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		i := n.Add(1)
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, byte(10+i/200%200), byte(1+i%200))}, Timeout: 10 * time.Second}
		return dialer.DialContext(ctx, network, address)
	}}
	return v
}

// claimedPage is a page of a manifest with one method.
type claimedPage struct {
	module, method, path, permission string
	public                           bool
}

// pagesOf reads what the office's modules claim.
func pagesOf(t *testing.T, modules ...string) []claimedPage {
	t.Helper()
	var list []claimedPage
	for _, module := range modules {
		text, err := os.ReadFile(filepath.Join("../../plugins", module, "module.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		m, err := manifest.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range m.Pages {
			methods := p.Methods
			if len(methods) == 0 {
				methods = []string{http.MethodGet}
			}
			for _, method := range methods {
				list = append(list, claimedPage{module, method, p.Path, p.Permission, p.Public})
			}
		}
	}
	return list
}

// ask opens a page in one of the two ways; forms have nothing but a word of their own.
func (s *somebody) ask(p claimedPage, path string, program bool, n int) answer {
	v := s.page
	if program {
		v = s.data
	}
	if p.method == http.MethodGet {
		if program {
			return v.json(p.method, path, nil, nil)
		}
		return v.get(path)
	}
	once := fmt.Sprintf("%026d", n)
	once = strings.Map(func(r rune) rune { return 'A' + (r - '0') }, once)
	if program {
		return v.submit(path, "once", once).answer
	}
	csrf := v.csrf
	defer func() { v.csrf = csrf }()
	return v.post(path, "once", once)
}

func TestOffice_EveryPageOpensForWhomItIsForAndRefusesTheRestUnasked(t *testing.T) {
	t.Parallel()
	o, ada := newBackOffice(t)
	ada.sends("/admin/roles", "id", "support", "title", "Support", "description", "Looks, and changes nothing.")
	ada.sends("/admin/permissions", "change", "support customers.view 1 0")
	if out, err := o.command("user", "create", "sue@demo.example", "--name", "Sue Support", "--password", "look-but-do-not-touch", "--roles", "support"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	both := func(email, password string) (*visitor, *visitor) {
		page := o.visit().fromAnywhere().signIn(email, password)
		return page, &visitor{t: t, base: page.base, http: page.http, csrf: page.csrf}
	}
	cast := []*somebody{{name: "nobody"}, {name: "Ann", may: []string{"customers.own"}}, {name: "Ben", may: []string{"customers.own"}},
		{name: "Ina", may: []string{"customers.install"}}, {name: "Sue", may: []string{"customers.view"}}}
	for i, who := range []struct{ email, password string }{{}, {o.Customer.Email, o.Customer.Password}, {benEmail, benPassword}, {inaEmail, inaPassword}, {"sue@demo.example", "look-but-do-not-touch"}} {
		if i == 0 {
			cast[0].page = o.visit().fromAnywhere()
			cast[0].page.get("/login")
			cast[0].data = &visitor{t: t, base: cast[0].page.base, http: cast[0].page.http, csrf: cast[0].page.csrf}
			continue
		}
		cast[i].page, cast[i].data = both(who.email, who.password)
	}
	chief := &somebody{name: "Ada"}
	chief.page, chief.data = both(o.Admin.Email, o.Admin.Password)

	ben := fmt.Sprint(ada.personID("ben"))
	ada.sends(personPage(ada.personID("ben"))+"/notes", "text", "Rings twice.", "once", strings.Repeat("Q", 26))
	note, err := sqlite(t, o.world, "SELECT max(id) FROM customers_notes WHERE user_id = "+ben)
	if err != nil {
		t.Fatal(err)
	}
	real := strings.NewReplacer("{person}", ben, "{note}", strings.TrimSpace(note), "{import}", "1", "{workspace}", "1", "{product}", "10001", "{customer}", "x",
		"{device}", fleetLamp(4), "{operation}", "1", "{record}", "1", "{session}", "x", "{client}", "garden-server-2001", "{organization}", "5f0c1a2b3c4d5e6f70819203")
	forged := []*strings.Replacer{
		strings.NewReplacer("{person}", "999999", "{note}", "999999", "{import}", "999999", "{workspace}", "999999", "{product}", "99999", "{customer}", "nobody", "{device}", "e00fce68ffffffffffffffff",
			"{operation}", "999999", "{record}", "999999", "{session}", "x", "{client}", "nobody-1", "{organization}", "ffffffffffffffffffffffff"),
		strings.NewReplacer("{person}", "1", "{note}", "0", "{import}", "-1", "{workspace}", "1%20OR%201", "{product}", "10001x", "{customer}", "%3Cb%3E", "{device}", "x",
			"{operation}", "99999999999999999999", "{record}", "1e3", "{session}", "x", "{client}", "no..body", "{organization}", "x"),
	}
	pages, n := pagesOf(t, "customers", "organizations"), 0
	for _, p := range pages {
		paths := []string{real.Replace(p.path)}
		if strings.Contains(p.path, "{") {
			paths = append(paths, forged[0].Replace(p.path), forged[1].Replace(p.path))
		}
		if strings.Contains(p.path, "{client}") {
			paths[0] += "?product=" + plugins.ParticleDemoProduct
		}
		for _, who := range cast {
			for i, path := range paths {
				for _, program := range []bool{false, true} {
					n++
					before := o.calls()
					a := who.ask(p, path, program, n)
					o.judge(p, who, path, i > 0, program, a)
					if asked := more(before, o.calls()); len(asked) > 0 && (a.status == 303 && who.name == "nobody" || a.status >= 400) {
						t.Errorf("%s %s: %s was refused with %d, and Particle was asked %v", p.method, path, who.name, a.status, asked)
					}
				}
			}
		}
		// Who may open every page is told apart from nobody by forged ids alone.
		for i, path := range paths {
			if p.permission == "customers.own" || p.public || p.method == http.MethodPost && i == 0 {
				continue
			}
			n++
			before := o.calls()
			a := chief.ask(p, path, n%2 == 0, n)
			asked := more(before, o.calls())
			switch {
			case i == 0 && a.status != http.StatusOK && a.status != http.StatusNotFound:
				t.Errorf("GET %s: Ada got %d", path, a.status)
			case i == 0 && a.status == http.StatusNotFound && !slices.Contains(absent, p.path):
				t.Errorf("GET %s: there is none for Ada", path)
			case i > 0 && a.status != http.StatusNotFound && !(a.status == http.StatusBadRequest && i == 2):
				t.Errorf("%s %s: with forged ids Ada got %d", p.method, path, a.status)
			case i > 0 && len(asked) > 0:
				t.Errorf("%s %s: with forged ids Particle was asked %v", p.method, path, asked)
			}
		}
	}
	t.Logf("%d requests to %d pages", n, len(pages))
	if left := o.ben().has(); len(left) != 3 {
		t.Errorf("after all that Ben has %+v", left)
	}
}

// absent are pages of things that the demonstration does not have.
var absent = []string{
	"/admin/customers/operations/{operation}",
	"/admin/customers/products/{workspace}/{product}/particle/{customer}/reset",
	"/admin/customers/products/{workspace}/{product}/particle/{customer}/delete",
	"/admin/organizations/workspaces/{workspace}/imports/{import}", "/admin/organizations/workspaces/{workspace}/imports/{import}/report",
	"/admin/organizations/workspaces/{workspace}/organizations/{organization}",
	"/admin/organizations/operations/{operation}",
	"/admin/organizations/workspaces/{workspace}/team/remove",
	"/admin/customers/records/{record}/qr.svg",
}

// judge fails unless an answer is what the person may get.
func (o *office) judge(p claimedPage, who *somebody, path string, forged, program bool, a answer) {
	o.t.Helper()
	wrong := func(want string) {
		o.t.Errorf("%s %s (program %v): %s got %d, want %s", p.method, path, program, who.name, a.status, want)
	}
	if strings.Contains(strings.ToLower(a.body), "rings twice") && who.name != "Sue" && p.path != "/customers/data" { // what is written about people is theirs to download
		o.t.Errorf("%s %s: %s reads a note of the staff", p.method, path, who.name)
	}
	switch {
	case a.status >= 500:
		wrong("anything but a failure")
	case p.public:
		if a.status != http.StatusOK && a.status != http.StatusNotFound && a.status != http.StatusForbidden {
			wrong("the page, or nothing")
		}
	case who.name == "nobody" && program:
		if a.status != http.StatusUnauthorized {
			wrong("401")
		}
	case who.name == "nobody":
		if !(a.status == http.StatusSeeOther && strings.HasPrefix(a.location, "/login")) && a.status != http.StatusUnauthorized {
			wrong("to sign in")
		}
	case !slices.Contains(who.may, p.permission):
		if a.status != http.StatusForbidden {
			wrong("403")
		}
		for _, word := range []string{"ben gardener", benEmail, "porch lamp", fleetLamp(4)} {
			if who.name != "Ben" && strings.Contains(strings.ToLower(a.body), word) && !strings.Contains(strings.ToLower(path), word) {
				o.t.Errorf("%s %s: refused, and told %s of %q", p.method, path, who.name, word)
			}
		}
	case forged && p.method == http.MethodGet:
		if a.status != http.StatusNotFound && a.status != http.StatusBadRequest {
			wrong("404")
		}
	case a.status == http.StatusForbidden || a.status == http.StatusUnauthorized:
		wrong("what is theirs")
	}
}
