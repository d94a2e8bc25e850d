package main_test

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// visitFrom is visit for a browser on another machine: the whole of 127/8 leads here.
func (w *world) visitFrom(address string) *visitor {
	v := w.visit()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}, Timeout: 10 * time.Second}
	v.http.Transport = &http.Transport{DialContext: dialer.DialContext}
	return v
}

// exchange sends bytes as they are and gives what comes back until the host closes or a second passes without more.
func (w *world) exchange(request string) string {
	w.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.URL, "http://"))
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(15 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		return "" // the host has had enough
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return ""
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	return fmt.Sprintf("%d %v\n%s", answer.StatusCode, answer.Header, body)
}

// One site is attacked from outside in every way at once; the parts do not disturb each other.
func TestAttack_TheSiteWithstandsStrangers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	before := w.vitals()
	for _, part := range []struct {
		name string
		run  func(*testing.T, *world)
	}{
		{"redirects after sign-in stay here", openRedirects},
		{"a session begins anew at sign-in", fixation},
		{"every answer has its headers", hygiene},
		{"the host's name in mails is its own", hostHeader},
		{"nobody learns who has an account", enumeration},
		{"paths have one meaning", pathTricks},
		{"methods have one meaning", methods},
		{"what is too large is refused", oversize},
		{"JSON and forms are bounded", bombs},
		{"files of the site stay closed", closedFiles},
		{"the figures stay here", figures},
		{"slow visitors hold up nobody", slowLoris},
		{"guessing ends, and the owner gets in", guessing}, // last: it uses up what the address may try
	} {
		t.Run(part.name, func(t *testing.T) {
			part.run(t, w.on(t))
			if a, err := w.on(t).visit().try("GET", "/healthz", nil); err != nil || a.status != http.StatusOK {
				t.Fatalf("/healthz answered %v, %v", a, err)
			}
		})
	}
	w.grownLittle(before, peakMemory())
}

func openRedirects(t *testing.T, w *world) {
	for _, next := range []string{"//evil.example", "https://evil.example", `/\evil.example`, `\/evil.example`, "/\t/evil.example", "%2f%2fevil.example", "javascript:alert(1)",
		"/%09/evil.example", "///evil.example", "/..//evil.example", "/@evil.example/..//", "https:evil.example", "/\r\nSet-Cookie: a=b", "/x?\r\nLocation: //evil.example",
		" //evil.example", "/%5cevil.example", "/login?next=//evil.example", strings.Repeat("/a", 1500), "\x00/x", "/ｅvil//evil.example"} {
		v := w.visit()
		page := v.get("/login?next=" + url.QueryEscape(next))
		if strings.Contains(page.body, `href="//evil`) || strings.Contains(page.body, `action="//evil`) || page.location != "" {
			t.Errorf("next=%q: the form is %v", next, page)
		}
		a := v.post("/login", "email", w.Customer.Email, "password", w.Customer.Password, "next", next)
		if a.status != http.StatusSeeOther || !strings.HasPrefix(a.location, "/") || strings.HasPrefix(a.location, "//") || strings.ContainsAny(a.location, "\\\t\r\n") || a.header.Get("A") != "" {
			t.Errorf("next=%q: sign-in answered %d to %q", next, a.status, a.location)
		}
		if again := v.get("/login?next=" + url.QueryEscape(next)); again.status == http.StatusSeeOther && (!strings.HasPrefix(again.location, "/") || strings.HasPrefix(again.location, "//")) {
			t.Errorf("next=%q: who is signed in already is sent to %q", next, again.location)
		}
	}
	v := w.visit()
	v.get("/login")
	if a := v.post("/login", "email", w.Customer.Email, "password", w.Customer.Password, "next", "/devices?a=b"); a.location != "/devices?a=b" {
		t.Errorf("an honest next leads to %q", a.location)
	}
}

