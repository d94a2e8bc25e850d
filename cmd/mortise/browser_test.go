package main_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// screen is one size of window that pages are looked at in.
type screen struct {
	name          string
	width, height int64
}

var screens = []screen{{"360", 360, 760}, {"1280", 1280, 900}}

// browser is a real Chromium that keeps screenshots of what it sees in the folder MORTISE_SCREENSHOTS names, or in a temporary one.
type browser struct {
	t      *testing.T
	ctx    context.Context
	base   string
	folder string
}

// openBrowser starts Chromium. Without one the test is skipped on a desk and fails in CI.
func openBrowser(t *testing.T, w *world) *browser {
	t.Helper()
	if testing.Short() {
		t.Skip("browser walks are skipped with -short")
	}
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("no Chromium was found, and CI needs one: install Debian's package chromium")
		}
		t.Skip("SKIPPED: no Chromium was found; install it to walk the pages in a real browser")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-quic", true), chromedp.Flag("hide-scrollbars", true),
		chromedp.UserDataDir(t.TempDir()),
	)
	allocator, stopAllocator := chromedp.NewExecAllocator(t.Context(), options...)
	ctx, stop := chromedp.NewContext(allocator)
	ctx, cancel := context.WithTimeout(ctx, 4*time.Minute)
	t.Cleanup(func() { cancel(); stop(); stopAllocator() })
	folder := os.Getenv("MORTISE_SCREENSHOTS")
	if folder == "" {
		folder = t.TempDir()
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t, ctx: ctx, base: w.URL, folder: folder}
	b.run("start", chromedp.EmulateViewport(1280, 900))
	return b
}

// run does actions and fails the test with what was being done.
func (b *browser) run(what string, actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		address, _ := chromedp.Run(b.ctx, chromedp.Location())
		page, _ := chromedp.Run(b.ctx, chromedp.Text("body"))
		b.shoot("failed")
		b.t.Fatalf("%s: %v\nat %s:\n%s", what, err, address, page)
	}
}

func (b *browser) open(path string) {
	b.t.Helper()
	b.run("open "+path, chromedp.Navigate(b.base+path), chromedp.WaitReady("body"))
}

// script runs a line of JavaScript in the page.
func (b *browser) script(line string) chromedp.Action[chromedp.Void] {
	return chromedp.Evaluate[chromedp.Void](line + "; undefined")
}

// press clicks the button or link with the words and waits for the page that follows to be ready.
func (b *browser) press(words string) {
	b.t.Helper()
	xpath := `//main//*[self::button or self::a][contains(normalize-space(.), "` + words + `")] | //body//*[self::button or self::a][contains(normalize-space(.), "` + words + `")]`
	b.run("press "+words, chromedp.Click(xpath, chromedp.NodeVisible))
}

func (b *browser) fill(name, value string) {
	b.t.Helper()
	b.run("fill "+name, chromedp.SetValue(`[name="`+name+`"]`, value))
}

// sees waits until the page shows the words.
func (b *browser) sees(words string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	shown := `document.body && document.body.innerText.toLowerCase().includes(` + quote(strings.ToLower(words)) + `)`
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool](shown)); err != nil {
		page, _ := chromedp.Run(b.ctx, chromedp.Text("body"))
		b.shoot("failed")
		b.t.Fatalf("did not see %q: %v\n%s", words, err, page)
	}
}

func quote(s string) string { return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"` }

// shoot keeps the whole page at every size of window, and checks that nothing is wider than the window.
func (b *browser) shoot(name string) {
	b.t.Helper()
	for _, s := range screens {
		if err := chromedp.Do(b.ctx, chromedp.EmulateViewport(s.width, s.height)); err != nil {
			b.t.Logf("window of %s for %s: %v", s.name, name, err)
			return
		}
		overflow, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](`document.documentElement.scrollWidth > document.documentElement.clientWidth + 1`))
		if err != nil {
			b.t.Errorf("measure %s: %v", name, err)
		}
		image, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(90))
		if err != nil {
			b.t.Logf("screenshot of %s: %v", name, err)
			return
		}
		if overflow {
			b.t.Errorf("%s is wider than a window of %s px", name, s.name)
		}
		file := filepath.Join(b.folder, strings.ReplaceAll(b.t.Name(), "/", "-")+"-"+name+"-"+s.name+".jpg")
		if err := os.WriteFile(file, image, 0o644); err != nil {
			b.t.Error(err)
		}
	}
	_ = chromedp.Do(b.ctx, chromedp.EmulateViewport(1280, 900))
}

