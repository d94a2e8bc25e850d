package main_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// dyingWorld has a module that ends in many ways, and one whose migration never does.
func dyingWorld(t *testing.T) *world {
	t.Helper()
	folder := hostileFolder(t, "neighbour", "dying", "migrant")
	if err := os.WriteFile(filepath.Join(folder, "migrant", "migration"), []byte(neverEnding), 0o644); err != nil {
		t.Fatal(err)
	}
	own, err := filepath.Abs("../../plugins")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, "--plugins", folder+string(filepath.ListSeparator)+own)
	for _, id := range []string{"neighbour", "dying"} {
		if out, err := w.command("module", "enable", id); err != nil {
			t.Fatalf("enable %s: %v\n%s", id, err, out)
		}
	}
	return w
}

// lives waits until the module that dies answers again, and gives its process.
func (w *world) lives() int {
	w.t.Helper()
	pid := 0
	eventually(w.t, 15*time.Second, "the dying module answers", func() bool {
		a, err := w.visit().try("GET", "/dying/hello", nil)
		if err != nil || a.status != http.StatusOK {
			return false
		}
		pid, _ = strconv.Atoi(a.body)
		return true
	})
	return pid
}

func TestHostile_AModuleThatDiesTakesNobodyWithIt(t *testing.T) {
	t.Parallel()
	w := dyingWorld(t)
	before := w.vitals()
	admin := w.admin()

	// A process that leaves a child behind which holds its pipes: the next start does not wait for the child.
	first := w.lives()
	grandchild, err := strconv.Atoi(w.visit().get("/dying/do/grandchild").body)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(grandchild, syscall.SIGKILL) }()
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "it is back although a grandchild holds its pipes", func() bool { return w.module("dying").PID != first && w.lives() != first })

	for _, end := range []struct{ how, method string }{{"goroutine", "POST"}, {"exit_half", "GET"}} {
		pid := w.lives()
		v := w.visit()
		v.get("/login")
		header := http.Header{"Accept": {"text/html"}, "X-Csrf-Token": {v.csrf}}
		a, err := v.try(end.method, "/dying/do/"+end.how, header)
		if err == nil && a.status != 503 && a.status != 502 {
			t.Errorf("%s: the visitor got %d %.200s", end.how, a.status, a.body)
		}
		w.healthy(end.how)
		eventually(t, 15*time.Second, "a new process after "+end.how, func() bool { return !alive(pid) && w.lives() != pid })
	}
	if page := admin.get("/admin/modules/dying"); !strings.Contains(page.body, "a goroutine fell over") {
		t.Error("the module's page does not show the panic")
	}

	// Two things that take half a minute each: a stopped process, which only misses its checks, and a migration without end.
	var group sync.WaitGroup
	group.Go(func() {
		out, err := w.command("module", "enable", "migrant")
		if err == nil {
			t.Errorf("a migration without end came to one: %s", out)
		}
	})
	stopped := w.lives()
	begun := time.Now()
	_, _ = w.visit().try("GET", "/dying/do/stop", nil)
	eventually(t, 5*time.Second, "every thread of it stands still", func() bool { return standsStill(stopped) })
	a, err := w.visit().try("GET", "/dying/hello", http.Header{"Accept": {"text/html"}})
	refused(t, "a stopped process", a, err, 503, 504)
	if took := time.Since(begun); took > 12*time.Second {
		t.Errorf("two pages of a stopped process took %s, each has 4 s", took)
	}
	w.healthy("a stopped process")
	eventually(t, 50*time.Second, "the stopped process is replaced", func() bool { return !alive(stopped) })
	if now := w.lives(); now == stopped {
		t.Error("the stopped process answers")
	}
	if m := w.module("dying"); m.State != "running" || m.Restarts != 4 {
		t.Errorf("dying is %+v, want it to run after 4 restarts", m)
	}
	group.Wait()
	tables, err := sqlite(t, w, `SELECT name FROM sqlite_master WHERE name LIKE 'migrant%'; SELECT * FROM core_module_migrations WHERE module = 'migrant'`)
	if err != nil || tables != "" {
		t.Errorf("the migration without end left %q, %v", tables, err)
	}
	w.signsIn("all ends")

	// The fifth end within ten minutes is the last.
	v := w.visit()
	v.get("/login")
	_, _ = v.try("POST", "/dying/do/exit", http.Header{"X-Csrf-Token": {v.csrf}})
	eventually(t, 10*time.Second, "dying is quarantined", func() bool { return w.module("dying").State == "quarantined" })
	if a := w.visit().get("/dying/hello"); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
		t.Errorf("in quarantine the page answered %v", a)
	}
	w.grownLittle(before, peakMemory())
}

// standsStill tells whether a process was stopped by a signal: one that stops itself goes on for a moment, thread by thread.
func standsStill(pid int) bool {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(threads) == 0 {
		return false
	}
	for _, path := range threads {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // the thread has ended
		}
		// The second field is the name in parentheses; see proc_pid_stat(5).
		if _, rest, ok := strings.Cut(string(text), ") "); !ok || !strings.HasPrefix(rest, "T") {
			return false
		}
	}
	return true
}
