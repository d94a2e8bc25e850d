package web_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"mortise/core/fault"
	"mortise/core/router"
	"mortise/core/sdk"
)

func TestModulePage_IsDrawnForABrowserAndGivenAsDataToAProgram(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.customer()
	s.shop.on(item(`<b>lamp</b>`))
	page := b.get("/shop")
	if page.status != 200 || !strings.Contains(page.body, "&lt;b&gt;lamp&lt;/b&gt; 9007199254740993") {
		t.Errorf("page = %d %s", page.status, page.body)
	}
	if !strings.Contains(page.body, `name="_csrf"`) || !strings.Contains(page.body, "Shop window") {
		t.Error("the page lacks its token or its menu")
	}
	data := b.get("/shop", asJSON)
	if data.status != 200 || data.header.Get("Content-Type") != "application/json" || strings.TrimSpace(data.body) != `{"name":"\u003cb\u003elamp\u003c/b\u003e","number":9007199254740993}` {
		t.Errorf("data = %d %s %s", data.status, data.header.Get("Content-Type"), data.body)
	}
	if got := page.header.Get("Cache-Control"); !strings.Contains(got, "private") {
		t.Errorf("Cache-Control = %q", got)
	}
}

func TestModulePage_NeedsItsPermission(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.shop.on(item("lamp"))
	nobody := s.browser()
	if a := nobody.get("/shop"); a.status != 303 || a.header.Get("Location") != "/login?next=%2Fshop" {
		t.Errorf("nobody: %d %q", a.status, a.header.Get("Location"))
	}
	if a := nobody.get("/shop", asJSON); a.status != 401 {
		t.Errorf("a program: %d", a.status)
	}
	if a := nobody.get("/shop/open"); a.status != 200 {
		t.Errorf("the public page: %d", a.status)
	}
	s.person("eve@example.com", "customer")
	eve := s.signIn("eve@example.com")
	if a := eve.get("/shop"); a.status != 403 || strings.Contains(a.body, "shop.use") {
		t.Errorf("a person without the permission: %d %s", a.status, a.body)
	}
	if a := eve.get("/%73hop"); a.status != 403 {
		t.Errorf("another spelling of the path: %d", a.status)
	}
	if got := s.shop.requests(); got != 1 {
		t.Errorf("the module saw %d requests, want the public one", got)
	}
}

func TestModulePage_SeesWhoAsksAndNothingOfTheirCredentials(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.customer()
	var who sdk.Request
	s.shop.on(func(w http.ResponseWriter, r *http.Request) {
		who = sdk.RequestFrom(r.Context())
		item("x")(w, r)
	})
	b.get("/shop/items/a%2Fb?x=1", header{
		"Authorization": "Bearer secret", "Mortise-Identity": "forged", "Mortise-Token": "forged", "X-Forwarded-For": "1.1.1.1", "X-Custom": "kept",
		"Forwarded": "for=1.1.1.1", "Accept-Language": "de",
	})
	if who.User.Name != "Ann" || !who.User.Can("shop.use") || who.User.Can("shop.manage") || who.Claim != "claim-shop" {
		t.Errorf("identity = %+v", who)
	}
	seen := s.shop.lastSeen()
	for _, name := range []string{"Cookie", "Authorization", "X-Forwarded-For", "Forwarded", "X-Csrf-Token"} {
		if got := seen.Values(name); len(got) != 0 {
			t.Errorf("the module saw %s: %q", name, got)
		}
	}
	if len(seen.Values("Mortise-Identity")) != 1 || len(seen.Values("Mortise-Token")) != 1 {
		t.Errorf("the module saw forged headers: %v", seen)
	}
	if seen.Get("X-Custom") != "kept" || seen.Get("Accept-Language") != "de" || seen.Get("X-Forwarded-Proto") != "http" {
		t.Errorf("the module saw %v", seen)
	}
}

