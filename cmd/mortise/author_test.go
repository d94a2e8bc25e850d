package main_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAuthor_ARestartTakesWhatLiesInTheFolderButNotMoreThanWasAccepted(t *testing.T) {
	t.Parallel()
	plugins := remindersModule(t)
	folder := filepath.Join(plugins, "reminders")
	w := newWorld(t, "--bare", "--plugins", plugins)
	admin, customer := w.admin(), w.customer()
	admin.get("/admin/modules")
	if a := admin.post("/admin/modules/reminders/enable"); a.status != http.StatusSeeOther {
		t.Fatalf("enabling answered %v", a)
	}
	edit := func(name, from, to string) {
		t.Helper()
		path := filepath.Join(folder, name)
		text, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(text), from) {
			t.Fatalf("%s has no %q: %v", name, from, err)
		}
		if err := os.WriteFile(path, []byte(strings.Replace(string(text), from, to, 1)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	edit(filepath.Join("templates", "list.html"), "<h1>Reminders</h1>", "<h1>Do not forget</h1>")
	if err := os.WriteFile(filepath.Join(folder, "help.md"), []byte("# Reminders\n\nFresh from the folder.\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if a := admin.post("/admin/modules/reminders/restart"); a.status != http.StatusSeeOther {
		t.Fatalf("restarting answered %v", a)
	}
	if a := customer.get("/reminders"); !strings.Contains(a.body, "Do not forget") {
		t.Errorf("after the restart the page is %v", a)
	}
	if a := admin.get("/admin/help/module/reminders"); !strings.Contains(a.body, "Fresh from the folder") {
		t.Errorf("after the restart the help is %v", a)
	}

	edit("module.yaml", "tables: [reminders_reminders]", "tables: [reminders_reminders, reminders_more]")
	before := w.module("reminders")
	admin.get("/admin/modules/reminders")
	if a := admin.post("/admin/modules/reminders/restart"); a.status != http.StatusConflict || !strings.Contains(a.body, "more than was accepted") {
		t.Errorf("restarting with a manifest that asks for more answered %v", a)
	}
	if after := w.module("reminders"); after.State != "running" || after.PID != before.PID {
		t.Errorf("the module is %+v, want the process that ran before: %+v", after, before)
	}
	if a := customer.get("/reminders"); a.status != http.StatusOK {
		t.Errorf("the page answered %d", a.status)
	}
}

func TestAuthor_WhatAsksForMoreWaitsToBeAcceptedAndIsNotQuarantined(t *testing.T) {
	t.Parallel()
	plugins := remindersModule(t)
	manifest := filepath.Join(plugins, "reminders", "module.yaml")
	w := newWorld(t, "--bare", "--plugins", plugins)
	if out, err := w.command("module", "enable", "reminders"); err != nil {
		t.Fatalf("enable printed %q, %v", out, err)
	}
	w.stop()
	accepted, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	more := strings.Replace(string(accepted), "tables: [reminders_reminders]", "tables: [reminders_reminders, reminders_more]", 1)
	if err := os.WriteFile(manifest, []byte(more), 0o644); err != nil {
		t.Fatal(err)
	}
	again := startWorld(t, w.data, "--bare", "--plugins", plugins)
	if m := again.module("reminders"); m.State != "stopped" || m.Restarts != 0 {
		t.Errorf("the module is %+v, want stopped and not tried again", m)
	}
	// The program still has the old manifest inside: accepting is not enough, and the module says so.
	if out, err := again.command("module", "enable", "reminders"); err == nil {
		t.Errorf("enable printed %q although program and manifest differ", out)
	}
	if err := os.WriteFile(manifest, accepted, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := again.command("module", "enable", "reminders"); err != nil || again.module("reminders").State != "running" {
		t.Errorf("with the manifest of its program again, enable printed %q, %v; the module is %+v", out, err, again.module("reminders"))
	}
}

func TestAuthor_LookingAtTheFoldersAgainFindsThemesToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--bare")
	admin := w.admin()
	folder := filepath.Join(w.data, "themes", "harbour")
	write := func(text string) {
		t.Helper()
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "theme.yaml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const whole = "id: harbour\nname: Harbour\nversion: 1.0.0\nsurface: site\nbase: customer\ndescription: Blue.\n"
	write(whole)
	admin.get("/admin/appearance")
	if a := admin.post("/admin/modules/rescan"); a.status != http.StatusSeeOther {
		t.Fatalf("looking again answered %v", a)
	}
	if a := admin.post("/admin/appearance", "theme", "harbour"); a.status != http.StatusSeeOther {
		t.Fatalf("choosing the theme answered %v", a)
	}
	write(whole + "colour: blue\n")
	if a := admin.post("/admin/modules/rescan"); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "colour") {
		t.Errorf("looking at a broken theme answered %v", a)
	}
	if a := w.visit().get("/login"); a.status != http.StatusOK {
		t.Errorf("with a broken theme on disk a page answered %d", a.status)
	}
}
