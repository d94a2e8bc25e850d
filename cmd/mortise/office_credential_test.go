package main_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"mortise/plugins"
)

func TestOffice_ADeadCredentialIsToldToTheRightPeopleAndANewOneBringsEverythingBack(t *testing.T) {
	t.Parallel()
	o, ada := newBackOffice(t)
	ben := o.ben()
	lamp := fleetLamp(4)
	page := "/devices/" + lamp
	ben.switches(lamp, "on")
	events := ben.streams(lamp)
	events.hears("live")
	if home := ada.get("/admin"); strings.Contains(home.body, "Mortise Garden") {
		t.Errorf("the overview already says something about the workspace: %v", home)
	}

	if !o.cloud.RevokeToken(plugins.ParticleDemoAPIToken) {
		t.Fatal("there is no such token")
	}
	// What the customer reads is about the maker, never about a token or the customer's own account.
	clear := func(what string, a answer) {
		t.Helper()
		_, low, html := strings.Cut(strings.ToLower(a.body), "<main")
		if !html {
			low = strings.ToLower(a.body)
		}
		if a.status == http.StatusInternalServerError || a.status == http.StatusUnauthorized || strings.Contains(low, "went wrong on our side") {
			t.Errorf("%s answered %v", what, a)
		}
		for _, word := range []string{"token", "credential", "workspace", "link the account again", plugins.ParticleDemoAPIToken} {
			if strings.Contains(low, word) {
				t.Errorf("%s says %q to a customer: %v", what, word, a)
			}
		}
		if !strings.Contains(low, "maker") && !strings.Contains(low, "staff") && !strings.Contains(low, "not your") {
			t.Errorf("%s does not say whose matter it is: %v", what, a)
		}
	}
	clear("calling a function", ben.json(http.MethodPost, page+"/functions/led", map[string]string{"arg": "off"}, nil))
	clear("reading a variable", ben.json(http.MethodGet, page+"/variables/led", nil, nil))
	eventually(t, 10*time.Second, "the list says it", func() bool {
		var list struct {
			Troubles []struct {
				Trouble struct {
					Kind string `json:"kind"`
				} `json:"trouble"`
			} `json:"troubles"`
		}
		ben.reads("/devices", &list)
		return len(list.Troubles) == 1 && list.Troubles[0].Trouble.Kind == "maker"
	})
	clear("the device's page", ben.get(page))
	clear("the list", ben.get("/devices"))

	// The next use was enough for the administrator to be told; a run of the job must not be needed.
	attention := func() string {
		var home struct {
			Attention []map[string]any `json:"attention"`
		}
		return ada.reads("/admin", &home).body
	}
	eventually(t, 15*time.Second, "the overview says it", func() bool { return strings.Contains(attention(), "Mortise Garden") })
	ada.runs("organizations", "health")
	if text := attention(); !strings.Contains(text, "Mortise Garden") {
		t.Errorf("after the job the overview says nothing: %s", text)
	}
	var shown struct {
		Workspace struct {
			Health string `json:"health"`
		} `json:"workspace"`
	}
	if ada.reads(workspace, &shown); shown.Workspace.Health != "bad" {
		t.Errorf("the workspace's page says %+v", shown)
	}

	// Everything else of the office stays usable.
	for _, path := range []string{"/admin/customers", "/admin/customers/devices", personPage(ada.personID("ben")) + "/devices", workspace + "/products", "/admin/customers/devices/" + lamp} {
		if a := ada.get(path); a.status != http.StatusOK {
			t.Errorf("%s answered %v", path, a)
		}
	}

	o.connects(ada, o.cloud.IssueAPIToken(plugins.ParticleDemoProduct, "*:*"))
	ben.switches(lamp, "off")
	eventually(t, 10*time.Second, "the list is well again", func() bool {
		return !strings.Contains(ben.json(http.MethodGet, "/devices", nil, nil).body, `"kind":"maker"`)
	})
	events.close()
	events = ben.streams(lamp) // as a browser does whose stream has ended
	events.hears("live")
	ben.switches(lamp, "on")
	events.hears("lamp/state")
	eventually(t, 15*time.Second, "the overview has nothing to say", func() bool { return !strings.Contains(attention(), "Mortise Garden") })
	secretFree(t, "the log", o.logs.String(), plugins.ParticleDemoAPIToken)
}