func cookieNamed(v *visitor, name string) string {
	u, _ := url.Parse(v.base)
	for _, c := range v.http.Jar.Cookies(u) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

func fixation(t *testing.T, w *world) {
	v := w.visit()
	u, _ := url.Parse(v.base)
	v.http.Jar.SetCookies(u, []*http.Cookie{{Name: "session", Value: strings.Repeat("A", 43), Path: "/"}})
	v.get("/login")
	v.signIn(w.Customer.Email, w.Customer.Password)
	first := cookieNamed(v, "session")
	if first == "" || first == strings.Repeat("A", 43) || len(first) < 40 {
		t.Fatalf("after sign-in the session is %q", first)
	}
	csrf := v.csrf
	v.http.Jar.SetCookies(u, []*http.Cookie{{Name: "kept", Value: "1", Path: "/"}})
	if a := v.post("/login", "email", w.Customer.Email, "password", w.Customer.Password); a.status != http.StatusSeeOther {
		t.Fatalf("signing in again answered %v", a)
	}
	second := cookieNamed(v, "session")
	if second == first || second == "" {
		t.Error("signing in again keeps the session")
	}
	for name, value := range map[string]string{"the first session": first, "a session with a changed end": second[:len(second)-1] + "x", "an empty one": ""} {
		old := w.visit()
		old.http.Jar.SetCookies(u, []*http.Cookie{{Name: "session", Value: value, Path: "/"}})
		if a := old.get("/account"); a.status != http.StatusSeeOther {
			t.Errorf("%s opens the account: %d", name, a.status)
		}
	}
	v.csrf = csrf
	if a := v.post("/account", "name", "Mallory"); a.status != http.StatusForbidden {
		t.Errorf("the token of the session before answered %d", a.status)
	}
	v.get("/account")
	for _, value := range []string{v.csrf} {
		if a := v.post("/logout"); a.status != http.StatusSeeOther {
			t.Errorf("sign-out with %q answered %v", value, a)
		}
	}
	gone := w.visit()
	gone.http.Jar.SetCookies(u, []*http.Cookie{{Name: "session", Value: second, Path: "/"}})
	if a := gone.get("/account"); a.status != http.StatusSeeOther {
		t.Errorf("a session that was signed out opens the account: %d", a.status)
	}
}

func hygiene(t *testing.T, w *world) {
	for _, who := range []*visitor{w.visit(), w.customer(), w.admin()} {
		for _, path := range []string{"/", "/login", "/register", "/account", "/password/forgot", "/password/reset/x", "/setup/x", "/login-link/x", "/devices", "/linking", "/admin", "/admin/modules",
			"/admin/modules/devices", "/admin/log", "/admin/status", "/admin/people", "/admin/permissions", "/admin/settings", "/admin/appearance", "/admin/help", "/nothing", "/healthz", "/readyz", "/metrics", "/robots.txt",
			"/favicon.ico", "/manifest.webmanifest", "/assets/nothing.css", "/linking/particle/callback", "/linking/particle/callback?state=x&code=y"} {
			for _, accept := range []string{"text/html", "application/json"} {
				a := who.do(http.MethodGet, path, nil, http.Header{"Accept": {accept}})
				if a.status >= 500 {
					t.Errorf("%s (%s) answered %d", path, accept, a.status)
				}
				policy := a.header.Get("Content-Security-Policy")
				for _, part := range []string{"default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"} {
					if !strings.Contains(policy, part) {
						t.Errorf("%s (%s, %d): the policy %q lacks %s", path, accept, a.status, policy, part)
					}
				}
				if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
					t.Errorf("%s: the policy is %q", path, policy)
				}
				for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin", "Server": "", "X-Powered-By": "",
					"Access-Control-Allow-Origin": ""} {
					if got := a.header.Get(name); got != want {
						t.Errorf("%s (%s, %d): %s is %q, want %q", path, accept, a.status, name, got, want)
					}
				}
				for _, cookie := range a.header.Values("Set-Cookie") {
					low := strings.ToLower(cookie)
					if !strings.Contains(low, "httponly") || !strings.Contains(low, "samesite=lax") || !strings.Contains(low, "path=/") || strings.Contains(low, "domain=") {
						t.Errorf("%s: Set-Cookie: %s", path, cookie)
					}
				}
				if strings.Contains(a.body, "<script>") || strings.Contains(a.body, " style=\"") || strings.Contains(a.body, " onclick=") {
					t.Errorf("%s: inline script or style", path)
				}
				if path == "/account" && a.status == http.StatusOK && a.header.Get("Cache-Control") != "no-store" {
					t.Errorf("%s: Cache-Control is %q", path, a.header.Get("Cache-Control"))
				}
			}
		}
	}
}

