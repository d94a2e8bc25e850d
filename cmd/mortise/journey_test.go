package main_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

const lampName = "lamp"

// device is what /devices answers for one device, as far as the tests look.
type device struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Online bool   `json:"online"`
}

func (v *visitor) devices() []device {
	v.t.Helper()
	var page struct {
		Devices []device `json:"devices"`
	}
	if a := v.json(http.MethodGet, "/devices", nil, &page); a.status != http.StatusOK {
		v.t.Fatalf("/devices answered %v", a)
	}
	return page.Devices
}

func (v *visitor) lamp() device {
	v.t.Helper()
	for _, d := range v.devices() {
		if strings.Contains(strings.ToLower(d.Name), lampName) {
			return d
		}
	}
	v.t.Fatalf("no lamp among %+v", v.devices())
	return device{}
}

func TestJourney_FromAnEmptySiteToALampSwitchedOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--bare")
	admin, customer := w.admin(), w.customer()

	t.Run("modules are available, and devices needs no other", func(t *testing.T) {
		page := admin.get("/admin/modules")
		for _, word := range []string{"linking", "devices", "available"} {
			if !strings.Contains(strings.ToLower(page.body), word) {
				t.Errorf("the module list does not say %q", word)
			}
		}
		if a := customer.get("/devices"); a.status != http.StatusNotFound {
			t.Errorf("/devices answered %d before the module is there, want 404", a.status)
		}
		if a := admin.post("/admin/modules/devices/enable"); a.status != http.StatusSeeOther {
			t.Errorf("enabling devices alone answered %v", a)
		}
	})

	t.Run("enabling takes effect at once and twice changes nothing", func(t *testing.T) {
		for _, id := range []string{"linking", "devices"} {
			if a := admin.post("/admin/modules/" + id + "/enable"); a.status != http.StatusSeeOther {
				t.Fatalf("enabling %s answered %v", id, a)
			}
		}
		var again struct {
			Changed bool `json:"changed"`
		}
		if a := admin.json(http.MethodPost, "/admin/modules/devices/enable", map[string]any{}, &again); a.status != http.StatusOK || again.Changed {
			t.Errorf("enabling again answered %v, want 200 and changed false", a)
		}
		if home := customer.get("/account"); !strings.Contains(home.body, `href="/devices"`) {
			t.Error("the customer's menu does not show the devices")
		}
	})

	t.Run("settings are tested before they are saved, and the secret is never shown", func(t *testing.T) {
		admin.get("/admin/modules/linking/settings")
		wrong := admin.post("/admin/modules/linking/settings/test", "_form", "1", "base_url", w.Particle.URL, "client_id", w.Particle.ClientID, "client_secret", "not-the-secret")
		if !strings.Contains(strings.ToLower(wrong.body), "secret") || strings.Contains(wrong.body, "not-the-secret") {
			t.Errorf("testing a wrong secret answered %v", wrong)
		}
		saved := admin.post("/admin/modules/linking/settings", "_form", "1", "base_url", w.Particle.URL, "client_id", w.Particle.ClientID, "client_secret", w.Particle.ClientSecret)
		if saved.status != http.StatusSeeOther {
			t.Fatalf("saving the settings answered %v", saved)
		}
		if form := admin.get("/admin/modules/linking/settings"); strings.Contains(form.body, w.Particle.ClientSecret) {
			t.Error("the settings form shows the secret")
		}
	})

	t.Run("refusing is explained to the customer and to the administrator", func(t *testing.T) {
		refused := customer.link(w, "deny")
		if !strings.Contains(refused.body, "linking") || strings.Contains(refused.body, "code=") {
			t.Errorf("refusing ended on %v", refused)
		}
		if attempts := admin.get("/admin/linking/attempts"); attempts.status != http.StatusOK || !strings.Contains(attempts.body, "Ann Customer") {
			t.Errorf("the attempts page answered %v", attempts)
		}
	})

	t.Run("linking, the list, and the lamp", func(t *testing.T) {
		if linked := customer.link(w, "allow"); linked.status != http.StatusOK || !strings.Contains(linked.body, w.Particle.Email) {
			t.Fatalf("linking ended on %v", linked)
		}
		lamp := customer.lamp()
		page := customer.get("/devices/" + lamp.ID)
		if page.status != http.StatusOK || !strings.Contains(page.body, "led") {
			t.Fatalf("the lamp's page answered %v", page)
		}
		var called struct {
			ReturnValue *int `json:"return_value"`
		}
		if a := customer.json(http.MethodPost, "/devices/"+lamp.ID+"/functions/led", map[string]string{"arg": "on"}, &called); a.status != http.StatusOK || called.ReturnValue == nil || *called.ReturnValue < 0 {
			t.Fatalf("led on answered %v", a)
		}
		var value struct {
			Value any `json:"value"`
		}
		if a := customer.json(http.MethodGet, "/devices/"+lamp.ID+"/variables/led", nil, &value); a.status != http.StatusOK || value.Value == nil {
			t.Errorf("the variable led answered %v", a)
		}
	})

	t.Run("pausing shows a notice, resuming brings everything back", func(t *testing.T) {
		admin.get("/admin/modules")
		if a := admin.post("/admin/modules/devices/pause"); a.status != http.StatusSeeOther {
			t.Fatalf("pause answered %v", a)
		}
		paused := customer.get("/devices")
		if paused.status != http.StatusServiceUnavailable || paused.header.Get("Retry-After") == "" {
			t.Errorf("a paused page answered %v, want 503 with Retry-After", paused)
		}
		if account := customer.get("/account"); strings.Contains(account.body, `href="/devices"`) {
			t.Error("the menu still links the paused module")
		}
		if a := customer.get("/linking"); a.status != http.StatusOK {
			t.Errorf("/linking answered %d while devices is paused", a.status)
		}
		if a := admin.post("/admin/modules/devices/resume"); a.status != http.StatusSeeOther {
			t.Fatalf("resume answered %v", a)
		}
		if len(customer.devices()) == 0 {
			t.Error("the devices are gone after resume")
		}
	})

	t.Run("unlinking revokes the token and removes the devices", func(t *testing.T) {
		var page struct {
			Accounts []struct {
				ID         int64  `json:"id"`
				UnlinkPath string `json:"unlink_path"`
			} `json:"accounts"`
		}
		customer.json(http.MethodGet, "/linking", nil, &page)
		if len(page.Accounts) != 1 {
			t.Fatalf("linked accounts: %+v, want one", page)
		}
		customer.get("/linking")
		if a := customer.post(page.Accounts[0].UnlinkPath); a.status != http.StatusSeeOther {
			t.Fatalf("unlink answered %v", a)
		}
		if left := customer.devices(); len(left) != 0 {
			t.Errorf("devices after unlinking: %+v", left)
		}
	})
}

func TestJourney_ASecondStartFindsItsData(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	customer := w.customer()
	customer.link(w, "allow")
	before := customer.devices()
	if len(before) == 0 {
		t.Fatal("no devices after linking")
	}
	w.stop()
	again := startWorld(t, w.data)
	var after []device
	eventually(t, 10*time.Second, "the devices are back", func() bool {
		after = again.customer().devices()
		return len(after) == len(before)
	})
}
