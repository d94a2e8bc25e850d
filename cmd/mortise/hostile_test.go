package main_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// peakMemory is what a host with a hostile module may take at most, in bytes; the race detector needs several times as much.
func peakMemory() int64 {
	if raceEnabled {
		return 4 << 30
	}
	return 700 << 20
}

// One module tries everything that an answer, a log line or a call can do to the host. The parts run beside each other, so that each
// also is the others' neighbour.
func TestHostile_TheHostOutlivesAModuleThatDoesItsWorst(t *testing.T) {
	t.Parallel()
	w := hostileWorld(t, "neighbour", "hostile")
	before := w.vitals()
	t.Run("at once", func(t *testing.T) {
		for name, part := range map[string]func(*testing.T, *world){
			"bytes that are not an answer":    badBytes,
			"views that cannot be drawn":      badViews,
			"files with headers of their own": badFiles,
			"redirects to other sites":        badRedirects,
			"answers that come late or never": badTiming,
			"streams":                         badStreams,
			"log lines":                       badLogs,
			"floods of calls":                 badFloods,
			"claims and services":             badClaims,
			"other modules' sockets":          badSockets,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				part(t, w.on(t))
				w.on(t).healthy(name)
			})
		}
	})
	w.signsIn("everything")
	w.grownLittle(before, peakMemory())
	for _, id := range []string{"neighbour", "hostile", "linking", "devices"} {
		if m := w.module(id); m.State != "running" || m.Restarts != 0 {
			t.Errorf("%s is %+v, want it to run since its first start", id, m)
		}
	}
}

// refused fails unless an answer is a themed error page that says nothing of what happened inside.
func refused(t *testing.T, what string, a answer, err error, statuses ...int) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	for _, status := range statuses {
		if a.status != status {
			continue
		}
		if !strings.Contains(a.body, "</html>") || !strings.Contains(a.header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: not a themed page: %v", what, a)
		}
		for _, inside := range []string{"goroutine", "panic:", "in a handler", ".go:", "/run/", "hijack"} {
			if strings.Contains(a.body, inside) {
				t.Errorf("%s: the page says %q: %v", what, inside, a)
			}
		}
		return
	}
	t.Errorf("%s: answered %d, want one of %v\n%.300s", what, a.status, statuses, a.body)
}

var asBrowser = http.Header{"Accept": {"text/html"}}

func badBytes(t *testing.T, w *world) {
	v := w.visit()
	for _, what := range []string{"empty", "garbage", "http2", "status_0", "status_7", "status_minus", "status_text", "status_huge", "status_100", "status_101",
		"status_199", "status_600", "status_999", "chunk_huge", "chunk_bad", "chunk_line", "encoding", "header_long", "header_million", "length_lies"} {
		a, err := v.try("GET", "/hostile/raw/"+what, asBrowser)
		refused(t, what, a, err, 502, 503, 504)
		w.healthy(what)
	}
	begun := time.Now()
	a, err := v.try("GET", "/hostile/raw/dribble", asBrowser)
	refused(t, "dribble", a, err, 502, 504)
	if took := time.Since(begun); took > 8*time.Second {
		t.Errorf("a head in single bytes took %s, the page has 3 s", took)
	}
	// What is ambiguous may be read one way or the other, and must not reach the next request.
	for _, what := range []string{"length_minus", "length_two", "length_huge", "length_chunked", "header_nul", "header_no_name", "header_split"} {
		a, err := v.try("GET", "/hostile/raw/"+what, asBrowser)
		if err == nil && (a.status == 200 && !strings.HasPrefix(a.body, "hello") || a.header.Get("Set-Cookie") != "" && strings.Contains(a.header.Get("Set-Cookie"), "stolen")) {
			t.Errorf("%s: %v %v", what, a, a.header)
		}
		if next := v.get("/hostile/file/plain"); next.status != 200 || next.body != "hello" {
			t.Errorf("after %s the next page is %v", what, next)
		}
	}
}

