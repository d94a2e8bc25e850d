package web_test

import (
	"compress/gzip"
	"context"
	"io"
	"net/url"
	"strings"
	"testing"

	"mortise/core/identity"
)

func TestHome_InvitesWhoIsNotSignedInAndWelcomesWhoIs(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	anonymous := s.browser().get("/")
	if anonymous.status != 200 || !strings.Contains(anonymous.body, `href="/login"`) {
		t.Errorf("front page = %d %s", anonymous.status, anonymous.body)
	}
	if strings.Contains(anonymous.body, "Shop window") {
		t.Error("the front page shows a link that needs a permission")
	}
	if b := s.customer(); !strings.Contains(b.get("/").body, "Shop window") {
		t.Error("a customer's home does not show the shop")
	}
}

func TestLogin_SetsACookieThatScriptsCannotReadAndGoesOn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.person("ann@example.com", "customer")
	b := s.browser()
	b.get("/login?next=%2Faccount")
	a := b.post("/login", url.Values{"email": {"ann@example.com"}, "password": {password}, "next": {"/account"}})
	if a.status != 303 || a.header.Get("Location") != "/account" {
		t.Fatalf("answered %d to %q: %s", a.status, a.header.Get("Location"), a.body)
	}
	cookie := ""
	for _, c := range a.header.Values("Set-Cookie") {
		if strings.HasPrefix(c, "session=") {
			cookie = strings.ToLower(c)
		}
	}
	for _, want := range []string{"httponly", "samesite=lax", "path=/"} {
		if !strings.Contains(cookie, want) {
			t.Errorf("session cookie %q lacks %s", cookie, want)
		}
	}
	if strings.Contains(cookie, "domain=") {
		t.Errorf("session cookie %q names a domain", cookie)
	}
	if b.get("/account").status != 200 {
		t.Error("the account page does not open")
	}
}

func TestLogin_KeepsTheInputAndSaysTheSameForEveryWrongAnswer(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.person("ann@example.com", "customer")
	for _, email := range []string{"ann@example.com", "nobody@example.com"} {
		b := s.browser()
		b.get("/login")
		a := b.post("/login", url.Values{"email": {email}, "password": {"wrong but long enough"}})
		if a.status != 422 || !strings.Contains(a.body, "The e-mail address or the password is wrong.") || !strings.Contains(a.body, email) {
			t.Errorf("%s: %d %s", email, a.status, a.body)
		}
		if strings.Contains(a.body, "wrong but long enough") {
			t.Error("the page repeats the password")
		}
	}
}

func TestLogin_NeverLeadsToAnotherSite(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.person("ann@example.com", "customer")
	for _, next := range []string{"//evil.example", "https://evil.example/", "/\\evil.example", "/%5Cevil.example", "javascript:alert(1)", "/\t/evil.example"} {
		b := s.browser()
		if a := b.get("/login?next=" + url.QueryEscape(next)); strings.Contains(a.body, "evil.example") {
			t.Errorf("next=%q stands in the form", next)
		}
		a := b.post("/login", url.Values{"email": {"ann@example.com"}, "password": {password}, "next": {next}})
		if a.status != 303 || a.header.Get("Location") != "/" {
			t.Errorf("next=%q leads to %q (%d)", next, a.header.Get("Location"), a.status)
		}
	}
}

func TestLogin_GivesANewSessionWhateverTheBrowserSent(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.person("ann@example.com", "customer")
	b := s.browser()
	b.get("/login")
	a := b.post("/login", url.Values{"email": {"ann@example.com"}, "password": {password}}, header{"Cookie": "session=planted"})
	if a.status == 303 {
		for _, c := range a.header.Values("Set-Cookie") {
			if strings.HasPrefix(c, "session=planted") {
				t.Fatal("the planted session was taken")
			}
		}
	}
	first := s.signIn("ann@example.com")
	u, _ := url.Parse(s.url)
	before := first.c.Jar.Cookies(u)
	first.get("/account")
	if a := first.post("/login", url.Values{"email": {"ann@example.com"}, "password": {password}}); a.status != 303 {
		t.Fatalf("second sign-in answered %d", a.status)
	}
	thief := s.browser()
	thief.c.Jar.SetCookies(u, before)
	if a := thief.get("/account"); a.status != 303 {
		t.Errorf("the session before the second sign-in still works: %d", a.status)
	}
}