func TestModulePage_CannotSetCookiesOrPoliciesOrSendHTML(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.customer()
	s.shop.on(func(w http.ResponseWriter, r *http.Request) {
		for k, v := range map[string]string{
			"Set-Cookie": "session=stolen", "Content-Security-Policy": "script-src *", "Strict-Transport-Security": "max-age=0", "X-Evil": "1",
			"Access-Control-Allow-Origin": "*", "Cache-Control": "public, max-age=600", "Content-Type": "text/csv", "Etag": `"1"`, "Refresh": "0;url=//evil",
			"Content-Disposition": `attachment; filename="a.csv"`,
		} {
			w.Header().Set(k, v)
		}
		_, _ = io.WriteString(w, "a,b\n")
	})
	a := b.get("/shop")
	for _, name := range []string{"X-Evil", "Access-Control-Allow-Origin", "Strict-Transport-Security", "Refresh"} {
		if got := a.header.Get(name); got != "" {
			t.Errorf("%s: %q reached the visitor", name, got)
		}
	}
	if strings.Contains(strings.Join(a.header.Values("Set-Cookie"), ";"), "stolen") {
		t.Error("the module set a cookie")
	}
	if csp := a.header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "sandbox") {
		t.Errorf("policy = %q", csp)
	}
	if a.body != "a,b\n" || a.header.Get("ETag") != `"1"` || a.header.Get("Cache-Control") != "private, max-age=600" || a.header.Get("Content-Disposition") == "" {
		t.Errorf("file = %q %v", a.body, a.header)
	}
	s.shop.on(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<script>alert(1)</script>")
	})
	if a := b.get("/shop"); a.status != 502 || strings.Contains(a.body, "alert(1)") {
		t.Errorf("HTML of a module: %d %s", a.status, a.body)
	}
	if !strings.Contains(s.log.String(), "pages are views") {
		t.Error("the log does not say why")
	}
}

func TestModulePage_ErrorsKeepTheirKindAndSentence(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.customer()
	for kind := fault.Invalid; kind <= fault.Timeout; kind++ {
		if kind == fault.SignedOut {
			continue
		}
		s.shop.on(func(w http.ResponseWriter, r *http.Request) {
			sdk.Fail(w, r, fault.Wrap(kind, errors.New("inside"), "A sentence about %s.", kind))
		})
		page, data := b.get("/shop"), b.get("/shop", asJSON)
		if page.status != kind.Status() || !strings.Contains(page.body, "A sentence about "+kind.String()) || strings.Contains(page.body, "inside") {
			t.Errorf("%v as a page: %d %s", kind, page.status, page.body)
		}
		if data.status != kind.Status() || !strings.Contains(data.body, `"kind":"`+kind.String()+`"`) || data.header.Get("Content-Type") != sdk.ProblemType {
			t.Errorf("%v as JSON: %d %s", kind, data.status, data.body)
		}
	}
}

func TestModulePage_RedirectsStayOnTheSiteUnlessTheManifestAllowsMore(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.customer()
	for _, c := range []struct {
		page, location string
		status         int
		want           string
	}{
		{"/shop", "/shop/items/1?a=b#c", 303, "/shop/items/1?a=b#c"},
		{"/shop", "//evil.example/", 502, ""},
		{"/shop", "https://evil.example/", 502, ""},
		{"/shop", "/\\evil.example", 502, ""},
		{"/shop", "https://pay.example/x", 502, ""},
		{"/shop/away", "https://pay.example/x?y=1", 303, "https://pay.example/x?y=1"},
		{"/shop/away", "https://pay.example.evil/x", 502, ""},
		{"/shop/away", "https://user@pay.example/x", 502, ""},
		{"/shop/away", "http://pay.example/x", 502, ""},
		{"/shop/away", "javascript:alert(1)", 502, ""},
	} {
		s.shop.on(func(w http.ResponseWriter, r *http.Request) { sdk.Redirect(w, r, c.location) })
		b.get("/")
		if a := b.post(c.page, nil); a.status != c.status || a.header.Get("Location") != c.want {
			t.Errorf("%s to %s: %d %q", c.page, c.location, a.status, a.header.Get("Location"))
		}
	}
	s.shop.on(func(w http.ResponseWriter, r *http.Request) {
		sdk.Redirect(w, r, "/shop", sdk.Message{Tone: sdk.Good, Text: "Sold & <b>gone</b>"})
	})
	if a := b.post("/shop", nil, asJSON); a.status != 200 || !strings.Contains(a.body, `"redirect":"/shop"`) || !strings.Contains(a.body, `"tone":"good"`) {
		t.Errorf("for a program: %d %s", a.status, a.body)
	}
	b.post("/shop", nil)
	s.shop.on(item("x"))
	if a := b.get("/shop"); !strings.Contains(a.body, "Sold &amp; &lt;b&gt;gone&lt;/b&gt;") {
		t.Errorf("the message is not on the next page: %s", a.body)
	}
	form := b.get("/shop").header.Get("Content-Security-Policy")
	if !strings.Contains(form, "form-action 'self' https://pay.example;") {
		t.Errorf("policy = %q", form)
	}
}