func badViews(t *testing.T, w *world) {
	v := w.visit()
	for _, what := range []string{"giant", "deep", "deeper", "not_json", "twice", "types", "unknown", "empty_name", "climbs", "layout", "host_page", "fails", "endless", "endless_problem",
		"long", "recursion", "empty_loops", "doubles", "doubles_join"} {
		begun := time.Now()
		a, err := v.try("GET", "/hostile/view/"+what, asBrowser)
		refused(t, what, a, err, 500, 502, 503, 504)
		if took := time.Since(begun); took > 15*time.Second {
			t.Errorf("%s took %s", what, took)
		}
		w.healthy(what)
	}
	for _, what := range []string{"list", "large", "script", "status"} {
		a, err := v.try("GET", "/hostile/view/"+what, asBrowser)
		if err != nil || a.status >= 600 || a.status < 200 {
			t.Errorf("%s: %v, %v", what, a.status, err)
		}
		if strings.Contains(a.body, "<script>alert") || strings.Contains(a.body, "<img src=x") || strings.Contains(a.body, `href="javascript:`) {
			t.Errorf("%s: script in the page: %v", what, a)
		}
		w.healthy(what)
	}
	for _, what := range []string{"giant", "deeper", "not_json"} {
		if a, err := v.try("GET", "/hostile/view/"+what, http.Header{"Accept": {"application/json"}}); err != nil || a.status != 502 || !strings.HasPrefix(a.header.Get("Content-Type"), "application/problem+json") {
			t.Errorf("%s as JSON: %d %v", what, a.status, err)
		}
	}
}

// forbidden are headers that no module may send to a visitor, and values that the host must have kept to itself.
func forbidden(t *testing.T, what string, a answer) {
	t.Helper()
	for _, name := range []string{"Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Server", "Refresh", "Link", "Clear-Site-Data", "Alt-Svc",
		"Service-Worker-Allowed", "Www-Authenticate", "Location", "Report-To", "Sourcemap", "Strict-Transport-Security", "Upgrade"} {
		if value := a.header.Get(name); value != "" {
			t.Errorf("%s: %s: %s", what, name, value)
		}
	}
	for _, cookie := range a.header.Values("Set-Cookie") {
		if strings.Contains(cookie, "stolen") {
			t.Errorf("%s: Set-Cookie: %s", what, cookie)
		}
	}
	if a.header.Get("X-Request-Id") == "forged" || a.header.Get("X-Csrf-Token") == "forged" || a.header.Get("X-Content-Type-Options") != "nosniff" ||
		a.header.Get("X-Frame-Options") != "DENY" || strings.Contains(a.header.Get("Content-Security-Policy"), "*") {
		t.Errorf("%s: %v", what, a.header)
	}
	if policy := a.header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") {
		t.Errorf("%s: Content-Security-Policy: %s", what, policy)
	}
}

func badFiles(t *testing.T, w *world) {
	v := w.visit()
	for _, what := range []string{"html", "xhtml", "events", "panic", "status_999", "status_7"} {
		a, err := v.patiently("/hostile/file/"+what, asBrowser)
		refused(t, what, a, err, 500, 502)
		forbidden(t, what, a)
	}
	for _, what := range []string{"plain", "svg", "untyped", "types", "unauthorized"} {
		a, err := v.patiently("/hostile/file/"+what, asBrowser)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		forbidden(t, what, a)
		if a.status == 200 && !strings.HasPrefix(a.header.Get("Content-Security-Policy"), "sandbox") || strings.HasPrefix(a.header.Get("Content-Type"), "text/html") && a.status == 200 {
			t.Errorf("%s: %v", what, a.header)
		}
	}
	// A file may be long. It is handed on piece by piece, and ends with the visitor.
	var response *http.Response
	eventually(t, 30*time.Second, "the endless file begins", func() bool {
		var err error
		if response, err = v.http.Get(v.base + "/hostile/file/endless"); err != nil {
			t.Fatal(err)
		}
		if response.StatusCode == http.StatusTooManyRequests {
			_ = response.Body.Close()
		}
		return response.StatusCode != http.StatusTooManyRequests
	})
	if n, err := io.CopyN(io.Discard, response.Body, 200<<20); err != nil {
		t.Errorf("an endless file ended after %d bytes: %v", n, err)
	}
	_ = response.Body.Close()
	if a, err := v.try("GET", "/hostile/file/panic_late", nil); err == nil && a.status == 200 && len(a.body) > 1<<20 {
		t.Errorf("an answer that broke off looks whole: %d, %d bytes", a.status, len(a.body))
	}
}