func TestLogin_AnswersProgramsInJSON(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.person("ann@example.com", "customer")
	b := s.browser()
	b.get("/login", asJSON)
	headers := header{"Accept": "application/json", "Content-Type": "application/json", "X-CSRF-Token": b.token}
	if a := b.do("POST", "/login", strings.NewReader(`{"email":"ann@example.com","password":"wrong password"}`), headers); a.status != 422 ||
		!strings.Contains(a.header.Get("Content-Type"), "application/problem+json") || !strings.Contains(a.body, `"kind":"invalid"`) {
		t.Errorf("wrong password: %d %s %s", a.status, a.header.Get("Content-Type"), a.body)
	}
	a := b.do("POST", "/login", strings.NewReader(`{"email":"ann@example.com","password":"`+password+`"}`), headers)
	if a.status != 200 || !strings.Contains(a.body, `"redirect":"/"`) || !strings.Contains(a.body, `"name":"Ann"`) {
		t.Fatalf("sign-in: %d %s", a.status, a.body)
	}
	if a := b.get("/account", asJSON); a.status != 200 || !strings.Contains(a.body, `"email":"ann@example.com"`) {
		t.Errorf("account: %d %s", a.status, a.body)
	}
	if a := b.do("POST", "/logout", nil, header{"Accept": "application/json", "X-CSRF-Token": b.token}); a.status != 200 {
		t.Errorf("sign-out: %d %s", a.status, a.body)
	}
	if a := b.get("/account", asJSON); a.status != 401 || !strings.Contains(a.body, `"kind":"signed_out"`) {
		t.Errorf("account afterwards: %d %s", a.status, a.body)
	}
}

func TestRegister_MakesACustomerAndShowsWhatIsWrongBesideTheField(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.person("root@example.com", "administrator") // a site without anybody takes no registrations
	b := s.browser()
	b.get("/register")
	a := b.post("/register", url.Values{"name": {"Bob"}, "email": {"no address"}, "password": {"short"}})
	if a.status != 422 || !strings.Contains(a.body, `value="Bob"`) {
		t.Fatalf("wrong input: %d %s", a.status, a.body)
	}
	a = b.post("/register", url.Values{"name": {"Bob"}, "email": {"bob@example.com"}, "password": {password}})
	if a.status != 303 {
		t.Fatalf("registration: %d %s", a.status, a.body)
	}
	home := b.get("/")
	if !strings.Contains(home.body, "Your account is ready.") {
		t.Error("the message is not on the next page")
	}
	if strings.Contains(b.get("/").body, "Your account is ready.") {
		t.Error("the message is shown twice")
	}
}

func TestAccount_ChangesProfilePasswordAndSessions(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.customer()
	other := s.signIn("ann@example.com")
	if a := b.post("/account", url.Values{"name": {"Ann Smith"}, "time_zone": {"Europe/Berlin"}}); a.status != 303 {
		t.Fatalf("profile: %d %s", a.status, a.body)
	}
	if a := b.get("/account", asJSON); !strings.Contains(a.body, `"name":"Ann Smith"`) || !strings.Contains(a.body, `"time_zone":"Europe/Berlin"`) {
		t.Errorf("profile not kept: %s", a.body)
	}
	if a := b.post("/account/password", url.Values{"current_password": {"wrong one indeed"}, "password": {password + "!"}}); a.status != 422 {
		t.Errorf("wrong current password: %d", a.status)
	}
	if a := b.post("/account/password", url.Values{"current_password": {password}, "password": {password + "!"}}); a.status != 303 {
		t.Fatalf("password: %d %s", a.status, a.body)
	}
	if other.get("/account").status != 303 {
		t.Error("the other session survived the change of the password")
	}
	if b.get("/account").status != 200 {
		t.Error("the own session did not survive the change of the password")
	}
	if a := b.post("/account/delete", url.Values{"current_password": {password + "!"}}); a.status != 303 {
		t.Fatalf("delete: %d %s", a.status, a.body)
	}
	if b.get("/account").status != 303 {
		t.Error("the account is still there")
	}
}

func TestPages_OfTheHostAnswerHeadAndRefuseOtherMethods(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.browser()
	if a := b.do("HEAD", "/login", nil); a.status != 200 || a.body != "" || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
		t.Errorf("HEAD /login = %d %q", a.status, a.header.Get("Content-Type"))
	}
	if a := b.do("DELETE", "/login", nil); a.status != 405 || a.header.Get("Allow") != "GET, HEAD, POST" {
		t.Errorf("DELETE /login = %d, Allow %q", a.status, a.header.Get("Allow"))
	}
	if a := b.get("/nowhere"); a.status != 404 || !strings.Contains(a.body, `href="/"`) {
		t.Errorf("404 = %d %s", a.status, a.body)
	}
	if a := b.get("/nowhere", asJSON); a.status != 404 || !strings.Contains(a.body, `"kind":"not_found"`) {
		t.Errorf("404 for a program = %d %s", a.status, a.body)
	}
}

