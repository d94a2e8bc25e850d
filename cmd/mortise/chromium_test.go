package main_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// screen is one size of window that pages are looked at in.
type screen struct{ width, height int64 }

var screens = []screen{{360, 760}, {1280, 900}}

// browser is a real Chromium that keeps screenshots of what it sees in the folder MORTISE_SCREENSHOTS names, or in none.
type browser struct {
	t      *testing.T
	ctx    context.Context
	base   string
	folder string
	seen   map[string]bool // screenshots that were taken
}

// openBrowser starts Chromium. Without one the test is skipped on a desk and fails in CI.
func openBrowser(t *testing.T, w *world) *browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(findChromium(t)), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-quic", true), chromedp.Flag("hide-scrollbars", true),
		chromedp.UserDataDir(t.TempDir()),
	)
	allocator, stopAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, stop := chromedp.NewContext(allocator)
	t.Cleanup(func() { stop(); stopAllocator() })
	b := &browser{t: t, ctx: ctx, base: w.URL, folder: os.Getenv("MORTISE_SCREENSHOTS"), seen: map[string]bool{}}
	if b.folder != "" {
		if err := os.MkdirAll(b.folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// The browser lives as long as the context of its first action, so this one has no limit of its own.
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(screens[0].width, screens[0].height)); err != nil {
		t.Fatalf("start Chromium: %v", err)
	}
	return b
}

func findChromium(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("browser walks are skipped with -short")
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			return found
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("no Chromium was found, and CI needs one: install Debian's package chromium")
	}
	t.Skip("SKIPPED: no Chromium was found; install it to walk the pages in a real browser")
	return ""
}

// run does actions and fails the test with what was being done and what was on the page.
func (b *browser) run(what string, actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 15*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.fail(what, err)
	}
}

func (b *browser) fail(what string, err error) {
	b.t.Helper()
	b.keep("failed", screens[0])
	b.t.Fatalf("%s: %v\nat %s:\n%s", what, err, b.value(`location.href`), b.value(`document.body ? document.body.innerText : ""`))
}

// ask evaluates a JavaScript expression into out. Scripts of the page may be off.
func (b *browser) ask(expression string, out any) error {
	ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`JSON.stringify(`+expression+`)`))
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(text), out)
}

// value is a JavaScript expression as text, "" when it cannot be had.
func (b *browser) value(expression string) (text string) {
	_ = b.ask(`String(`+expression+`)`, &text) // "" says it
	return text
}

// evaluate runs JavaScript for what it does.
func evaluate(script string) chromedp.Action[chromedp.Void] {
	return chromedp.Evaluate[chromedp.Void](script + "; undefined")
}

// until waits for a JavaScript condition. A page that is just changing is asked again.
func (b *browser) until(what, condition string) {
	b.t.Helper()
	var err error
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		var yes bool
		if err = b.ask(`Boolean(`+condition+`)`, &yes); err == nil && yes {
			return
		}
	}
	b.fail("wait until "+what, err)
}

// sees waits until the page shows the words.
func (b *browser) sees(words string) {
	b.t.Helper()
	b.until("the page shows "+strconv.Quote(words), `document.body && document.body.innerText.toLowerCase().includes(`+strconv.Quote(strings.ToLower(words))+`)`)
}

func (b *browser) open(path string) {
	b.t.Helper()
	b.run("open "+path, chromedp.Navigate(b.base+path), chromedp.WaitReady(chromedp.CSS("body")))
}

// leaves clicks what leads to another page, and waits for that page.
func (b *browser) leaves(selector string) {
	b.t.Helper()
	b.run("mark the page", evaluate(`document.documentElement.dataset.left = "1"`))
	b.click(selector)
	b.until("another page follows "+selector, `!document.documentElement.dataset.left && document.readyState === "complete"`)
}

// presses clicks the button or link of the content that shows the words, and waits for the page that follows.
func (b *browser) presses(words string) {
	b.t.Helper()
	b.mark(words)
	b.leaves(`[data-pressed]`)
}

// mark finds the button or link of the content that shows the words.
func (b *browser) mark(words string) {
	b.t.Helper()
	b.until("there is something to press that says "+words, `(() => {
		document.querySelectorAll("[data-pressed]").forEach((e) => delete e.dataset.pressed);
		const found = [...document.querySelectorAll("main a, main button")].find((e) => e.innerText.includes(`+strconv.Quote(words)+`) && e.checkVisibility());
		if (found) found.dataset.pressed = "1";
		return found;
	})()`)
}

func (b *browser) click(selector string) {
	b.t.Helper()
	b.run("click "+selector, chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

func (b *browser) fill(selector, value string) {
	b.t.Helper()
	b.run("fill "+selector, chromedp.SetValue(chromedp.CSS(selector), value))
}

// withoutScript switches the pages' scripts off.
func (b *browser) withoutScript() {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		b.t.Fatal(err)
	}
}

// look checks the page at every size of window: nothing is wider than the window, and what fault of accessibility a program can
// find is not there. The screenshot is kept when a folder was named.
func (b *browser) look(name string) {
	b.t.Helper()
	if b.seen[name] {
		b.t.Errorf("%s is looked at twice", name)
	}
	b.seen[name] = true
	for i := len(screens) - 1; i >= 0; i-- { // ends with the first, which the walk goes on in
		s := screens[i]
		if err := chromedp.Do(b.ctx, chromedp.EmulateViewport(s.width, s.height)); err != nil {
			b.t.Fatalf("window of %d px for %s: %v", s.width, name, err)
		}
		var wide int64
		if err := b.ask(`document.documentElement.scrollWidth`, &wide); err != nil {
			b.t.Errorf("measure %s: %v", name, err)
		}
		if wide > s.width {
			b.t.Errorf("%s is %d px wide in a window of %d", name, wide, s.width)
		}
		for _, fault := range b.faults() {
			b.t.Errorf("%s at %d px: %s", name, s.width, fault)
		}
		b.keep(name, s)
	}
}

// keep takes a screenshot when somebody wants them.
func (b *browser) keep(name string, s screen) {
	if b.folder == "" {
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
	defer cancel()
	image, err := chromedp.Run(ctx, chromedp.FullScreenshot(90))
	if err != nil {
		b.t.Logf("screenshot of %s: %v", name, err)
		return
	}
	file := filepath.Join(b.folder, strings.TrimPrefix(b.t.Name(), "TestBrowser_")+"-"+name+"-"+strconv.FormatInt(s.width, 10)+".jpg")
	if err := os.WriteFile(file, image, 0o644); err != nil {
		b.t.Error(err)
	}
}

func (b *browser) signIn(email, password string) {
	b.t.Helper()
	b.open("/login")
	b.fill(`main [name="email"]`, email)
	b.fill(`main [name="password"]`, password)
	b.leaves(`main form button`)
	b.until("somebody is signed in", `document.querySelector('[action="/logout"]')`)
}

// atParticle goes through the provider's own pages.
func (b *browser) atParticle(w *world, decision string) {
	b.t.Helper()
	b.fill(`input[name="username"]`, w.Particle.Email)
	b.fill(`input[type="password"]`, w.Particle.Password)
	b.leaves(`button[type="submit"]`)
	b.leaves(`button[value="` + decision + `"]`)
}
