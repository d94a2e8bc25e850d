package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mortise/core/help"
)

func TestTutorial_ItsFilesMakeAWorkingModule(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	plugins := t.TempDir()
	overlay := map[string]map[string]string{"Replace": {}}
	files, err := help.Tutorial() // as a reader would copy them
	if err != nil || len(files) != 4 {
		t.Fatalf("the help page has %d files of the guestbook, want 4: %v", len(files), err)
	}
	for name, text := range files {
		path := filepath.Join(plugins, "guestbook", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		overlay["Replace"][filepath.Join(root, "plugins", "guestbook", name)] = path
	}
	// The overlay puts the files into the checkout without touching it: other tests look at the folder at the same time.
	list, _ := json.Marshal(overlay) // texts always encode
	listFile := filepath.Join(t.TempDir(), "overlay.json")
	if err := os.WriteFile(listFile, list, 0o644); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-overlay", listFile, "-o", filepath.Join(plugins, "guestbook", "bin", "guestbook"), "./plugins/guestbook")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("the tutorial's program does not build: %v\n%s", err, out)
	}

	w := newWorld(t, "--bare", "--plugins", plugins)
	admin := w.admin()
	admin.get("/admin/modules")
	if a := admin.post("/admin/modules/guestbook/enable"); a.status != http.StatusSeeOther {
		t.Fatalf("enabling the guestbook answered %v", a)
	}
	customer := w.customer()
	if a := customer.get("/guestbook"); a.status != http.StatusOK || !strings.Contains(a.body, "Nobody has written yet") {
		t.Fatalf("/guestbook answered %v", a)
	}
	if a := customer.post("/guestbook", "text", "<b>Hello</b> joiners"); a.status != http.StatusSeeOther {
		t.Fatalf("writing answered %v", a)
	}
	page := customer.get("/guestbook")
	if !strings.Contains(page.body, "&lt;b&gt;Hello&lt;/b&gt; joiners") || !strings.Contains(page.body, "Thank you for your line.") {
		t.Errorf("after writing the page is %v", page)
	}
	if a := customer.post("/guestbook", "text", ""); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "1 to 500 characters") {
		t.Errorf("an empty line answered %v", a)
	}
	var data struct {
		Entries []struct {
			Text string `json:"text"`
		} `json:"entries"`
	}
	if customer.json(http.MethodGet, "/guestbook", nil, &data); len(data.Entries) != 1 || data.Entries[0].Text != "<b>Hello</b> joiners" {
		t.Errorf("as JSON the page is %+v", data)
	}
	if a := w.visit().get("/guestbook"); a.status == http.StatusOK {
		t.Error("a stranger reads the guestbook")
	}
	if _, err := w.command("user", "create", "max@example.com", "--name", "Max", "--password", "three-planks-and-a-saw", "--json"); err != nil {
		t.Fatal(err)
	}
	leaving := w.visit().signIn("max@example.com", "three-planks-and-a-saw")
	leaving.get("/guestbook")
	if a := leaving.post("/guestbook", "text", "Gone tomorrow"); a.status != http.StatusSeeOther {
		t.Fatalf("writing answered %v", a)
	}
	admin.get("/admin/people")
	var people struct {
		People []struct {
			ID    int64  `json:"id"`
			Email string `json:"email"`
		} `json:"people"`
	}
	admin.json(http.MethodGet, "/admin/people?q=max@example.com", nil, &people)
	if len(people.People) != 1 {
		t.Fatalf("the list of people is %+v", people)
	}
	if a := admin.post(fmt.Sprintf("/admin/people/%d/delete", people.People[0].ID), "confirm", "max@example.com"); a.status != http.StatusSeeOther {
		t.Fatalf("deleting a person answered %v", a)
	}
	eventually(t, 10*time.Second, "the deleted person's line to go, and the other to stay", func() bool {
		customer.json(http.MethodGet, "/guestbook", nil, &data)
		return len(data.Entries) == 1 && data.Entries[0].Text == "<b>Hello</b> joiners"
	})
	if a := admin.get("/admin/help/module/guestbook"); a.status != http.StatusOK {
		t.Errorf("its help page answered %d", a.status)
	}
}