// mails gives every mail that the site has written.
func (w *world) mails() string {
	var all strings.Builder
	_ = filepath.WalkDir(filepath.Join(w.data, "mail"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return nil
		}
		body, err := os.ReadFile(path)
		if err == nil {
			all.Write(body)
		}
		return nil
	})
	return all.String()
}

func hostHeader(t *testing.T, w *world) {
	v := w.visit()
	v.get("/password/forgot")
	cookie := "visitor=" + cookieNamed(v, "visitor")
	form := url.Values{"_csrf": {v.csrf}, "email": {w.Customer.Email}}.Encode()
	for _, head := range []string{"Host: evil.example\r\n", "Host: evil.example\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https\r\n", "Host: evil.example:80@x\r\n"} {
		got := w.exchange("POST /password/forgot HTTP/1.1\r\n" + head + "Cookie: " + cookie + "\r\nAccept: text/html\r\nContent-Type: application/x-www-form-urlencoded\r\nConnection: close\r\nContent-Length: " +
			fmt.Sprint(len(form)) + "\r\n\r\n" + form)
		if strings.Contains(got, "evil.example") {
			t.Errorf("the answer names the forged host: %.600s", got)
		}
	}
	eventually(t, 10*time.Second, "a mail is written", func() bool { return strings.Contains(strings.ReplaceAll(w.mails(), "=\r\n", ""), "/password/reset/") })
	if mails := w.mails(); strings.Contains(mails, "evil.example") || !strings.Contains(strings.ReplaceAll(mails, "=\r\n", ""), w.URL+"/password/reset/") {
		t.Errorf("the mail leads elsewhere:\n%s", mails)
	}
	c := w.customer()
	session := "session=" + cookieNamed(c, "session")
	c.get("/linking")
	start := url.Values{"_csrf": {c.csrf}}.Encode()
	got := w.exchange("POST /linking/particle/start HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: evil.example\r\nCookie: " + session +
		"\r\nAccept: text/html\r\nContent-Type: application/x-www-form-urlencoded\r\nConnection: close\r\nContent-Length: " + fmt.Sprint(len(start)) + "\r\n\r\n" + start)
	if strings.Contains(got, "evil.example") || !strings.HasPrefix(got, "303") {
		t.Errorf("linking under a forged host: %.600s", got)
	}
}

// variable is what differs between two answers by nature.
var variable = regexp.MustCompile(`nonce="[^"]*"|name="_csrf" value="[^"]*"|Reference <code>[^<]*|[a-z-]+@[a-z.]+|value="[^"]*"`)

func enumeration(t *testing.T, w *world) {
	ask := func(path, email string, fields ...string) (int, string) {
		v := w.visit()
		v.get(path)
		a := v.post(path, append(fields, "email", email)...)
		return a.status, variable.ReplaceAllString(a.body, "")
	}
	for _, c := range []struct {
		path   string
		fields []string
	}{{"/login", []string{"password", "not the password"}}, {"/password/forgot", nil}} {
		status, body := ask(c.path, w.Customer.Email, c.fields...)
		otherStatus, otherBody := ask(c.path, "nobody@demo.example", c.fields...)
		if status != otherStatus || body != otherBody {
			t.Errorf("%s tells who has an account: %d and %d\n%s\n---\n%s", c.path, status, otherStatus, body, otherBody)
		}
	}
	fast, slow := time.Duration(1<<62), time.Duration(0)
	for range 3 {
		for _, email := range []string{"nobody@demo.example", "noone@demo.example"} {
			begun := time.Now()
			ask("/login", email, "password", "not the password")
			fast, slow = min(fast, time.Since(begun)), max(slow, time.Since(begun))
		}
	}
	if fast < 5*time.Millisecond {
		t.Errorf("an unknown address is refused within %s, which is less than a password takes to check", fast)
	}
}

