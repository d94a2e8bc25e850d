package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// batchSize is how many rows a batch has: all of them count, or none.
const batchSize = 20

// writers are browsers that have the neighbour write batch after batch. They know which batches were answered as written.
type writers struct {
	w     *world
	mu    sync.Mutex
	next  int
	done  map[string]bool
	group sync.WaitGroup
	stop  chan struct{}
}

// startWriters has n browsers write batches with numbers above after.
func (w *world) startWriters(n, after int) *writers {
	all := &writers{w: w, next: after, done: map[string]bool{}, stop: make(chan struct{})}
	for one := range n {
		// Each from an address of its own, because each address may change something 20 times a second.
		v := w.visitFrom(fmt.Sprintf("127.0.2.%d", one+1)).signIn(w.Customer.Email, w.Customer.Password)
		all.group.Go(func() { all.write(v) })
	}
	return all
}

// write goes on through every failure: hosts and modules die meanwhile.
func (all *writers) write(v *visitor) {
	for {
		select {
		case <-all.stop:
			return
		case <-time.After(60 * time.Millisecond):
		}
		all.mu.Lock()
		all.next++
		batch := fmt.Sprint(all.next)
		all.mu.Unlock()
		form := url.Values{"batch": {batch}, "size": {fmt.Sprint(batchSize)}}
		request, err := http.NewRequest(http.MethodPost, v.base+"/neighbour/do/batch", strings.NewReader(form.Encode()))
		if err != nil {
			continue
		}
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("X-Csrf-Token", v.csrf)
		response, err := v.http.Do(request)
		if err != nil {
			continue
		}
		var out struct {
			Error string `json:"error"`
		}
		err = json.NewDecoder(response.Body).Decode(&out)
		_ = response.Body.Close()
		if err == nil && response.StatusCode == http.StatusOK && out.Error == "" && strings.HasPrefix(response.Header.Get("Content-Type"), "application/json") {
			all.mu.Lock()
			all.done[batch] = true
			all.mu.Unlock()
		}
	}
}

func (all *writers) count() int {
	all.mu.Lock()
	defer all.mu.Unlock()
	return len(all.done)
}

func (all *writers) finish() {
	close(all.stop)
	all.group.Wait()
}

