package main_test

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// fault switches the simulated cloud's faults; none ends them all.
func (w *world) fault(names ...string) {
	w.t.Helper()
	form := url.Values{"clear": {"1"}, "fault": names}
	w.cloud(form)
}

func (w *world) cloud(form url.Values) {
	w.t.Helper()
	response, err := http.PostForm(w.Particle.URL+"/__sim", form)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode >= 400 {
		w.t.Fatalf("the simulator answered %d to %v", response.StatusCode, form)
	}
}

// witness is a browser's transport that remembers what must stay secret of what passes by.
type witness struct {
	next http.RoundTripper
	mu   sync.Mutex
	seen []string
}

func (x *witness) RoundTrip(r *http.Request) (*http.Response, error) {
	x.note(r.URL)
	response, err := x.next.RoundTrip(r)
	if err == nil {
		if to, err := response.Location(); err == nil {
			x.note(to)
		}
		for _, cookie := range response.Cookies() {
			if strings.HasSuffix(cookie.Name, "session") {
				x.keep(cookie.Value)
			}
		}
	}
	return response, err
}

func (x *witness) note(u *url.URL) {
	for _, name := range []string{"code", "state"} {
		x.keep(u.Query().Get(name))
	}
}

func (x *witness) keep(secret string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(secret) >= 8 && !slices.Contains(x.seen, secret) {
		x.seen = append(x.seen, secret)
	}
}

func (x *witness) secrets() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.seen)
}

// watched is a browser whose secrets are remembered.
func (v *visitor) watched() *witness {
	x := &witness{next: http.DefaultTransport}
	v.http.Transport = x
	return x
}

var particleToken = regexp.MustCompile(`\b[0-9a-f]{40}\b`)

// secretFree fails when a text has one of the secrets, or something that looks like a Particle token.
func secretFree(t testing.TB, where, text string, secrets ...string) {
	t.Helper()
	for _, secret := range secrets {
		if strings.Contains(text, secret) {
			t.Errorf("%s has the secret %q", where, secret)
		}
	}
	if token := particleToken.FindString(text); token != "" {
		t.Errorf("%s has what looks like a token: %s", where, token)
	}
}

var attemptReference = regexp.MustCompile(`/linking/attempts/([A-Za-z0-9_-]+)`)