func (b *browser) signIn(email, password string) {
	b.t.Helper()
	b.open("/login")
	b.fill("email", email)
	b.fill("password", password)
	b.press("Sign in")
	b.run("be signed in", chromedp.WaitReady(`[action="/logout"]`))
}

// linkAtParticle goes through the provider's own pages.
func (b *browser) linkAtParticle(w *world) {
	b.t.Helper()
	b.run("sign in at Particle",
		chromedp.WaitVisible(`input[type="password"]`),
		chromedp.SetValue(`input[name="username"]`, w.Particle.Email),
		chromedp.SetValue(`input[type="password"]`, w.Particle.Password))
	b.shoot("particle-login")
	b.run("send the sign-in", chromedp.Submit(`input[type="password"]`))
}

func TestBrowser_ACustomerLinksAndSwitchesTheLampOn(t *testing.T) {
	w := newWorld(t)
	b := openBrowser(t, w)
	b.open("/")
	b.shoot("home-anonymous")
	b.open("/register")
	b.shoot("register")
	b.open("/login")
	b.shoot("login")
	b.signIn(w.Customer.Email, w.Customer.Password)
	b.open("/devices")
	b.shoot("devices-not-linked")
	b.open("/linking")
	b.shoot("linking-empty")
	b.press("Link Particle account")
	b.linkAtParticle(w)
	b.run("see the consent", chromedp.WaitVisible(`button[value="allow"], input[value="allow"], [name="allow"]`))
	b.shoot("particle-consent")
	b.run("allow", chromedp.Click(`button[value="allow"], input[value="allow"], [name="allow"]`))
	b.sees(w.Particle.Email)
	b.shoot("linking-linked")
	b.open("/devices")
	b.sees("lamp")
	b.shoot("devices")
	lamp := w.customer().lamp()
	b.open("/devices/" + lamp.ID)
	b.sees("led")
	b.shoot("device")
	b.run("call led with on",
		chromedp.SetValue(`form[action$="/functions/led"] [name="arg"]`, "on"),
		b.script(`window.notReloaded = true`),
		chromedp.Click(`form[action$="/functions/led"] button`))
	b.sees("lamp/state")
	kept, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](`window.notReloaded === true`))
	if err != nil {
		t.Fatal(err)
	}
	if !kept {
		t.Error("calling a function loaded the page anew")
	}
	b.shoot("device-lamp-on")
	b.open("/account")
	b.shoot("account")
	b.open("/nowhere")
	b.shoot("not-found")
}

func TestBrowser_AnAdministratorLooksAfterTheSite(t *testing.T) {
	w := newWorld(t)
	b := openBrowser(t, w)
	b.signIn(w.Admin.Email, w.Admin.Password)
	for _, page := range []struct{ name, path string }{
		{"dashboard", "/admin"}, {"modules", "/admin/modules"}, {"module", "/admin/modules/devices"}, {"module-asks", "/admin/modules/linking/asks"},
		{"settings", "/admin/modules/linking/settings"}, {"module-log", "/admin/modules/linking/log"}, {"people", "/admin/people"}, {"roles", "/admin/roles"},
		{"permissions", "/admin/permissions"}, {"log", "/admin/log"}, {"status", "/admin/status"}, {"appearance", "/admin/appearance"},
		{"help", "/admin/help"}, {"help-module", "/admin/help/module"}, {"attempts", "/admin/linking/attempts"}, {"site-settings", "/admin/settings"},
	} {
		b.open(page.path)
		b.run("find the page "+page.path, chromedp.WaitReady("main h1"))
		b.shoot(page.name)
	}
	b.open("/admin/modules")
	b.run("pause devices", chromedp.Click(`form[action="/admin/modules/devices/pause"] button`))
	b.sees("paused")
	b.shoot("modules-paused")
	b.open("/devices")
	b.shoot("devices-paused")
	b.open("/admin/modules")
	b.run("resume devices", chromedp.Click(`form[action="/admin/modules/devices/resume"] button`))
	b.sees("running")
}
