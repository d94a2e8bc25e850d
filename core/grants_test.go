package core

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mortise/core/config"
	"mortise/core/fault"
	"mortise/core/identity"
	"mortise/core/manifest"
	"mortise/core/modules"
	"mortise/core/outbox"
	"mortise/core/supervisor"
)

// newHost makes a host over one folder of modules with linking in it, built from its sources.
func newHost(t *testing.T) (h *Host, folder string) {
	t.Helper()
	data, err := os.MkdirTemp("", "host") // short: sockets go below it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(data) })
	folder = filepath.Join(t.TempDir(), "linking")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-o", filepath.Join(folder, "linking"), "../plugins/linking")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	copyManifest(t, folder, func(text string) string { return text })
	c := config.Default()
	c.Data, c.Listen, c.Plugins, c.Themes = data, "127.0.0.1:0", []string{filepath.Dir(folder)}, []string{filepath.Join(data, "themes")}
	h, err = New(t.Context(), c, Options{Stderr: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h, folder
}

func copyManifest(t *testing.T, folder string, edit func(string) string) {
	t.Helper()
	text, err := os.ReadFile("../plugins/linking/module.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "module.yaml"), []byte(edit(string(text))), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (h *Host) enableForTest(t *testing.T) []supervisor.Report {
	t.Helper()
	reports, err := h.modules.Enable(t.Context(), "linking", modules.EnableOptions{}, "ann", nil)
	if err != nil {
		t.Fatal(err)
	}
	return reports
}

func TestEnable_GivesTheDefaultsOfAPermissionOnce(t *testing.T) {
	t.Parallel()
	h, _ := newHost(t)
	const role, permission = identity.RoleCustomer, "linking.link"
	h.enableForTest(t)
	if !h.people.Matrix().Granted[role][permission] {
		t.Fatal("the first enabling gave no role its permission")
	}
	changes := []identity.Change{{Role: role, Permission: permission, Want: false, Seen: true}}
	if _, err := h.people.ApplyChanges(t.Context(), identity.System, changes); err != nil {
		t.Fatal(err)
	}
	if _, err := h.modules.Remove(t.Context(), "linking", "ann", false); err != nil {
		t.Fatal(err)
	}
	h.enableForTest(t)
	if h.people.Matrix().Granted[role][permission] {
		t.Error("a permission that an administrator took away came back with the module")
	}
	if _, err := h.modules.Remove(t.Context(), "linking", "ann", true); err != nil {
		t.Fatal(err)
	}
	h.enableForTest(t)
	if !h.people.Matrix().Granted[role][permission] {
		t.Error("after its data was deleted it is as if it came for the first time")
	}
}

func TestEnable_ThatFailsGivesNothing(t *testing.T) {
	t.Parallel()
	h, folder := newHost(t)
	if err := os.WriteFile(filepath.Join(folder, "linking"), []byte("#!/bin/sh\nexit 1\n"), 0o700); err != nil { // #nosec G306 -- a program
		t.Fatal(err)
	}
	if _, err := h.modules.Enable(t.Context(), "linking", modules.EnableOptions{}, "ann", nil); err == nil {
		t.Fatal("a program that ends at once was enabled")
	}
	if granted := h.people.Matrix().Granted[identity.RoleCustomer]; len(granted) > 0 {
		t.Errorf("customers got %v", granted)
	}
}

func TestFolderThatChanged_GetsNoMoreThanWasAccepted(t *testing.T) {
	t.Parallel()
	h, folder := newHost(t)
	h.enableForTest(t)
	copyManifest(t, folder, func(text string) string {
		text = strings.Replace(text, "    - name: user.deleted", "    - name: user.deleted\n    - name: user.registered", 1)
		return strings.Replace(text, "jobs:\n", "jobs:\n  - {id: more, title: More, schedule: \"@hourly\"}\n", 1)
	})
	if err := h.modules.Rescan(t.Context()); err != nil {
		t.Fatal(err)
	}
	if e, _ := h.modules.Get("linking"); !e.Changed() || len(e.Manifest.Jobs) != 4 {
		t.Fatal("the change of the folder was not seen")
	}
	i := slices.IndexFunc(h.subscribers(), func(s outbox.Subscriber) bool { return s.Module == "linking" })
	if i < 0 || slices.ContainsFunc(h.subscribers()[i].Events.Subscribes, func(s manifest.Subscription) bool { return s.Name == "user.registered" }) {
		t.Errorf("subscribers: %+v", h.subscribers())
	}
	if list := h.modulesWithJobs(); len(list) != 1 || len(list[0].Jobs) != 3 {
		t.Errorf("jobs: %+v", list)
	}
}

func TestRemove_KeptDataCanBeErasedAfterARestart(t *testing.T) {
	t.Parallel()
	h, _ := newHost(t)
	h.enableForTest(t)
	if _, err := h.modules.Remove(t.Context(), "linking", "ann", false); err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := New(t.Context(), h.config, Options{Stderr: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = again.Close() })
	if rows, err := again.store.TableRows(t.Context(), "linking"); err != nil || len(rows) == 0 {
		t.Fatalf("nothing was kept: %v, %v", rows, err)
	}
	if _, err := again.modules.Remove(t.Context(), "linking", "ann", true); err != nil {
		t.Fatal(err)
	}
	if rows, err := again.store.TableRows(t.Context(), "linking"); err != nil || len(rows) != 0 {
		t.Errorf("still there: %v, %v", rows, err)
	}
}

func TestPermissions_OnlyThoseThatThereAreCanBeGiven(t *testing.T) {
	t.Parallel()
	h, _ := newHost(t)
	h.enableForTest(t)
	for permission, known := range map[string]bool{"linking.link": true, identity.AdminLog: true, "linking.other": false, "gone.use": false} {
		seen := h.people.Matrix().Granted[identity.RoleCustomer][permission]
		applied, err := h.people.ApplyChanges(t.Context(), identity.System, []identity.Change{{Role: identity.RoleCustomer, Permission: permission, Want: true, Seen: seen}})
		if err != nil && !fault.Is(err, fault.Denied) {
			t.Fatal(err)
		}
		if (len(applied.Conflicts) == 0) != known {
			t.Errorf("%s: %+v", permission, applied)
		}
	}
}
