package web_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"mortise/core/sdk"
	"mortise/core/web"
)

func TestCSRF_OnlyTheVisitorsOwnTokenFromTheSameSiteOpensTheDoor(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ann := s.customer()
	s.person("eve@example.com", "customer")
	eve := s.signIn("eve@example.com")
	s.shop.on(func(w http.ResponseWriter, r *http.Request) { sdk.Redirect(w, r, "/shop") })
	stranger := s.browser()
	stranger.get("/login")
	for name, c := range map[string]struct {
		token   string
		headers header
		want    int
	}{
		"own token":                     {ann.token, nil, 303},
		"own token, same origin":        {ann.token, header{"Origin": s.url, "Sec-Fetch-Site": "same-origin"}, 303},
		"own token in the header":       {"", header{"X-CSRF-Token": ann.token}, 303},
		"no token":                      {"", nil, 403},
		"another person's token":        {eve.token, nil, 403},
		"an anonymous visitor's token":  {stranger.token, nil, 403},
		"a damaged token":               {ann.token[:len(ann.token)-2] + "zz", nil, 403},
		"own token from another site":   {ann.token, header{"Sec-Fetch-Site": "cross-site"}, 403},
		"own token from a sibling host": {ann.token, header{"Sec-Fetch-Site": "same-site"}, 403},
		"own token, another origin":     {ann.token, header{"Origin": "https://evil.example"}, 403},
		"own token, no origin":          {ann.token, header{"Origin": "null"}, 403},
	} {
		for _, path := range []string{"/account", "/shop"} {
			h := header{"Content-Type": "application/x-www-form-urlencoded"}
			for k, v := range c.headers {
				h[k] = v
			}
			before := s.shop.requests()
			a := ann.do("POST", path, strings.NewReader(url.Values{"_csrf": {c.token}, "name": {"Ann"}}.Encode()), h)
			if a.status != c.want {
				t.Errorf("%s, POST %s: %d, want %d", name, path, a.status, c.want)
			}
			if c.want == 403 && s.shop.requests() != before {
				t.Errorf("%s: the module saw the forged request", name)
			}
		}
	}
}

func TestCSRF_AnonymousFormsNeedTheCookieThatTheTokenBelongsTo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.person("ann@example.com", "customer")
	b, other := s.browser(), s.browser()
	b.get("/login")
	other.get("/login")
	form := url.Values{"email": {"ann@example.com"}, "password": {password}}
	own := b.token
	b.token = other.token
	if a := b.post("/login", form); a.status != 403 {
		t.Errorf("another visitor's token: %d", a.status)
	}
	b.token = own
	if a := s.browser().post("/login", url.Values{"_csrf": {own}}); a.status != 403 {
		t.Errorf("a token without its cookie: %d", a.status)
	}
	if a := b.post("/login", form); a.status != 303 {
		t.Errorf("own token: %d", a.status)
	}
}

func TestHeaders_EveryAnswerIsProtected(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.customer()
	s.shop.on(item("lamp"))
	for _, path := range []string{"/", "/login", "/nowhere", "/shop", "/shop/open", "/healthz", "/robots.txt", "/manifest.webmanifest", "/favicon.ico", "/admin/shop"} {
		a := b.get(path)
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "X-Frame-Options": "DENY", "Cross-Origin-Opener-Policy": "same-origin",
		} {
			if got := a.header.Get(name); got != want {
				t.Errorf("%s: %s = %q", path, name, got)
			}
		}
		csp := a.header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: policy %q lacks %s", path, csp, want)
			}
		}
		if strings.Contains(csp, "unsafe") {
			t.Errorf("%s: policy %q", path, csp)
		}
		if a.header.Get("Server") != "" {
			t.Errorf("%s says %q", path, a.header.Get("Server"))
		}
	}
	one, two := b.get("/").header.Get("Content-Security-Policy"), b.get("/").header.Get("Content-Security-Policy")
	if one == two {
		t.Error("two pages have the same nonce")
	}
}

