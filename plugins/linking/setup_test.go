package main

import (
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"mortise/core/sdk"
	"mortise/core/theme"
	"mortise/plugins/internal/moduletest"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/particle/particletest"
	"mortise/themes"
)

const (
	annParticle = "ann@particle.example"
	password    = "correct horse"
	callback    = "https://site.example/linking/particle/callback"
)

var (
	ann    = sdk.Identity{UserID: 2, Name: "Ann", Roles: []string{"customer"}, Permissions: []string{"linking.link"}}
	bob    = sdk.Identity{UserID: 3, Name: "Bob", Roles: []string{"customer"}, Permissions: []string{"linking.link"}}
	admin  = sdk.Identity{UserID: 1, Name: "Ada", Roles: []string{"administrator"}, Permissions: []string{"linking.link", "linking.attempts"}}
	nobody = sdk.Identity{}
)

// bench is the module on a site, with a cloud.
type bench struct {
	*moduletest.Site
	cloud  *particletest.Server
	url    string // of the cloud
	module *Linking
	clock  *clock
}

// newBench starts both. Change may alter the settings.
func newBench(t *testing.T, change ...func(sdk.Settings)) *bench {
	t.Helper()
	cloud := &particletest.Server{}
	cloud.AddAccount(particletest.Account{Username: annParticle, Password: password})
	cloud.AddAccount(particletest.Account{Username: "second@particle.example", Password: password})
	cloud.AddClient(particletest.Client{ID: "site-1234", Secret: "s3cret-of-the-site", RedirectURIs: []string{callback}})
	cloud.AddClient(particletest.Client{ID: "installed-1", Secret: "other", Type: particletest.Installed, RedirectURIs: []string{callback}})
	cloud.AddDevice(particletest.Device{ID: "0a10aced202194944a000001", Name: "lamp", Owner: annParticle, Behaviour: particletest.Lamp})
	address, stop, err := cloud.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	settings := sdk.Settings{"base_url": address, "client_id": "site-1234", "client_secret": "s3cret-of-the-site"}
	for _, c := range change {
		c(settings)
	}
	clock := &clock{at: time.Now().UTC()}
	module := New()
	module.now = clock.now
	module.limits = particle.Timeouts{Connect: time.Second, Token: 400 * time.Millisecond, Call: 400 * time.Millisecond}
	return &bench{Site: moduletest.Start(t, module, manifest, moduletest.Options{Settings: settings}), cloud: cloud, url: address, module: module, clock: clock}
}

// start presses the button and gives Particle's address, or "" when a failure was shown.
func (b *bench) start(t *testing.T, person sdk.Identity) *url.URL {
	t.Helper()
	a := b.Post(person, "/linking/particle/start", url.Values{})
	if a.Status != http.StatusSeeOther {
		t.Fatalf("start answered %d: %s", a.Status, a.Body)
	}
	u, err := url.Parse(a.Location)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// comeBack opens the callback with a code that Particle gave to annParticle.
func (b *bench) comeBack(person sdk.Identity, at *url.URL) moduletest.Answer {
	code := b.cloud.IssueCode(annParticle, "site-1234")
	return b.Get(person, "/linking/particle/callback?code="+code+"&state="+at.Query().Get("state"))
}

// link links annParticle.
func (b *bench) link(t *testing.T, person sdk.Identity) {
	t.Helper()
	if a := b.comeBack(person, b.start(t, person)); a.Status != http.StatusSeeOther || a.Location != "/linking" {
		t.Fatalf("callback answered %d %s: %s", a.Status, a.Location, a.Body)
	}
}

var ticketPattern = regexp.MustCompile(`name="ticket" value="([0-9a-f]+)"`)

// visit signs in at Particle and decides, as a browser does, and gives the query of the address it is sent back to.
func visit(t *testing.T, at *url.URL, decision string) string {
	t.Helper()
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	post := func(form url.Values) (*http.Response, string) {
		res, err := client.PostForm(at.String(), form)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var b strings.Builder
		buffer := make([]byte, 64<<10)
		for {
			n, err := res.Body.Read(buffer)
			b.Write(buffer[:n])
			if err != nil {
				return res, b.String()
			}
		}
	}
	_, page := post(url.Values{"username": {annParticle}, "password": {password}})
	ticket := ticketPattern.FindStringSubmatch(page)
	if ticket == nil {
		t.Fatalf("no consent page: %s", page)
	}
	res, _ := post(url.Values{"ticket": {ticket[1]}, "decision": {decision}})
	_, query, ok := strings.Cut(res.Header.Get("Location"), callback+"?")
	if !ok {
		t.Fatalf("sent back to %q", res.Header.Get("Location"))
	}
	return strings.ReplaceAll(query, " ", "%20") // as browsers send it
}

// clock is the module's, which tests put forward.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func TestTemplates_DrawInEveryTheme(t *testing.T) {
	t.Parallel()
	for _, p := range theme.Check(theme.CheckOptions{Themes: []fs.FS{themes.FS}, Modules: []theme.Module{{ID: "linking", Digest: "test", Templates: os.DirFS("templates")}}}) {
		if p.Module == "linking" {
			t.Error(p.Error())
		}
	}
}
