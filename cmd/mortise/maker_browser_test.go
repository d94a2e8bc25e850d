package main_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"mortise/plugins"
)

// newOffice starts a site with the four modules of a maker, nothing set up, and a browser in which the administrator is signed in.
func newOffice(t *testing.T) (*browser, *world) {
	t.Helper()
	findChromium(t)
	w := newWorld(t, "--bare")
	for _, id := range []string{"linking", "devices", "organizations", "customers"} {
		if _, err := w.command("module", "enable", id); err != nil {
			t.Fatal(err)
		}
	}
	b := openBrowser(t, w)
	b.signIn(w.Admin.Email, w.Admin.Password)
	return b, w
}

// signOut ends the session.
func (b *browser) signOut() {
	b.t.Helper()
	b.open("/account")
	b.run("open the menu", evaluate(`document.querySelector("details.account").open = true`))
	b.leaves(`[action="/logout"] button`)
}

func TestBrowser_AMakerConnectsAProductAndInvitesACustomerWhoLinks(t *testing.T) {
	b, w := newOffice(t)
	b.open("/admin/organizations")
	b.look("workspaces-empty")
	b.presses("Add a workspace")
	b.fill(`main [name="name"]`, "Garden")
	b.fill(`main [name="base_url"]`, w.Particle.URL)
	b.fill(`main [name="token"]`, "0123456789012345678901234567890123456789")
	b.presses("Add and test")
	b.look("workspace-wrong-token")
	b.presses("Change")
	b.fill(`main [name="token"]`, plugins.ParticleDemoAPIToken)
	b.presses("Save and test")
	b.look("workspace")
	b.presses("Products")
	b.sees("garden-lamp-10001")
	b.look("products")
	b.presses("OAuth clients")
	b.look("clients")
	b.presses("Create")
	b.look("client-purposes")
	b.presses("Link customers' accounts")
	b.look("client-new")
	b.presses("Create the client")
	b.sees("the secret this once")
	b.look("client-created")
	b.presses("Use for account linking")
	b.sees("Linking uses the client")
	b.look("client-handed-over")
	b.open("/admin/linking")
	b.look("linking-set-up")

	b.open("/admin/customers")
	b.look("customers-few")
	b.presses("Add a customer")
	b.fill(`main [name="name"]`, "Dora Lindqvist")
	b.fill(`main [name="email"]`, w.Customer.Email)
	b.presses("Add the customer")
	b.sees("belongs to")
	b.look("customer-known-already")
	b.fill(`main [name="email"]`, "dora@customers.example")
	b.presses("Add the customer")
	b.sees("Invited")
	b.look("customer-invited")
	b.signOut()

	b.open(w.mailedLink(`/password/reset/[A-Za-z0-9_-]+`))
	b.look("invitation")
	b.fill(`main [name="password"]`, "roses-and-thorns")
	b.leaves(`main form button.primary`)
	b.signInIfAsked("dora@customers.example", "roses-and-thorns")
	b.open("/linking")
	b.presses("Link Particle account")
	b.atParticle(w, "allow")
	b.sees(w.Particle.Email)
	b.open("/devices")
	b.sees("desk-lamp")
	b.open("/customers")
	b.look("own-page-linked")
	b.signOut()

	b.signIn(w.Admin.Email, w.Admin.Password)
	b.open("/admin/customers?q=dora")
	b.until("the list says that the account is linked", `(location.reload(), document.querySelector("main table").innerText.includes("Linked"))`)
	b.look("customers-linked")
}

// signInIfAsked signs in where choosing a password has not done it.
func (b *browser) signInIfAsked(email, password string) {
	b.t.Helper()
	if b.value(`document.querySelector('[action="/logout"]') ? "in" : "out"`) != "in" {
		b.signIn(email, password)
	}
}

