package web_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"runtime"
	"strings"
	"testing"

	"mortise/core/web"
)

func TestServer_NeverUnpacksABody(t *testing.T) {
	s := newSite(t)
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	_, _ = w.Write([]byte("--b\r\nContent-Disposition: form-data; name=\"_csrf\"\r\n\r\n"))
	for range 64 {
		_, _ = w.Write(make([]byte, 1<<20))
	}
	must(t, w.Close())
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, kind := range []string{"multipart/form-data; boundary=b", "application/json", "application/x-www-form-urlencoded"} {
		for _, path := range []string{"/login", "/shop/open"} {
			b := s.browser()
			b.get("/login")
			a := b.do("POST", path, bytes.NewReader(bomb.Bytes()), header{"Content-Type": kind, "Content-Encoding": "gzip", "X-CSRF-Token": b.token})
			if a.status != http.StatusUnsupportedMediaType {
				t.Errorf("%s as %s: %d, want 415", path, kind, a.status)
			}
		}
	}
	runtime.ReadMemStats(&after)
	if grown := (after.TotalAlloc - before.TotalAlloc) >> 20; grown > 60 {
		t.Errorf("%d MiB were taken for bodies of %d KiB", grown, bomb.Len()>>10)
	}
	b := s.browser()
	b.get("/login")
	if a := b.do("POST", "/login", strings.NewReader("email=a%40example.com&password=x"),
		header{"Content-Type": "application/x-www-form-urlencoded", "Content-Encoding": "identity", "X-CSRF-Token": b.token}); a.status == http.StatusUnsupportedMediaType {
		t.Error("a body as it is was refused")
	}
}

func TestProxies_AVisitorsOwnLineDoesNotHideTheProxys(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(o *web.Options) { o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	u := s.person("ann@example.com", "customer")
	b := s.browser()
	b.get("/login")
	form := url.Values{"_csrf": {b.token}, "email": {"ann@example.com"}, "password": {password}}
	r, err := http.NewRequest("POST", s.url+"/login", strings.NewReader(form.Encode()))
	must(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header["X-Forwarded-For"] = []string{"1.2.3.4", "203.0.113.9"} // the second is the proxy's
	res, err := b.c.Do(r)
	must(t, err)
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	sessions := s.people.Sessions(u.ID)
	if len(sessions) != 1 || sessions[0].Address != "203.0.113.9" {
		t.Errorf("sessions %+v, want address 203.0.113.9", sessions)
	}
}

func TestModulePages_LearnTheSitesNameFromTheSite(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(o *web.Options) { o.PublicURL = "http://site.example:8080" })
	s.shop.on(item("lamp"))
	if a := s.browser().get("/shop/open", header{"Host": "evil.example", "X-Forwarded-Host": "evil.example"}); a.status != http.StatusOK {
		t.Fatalf("status %d", a.status)
	}
	if got := s.shop.lastSeen().Get("X-Forwarded-Host"); got != "site.example:8080" {
		t.Errorf("X-Forwarded-Host is %q", got)
	}
}