func TestAccount_AsksWhoIsNotSignedInToSignInAndComeBack(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.browser().get("/account?tab=a%20b")
	if a.status != 303 || a.header.Get("Location") != "/login?next="+url.QueryEscape("/account?tab=a%20b") {
		t.Errorf("answered %d to %q", a.status, a.header.Get("Location"))
	}
}

func TestOneTimeLinks_WorkOnceByTheButtonAndNeverStandInTheLog(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ctx := context.Background()
	setup, needed, err := s.people.SetupToken(ctx)
	if err != nil || !needed {
		t.Fatalf("set-up link: %v %v", needed, err)
	}
	b := s.browser()
	if a := b.get("/"); !strings.Contains(a.header.Get("Content-Type"), "html") || a.status != 200 {
		t.Errorf("an empty site's front page: %d", a.status)
	}
	for range 2 { // looking does not use it up
		if a := b.get("/setup/" + setup); a.status != 200 || !strings.Contains(a.body, `name="password"`) {
			t.Fatalf("set-up page: %d %s", a.status, a.body)
		}
	}
	form := url.Values{"site_name": {"Acme Devices"}, "name": {"Root"}, "email": {"root@example.com"}, "password": {"short"}}
	if a := b.post("/setup/"+setup, form); a.status != 422 || !strings.Contains(a.body, "Acme Devices") {
		t.Errorf("weak password: %d %s", a.status, a.body)
	}
	form.Set("password", password)
	if a := b.post("/setup/"+setup, form); a.status != 303 {
		t.Fatalf("set-up: %d %s", a.status, a.body)
	}
	if a := b.get("/account"); a.status != 200 || !strings.Contains(a.body, "Acme Devices") {
		t.Errorf("afterwards: %d", a.status)
	}
	again := s.browser()
	again.get("/login")
	if a := again.post("/setup/"+setup, form); a.status != 404 {
		t.Errorf("the link works twice: %d", a.status)
	}
	u, err := s.people.UserByEmail(ctx, "root@example.com")
	must(t, err)
	link, _, err := s.people.LoginLink(ctx, identity.System, u.ID)
	must(t, err)
	again.get("/login-link/" + link)
	if a := again.post("/login-link/"+link, nil); a.status != 303 {
		t.Errorf("sign-in by link: %d %s", a.status, a.body)
	}
	if a := again.get("/account"); a.status != 200 {
		t.Errorf("afterwards: %d", a.status)
	}
	if log := s.log.String(); strings.Contains(log, setup) || strings.Contains(log, link) {
		t.Error("a one-time link stands in the log")
	}
}

func TestPages_ArePackedForBrowsersThatTakeIt(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.browser()
	plain := b.get("/login", header{"Accept-Encoding": "identity"})
	packed := b.get("/login", header{"Accept-Encoding": "gzip"})
	if packed.header.Get("Content-Encoding") != "gzip" || len(packed.body) >= len(plain.body) || plain.header.Get("Content-Encoding") != "" {
		t.Errorf("%d bytes plain, %d packed as %q", len(plain.body), len(packed.body), packed.header.Get("Content-Encoding"))
	}
	reader, err := gzip.NewReader(strings.NewReader(packed.body))
	must(t, err)
	text, err := io.ReadAll(reader)
	if err != nil || !strings.Contains(string(text), `name="email"`) {
		t.Errorf("unpacked: %v", err)
	}
}

func TestRegistering_GoesOnWhereThePersonCameFrom(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.person("root@example.com", "administrator") // a site without anybody takes no registrations
	b := s.browser()
	page := b.get("/register?next=" + url.QueryEscape("/account?tab=1"))
	if !strings.Contains(page.body, `name="next" value="/account?tab=1"`) || !strings.Contains(page.body, `href="/login?next=%2faccount%3ftab%3d1"`) {
		t.Errorf("the form forgets where to go on: %s", page.body)
	}
	a := b.post("/register", url.Values{"name": {"Bob"}, "email": {"bob@example.com"}, "password": {password}, "next": {"/account?tab=1"}})
	if a.status != 303 || a.header.Get("Location") != "/account?tab=1" {
		t.Errorf("answered %d to %q", a.status, a.header.Get("Location"))
	}
}