func badRedirects(t *testing.T, w *world) {
	v := w.visit()
	away := []string{"https://evil.example/", "//evil.example/", `/\evil.example/`, `\\evil.example`, "javascript:alert(1)", "data:text/html,x", "/\t/evil.example", "/%09/evil.example",
		"///evil.example", "/%2f/evil.example", "/%5cevil.example", "http:evil.example", "https:/evil.example", "https://allowed.example@evil.example/", "https://allowed.example.evil.example/",
		" https://evil.example", "", "?x", "evil", "/a/../../b", "/..//evil.example", "//%65vil.example", "HTTPS://EVIL.EXAMPLE", "/x\x01y", "https://allowed.example:444/"}
	for _, page := range []string{"/hostile/to", "/hostile/offsite"} {
		for _, to := range away {
			a, err := v.try("GET", page+"?to="+url.QueryEscape(to), asBrowser)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(strings.ToLower(a.location), "evil.example") && !strings.HasPrefix(a.location, "/%2Fevil") && !strings.HasPrefix(a.location, "/%2F/evil") ||
				strings.Contains(a.location, ":") || strings.HasPrefix(a.location, "//") || strings.Contains(a.location, `\`) {
				t.Errorf("%s: to %q answered %d with Location %q", page, to, a.status, a.location)
			}
		}
	}
	if a := v.get("/hostile/to?to=" + url.QueryEscape("https://allowed.example/x")); a.location != "" {
		t.Errorf("a page that is not offsite leads to %s", a.location)
	}
	if a := v.get("/hostile/offsite?to=" + url.QueryEscape("https://allowed.example/x")); a.location != "https://allowed.example/x" {
		t.Errorf("an offsite page answered %v", a)
	}
	if a := v.get("/hostile/to?to=" + url.QueryEscape("/neighbour?a=b")); a.location != "/neighbour?a=b" {
		t.Errorf("a redirect within the site answered %v", a)
	}
}

func badTiming(t *testing.T, w *world) {
	for _, what := range []string{"never", "deaf", "half"} {
		begun := time.Now()
		a, err := w.visit().try("GET", "/hostile/slow/"+what, asBrowser)
		refused(t, what, a, err, 504)
		if took := time.Since(begun); took > 6*time.Second {
			t.Errorf("%s took %s, the page has 1 s", what, took)
		}
	}
	// Its 16 places are taken; further visitors are told so at once, and nobody else is held up.
	var group sync.WaitGroup
	var mu sync.Mutex
	statuses := map[int]int{}
	for range 40 {
		group.Go(func() {
			a, err := w.visit().try("GET", "/hostile/slow/never", asBrowser)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			statuses[a.status]++
		})
	}
	w.healthy("all places are taken")
	group.Wait()
	if statuses[504] == 0 || statuses[504] > 40-1 || statuses[504]+statuses[429]+statuses[503] != 40 {
		t.Errorf("of 40 visitors: %v", statuses)
	}
}

func badStreams(t *testing.T, w *world) {
	v := w.visit()
	var open []*http.Response
	defer func() {
		for _, r := range open {
			_ = r.Body.Close()
		}
	}()
	refusedAt := 0
	for i := range 60 {
		what := []string{"fast", "line", "quiet"}[i%3]
		request, _ := http.NewRequestWithContext(t.Context(), "GET", v.base+"/hostile/stream/"+what, nil)
		response, err := v.http.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, response)
		if response.StatusCode == http.StatusTooManyRequests {
			refusedAt = i
			break
		}
		if response.StatusCode != http.StatusOK || response.Header.Get("Set-Cookie") != "" && strings.Contains(response.Header.Get("Set-Cookie"), "stolen") {
			t.Fatalf("stream %d answered %d %v", i, response.StatusCode, response.Header)
		}
	}
	if refusedAt == 0 {
		t.Error("60 streams were let in from one address")
	}
	// Nobody reads them: what the module sends waits in the kernel, not in the host.
	if n, err := io.CopyN(io.Discard, open[0].Body, 20<<20); err != nil {
		t.Errorf("a stream ended after %d bytes: %v", n, err)
	}
	w.healthy("streams that nobody reads")

	// From many addresses the module's own limit counts.
	statuses := map[int]int{}
	for machine := range 4 {
		other := w.visitFrom(fmt.Sprintf("127.0.1.%d", machine+1))
		for range 20 {
			request, _ := http.NewRequestWithContext(t.Context(), "GET", other.base+"/hostile/stream/quiet", nil)
			response, err := other.http.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			open = append(open, response)
			statuses[response.StatusCode]++
		}
	}
	if statuses[200] > 50 || statuses[200]+statuses[429]+statuses[503] != 80 || statuses[200] == 80 {
		t.Errorf("of 80 further streams: %v, the module may have 50 in all", statuses)
	}
	w.healthy("streams from many addresses")
}

func badLogs(t *testing.T, w *world) {
	v := w.customer()
	for _, what := range []string{"poison", "stderr", "stdout", "lines"} {
		v.order("/hostile/do/log", "arg", what)
		w.healthy(what)
	}
	admin := w.admin()
	eventually(t, 30*time.Second, "the log shows what came after the gigabytes", func() bool {
		page := admin.get("/admin/log?q=gigabyte").body
		return strings.Contains(page, "after the gigabyte on stderr") && strings.Contains(page, "after the gigabyte on stdout")
	})
	log := w.logs.String()
	for _, bad := range []string{"\x1b[2J", "\u202e", "\x00"} {
		if strings.Contains(log, bad) {
			t.Errorf("the log has %q", bad)
		}
	}
	if n := strings.Count(log, "flood "); n > 20_000 {
		t.Errorf("%d of 100000 lines reached the log", n)
	}
	if page := admin.get("/admin/modules/hostile"); page.status != http.StatusOK {
		t.Errorf("the module's page answered %d", page.status)
	}
	if size := len(log); size > 64<<20 {
		t.Errorf("the log has %d MiB", size>>20)
	}
}

func badFloods(t *testing.T, w *world) {
	v := w.customer()
	for what, n := range map[string]string{"publish": "2000", "secret": "400", "call": "3000", "users": "3000", "mail": "1000"} {
		got := v.order("/hostile/do/flood", "arg", what, "n", n)
		if got.OK == 0 && what != "users" || got.OK+got.Failed == 0 {
			t.Errorf("%s: %+v", what, got)
		}
		if what == "mail" && got.OK > 200 {
			t.Errorf("%d mails were taken at once", got.OK)
		}
		w.healthy("a flood of " + what)
		t.Logf("%s: %d taken, %d refused: %s", what, got.OK, got.Failed, got.Last)
	}
}

func badClaims(t *testing.T, w *world) {
	v, admin := w.customer(), w.admin()
	own := v.order("/hostile/do/claim").Claim
	admins := admin.order("/neighbour/do/claim").Claim // made for another module
	if own == "" || admins == "" {
		t.Fatal("no claims")
	}
	plain := v.order("/hostile/do/call", "arg", "neighbour.echo")
	if plain.Error != "" || plain.Out["caller"] != "hostile" || plain.Out["user_id"] == nil || plain.Out["user_id"] == float64(0) {
		t.Fatalf("an honest call answered %+v", plain)
	}
	for name, claim := range map[string]string{
		"made for another module": admins, "changed": own[:len(own)-2] + "AA", "shortened": own[:len(own)-8], "nonsense": "nonsense",
		"long": strings.Repeat("A", 1<<16), "with padding": own + "==", "of two halves": own[:len(own)/2] + admins[len(own)/2:],
	} {
		got := v.order("/hostile/do/call", "arg", "neighbour.echo", "claim", claim)
		if got.Error == "" {
			t.Errorf("a claim that is %s was taken: %+v", name, got)
		}
	}
	if got := v.order("/hostile/do/call", "arg", "neighbour.echo", "claim", own); got.Error != "" || got.Out["user_id"] != plain.Out["user_id"] {
		t.Errorf("the module's own claim: %+v", got)
	}
	for _, service := range []string{"neighbour.private", "particle.token", "nobody.knows", "host.people", "host.settings", "host.privacy", "host", "host.", ""} {
		if got := v.order("/hostile/do/call", "arg", service); got.Error == "" {
			t.Errorf("the service %q was called: %+v", service, got)
		}
	}
	for _, event := range []string{"neighbour.wrote", "linking.account_linked", "user.deleted", "hostile.undeclared", "hostile.will_happen", "", "x", strings.Repeat("a.", 5000)} {
		for _, way := range []string{"publish", "publish_tx"} {
			if got := v.order("/hostile/do/"+way, "arg", event); got.Error == "" {
				t.Errorf("%s of %.30q was taken", way, event)
			}
		}
	}
	v.get("/account")
	if got := v.order("/neighbour/do/secret", "value", "the neighbour's own"); got.Error != "" {
		t.Fatal(got.Error)
	}
	for _, name := range []string{"token", "client_secret", "neighbour/token", "../neighbour", ""} {
		if got := v.order("/hostile/do/secret", "arg", name); strings.Contains(got.Value, "neighbour") || name != "token" && got.Error == "" {
			t.Errorf("the secret %q gave %+v", name, got)
		}
	}
	// A session that is over takes its claims with it.
	other := w.customer()
	old := other.order("/hostile/do/claim").Claim
	if a := other.post("/logout"); a.status != http.StatusSeeOther {
		t.Fatalf("sign-out answered %v", a)
	}
	if got := v.order("/hostile/do/call", "arg", "neighbour.echo", "claim", old); got.Error == "" {
		t.Errorf("a claim of a session that is over was taken: %+v", got)
	}
}

func badSockets(t *testing.T, w *world) {
	v := w.customer()
	records, err := filepath.Glob(filepath.Join(w.data, "run", "m-neighbour-*.json"))
	if err != nil || len(records) != 1 {
		t.Fatalf("the records of the neighbour's process: %v, %v", records, err)
	}
	text, err := os.ReadFile(records[0])
	if err != nil {
		t.Fatal(err)
	}
	var record struct {
		Dir string `json:"dir"`
	}
	if err := json.Unmarshal(text, &record); err != nil {
		t.Fatal(err)
	}
	sockets, err := filepath.Glob(filepath.Join(record.Dir, "*.sock"))
	if err != nil {
		t.Fatal(err)
	}
	if len(sockets) < 2 {
		t.Fatalf("the neighbour's sockets: %v", sockets)
	}
	for _, socket := range sockets {
		switch filepath.Base(socket) {
		case "pages.sock":
			for _, token := range []string{"", "x", strings.Repeat("A", 52)} {
				if got := v.order("/hostile/do/pages", "arg", socket, "token", token); got.Status == 200 {
					t.Errorf("the neighbour's page answered 200 to the token %q", token)
				}
			}
		case "store.sock":
			for _, token := range []string{"", "x", strings.Repeat("A", 52)} {
				if got := v.order("/hostile/do/store", "arg", socket, "token", token); got.Error == "" {
					t.Errorf("the neighbour's store let in the bearer %q", token)
				}
			}
			if got := v.order("/hostile/do/bytes", "arg", socket); got.Error != "" {
				t.Logf("200 connections: %s", got.Error)
			}
		}
		if info, err := os.Stat(socket); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", socket, info.Mode(), err)
		}
	}
	eventually(t, 15*time.Second, "the neighbour reaches its store", func() bool {
		a, err := w.visit().try("GET", "/neighbour", nil)
		return err == nil && a.status == http.StatusOK
	})
}