func pathTricks(t *testing.T, w *world) {
	session := "session=" + cookieNamed(w.customer(), "session")
	for _, path := range []string{"/%61dmin", "/admin%2fmodules", "/%2e%2e/admin", "/devices/../admin", "/./admin", "//admin", "/admin//modules", "/admin/./modules", "/admin;x", "/admin%00", "/admin%20", "/ADMIN", "/admin/",
		"/devices/%2e%2e/admin/modules", "/devices/..%2fadmin", "/devices\\..\\admin", "/assets/../admin", "/assets/%2e%2e/%2e%2e/site.db", "/%c0%ae%c0%ae/admin", "/admin?/../login", "/login/../admin", "/healthz/../admin",
		"/%zz", "/%", "/%u0061dmin", "*", "http://127.0.0.1/admin", "http://evil.example/admin", "/devices/%0d%0aSet-Cookie:%20a=b", "/" + strings.Repeat("a/", 900)} {
		got := w.exchange("GET " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: " + session + "\r\nAccept: text/html\r\nConnection: close\r\n\r\n")
		status, _, _ := strings.Cut(got, " ")
		if strings.HasPrefix(status, "2") && !strings.HasPrefix(path, "/admin?") || strings.HasPrefix(status, "5") || strings.Contains(got, "Set-Cookie:[a=b") || strings.Contains(got, "SQLite format") {
			t.Errorf("GET %q answered %.200s", path, got)
		}
		if strings.Contains(got, "admin/modules/devices") {
			t.Errorf("GET %q shows the administration to a customer", path)
		}
		if location := regexp.MustCompile(`Location:\[([^\]]*)\]`).FindStringSubmatch(got); location != nil && (!strings.HasPrefix(location[1], "/") || strings.HasPrefix(location[1], "//")) {
			t.Errorf("GET %q leads to %q", path, location[1])
		}
	}
}

func methods(t *testing.T, w *world) {
	admin := w.admin()
	for _, path := range []string{"/logout", "/admin/modules/devices/pause", "/linking/particle/start", "/account/sessions/end"} {
		if a := admin.get(path); a.status != http.StatusMethodNotAllowed && a.status != http.StatusNotFound {
			t.Errorf("GET %s answered %d", path, a.status)
		}
	}
	for _, header := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"} {
		a := admin.do(http.MethodGet, "/admin/modules/devices/pause?_method=POST", nil, http.Header{header: {"POST"}, "Accept": {"text/html"}})
		if a.status != http.StatusMethodNotAllowed && a.status != http.StatusNotFound {
			t.Errorf("%s made a GET a POST: %d", header, a.status)
		}
	}
	for _, method := range []string{"PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "OPTIONS", "PROPFIND", "FOO", "get"} {
		got := w.exchange(method + " /login HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Secret: echo\r\nConnection: close\r\n\r\n")
		if strings.HasPrefix(got, "2") || strings.HasPrefix(got, "5") || strings.Contains(got, "X-Secret: echo") {
			t.Errorf("%s answered %.120s", method, got)
		}
	}
	if m := w.module("devices"); m.State != "running" {
		t.Errorf("devices is %+v", m)
	}
	if a := admin.get("/account"); a.status != http.StatusOK {
		t.Error("the administrator was signed out")
	}
}

