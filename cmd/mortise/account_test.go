package main_test

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestAccount_AProgramRegistersAndAForgottenPasswordIsChosenAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--bare")
	carol := w.visit()
	carol.get("/register")
	person := map[string]string{"name": "Carol", "email": "carol@demo.example", "password": "first-long-password"}
	if a := carol.json(http.MethodPost, "/register", person, nil); a.status != http.StatusOK {
		t.Fatalf("registering as a program answered %v", a)
	}
	if a := carol.json(http.MethodGet, "/account", nil, nil); a.status != http.StatusOK || !strings.Contains(a.body, "carol@demo.example") {
		t.Errorf("the new account answered %v", a)
	}

	forgetful := w.visit()
	forgetful.get("/password/forgot")
	forgetful.post("/password/forgot", "email", "carol@demo.example")
	link := w.mailedLink(`/password/reset/[A-Za-z0-9_-]+`)
	if a := forgetful.get(link); a.status != http.StatusOK || !strings.Contains(a.body, `name="password"`) {
		t.Fatalf("the mailed link answered %v", a)
	}
	if a := forgetful.post(link, "password", "second-long-password"); a.status != http.StatusSeeOther {
		t.Fatalf("choosing a password answered %v", a)
	}
	if a := carol.get("/account"); a.status == http.StatusOK {
		t.Error("a session from before the reset still opens the account")
	}
	w.visit().signIn("carol@demo.example", "second-long-password")
	late := w.visit()
	late.get(link)
	if a := late.post(link, "password", "third-long-password"); a.status == http.StatusSeeOther {
		t.Error("the mailed link worked a second time")
	}
}

// mailedLink waits for a mail with a path of the site. Without a mail server mails are files in the data folder.
func (w *world) mailedLink(pattern string) string {
	w.t.Helper()
	var found string
	eventually(w.t, 10*time.Second, "a mail with a link comes", func() bool {
		files, _ := filepath.Glob(filepath.Join(w.data, "mail", "*.eml")) // the pattern is right
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err == nil {
				// Quoted-printable breaks long lines with "=".
				found = regexp.MustCompile(pattern).FindString(strings.NewReplacer("=\r\n", "", "=\n", "").Replace(string(text)))
			}
			if found != "" {
				return true
			}
		}
		return false
	})
	return found
}

func TestDevices_EveryCommandOfThePageReachesTheDevice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.customer()
	ann.link(w, "allow")
	lamp := "/devices/" + ann.lamp().ID
	for _, ask := range []struct {
		path  string
		input map[string]string
	}{
		{lamp + "/signal", map[string]string{"signal": "on"}},
		{lamp + "/ping", map[string]string{}},
		{lamp + "/events", map[string]string{"name": "garden/pump", "data": "on"}},
		{lamp + "/rename", map[string]string{"name": "workbench-lamp"}},
	} {
		if a := ann.json(http.MethodPost, ask.path, ask.input, nil); a.status != http.StatusOK {
			t.Errorf("POST %s answered %v", ask.path, a)
		}
	}
	if got := ann.lamp().Name; got != "workbench-lamp" {
		t.Errorf("after renaming the lamp is called %q", got)
	}
}
