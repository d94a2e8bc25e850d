package main_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// Each of these asks for something of Ann's: her device, her account, her attempts, or the site's administration.
func TestIsolation_NobodyReachesAnothersDevicesOrTheAdministration(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.customer()
	ann.link(w, "allow")
	lamp := ann.lamp().ID
	if _, err := w.command("user", "create", "bob@demo.example", "--name", "Bob", "--password", "another-long-password"); err != nil {
		t.Fatal(err)
	}
	bob := w.visit().signIn("bob@demo.example", "another-long-password")
	var accounts struct {
		Accounts []struct {
			ID int64 `json:"id"`
		} `json:"accounts"`
	}
	ann.json(http.MethodGet, "/linking", nil, &accounts)
	account := accounts.Accounts[0].ID

	type ask struct{ method, path string }
	anns := []ask{
		{"GET", "/devices/" + lamp}, {"GET", "/devices/" + lamp + "/variables/led"}, {"GET", "/devices/" + lamp + "/events"},
		{"POST", "/devices/" + lamp + "/functions/led"}, {"POST", "/devices/" + lamp + "/events"}, {"POST", "/devices/" + lamp + "/rename"},
		{"POST", "/devices/" + lamp + "/signal"}, {"POST", "/devices/" + lamp + "/ping"},
		{"POST", fmt.Sprintf("/linking/particle/%d/unlink", account)}, {"GET", fmt.Sprintf("/linking/particle/%d/unlink", account)},
	}
	administration := []ask{
		{"GET", "/admin"}, {"GET", "/admin/modules"}, {"GET", "/admin/modules/devices"}, {"POST", "/admin/modules/devices/pause"}, {"GET", "/admin/people"},
		{"GET", "/admin/permissions"}, {"POST", "/admin/permissions"}, {"GET", "/admin/log"}, {"GET", "/admin/status"}, {"GET", "/admin/linking/attempts"},
		{"GET", "/admin/modules/linking/settings"}, {"POST", "/admin/modules/linking/settings"}, {"POST", "/admin/modules/linking/remove"}, {"GET", "/admin/appearance"},
	}
	for name, v := range map[string]*visitor{"another customer": bob, "a stranger": w.visit()} {
		asked := append(anns[:len(anns):len(anns)], administration...)
		for _, one := range asked {
			v.get("/login") // a fresh token
			for _, json := range []bool{false, true} {
				var a answer
				switch {
				case json:
					a = v.json(one.method, one.path, map[string]string{"arg": "on", "name": "x", "data": "x"}, nil)
				case one.method == "GET":
					a = v.get(one.path)
				default:
					a = v.post(one.path, "arg", "on", "name", "x", "data", "x")
				}
				signIn := a.status == http.StatusSeeOther && strings.HasPrefix(a.location, "/login")
				if a.status != 401 && a.status != 403 && a.status != 404 && !signIn {
					t.Errorf("%s: %s %s (json %v) answered %d to %s", name, one.method, one.path, json, a.status, a.location)
				}
			}
		}
	}
	if left := bob.devices(); len(left) != 0 {
		t.Errorf("Bob sees devices: %+v", left)
	}
	if ann.lamp().ID != lamp {
		t.Error("Ann lost her lamp")
	}
}

func TestCSRF_NoChangeWithoutTheTokenOfTheSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin, customer := w.admin(), w.customer()
	own := customer.csrf
	for _, token := range []string{"", "x", own} { // own: a token that is right, for another session
		for _, path := range []string{"/admin/modules/devices/pause", "/logout", "/account", "/linking/particle/start"} {
			admin.csrf = token // each answer brings the right one
			if a := admin.post(path); a.status != http.StatusForbidden {
				t.Errorf("POST %s with the token %.6q answered %d, want 403", path, token, a.status)
			}
		}
	}
	if m := w.module("devices"); m.State != "running" {
		t.Errorf("devices is %+v", m)
	}
}
