package main_test

import (
	"syscall"
	"testing"
)

func TestBrowser_ACustomerLinksAndSwitchesTheLampOn(t *testing.T) {
	b, w := newWalk(t)
	b.open("/")
	b.look("home-anonymous")
	b.open("/login")
	b.fill(`main [name="email"]`, w.Customer.Email)
	b.fill(`main [name="password"]`, "not the password")
	b.leaves(`main form button`)
	b.sees("password is wrong")
	b.look("login-wrong")
	b.signIn(w.Customer.Email, w.Customer.Password)
	b.look("home")
	b.open("/devices")
	b.look("devices-not-linked")
	b.presses("Link Particle account")
	b.look("linking-empty")
	b.presses("Link Particle account")
	b.atParticle(w, "deny")
	b.sees("You did not allow access")
	b.look("linking-refused")
	b.presses("step by step")
	b.look("linking-attempt")
	b.presses("Try again")
	b.atParticle(w, "allow")
	b.sees(w.Particle.Email)
	b.look("linking-linked")
	b.presses("See your devices")
	b.look("devices")
	b.switchTheLamp()
	b.surviveAKilledModule(w)
	b.open("/linking")
	b.presses("Unlink")
	b.look("unlink")
	b.presses("Unlink")
	b.sees("is gone")
	for name, path := range map[string]string{"account": "/account", "account-delete": "/account/delete", "not-found": "/nowhere", "not-allowed": "/admin"} {
		b.open(path)
		b.look(name)
	}
}

// newWalk starts a demo and a browser for it.
func newWalk(t *testing.T) (*browser, *world) {
	t.Helper()
	findChromium(t) // before a site is started for nothing
	w := newWorld(t)
	return openBrowser(t, w), w
}

// switchTheLamp calls led on the page of the lamp, which must show the device's answer, the new value and the event by itself.
func (b *browser) switchTheLamp() {
	b.t.Helper()
	b.presses("desk-lamp")
	b.until("the page is live", `document.querySelector("[data-live-state]").textContent === "live"`)
	b.until("the lamp is off", `document.querySelector("#var-led .value").textContent === "off"`)
	b.look("device")
	b.fill(`#fn-led-arg`, "on")
	b.run("mark the page", evaluate(`window.notReloaded = true`))
	b.click(`#fn-led-call`)
	b.until("the device has answered", `document.querySelector("#fn-led .command.done")?.innerText.includes("→ 1")`)
	b.until("the value is the new one", `document.querySelector("#var-led .value").textContent === "on"`)
	b.until("the event arrives", `document.querySelector("#event-list").innerText.includes("lamp/state")`)
	b.until("the focus stays on the button", `document.activeElement.id === "fn-led-call"`)
	b.until("what happened is read out", `[...document.querySelectorAll("[role=status]")].some((e) => e.textContent.includes("returned 1"))`)
	b.until("the page was not loaded anew", `window.notReloaded`)
	b.look("device-lamp-on")
}

// surviveAKilledModule kills the process behind an open page, which must say so and be live again by itself.
func (b *browser) surviveAKilledModule(w *world) {
	b.t.Helper()
	b.run("watch the state", evaluate(`window.states = []; new MutationObserver(() => window.states.push(document.querySelector("[data-live-state]").textContent)).observe(document.querySelector("[data-live-state]"), { childList: true, characterData: true, subtree: true })`))
	if err := syscall.Kill(w.module("devices").PID, syscall.SIGKILL); err != nil {
		b.t.Fatal(err)
	}
	b.until("the page is live again", `window.states.includes("reconnecting") && window.states.at(-1) === "live"`)
	b.fill(`#fn-led-arg`, "off")
	b.click(`#fn-led-call`)
	b.until("the lamp is off again", `document.querySelector("#var-led .value").textContent === "off"`)
	b.until("the page was not loaded anew", `window.notReloaded`)
}

func TestBrowser_EverythingWorksWithoutScript(t *testing.T) {
	b, w := newWalk(t)
	b.withoutScript()
	b.open("/register")
	b.fill(`main [name="name"]`, "Bea")
	b.fill(`main [name="email"]`, "bea@demo.example")
	b.fill(`main [name="password"]`, "short")
	b.leaves(`main form button`)
	b.look("register-wrong")
	b.until("what was entered is kept", `document.querySelector('main [name="email"]').value === "bea@demo.example"`)
	b.fill(`main [name="password"]`, "three words in a row")
	b.leaves(`main form button`)
	b.open("/linking")
	b.presses("Link Particle account")
	b.atParticle(w, "allow")
	b.presses("See your devices")
	b.presses("desk-lamp")
	b.look("device")
	b.fill(`#fn-led-arg`, "on")
	b.leaves(`#fn-led-call`)
	b.sees("→ 1")
	b.look("call")
	b.presses("Back to desk-lamp")
	b.until("the page shows the new value", `document.querySelector("#var-led .value").textContent === "on"`)
	b.leaves(`#var-led-read`)
	b.look("variable")
	b.presses("Back to desk-lamp")
	b.fill(`#publish [name="event_name"]`, "not a name")
	b.leaves(`#publish button`)
	b.sees("another look")
	b.look("publish-wrong")
	b.fill(`#publish [name="event_name"]`, "garden/pump")
	b.leaves(`#publish button`)
	b.sees("Published garden/pump")
	b.presses("All on one page")
	b.sees("garden/pump")
	b.look("events")
	b.open("/linking")
	b.presses("Unlink")
	b.presses("Unlink")
	b.sees("is gone")
	b.open("/devices")
	b.sees("No devices yet")
	b.open("/account")
	b.run("open the menu", evaluate(`document.querySelector("details.account").open = true`))
	b.leaves(`[action="/logout"] button`)
	b.sees("You are signed out")
}

func TestBrowser_AnAdministratorLooksAfterTheSite(t *testing.T) {
	b, w := newWalk(t)
	b.signIn(w.Admin.Email, w.Admin.Password)
	for _, page := range []struct{ name, path string }{
		{"dashboard", "/admin"}, {"modules", "/admin/modules"}, {"module", "/admin/modules/devices"}, {"module-asks", "/admin/modules/linking/asks"},
		{"settings", "/admin/modules/linking/settings"}, {"module-log", "/admin/modules/linking/log"}, {"people", "/admin/people"}, {"roles", "/admin/roles"},
		{"permissions", "/admin/permissions"}, {"log", "/admin/log"}, {"status", "/admin/status"}, {"appearance", "/admin/appearance"},
		{"help", "/admin/help"}, {"help-module", "/admin/help/module"}, {"attempts", "/admin/linking/attempts"}, {"site-settings", "/admin/settings"},
	} {
		b.open(page.path)
		b.look(page.name)
	}
	b.open("/admin/modules")
	b.click(`form[action="/admin/modules/devices/pause"] button`)
	b.sees("Devices is paused")
	b.look("modules-paused")
	b.open("/devices")
	b.sees("Devices is paused")
	b.look("devices-paused")
	b.open("/admin/modules")
	b.click(`form[action="/admin/modules/devices/resume"] button`)
	b.until("devices runs", `document.querySelector('form[action="/admin/modules/devices/pause"] button')`)
	b.open("/devices")
	b.sees("No devices yet")
	b.open("/admin/appearance")
	b.presses("Use Workshop")
	b.open("/devices")
	b.until("the other theme is in use", `[...document.querySelectorAll("link[rel=stylesheet]")].some((e) => e.href.includes("/workshop/"))`)
	b.look("devices-workshop")
}