// whole fails unless every batch that was answered as written is there, every batch is whole, and each written batch was heard of once
// and in the order of writing.
func (all *writers) whole() {
	t := all.w.t
	t.Helper()
	v := all.w.customer()
	rows := v.order("/neighbour/do/batches").Rows
	there := map[string]bool{}
	for _, row := range rows {
		batch, n := fmt.Sprint(row["batch"]), fmt.Sprint(row["n"])
		there[batch] = true
		if n != fmt.Sprint(batchSize) {
			t.Errorf("batch %s has %s rows, want %d", batch, n, batchSize)
		}
	}
	for batch := range all.done {
		if !there[batch] {
			t.Errorf("batch %s was answered as written and is lost", batch)
		}
	}
	var heard []map[string]any
	eventually(t, 20*time.Second, "every batch was heard of", func() bool {
		heard = v.order("/neighbour/do/heard").Heard
		return len(heard) >= len(there)
	})
	if len(heard) != len(there) {
		t.Errorf("%d batches are there, %d were heard of", len(there), len(heard))
	}
	var order strings.Builder
	for _, event := range heard {
		order.WriteString(fmt.Sprint(event["key"]) + "\n")
	}
	published, err := sqlite(t, all.w, `SELECT key FROM core_outbox WHERE name = 'neighbour.wrote' ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	if published != order.String() {
		t.Error("events were not heard of in the order of writing")
	}
	t.Logf("%d batches were answered, %d are there, %d were heard of", len(all.done), len(there), len(heard))
}

func TestCrash_AModuleKilledInItsTransactionsLosesAndLeavesNothing(t *testing.T) {
	t.Parallel()
	w := hostileWorld(t, "neighbour")
	all := w.startWriters(4, 0)
	for range 3 { // a fourth end is below; the fifth would be its last
		reached := all.count() + 5
		eventually(t, 20*time.Second, "some batches are written", func() bool { return all.count() >= reached })
		m := w.module("neighbour")
		if m.PID == 0 {
			t.Fatalf("neighbour is %+v", m)
		}
		if err := syscall.Kill(m.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, 15*time.Second, "the module is back", func() bool { now := w.module("neighbour"); return now.State == "running" && now.PID != m.PID })
	}
	// Once at a place that is surely inside a transaction.
	v := w.customer()
	pid := w.module("neighbour").PID
	if a := v.post("/neighbour/do/batch", "batch", "1000000", "size", fmt.Sprint(batchSize), "die", "1"); a.status < 500 {
		t.Errorf("a module that died while it wrote answered %v", a)
	}
	eventually(t, 15*time.Second, "the module is back", func() bool { now := w.module("neighbour"); return now.State == "running" && now.PID != pid })
	reached := all.count() + 5
	eventually(t, 20*time.Second, "batches are written again", func() bool { return all.count() >= reached })
	all.finish()
	all.whole()
	if n, err := sqlite(t, w, `SELECT count(*) FROM neighbour_rows WHERE batch = 1000000; PRAGMA integrity_check; PRAGMA foreign_key_check`); err != nil || n != "0\nok\n" {
		t.Errorf("after the kills: %q, %v", n, err)
	}
}

func TestCrash_AKilledHostLosesAndLeavesNothing(t *testing.T) {
	t.Parallel()
	folder := hostileFolder(t, "neighbour", "hostile")
	own, err := filepath.Abs("../../plugins")
	if err != nil {
		t.Fatal(err)
	}
	flags := []string{"--plugins", folder + string(filepath.ListSeparator) + own}
	w := newWorld(t, flags...)
	for _, id := range []string{"neighbour", "hostile"} {
		if out, err := w.command("module", "enable", id); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	written := map[string]bool{}
	next := 0
	for range 2 {
		all := w.startWriters(4, next)
		eventually(t, 20*time.Second, "some batches are written", func() bool { return all.count() >= 15 })
		w.kill()
		all.finish()
		next = all.next
		for batch := range all.done {
			written[batch] = true
		}
		if out, err := sqlite(t, w, `PRAGMA integrity_check; PRAGMA foreign_key_check`); err != nil || out != "ok\n" {
			t.Errorf("after the kill: %q, %v", out, err)
		}
		w = startWorld(t, w.data, flags...)
		all.w, all.done = w, written
		all.whole()
	}

	// Facts for a module that is paused wait for it, also through a kill of the host.
	if out, err := w.command("module", "pause", "neighbour"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	v := w.customer()
	for n := range 5 {
		if got := v.order("/hostile/do/publish", "arg", "hostile.happened", "subject", fmt.Sprint("while paused ", n)); got.Error != "" {
			t.Fatal(got.Error)
		}
	}
	w.kill()
	w = startWorld(t, w.data, flags...)
	if m := w.module("neighbour"); m.State != "paused" {
		t.Errorf("after the start neighbour is %+v", m)
	}
	if out, err := w.command("module", "resume", "neighbour"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	v = w.customer()
	var subjects []string
	eventually(t, 20*time.Second, "what waited is heard of", func() bool {
		subjects = nil
		for _, event := range v.order("/neighbour/do/heard").Heard {
			if event["name"] == "hostile.happened" {
				subjects = append(subjects, fmt.Sprint(event["subject"]))
			}
		}
		return len(subjects) >= 5
	})
	if got := strings.Join(subjects, ","); got != "while paused 0,while paused 1,while paused 2,while paused 3,while paused 4" {
		t.Errorf("heard: %s", got)
	}
}

func TestCrash_ASecondHostIsKeptOutOfTheFolder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--bare")
	for _, command := range []string{"demo", "serve"} {
		args := []string{command, "--data", w.data, "--listen", "127.0.0.1:0", "--json"}
		if command == "demo" {
			args = append(args, "--sim-listen", "127.0.0.1:0")
		}
		second := exec.Command(w.program, args...)
		var errs bytes.Buffer
		second.Stderr = &errs
		if err := second.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- second.Wait() }()
		select {
		case err := <-ended:
			var exit *exec.ExitError
			if !errors.As(err, &exit) || !strings.Contains(errs.String(), "another host has the data folder") || strings.Contains(errs.String(), "goroutine") {
				t.Errorf("%s ended with %v and said %q", command, err, errs.String())
			}
		case <-time.After(time.Minute):
			_ = second.Process.Kill()
			t.Errorf("a second %s runs on the same folder", command)
		}
	}
	if a := w.visit().get("/healthz"); a.status != http.StatusOK {
		t.Errorf("the first host answered %v", a)
	}
	if out, err := w.command("status"); err != nil {
		t.Errorf("status: %v %s", err, out)
	}
	if _, err := os.Stat(filepath.Join(w.data, "lock")); err != nil {
		t.Error(err)
	}
}