func oversize(t *testing.T, w *world) {
	for name, request := range map[string]string{
		"a long address":      "GET /" + strings.Repeat("a", 100_000) + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"a long query":        "GET /?" + strings.Repeat("a", 100_000) + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"a long header":       "GET / HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("a", 1<<20) + "\r\nConnection: close\r\n\r\n",
		"many headers":        "GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X-A: b\r\n", 100_000) + "Connection: close\r\n\r\n",
		"a body on GET":       "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\nConnection: close\r\n\r\n",
		"a body of gigabytes": "POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\nConnection: close\r\n\r\n",
		"a negative body":     "POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\nConnection: close\r\n\r\n",
		"two lengths":         "POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 9\r\nConnection: close\r\n\r\nabc",
		"two framings":        "POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n",
		"a giant chunk":       "POST /login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nfffffffff\r\nabc",
		"no HTTP":             "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
	} {
		begun := time.Now()
		got := w.exchange(request)
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("%s was answered after %s", name, took)
		}
		if strings.HasPrefix(got, "2") || strings.HasPrefix(got, "5") || strings.HasPrefix(got, "303") {
			t.Errorf("%s answered %.200s", name, got)
		}
	}
	v := w.customer()
	for path, size := range map[string]int{"/login": 2 << 20, "/account": 2 << 20, "/linking/particle/start": 1 << 20} {
		body := "_csrf=" + url.QueryEscape(v.csrf) + "&x=" + strings.Repeat("x", size)
		request, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, v.base+path, strings.NewReader(body))
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		response, err := v.http.Do(request)
		if err != nil {
			continue // the host closed before the body was sent
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%d bytes to %s answered %d", size, path, response.StatusCode)
		}
	}
}

func bombs(t *testing.T, w *world) {
	v := w.visit()
	v.get("/login")
	fields := "_csrf=" + url.QueryEscape(v.csrf) + strings.Repeat("&a=b", 100_000)
	many := make([]string, 50_000)
	for i := range many {
		many[i] = fmt.Sprintf("a%d=b", i)
	}
	parts := strings.Repeat("--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n", 15_000) + "--b--\r\n"
	for name, c := range map[string]struct{ kind, body string }{
		"100000 fields of one name": {"application/x-www-form-urlencoded", fields},
		"50000 fields":              {"application/x-www-form-urlencoded", "_csrf=" + url.QueryEscape(v.csrf) + "&" + strings.Join(many, "&")},
		"deep JSON":                 {"application/json", `{"email":` + strings.Repeat("[", 400_000)},
		"deep objects":              {"application/json", strings.Repeat(`{"a":`, 150_000)},
		"a JSON number of a MiB":    {"application/json", `{"email":` + strings.Repeat("9", 900_000) + `}`},
		"a JSON list":               {"application/json", `[1,2]`},
		"JSON null":                 {"application/json", `null`},
		"JSON types":                {"application/json", `{"email":{"a":1},"password":[1,{}],"next":7}`},
		"many parts":                {"multipart/form-data; boundary=b", parts},
		"a part without end":        {"multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n" + strings.Repeat("x", 900_000)},
		"no boundary":               {"multipart/form-data", parts},
		"a packed body":             {"application/json; charset=utf-7", "{}"},
	} {
		begun := time.Now()
		a := v.do(http.MethodPost, "/login", strings.NewReader(c.body), http.Header{"Content-Type": {c.kind}, "Accept": {"text/html"}, "X-Csrf-Token": {v.csrf}})
		if a.status < 400 || a.status >= 500 {
			t.Errorf("%s answered %d", name, a.status)
		}
		if took := time.Since(begun); took > 10*time.Second {
			t.Errorf("%s took %s", name, took)
		}
	}
}

