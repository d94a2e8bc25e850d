package main_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// moduleShown is what "module show --json" prints, as far as the tests look.
type moduleShown struct {
	ID       string `json:"id"`
	State    string `json:"state"`
	Reason   string `json:"reason"`
	PID      int    `json:"pid"`
	Restarts int    `json:"restarts"`
}

func (w *world) module(id string) moduleShown {
	w.t.Helper()
	out, err := w.command("module", "show", id, "--json")
	if err != nil {
		w.t.Fatal(err)
	}
	var m moduleShown
	if err := json.Unmarshal([]byte(out), &m); err != nil {
		w.t.Fatalf("module show printed %q: %v", out, err)
	}
	return m
}

func TestLife_AKilledModuleIsBackWithinASecondAndNothingElseFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	customer := w.customer()
	customer.link(w, "allow")
	before := w.module("devices")
	if before.PID == 0 {
		t.Fatalf("devices has no process: %+v", before)
	}
	killed := time.Now()
	if err := syscall.Kill(before.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if a := customer.get("/linking"); a.status != http.StatusOK {
		t.Errorf("/linking answered %d while devices was dead", a.status)
	}
	eventually(t, 3*time.Second, "the devices page answers again", func() bool { return customer.get("/devices").status == http.StatusOK })
	if took := time.Since(killed); took > 2*time.Second {
		t.Errorf("devices was away for %s", took)
	}
	after := w.module("devices")
	if after.Restarts != before.Restarts+1 || after.PID == before.PID || after.State != "running" {
		t.Errorf("after the kill the module is %+v, before it was %+v", after, before)
	}
	if page := w.admin().get("/admin/modules/devices"); !strings.Contains(page.body, "estart") {
		t.Error("the module page does not show the restart")
	}
}

func TestLife_FiveCrashesQuarantineAModuleAndTheRestOfTheSiteGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for crash := range 5 {
		var pid int
		eventually(t, 20*time.Second, "devices runs before crash "+string(rune('1'+crash)), func() bool {
			m := w.module("devices")
			pid = m.PID
			return m.State == "running" && alive(pid)
		})
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, 5*time.Second, "the exit is noticed", func() bool { return w.module("devices").PID != pid })
	}
	eventually(t, 5*time.Second, "devices is quarantined", func() bool { return w.module("devices").State == "quarantined" })
	customer := w.customer()
	if a := customer.get("/devices"); a.status != http.StatusServiceUnavailable {
		t.Errorf("/devices answered %d in quarantine, want 503", a.status)
	}
	if a := customer.get("/linking"); a.status != http.StatusOK {
		t.Errorf("/linking answered %d", a.status)
	}
	admin := w.admin()
	if page := admin.get("/admin/modules"); !strings.Contains(page.body, "uarantined") {
		t.Error("the module list does not say that devices is quarantined")
	}
	if a := admin.post("/admin/modules/devices/resume"); a.status != http.StatusSeeOther {
		t.Fatalf("resume answered %v", a)
	}
	eventually(t, 5*time.Second, "devices runs again", func() bool { return customer.get("/devices").status == http.StatusOK })
}

func TestLife_AKilledHostLeavesNoModuleProcessAndStartsAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	linking, devices := w.module("linking").PID, w.module("devices").PID
	if !alive(linking) || !alive(devices) {
		t.Fatalf("modules do not run: %d, %d", linking, devices)
	}
	w.kill()
	eventually(t, 3*time.Second, "no module process is left", func() bool { return !alive(linking) && !alive(devices) })
	again := startWorld(t, w.data)
	if a := again.customer().get("/linking"); a.status != http.StatusOK {
		t.Errorf("/linking answered %d after the start", a.status)
	}
}

func TestLife_CtrlCStopsEverything(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pids := []int{w.module("linking").PID, w.module("devices").PID}
	w.stop()
	for _, pid := range pids {
		if alive(pid) {
			t.Errorf("process %d still runs", pid)
		}
	}
	left, err := filepath.Glob(filepath.Join(w.data, "run", "*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 0 {
		t.Errorf("left in the run folder: %v", left)
	}
}

func TestCommandLine_WorksOnAFolderWithoutAHost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stop()
	if out, err := w.command("module", "pause", "devices"); err != nil || !strings.Contains(out, "paused") {
		t.Errorf("pause printed %q, %v", out, err)
	}
	if out, err := w.command("module", "pause", "devices"); err != nil || !strings.Contains(out, "already") {
		t.Errorf("pausing again printed %q, %v", out, err)
	}
	if m := w.module("devices"); m.State != "paused" {
		t.Errorf("devices is %+v", m)
	}
	if out, err := w.command("user", "list", "--json"); err != nil || !strings.Contains(out, w.Customer.Email) {
		t.Errorf("user list printed %q, %v", out, err)
	}
	if _, err := w.command("module", "show", "nothing"); err == nil {
		t.Error("an unknown module was shown")
	}
	copyTo := filepath.Join(t.TempDir(), "copy.db")
	if _, err := w.command("backup", "--to", copyTo); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(copyTo); err != nil || info.Size() == 0 {
		t.Errorf("the backup: %v, %v", info, err)
	}
	again := startWorld(t, w.data)
	if m := again.module("devices"); m.State != "paused" {
		t.Errorf("after the start devices is %+v, want paused as before", m)
	}
}

func TestCommandLine_ALoginLinkSignsInOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--bare")
	out, err := w.command("user", "login-link", w.Admin.Email)
	if err != nil {
		t.Fatal(err)
	}
	link := strings.TrimSpace(out)
	first := w.visit()
	if a := first.get(link); a.status != http.StatusOK {
		t.Fatalf("the link answered %v", a)
	}
	if a := first.post(strings.TrimPrefix(link, w.URL)); a.status != http.StatusSeeOther {
		t.Fatalf("using the link answered %v", a)
	}
	if a := first.get("/admin"); a.status != http.StatusOK {
		t.Errorf("/admin answered %d after the link", a.status)
	}
	second := w.visit()
	second.get(link)
	if a := second.post(strings.TrimPrefix(link, w.URL)); a.status == http.StatusSeeOther {
		t.Error("the link signed in a second time")
	}
}
