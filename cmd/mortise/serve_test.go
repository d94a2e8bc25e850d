package main_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestServe_AnEmptySiteIsSetUpByALinkThatWorksOnce(t *testing.T) {
	t.Parallel()
	w := serveSite(t)
	if w.setup == "" || !strings.HasPrefix(w.setup, w.URL+"/setup/") {
		t.Fatalf("serve printed the set-up link %q for the site %s", w.setup, w.URL)
	}
	first := w.visit()
	if a := first.get("/register"); strings.Contains(a.body, `name="password"`) {
		t.Error("people can register before anybody looks after the site")
	}
	page := first.get(w.setup)
	if page.status != http.StatusOK || !strings.Contains(page.body, `name="site_name"`) {
		t.Fatalf("the set-up page answered %v", page)
	}
	path := strings.TrimPrefix(w.setup, w.URL)
	weak := first.post(path, "site_name", "Lamp Shop", "name", "Olga", "email", "olga@example.com", "password", "short")
	if weak.status != http.StatusUnprocessableEntity || !strings.Contains(weak.body, "Lamp Shop") {
		t.Errorf("a weak password answered %d, want 422 with what was typed kept", weak.status)
	}
	done := first.post(path, "site_name", "Lamp Shop", "name", "Olga", "email", "olga@example.com", "password", "a-workbench-and-a-vice")
	if done.status != http.StatusSeeOther {
		t.Fatalf("set-up answered %v", done)
	}
	if a := first.get("/admin/modules"); a.status != http.StatusOK || !strings.Contains(a.body, "Lamp Shop") {
		t.Errorf("after set-up /admin/modules answered %d", a.status)
	}
	second := w.visit()
	second.get(w.setup)
	if a := second.post(path, "site_name", "Mine", "name", "Eve", "email", "eve@example.com", "password", "another-long-password"); a.status == http.StatusSeeOther {
		t.Error("the set-up link worked a second time")
	}
	if out, err := w.command("status", "--json"); err != nil || !strings.Contains(out, `"running":true`) {
		t.Errorf("status printed %q, %v", out, err)
	}
}

func TestServe_ASecondHostOnTheSameFolderIsRefused(t *testing.T) {
	t.Parallel()
	w := serveSite(t)
	out, err := w.run("serve", "--data", w.data, "--listen", "127.0.0.1:0")
	if err == nil || !strings.Contains(err.Error(), "another host has the data folder") {
		t.Errorf("a second host printed %q, %v", out, err)
	}
}