func TestTLS_CookiesAreSecureAndHostBoundAndTheSiteAsksForTLSForEver(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(o *web.Options) {
		o.Certificate = certificate(t)
		o.PublicURL = strings.Replace(o.PublicURL, "http://", "https://", 1)
	})
	s.person("ann@example.com", "customer")
	b := s.browser()
	b.get("/login")
	a := b.post("/login", url.Values{"email": {"ann@example.com"}, "password": {password}})
	if a.status != 303 {
		t.Fatalf("sign-in: %d %s", a.status, a.body)
	}
	found := false
	for _, c := range a.header.Values("Set-Cookie") {
		if strings.HasPrefix(c, "__Host-session=") {
			found = strings.Contains(strings.ToLower(c), "secure") && strings.Contains(strings.ToLower(c), "path=/;") && !strings.Contains(strings.ToLower(c), "domain")
		}
	}
	if !found {
		t.Errorf("cookies = %q", a.header.Values("Set-Cookie"))
	}
	if !strings.HasPrefix(a.header.Get("Strict-Transport-Security"), "max-age=31536000") {
		t.Errorf("HSTS = %q", a.header.Get("Strict-Transport-Security"))
	}
}

func certificate(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}
}

func TestRequestID_IsOursAndStandsOnThePageInTheHeaderAndInTheLog(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.customer()
	s.shop.on(func(w http.ResponseWriter, r *http.Request) { sdk.Fail(w, r, fmt.Errorf("disk on fire")) })
	a := b.get("/shop", header{"X-Request-Id": "forged", "Accept": "application/json"})
	id := a.header.Get("X-Request-Id")
	if len(id) != 16 || !strings.Contains(a.body, id) {
		t.Fatalf("id %q, answer %s", id, a.body)
	}
	if a.status != 500 || strings.Contains(a.body, "disk on fire") {
		t.Errorf("the visitor reads %d %s", a.status, a.body)
	}
	if log := s.log.String(); !strings.Contains(log, "request_id="+id) || !strings.Contains(log, "disk on fire") || strings.Contains(log, "forged") {
		t.Errorf("the log does not explain %s", id)
	}
	if got := s.shop.lastSeen().Get("Mortise-Request"); got != id {
		t.Errorf("the module was told %q, want %q", got, id)
	}
}

func TestRateLimit_StopsAFloodOfChangesButNotOfReading(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.browser()
	b.get("/login")
	last := answer{}
	for range 200 {
		if last = b.post("/password/forgot", url.Values{"_csrf": {"wrong"}}); last.status == 429 {
			break
		}
	}
	if last.status != 429 || last.header.Get("Retry-After") == "" {
		t.Errorf("after 200 posts: %d, Retry-After %q", last.status, last.header.Get("Retry-After"))
	}
	if a := b.get("/login"); a.status != 200 {
		t.Errorf("reading: %d", a.status)
	}
}

func TestProxies_OnlyTrustedOnesMaySayWhereAVisitorComesFrom(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		trusted string
		want    string
	}{"trusted": {"127.0.0.0/8", "203.0.113.9"}, "not trusted": {"10.0.0.0/8", "127.0.0.1"}} {
		s := newSite(t, func(o *web.Options) { o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix(c.trusted)} })
		u := s.person("ann@example.com", "customer")
		b := s.browser()
		b.get("/login")
		b.post("/login", url.Values{"email": {"ann@example.com"}, "password": {password}}, header{"X-Forwarded-For": "1.2.3.4, 203.0.113.9, 127.0.0.5"})
		sessions := s.people.Sessions(u.ID)
		if len(sessions) != 1 || sessions[0].Address != c.want {
			t.Errorf("%s: sessions %+v, want address %s", name, sessions, c.want)
		}
	}
}

