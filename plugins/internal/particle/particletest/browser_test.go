package particletest_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"mortise/plugins/internal/particle/particletest"
)

// TestAuthorize_WorksInABrowser follows the two redirects that curl and Go take more lightly than a browser does: the one with a
// code, and the refusal, whose Location holds plain spaces.
func TestAuthorize_WorksInABrowser(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a browser")
	}
	found := false
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "headless-shell"} {
		if _, err := exec.LookPath(name); err == nil {
			found = true
		}
	}
	if !found && os.Getenv("CI") == "true" {
		t.Fatal("no browser was found, and CI needs one: install Debian's package chromium")
	}
	if !found {
		t.Skip("SKIPPED: no browser was found; install Chromium to try the sign-in pages in it")
	}
	arrived := make(chan *http.Request, 8)
	mine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/callback" {
			arrived <- r
		}
		_, _ = w.Write([]byte("<p id=done>done</p>"))
	}))
	t.Cleanup(mine.Close)
	s := newSite(t, &particletest.Server{})
	s.cloud.AddRedirectURI(particletest.DemoClientID, mine.URL+"/callback")

	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox)
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	browser, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	limited, cancel := context.WithTimeout(browser, 60*time.Second)
	t.Cleanup(cancel)
	for _, decision := range []string{"allow", "deny"} {
		err := chromedp.Do(limited,
			chromedp.Navigate(s.url+authorizePath("redirect_uri", mine.URL+"/callback")),
			chromedp.SendKeys(`input[name=username]`, particletest.DemoEmail),
			chromedp.SendKeys(`input[name=password]`, particletest.DemoPassword),
			chromedp.Click(`button[type=submit]`),
			chromedp.Click(`button[value=`+decision+`]`),
			chromedp.WaitVisible(`#done`),
		)
		if err != nil {
			t.Fatalf("%s: %v", decision, err)
		}
		q := (<-arrived).URL.Query()
		switch decision {
		case "allow":
			if len(q.Get("code")) != 40 || q.Get("state") != "s-1" {
				t.Errorf("came back with %v", q)
			}
		case "deny":
			if q.Get("error") != "access_denied" || q.Get("error_description") != "The user denied access to your application" || q.Get("code") != "500" || q.Has("state") {
				t.Errorf("came back with %v", q)
			}
		}
	}
	if u := s.cloud.Unknown(); len(u) != 0 {
		t.Errorf("the browser asked for %q", u)
	}
}
