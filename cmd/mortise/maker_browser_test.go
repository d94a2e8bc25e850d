package main_test

import (
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

// connect adds the workspace.
func (b *browser) connect(w *world) {
	b.t.Helper()
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
}

func TestBrowser_AMakerConnectsAProductAndInvitesACustomerWhoLinks(t *testing.T) {
	b, w := newOffice(t)
	b.connect(w)
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
}