func TestServer_RefusesWhatItCannotReadWithoutTellingInternals(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for name, c := range map[string]struct{ request, want string }{
		"huge header": {"GET / HTTP/1.1\r\nHost: a\r\nX-A: " + strings.Repeat("a", 40<<10) + "\r\n\r\n", "431"},
		"no request":  {"\x16\x03\x01 hello\r\n\r\n", "400"},
		"huge body":   {"POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 17000000\r\n\r\n", "413"},
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		must(t, err)
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = conn.Write([]byte(c.request))
		line, _ := bufio.NewReader(conn).ReadString('\n')
		if !strings.Contains(line, c.want) {
			t.Errorf("%s: %q, want %s", name, line, c.want)
		}
		_ = conn.Close()
	}
}

func TestHealth_SaysWhatMachinesNeed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.browser()
	for path, want := range map[string]string{"/healthz": "ok\n", "/readyz": "ready\n"} {
		if a := b.get(path); a.status != 200 || a.body != want || len(a.header.Values("Set-Cookie")) != 0 {
			t.Errorf("%s = %d %q %v", path, a.status, a.body, a.header)
		}
	}
	if a := b.get("/metrics"); a.status != 200 || !strings.Contains(a.body, "mortise_requests_total") {
		t.Errorf("/metrics from loopback = %d", a.status)
	}
	if a := b.get("/metrics", header{"X-Forwarded-For": "203.0.113.9"}); a.status != 403 {
		t.Errorf("/metrics through a proxy = %d", a.status)
	}
}

func TestMetrics_OpenToTheBearerOfTheToken(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(o *web.Options) { o.MetricsToken = "let-me-measure" })
	b := s.browser()
	if a := b.get("/metrics", header{"Authorization": "Bearer let-me-measure", "X-Forwarded-For": "203.0.113.9"}); a.status != 200 {
		t.Errorf("with the token: %d", a.status)
	}
	if a := b.get("/metrics", header{"Authorization": "Bearer wrong"}); a.status != 403 {
		t.Errorf("with another token: %d", a.status)
	}
}

func TestAssets_AreKeptForEverAndPacked(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.browser()
	page := b.get("/login").body
	start := strings.Index(page, "/assets/")
	path := page[start : start+strings.IndexByte(page[start:], '"')]
	a := b.get(path, header{"Accept-Encoding": "gzip"})
	if a.status != 200 || !strings.Contains(a.header.Get("Cache-Control"), "immutable") || len(a.header.Values("Set-Cookie")) != 0 {
		t.Errorf("%s = %d %v", path, a.status, a.header)
	}
	if etag := a.header.Get("ETag"); etag == "" || b.get(path, header{"If-None-Match": etag}).status != 304 {
		t.Errorf("ETag %q is not honoured", etag)
	}
	if a := b.get("/assets/../../etc/passwd"); a.status != 404 {
		t.Errorf("outside the assets: %d", a.status)
	}
}

func TestRoutes_EveryOneDemandsWhatItsLineSays(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.person("ann@example.com", "customer")
	ann, nobody := s.signIn("ann@example.com"), s.browser()
	nobody.get("/login")
	fill := strings.NewReplacer(":token", "x", ":id", "1", ":theme", "customer", ":job", "x", ":event", "1", ":page", "x", "*", "x")
	for _, r := range s.server.Routes() {
		path := fill.Replace(r.Path)
		send := func(b *browser) int {
			if r.Method == "GET" {
				return b.get(path, asJSON).status
			}
			return b.post(path, nil, asJSON).status
		}
		switch r.Access {
		case "signed_in":
			if got := send(nobody); got != 401 {
				t.Errorf("%s %s for nobody: %d, want 401", r.Method, path, got)
			}
		case "permission":
			if got := send(nobody); got != 401 {
				t.Errorf("%s %s for nobody: %d, want 401", r.Method, path, got)
			}
			if got := send(ann); got != 403 {
				t.Errorf("%s %s for a customer: %d, want 403", r.Method, path, got)
			}
		case "public", "machine":
		default:
			t.Errorf("%s %s demands %q, which nobody knows", r.Method, path, r.Access)
		}
		if r.Method != "GET" && r.Access != "machine" {
			if a := s.browser().do(r.Method, path, nil, asJSON); a.status != 403 && a.status != 401 {
				t.Errorf("%s %s without a token: %d", r.Method, path, a.status)
			}
		}
	}
}
