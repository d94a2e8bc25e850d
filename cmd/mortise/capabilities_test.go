package main_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// blocks gives the fenced blocks of code in one language, in order.
func blocks(page, language string) []string {
	var found []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(page, -1) {
		found = append(found, m[1])
	}
	return found
}

// remindersModule writes the module whose pieces the page "What a module can do" shows, and builds it. It gives the folder of modules.
func remindersModule(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "core", "help", "capabilities.md"))
	if err != nil {
		t.Fatal(err)
	}
	var program, tests []string
	for _, block := range blocks(string(text), "go") {
		if strings.Contains(block, `"testing"`) {
			tests = append(tests, block)
		} else {
			program = append(program, block)
		}
	}
	html := blocks(string(text), "html")
	if len(program) < 5 || len(tests) != 1 || len(html) != 1 {
		t.Fatalf("the page has %d blocks of Go, %d of tests and %d of HTML", len(program), len(tests), len(html))
	}
	plugins := t.TempDir()
	overlay := map[string]map[string]string{"Replace": {}}
	for name, content := range map[string]string{
		"module.yaml": strings.Join(blocks(string(text), "yaml"), "\n"), "main.go": strings.Join(program, "\n"),
		"main_test.go": tests[0], filepath.Join("templates", "list.html"): html[0],
	} {
		path := filepath.Join(plugins, "reminders", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		overlay["Replace"][filepath.Join(root, "plugins", "reminders", name)] = path
	}
	list, _ := json.Marshal(overlay) // texts always encode
	listFile := filepath.Join(t.TempDir(), "overlay.json")
	if err := os.WriteFile(listFile, list, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"build", "-o", filepath.Join(plugins, "reminders", "bin", "reminders")},
		{"test", "-vet=off", "-c", "-o", filepath.Join(plugins, "reminders.test")},
	} {
		cmd := exec.Command("go", append(append(args[:1:1], "-overlay", listFile), append(args[1:], "./plugins/reminders")...)...)
		cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED="+map[string]string{"build": "0", "test": "1"}[args[0]])
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go %s of the page's module: %v\n%s", args[0], err, out)
		}
	}
	return plugins
}

func TestCapabilities_ThePagesPiecesMakeAWorkingModule(t *testing.T) {
	t.Parallel()
	plugins := remindersModule(t)
	run := exec.Command(filepath.Join(plugins, "reminders.test"), "-test.v")
	run.Dir = filepath.Join(plugins, "reminders")
	if out, err := run.CombinedOutput(); err != nil || strings.Count(string(out), "--- PASS") != 2 {
		t.Errorf("the page's own tests: %v\n%s", err, out)
	}

	w := newWorld(t, "--bare", "--plugins", plugins)
	admin := w.admin()
	admin.get("/admin/modules")
	if a := admin.post("/admin/modules/reminders/enable"); a.status != http.StatusSeeOther {
		t.Fatalf("enabling the module answered %v", a)
	}
	customer := w.customer()
	customer.get("/reminders")
	if a := customer.post("/reminders", "text", "Water the basil", "minutes", "0"); a.status != http.StatusSeeOther {
		t.Fatalf("adding a reminder answered %v", a)
	}
	if a := customer.get("/reminders"); !strings.Contains(a.body, "Water the basil") || !strings.Contains(a.body, "You will get a mail.") {
		t.Errorf("the page is %v", a)
	}
	if a := customer.post("/reminders", "text", "x", "minutes", "soon"); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "Expected a number of minutes.") {
		t.Errorf("a wrong number answered %v", a)
	}
	admin.get("/admin/modules/reminders")
	if a := admin.post("/admin/modules/reminders/jobs/send/run"); a.status != http.StatusSeeOther {
		t.Fatalf("running the job answered %v", a)
	}
	eventually(t, 15*time.Second, "the mail to be written and the reminder to go", func() bool {
		var data struct{ Reminders []any }
		customer.json(http.MethodGet, "/reminders", nil, &data)
		mails, err := filepath.Glob(filepath.Join(w.data, "mail", "*"))
		return err == nil && len(mails) > 0 && len(data.Reminders) == 0
	})
}