func closedFiles(t *testing.T, w *world) {
	for _, path := range []string{"/assets/../../../etc/passwd", "/assets/..%2f..%2fsite.db", "/assets/%2e%2e/key", "/assets//etc/passwd", "/assets/customer/", "/assets/", "/assets/customer", "/site.db", "/key", "/data/site.db",
		"/.git/config", "/plugins/linking/module.yaml", "/assets/customer/../../themes/base/theme.yaml", "/assets/customer/style.css%00.html", "/run/control.sock", "/mail", "/lock"} {
		got := w.exchange("GET " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(got, "4") {
			t.Errorf("GET %s answered %.200s", path, got)
		}
	}
	for name, want := range map[string]os.FileMode{".": 0o700, "key": 0o600, "run": 0o700, "run/control.sock": 0o600, "site.db": 0o600, "mail": 0o700, "lock": 0o600} {
		path, err := filepath.EvalSymlinks(filepath.Join(w.data, name))
		if err != nil {
			path = filepath.Join(w.data, name)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Error(err)
			continue
		}
		if name == "." {
			continue // the test's own folder; the host makes 0700
		}
		if got := info.Mode().Perm(); got&^want != 0 {
			t.Errorf("%s has the mode %o, want at most %o", name, got, want)
		}
	}
}

func figures(t *testing.T, w *world) {
	for _, header := range []string{"X-Forwarded-For: 127.0.0.1", "X-Forwarded-For: 8.8.8.8, 127.0.0.1", "Forwarded: for=127.0.0.1", "X-Forwarded-For: 203.0.113.9"} {
		got := w.exchange("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n" + header + "\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(got, "403") && !strings.HasPrefix(got, "401") {
			t.Errorf("with %q /metrics answered %.100s", header, got)
		}
	}
	if a := w.customer().do(http.MethodGet, "/metrics", nil, http.Header{"X-Forwarded-For": {"1.2.3.4"}, "Accept": {"text/html"}}); a.status == http.StatusOK {
		t.Error("a customer reads /metrics through a proxy")
	}
	if a := w.visit().do(http.MethodGet, "/metrics", nil, http.Header{"Authorization": {"Bearer "}, "X-Forwarded-For": {"1.2.3.4"}, "Accept": {"text/html"}}); a.status == http.StatusOK {
		t.Error("an empty bearer reads /metrics")
	}
}

func slowLoris(t *testing.T, w *world) {
	address := strings.TrimPrefix(w.URL, "http://")
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	for i := range 400 {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
		_, _ = io.WriteString(c, []string{"", "GET / HTTP/1.1\r\nHost: x\r\nX-A: ", "POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\na="}[i%3])
	}
	begun := time.Now()
	if a := w.visit().get("/login"); a.status != http.StatusOK {
		t.Errorf("/login answered %d beside 400 slow visitors", a.status)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("/login took %s beside 400 slow visitors", took)
	}
}

func guessing(t *testing.T, w *world) {
	var group sync.WaitGroup
	var mu sync.Mutex
	statuses := map[int]int{}
	for range 12 {
		v := w.visitFrom("127.0.0.9")
		v.get("/login")
		group.Go(func() {
			for n := range 3 {
				a := v.post("/login", "email", w.Customer.Email, "password", fmt.Sprint("guess ", n))
				mu.Lock()
				statuses[a.status]++
				mu.Unlock()
				if a.status == http.StatusTooManyRequests && a.header.Get("Retry-After") == "" {
					t.Error("429 without Retry-After")
				}
			}
		})
	}
	group.Wait()
	if statuses[422] > 6 || statuses[422]+statuses[429] != 36 {
		t.Errorf("36 parallel guesses were answered %v, want at most a few to be looked at", statuses)
	}
	right := w.visitFrom("127.0.0.9")
	right.get("/login")
	if a := right.post("/login", "email", w.Customer.Email, "password", w.Customer.Password); a.status != http.StatusTooManyRequests {
		t.Errorf("the address that guessed gets %d with the right password, and so learns that it is right", a.status)
	}
	w.visitFrom("127.0.0.10").signIn(w.Customer.Email, w.Customer.Password)
}

// A whole journey leaves none of its secrets in the log: neither on stderr, nor in the store, nor in what an administrator reads.
func TestAttack_TheLogHasNoSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--log-level", "debug")
	v := w.visit()
	seen := v.watched()
	const email, password = "eve-of-the-log@demo.example", "a password that is nowhere"
	v.get("/register")
	if a := v.post("/register", "name", "Eve", "email", email, "password", password); a.status != http.StatusSeeOther {
		t.Fatalf("registering answered %v", a)
	}
	v.get("/account")
	if a := v.link(w, "allow"); a.status != http.StatusOK {
		t.Fatalf("linking ended on %v", a)
	}
	lamp := v.lamp().ID
	v.json(http.MethodPost, "/devices/"+lamp+"/functions/led", map[string]string{"arg": "on"}, nil)
	v.post("/login", "email", email, "password", password+" mistyped")
	v.get("/password/forgot")
	v.post("/password/forgot", "email", email)
	var reset string
	eventually(t, 10*time.Second, "the mail with the link is there", func() bool {
		m := regexp.MustCompile(`/password/reset/([A-Za-z0-9_-]{20,})`).FindStringSubmatch(strings.ReplaceAll(strings.ReplaceAll(w.mails(), "=\r\n", ""), "=3D", "="))
		if m != nil {
			reset = m[1]
		}
		return m != nil
	})
	v.get("/password/reset/" + reset)
	v.get("/password/reset/" + reset + "x")
	const fresh = "another password that is nowhere"
	if a := v.post("/password/reset/"+reset, "password", fresh); a.status != http.StatusSeeOther {
		t.Fatalf("choosing a password answered %v", a)
	}
	link, err := w.command("user", "login-link", email)
	if err != nil {
		t.Fatal(err)
	}
	other := w.visit()
	otherSeen := other.watched()
	other.get(strings.TrimSpace(link))
	other.post(strings.TrimPrefix(strings.TrimSpace(link), w.URL))
	other.get("/linking/particle/callback?code=stolen-code-1234&state=stolen-state-1234")
	admin := w.admin()
	admin.get("/admin/modules/linking/settings")
	admin.post("/admin/modules/linking/settings", "_form", "1", "base_url", w.Particle.URL, "client_id", w.Particle.ClientID, "client_secret", w.Particle.ClientSecret)

	token := strings.TrimSpace(link)[strings.LastIndex(strings.TrimSpace(link), "/")+1:]
	secrets := append(seen.secrets(), otherSeen.secrets()...)
	secrets = append(secrets, password, fresh, password+" mistyped", email, w.Admin.Email, w.Admin.Password, w.Particle.ClientSecret, w.Particle.Password, reset, token, "stolen-code-1234", "stolen-state-1234")
	shown := admin.get("/admin/log").body
	w.stop()
	stored, err := sqlite(t, w, `SELECT message, attrs, request_id FROM core_log`)
	if err != nil || stored == "" {
		t.Fatalf("core_log: %q, %v", stored, err)
	}
	log := w.logs.String()
	if i := strings.Index(log, "level="); i < 0 {
		t.Fatal("there is no log")
	}
	secretFree(t, "stderr", log, secrets...)
	secretFree(t, "core_log", stored, secrets...)
	secretFree(t, "the log page", strings.ReplaceAll(shown, w.Admin.Email, ""), secrets...)
	// What the store keeps of them is sealed or hashed.
	file, err := os.ReadFile(filepath.Join(w.data, "site.db"))
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range secrets {
		if !strings.Contains(secret, "@") && strings.Contains(string(file), secret) {
			t.Errorf("the store has %q in clear", secret)
		}
	}
	key, err := os.ReadFile(filepath.Join(w.data, "key"))
	if err != nil || len(key) < 32 {
		t.Fatalf("the key file: %v", err)
	}
	secretFree(t, "stderr", log, strings.TrimSpace(string(key)))
}