func TestModulePage_MethodBodyAndTimeAreBounded(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.customer()
	s.shop.on(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/shop/quick" {
			<-r.Context().Done()
			return
		}
		item("x")(w, r)
	})
	if a := b.do("PUT", "/shop", nil); a.status != 405 || a.header.Get("Allow") == "" {
		t.Errorf("PUT: %d, Allow %q", a.status, a.header.Get("Allow"))
	}
	before := s.shop.requests()
	if a := b.post("/shop/small", url.Values{"x": {strings.Repeat("a", 5000)}}); a.status != 413 {
		t.Errorf("large body: %d", a.status)
	}
	if s.shop.requests() != before {
		t.Error("the module saw the large body")
	}
	if a := b.post("/shop/small", url.Values{"x": {"a"}}); a.status != 200 {
		t.Errorf("small body: %d %s", a.status, a.body)
	}
	start := time.Now()
	if a := b.get("/shop/quick"); a.status != 504 || time.Since(start) > 5*time.Second {
		t.Errorf("slow page: %d after %v", a.status, time.Since(start))
	}
	eventually(t, "every place is given back", func() bool { return s.shop.leases() == 0 })
}

func TestModulePage_AnswersNoticeWhilePausedAndWhileGone(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.customer()
	s.shop.on(item("x"))
	s.publish(router.Paused)
	a := b.get("/shop")
	if a.status != 503 || a.header.Get("Retry-After") == "" || !strings.Contains(a.body, "paused") || strings.Contains(a.body, "Shop window") {
		t.Errorf("paused: %d %q %s", a.status, a.header.Get("Retry-After"), a.body)
	}
	s.publish(router.Serving)
	s.shop.stop()
	if a := b.get("/shop"); a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("gone: %d", a.status)
	}
	if a := b.get("/account"); a.status != 200 {
		t.Errorf("another page: %d", a.status)
	}
}

func TestModulePage_IsAskedForOnceMoreWhenTheModuleWentAwayButNotAfterAChange(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.customer()
	s.shop.on(item("first"))
	b.get("/shop") // leaves an idle connection
	crash := func(then http.HandlerFunc) {
		s.shop.mu.Lock()
		s.shop.back = make(chan struct{})
		back := s.shop.back
		s.shop.mu.Unlock()
		s.shop.on(func(http.ResponseWriter, *http.Request) {
			s.shop.on(then)
			go func() {
				s.shop.stop()
				s.shop.start()
				close(back)
			}()
			panic(http.ErrAbortHandler)
		})
	}
	crash(item("second"))
	if a := b.get("/shop"); a.status != 200 || !strings.Contains(a.body, "second") {
		t.Errorf("GET: %d %s", a.status, a.body)
	}
	crash(item("third"))
	if a := b.post("/shop", nil); a.status != 503 {
		t.Errorf("POST: %d, want 503: it must not be sent twice", a.status)
	}
	eventually(t, "every place is given back", func() bool { return s.shop.leases() == 0 })
}