func TestProvider_EachFaultOfLinkingEndsOnAPageThatSaysWhatHappened(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.admin()
	for _, c := range []struct {
		faults []string
		says   string
		step   string
	}{
		{[]string{"500@/oauth/token"}, "error of its own", "oken"},
		{[]string{"503@/oauth/token"}, "error of its own", "oken"},
		{[]string{"429@/oauth/token"}, "too often", "oken"},
		{[]string{"drop@/oauth/token"}, "could not connect", "oken"},
		{[]string{"html@/oauth/token"}, "", "oken"},
		{[]string{"truncated"}, "does not speak", "oken"},
		{[]string{"not_ok@/oauth/token"}, "", "oken"},
		{[]string{"code_expired"}, "too old", "oken"},
		{[]string{"401@/oauth/token"}, "", "oken"},
		{[]string{"401@/v1/user"}, "refused it a moment later", "ccount"},
		{[]string{"hang@/oauth/token"}, "ten seconds", "oken"},
	} {
		name := strings.Join(c.faults, " ")
		email := regexp.MustCompile(`[^a-z0-9]`).ReplaceAllString(name, "-") + "@demo.example"
		if out, err := w.command("user", "create", email, "--name", "Customer of "+name, "--password", "porch-lamp-please"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		v := w.visit()
		seen := v.watched()
		v.signIn(email, "porch-lamp-please")
		w.fault(c.faults...)
		begun := time.Now()
		page := v.link(w, "allow")
		w.fault()
		if page.status < 400 || page.status == 500 || !strings.Contains(page.body, "</html>") {
			t.Errorf("%s: ended on %v", name, page)
			continue
		}
		if !strings.Contains(page.body, c.says) {
			t.Errorf("%s: the page does not say %q: %v", name, c.says, page)
		}
		if took := time.Since(begun); took > 25*time.Second {
			t.Errorf("%s: it took %s", name, took)
		}
		m := attemptReference.FindStringSubmatch(page.body)
		if m == nil {
			t.Errorf("%s: the page has no reference: %v", name, page)
			continue
		}
		secrets := append(seen.secrets(), w.Particle.ClientSecret, w.Particle.Password)
		if len(secrets) < 4 {
			t.Fatalf("%s: the browser saw only %d secrets", name, len(secrets))
		}
		secretFree(t, name+": the page", page.body, secrets...)
		attempts, steps := admin.get("/admin/linking/attempts"), admin.get("/admin/linking/attempts/"+m[1])
		if !strings.Contains(attempts.body, m[1]) || steps.status != http.StatusOK || !strings.Contains(steps.body, c.step) {
			t.Errorf("%s: the administrator does not find the attempt %s: %v", name, m[1], steps)
		}
		secretFree(t, name+": the administrator's list", attempts.body, secrets...)
		secretFree(t, name+": the administrator's page", steps.body, secrets...)
		secretFree(t, name+": the log", w.logs.String(), secrets...)
		if a := v.link(w, "allow"); a.status != http.StatusOK {
			t.Errorf("%s: linking again without the fault ended on %v", name, a)
		}
	}
}

func TestProvider_EachFaultOfADeviceIsToldInPlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := w.customer()
	v.link(w, "allow")
	lamp := v.lamp().ID
	page := "/devices/" + lamp
	// clear looks at a page: themed, without a word of what is inside, with words about what is the matter.
	clear := func(name, path string, a answer, says ...string) {
		t.Helper()
		if a.status == 500 || a.status >= 600 || !strings.Contains(a.body, "</html>") || strings.Contains(a.body, "went wrong on our side") {
			t.Errorf("%s: %s answered %v", name, path, a)
		}
		for _, word := range says {
			if !strings.Contains(strings.ToLower(a.body), word) {
				t.Errorf("%s: %s does not say %q: %v", name, path, word, a)
			}
		}
		for _, inside := range []string{"dial tcp", "EOF", "json:", "127.0.0.1:", "panic", "rpc error", "context deadline", "unmarshal"} {
			if strings.Contains(strings.ReplaceAll(a.body, w.Particle.URL, ""), inside) {
				t.Errorf("%s: %s says %q: %v", name, path, inside, a)
			}
		}
	}
	for _, c := range []struct {
		fault string
		says  []string
	}{
		{"500@/v1/devices", []string{"particle"}}, {"503@/v1/devices", []string{"particle"}}, {"drop@/v1/devices", []string{"particle"}}, {"html@/v1/devices", []string{"particle"}},
		{"429@/v1/devices", []string{"particle"}}, {"not_ok@/v1/devices", nil}, {"truncated", nil}, {"wrong_shapes", nil}, {"rate_limit=1", nil}, {"hang@/v1/devices", nil},
	} {
		w.fault(c.fault)
		begun := time.Now()
		clear(c.fault, "/devices", v.get("/devices"))
		clear(c.fault, page, v.get(page))
		if took := time.Since(begun); took > 32*time.Second {
			t.Errorf("%s: two pages took %s", c.fault, took)
		}
		if strings.HasPrefix(c.fault, "hang") {
			w.fault()
			continue // a call of a device may take half a minute
		}
		call := v.post(page+"/functions/led", "arg", "on")
		if call.status != http.StatusSeeOther {
			clear(c.fault, "calling led", call, c.says...)
		}
		clear(c.fault, "a variable", v.get(page+"/variables/led"))
		var problem struct {
			Message string `json:"message"`
		}
		if a := v.json(http.MethodPost, page+"/functions/led", map[string]string{"arg": "on"}, &problem); c.says != nil && (a.status < 400 || problem.Message == "") {
			t.Errorf("%s: as JSON calling led answered %v", c.fault, a)
		}
		w.fault()
	}
	if a := v.post(page+"/functions/nothing", "arg", "x"); a.status < 400 {
		t.Errorf("an unknown function answered %v", a)
	} else {
		clear("unknown function", "calling nothing", a, "function")
	}
	w.cloud(url.Values{"offline": {lamp}})
	if a := v.post(page+"/functions/led", "arg", "on"); a.status < 400 {
		t.Errorf("an offline device answered %v", a)
	} else {
		clear("offline", "calling led", a, "offline")
	}
	w.cloud(url.Values{"online": {lamp}})
	w.cloud(url.Values{"revoke": {w.Particle.Email}})
	dead := v.post(page+"/functions/led", "arg", "on")
	clear("revoked", "calling led", dead, "link")
	if !strings.Contains(v.get("/devices").body, "/linking") {
		t.Error("with a dead token the devices page does not lead to linking again")
	}
	if a := v.link(w, "allow"); a.status != http.StatusOK {
		t.Errorf("linking again ended on %v", a)
	}
	if a := v.json(http.MethodPost, page+"/functions/led", map[string]string{"arg": "on"}, nil); a.status != http.StatusOK {
		t.Errorf("after linking again led answered %v", a)
	}
	secretFree(t, "the log", w.logs.String(), w.Particle.ClientSecret, w.Particle.Password)
}