func TestBrowser_ADeviceGoesFromTheBenchToItsOwner(t *testing.T) {
	b, w := newWalk(t)
	b.signIn(w.Admin.Email, w.Admin.Password)
	b.open("/admin/customers/records")
	b.look("records")
	b.presses("Make device records")
	b.look("record-product")
	b.presses("Garden lamp")
	b.look("record-new")
	b.fill(`main [name="lines"]`, "e00fce680000000000100020, Pond lamp, SN-2020\nnot an id, Nothing\ne00fce68ffffffffffffffff, Stranger")
	b.fill(`main [name="job"]`, "Pond of the Lindqvists")
	b.run("make the keys at once", evaluate(`document.querySelector('main [name="keys"]').checked = true`))
	b.presses("Make the records")
	b.sees("1 device has a record now")
	b.look("record-made")
	b.presses("Print the labels")
	b.look("labels")
	key := regexp.MustCompile(`[0-9A-Z]{4}(-[0-9A-Z]{4}){3}`).FindString(b.value(`document.querySelector("main").innerText`))
	if key == "" {
		t.Fatal("the label shows no key")
	}
	if drawn := b.value(`[...document.querySelectorAll("main img")].every((i) => i.complete && i.naturalWidth > 0)`); drawn != "true" {
		t.Errorf("the code on the label is not drawn: %s", drawn)
	}
	b.signOut()

	// The customer's phone opens the address of the code.
	claim := "/customers/claim?key=" + key
	b.open(claim)
	b.look("claim-stranger")
	b.presses("Register")
	b.fill(`main [name="name"]`, "Dora Lindqvist")
	b.fill(`main [name="email"]`, "dora@customers.example")
	b.fill(`main [name="password"]`, "roses-and-thorns")
	b.leaves(`main form button.primary`)
	b.sees("Is this your device?")
	b.look("claim-mine")
	b.presses("Add to my devices")
	b.sees("Pond lamp")
	b.look("claimed-device")
	b.until("the page is live", `document.querySelector("[data-live-state]").textContent === "live"`)
	b.fill(`#fn-led-arg`, "on")
	b.click(`#fn-led-call`)
	b.until("the lamp has answered", `document.querySelector("#fn-led .command.done")?.innerText.includes("→ 1")`)
	b.until("the value is the new one", `document.querySelector("#var-led .value").textContent === "on"`)
	b.until("its event arrives", `document.querySelector("#event-list").innerText.includes("lamp/state")`)
	b.look("claimed-device-on")
	b.open("/devices")
	b.sees("Pond lamp")
	b.look("devices-claimed")
	b.open(claim)
	b.sees("You have it already")
	b.signOut()

	b.signIn(w.Customer.Email, w.Customer.Password)
	b.open(claim)
	b.sees("was used already")
	b.look("claim-used")
	b.open("/devices/e00fce680000000000100020")
	b.sees("You have no device with this id")
	b.signOut()

	b.signIn(w.Admin.Email, w.Admin.Password)
	b.open("/admin/customers/devices/e00fce680000000000100020")
	b.sees("Dora Lindqvist")
	b.look("attached-device")
}

func TestBrowser_AMakerImportsDevicesAndReadsWhatBecameOfEachLine(t *testing.T) {
	b, w := newWalk(t)
	response, err := http.PostForm(w.Particle.URL+"/__sim", url.Values{"spares": {"500"}})
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	lines := make([]string, 0, 500)
	for n := range 493 {
		lines = append(lines, plugins.ParticleSpareID(n+1))
	}
	lines = append(lines[:100], append([]string{
		"pond-lamp", "e00fce68", plugins.ParticleSpareID(3), "e00fce680000000000000f01", "zzzfce680000000000300001", strings.Repeat("a", 300), "<img src=x onerror=alert(1)>",
	}, lines[100:]...)...)
	b.signIn(w.Admin.Email, w.Admin.Password)
	b.open("/admin/organizations/workspaces/1/devices")
	b.presses("Import devices")
	b.look("import-new")
	b.run("paste the ids", evaluate(fmt.Sprintf(`document.querySelector('main [name="text"]').value = %q`, strings.Join(lines, "\n"))))
	b.presses("Import the devices")
	b.until("the import is done", `document.querySelector("main").innerText.includes("493")`)
	b.look("import-done")
	b.open("/admin/organizations/workspaces/1/devices?q=3004")
	b.sees(plugins.ParticleSpareID(493)[:20])
}

func TestBrowser_ACustomersDataAreShownAndErased(t *testing.T) {
	b, w := newWalk(t)
	b.signIn(w.Admin.Email, w.Admin.Password)
	b.open("/admin/customers?q=ben")
	b.presses("Ben Gardener")
	b.fill(`main [name="text"]`, "Prefers mornings.")
	b.presses("Write the note")
	b.sees("Prefers mornings.")
	b.look("customer")
	b.presses("Devices")
	b.sees("lamp-004")
	b.look("customer-devices")
	b.presses("Privacy")
	b.sees("Notes of the staff")
	b.look("privacy")
	b.presses("Erase")
	b.look("erase")
	b.fill(`main [name="confirm"]`, "ann@demo.example")
	b.presses("Erase for good")
	b.look("erase-not-confirmed")
	b.fill(`main [name="confirm"]`, "ben@demo.example")
	b.presses("Erase for good")
	b.sees("erased")
	b.look("erased")
	b.signOut()

	b.signIn("ben@demo.example", "water-the-roses") // the account is still there
	b.open("/devices")
	b.until("no device is left", `!document.querySelector("main").innerText.includes("lamp-004")`)
	b.look("devices-after-erasure")
	b.open("/customers")
	b.presses("Delete my account")
	b.look("delete-myself")
}