func TestModulePage_WaitsForAModuleThatIsAboutToRunAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.customer()
	s.shop.on(item("again"))
	b.get("/shop")
	crash := func(downFor time.Duration) (back chan struct{}) {
		s.shop.stop()
		s.shop.mu.Lock()
		defer s.shop.mu.Unlock()
		s.shop.back, s.shop.downFor = make(chan struct{}), downFor
		return s.shop.back
	}
	back := crash(300 * time.Millisecond)
	answers := make(chan answer, 2)
	go func() { answers <- b.get("/shop") }()
	go func() { answers <- b.post("/shop", nil) }()
	select {
	case a := <-answers:
		t.Errorf("%d was answered before the module ran", a.status)
	case <-time.After(50 * time.Millisecond):
	}
	s.shop.start()
	close(back)
	for range 2 {
		if a := <-answers; a.status != 200 || !strings.Contains(a.body, "again") {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	crash(time.Minute)
	began := time.Now()
	if a := b.get("/shop"); a.status != 503 || time.Since(began) > time.Second {
		t.Errorf("down for a minute: %d after %v, want 503 at once", a.status, time.Since(began))
	}
}

func TestModulePage_SurvivesHostileAnswers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.customer()
	raw := func(answer string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, answer)
		}
	}
	view := func(body string) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", sdk.ViewType, len(body), body)
	}
	for name, c := range map[string]struct {
		answer string
		want   int
	}{
		"status 999":        {"HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n", 502},
		"status 101":        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", 502},
		"endless 100s":      {strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 5000), 502},
		"header flood":      {"HTTP/1.1 200 OK\r\n" + strings.Repeat("X-A: b\r\n", 100_000) + "\r\n", 502},
		"no HTTP":           {"hello\r\n\r\n", 502},
		"negative length":   {"HTTP/1.1 200 OK\r\nContent-Type: " + sdk.ViewType + "\r\nContent-Length: -5\r\n\r\n{}", 502},
		"not JSON":          {view("{"), 502},
		"no such template":  {view(`{"template":"nope","title":"x","data":{}}`), 500},
		"data is no object": {view(`{"template":"item","title":"x","data":[1]}`), 200},
		"failing template":  {view(`{"template":"broken","title":"x","data":{"name":1}}`), 500},
		"large view":        {view(`{"template":"item","data":{"name":"` + strings.Repeat("a", 5<<20) + `"}}`), 502},
		"encoded":           {"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 1\r\n\r\nx", 502},
		"split header":      {"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nETag: \"a\x01b\"\r\nContent-Length: 1\r\n\r\nx", 200},
		"cut off":           {"HTTP/1.1 200 OK\r\nContent-Type: " + sdk.ViewType + "\r\nContent-Length: 500\r\n\r\n{", 503},
	} {
		s.shop.on(raw(c.answer))
		a := b.get("/shop")
		if a.status != c.want && !(name == "data is no object" && a.status >= 500) {
			t.Errorf("%s: %d, want %d: %.300s", name, a.status, c.want, a.body)
		}
		if strings.Contains(a.header.Get("ETag"), "\x01") {
			t.Errorf("%s: a control character passed", name)
		}
	}
	eventually(t, "every place is given back", func() bool { return s.shop.leases() == 0 })
	s.shop.on(item("fine"))
	if a := b.get("/shop"); a.status != 200 {
		t.Errorf("afterwards: %d", a.status)
	}
}

func TestModulePage_DownloadsPassWithLengthRangeAndHead(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.customer()
	content := strings.Repeat("0123456789", 200_000)
	s.shop.on(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(content))
	})
	if a := b.get("/shop"); a.status != 200 || a.body != content {
		t.Errorf("whole file: %d, %d bytes", a.status, len(a.body))
	}
	if a := b.get("/shop", header{"Range": "bytes=5-9"}); a.status != 206 || a.body != "56789" || a.header.Get("Content-Range") == "" {
		t.Errorf("range: %d %q %v", a.status, a.body, a.header)
	}
	if a := b.do("HEAD", "/shop", nil); a.status != 200 || a.header.Get("Content-Length") != "2000000" {
		t.Errorf("HEAD: %d %v", a.status, a.header)
	}
	s.shop.on(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/csv")
		for range 3 {
			_, _ = io.WriteString(w, strings.Repeat("a", 10_000))
			w.(http.Flusher).Flush()
		}
	})
	if a := b.get("/shop"); a.status != 200 || len(a.body) != 30_000 {
		t.Errorf("unknown length: %d, %d bytes", a.status, len(a.body))
	}
	eventually(t, "every place is given back", func() bool { return s.shop.leases() == 0 })
}

func TestPanic_BecomesAPageWithAReferenceAndTheServerGoesOn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.customer()
	s.shop.mu.Lock()
	s.shop.client.Dial = func(string) (net.Conn, error) { panic("at the disco") }
	s.shop.mu.Unlock()
	a := b.get("/shop")
	if a.status != 500 || strings.Contains(a.body, "disco") || a.header.Get("X-Frame-Options") == "" {
		t.Errorf("answered %d %s", a.status, a.body)
	}
	if log := s.log.String(); !strings.Contains(log, "at the disco") || !strings.Contains(log, a.header.Get("X-Request-Id")) {
		t.Error("the log does not tell")
	}
	if a := b.get("/account"); a.status != 200 {
		t.Errorf("afterwards: %d", a.status)
	}
	if n := s.shop.leases(); n != 0 {
		t.Errorf("%d places are still held after a panic", n)
	}
}
