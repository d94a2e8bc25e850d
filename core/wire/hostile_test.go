package wire_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"mortise/core/fault"
	"mortise/core/wire"
)

func alive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	rest := string(text[strings.LastIndexByte(string(text), ')')+1:])
	return !strings.HasPrefix(strings.TrimSpace(rest), "Z")
}

func TestLaunch_SaysWhyAStartFailedAndLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		behaviour string
		kind      fault.Kind
		says      string
	}{
		{"exit-at-start", fault.Unavailable, "ended with code 3"},
		{"silent", fault.Timeout, "did not answer in time"},
		{"other-contract", fault.Conflict, "built for version 99"},
		{"garbage", fault.Unavailable, ""},
		{"grandchild-at-start", fault.Unavailable, "ended with code 4"},
	} {
		t.Run(c.behaviour, func(t *testing.T) {
			t.Parallel()
			log := newLines()
			o := options(t, c.behaviour, log.add)
			o.StartTime = time.Second
			begin := time.Now()
			p, err := wire.Launch(t.Context(), o)
			if p != nil || !fault.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("err = %v (%v), want %v that says %q", err, fault.KindOf(err), c.kind, c.says)
			}
			if c.behaviour == "other-contract" && !errors.Is(err, wire.ErrIncompatible) {
				t.Errorf("err = %v, want ErrIncompatible", err)
			}
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("failing took %s", took)
			}
			if left, _ := os.ReadDir(o.RunRoot); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
			if c.behaviour == "exit-at-start" {
				log.wait(t, "with its last words", says("I cannot go on"))
			}
			if c.behaviour == "grandchild-at-start" {
				endGrandchild(t, log)
			}
		})
	}
}

// endGrandchild ends a child that left the group, which the host cannot reach and is not asked to.
func endGrandchild(t *testing.T, log *lines) int {
	t.Helper()
	line := log.wait(t, "about the grandchild", says("grandchild"))
	pid, err := strconv.Atoi(strings.TrimPrefix(line.Message, "grandchild "))
	if err != nil {
		t.Fatal(err)
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	return pid
}

func TestLaunch_RefusesAProgramThatWasChanged(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(probe)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(text)
	o := options(t, "", nil)
	o.Digest = hex.EncodeToString(sum[:])
	launch(t, o)

	changed := filepath.Join(t.TempDir(), "probe")
	if err := os.WriteFile(changed, append(text, 0), 0o755); err != nil {
		t.Fatal(err)
	}
	o.Program = changed
	if _, err := wire.Launch(t.Context(), o); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("err = %v, want a refusal for the checksum", err)
	}
	o.Program = filepath.Join(t.TempDir(), "nothing")
	if _, err := wire.Launch(t.Context(), o); !fault.Is(err, fault.NotFound) {
		t.Errorf("err = %v, want not found", err)
	}
}

func TestLaunch_TakesPrintsBeforeTheHandshakeForLogLines(t *testing.T) {
	t.Parallel()
	log := newLines()
	running(t, options(t, "print-first", log.add))
	if line := log.wait(t, "from before", says("hello before the handshake")); line.Stream != "stdout" || !line.Raw {
		t.Errorf("line = %+v", line)
	}
	if line := log.wait(t, "of the start", says("probe started")); line.Raw || attrsOf(line)["answer"] != "42" {
		t.Errorf("line = %+v", line)
	}
}

func TestLog_SurvivesWhatPanicsGoPlugin(t *testing.T) {
	t.Parallel()
	log := newLines()
	p := running(t, options(t, "", log.add))
	c := pages(t, p)
	body(t, c, "GET", "/probe/poison", "", nil)
	body(t, c, "GET", "/probe/print", "", nil)
	log.wait(t, "from stdout", func(l wire.Line) bool { return l.Message == "printed to stdout" && l.Stream == "stdout" })
	log.wait(t, "from stderr", func(l wire.Line) bool { return l.Message == "printed to stderr" && l.Stream == "stderr" })
	log.wait(t, "without a message", func(l wire.Line) bool { return l.Raw && l.Message == `{"@message":1}` })
	ok := log.wait(t, "with attrs", func(l wire.Line) bool { return l.Message == "ok" })
	if attrs := attrsOf(ok); ok.Level != slog.LevelError || attrs["a.b"] != "[1,null]" || attrs["esc"] != "[2Jboo" {
		t.Errorf("line = %+v", ok)
	}
	log.wait(t, "without colours", func(l wire.Line) bool { return l.Message == "[31mred" })
}

func TestLog_BoundsAGigabyteLineAndAFlood(t *testing.T) {
	t.Parallel()
	log := newLines()
	p := running(t, options(t, "", log.add))
	c := pages(t, p)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	body(t, c, "GET", "/probe/gigabyte", "", nil)
	log.wait(t, "after the gigabyte", says("after the gigabyte"))
	runtime.ReadMemStats(&after)
	if grown := int64(after.TotalAlloc - before.TotalAlloc); grown > 64<<20 {
		t.Errorf("the host allocated %d MiB for one line", grown>>20)
	}
	long, ok := log.find(func(l wire.Line) bool { return l.Cut })
	if !ok || len(long.Message) > 16<<10 {
		t.Errorf("the long line has %d bytes, cut = %v", len(long.Message), ok)
	}
	body(t, c, "GET", "/probe/flood", "", nil)
	p.Kill()
	dropped, kept := 0, 0
	log.mu.Lock()
	defer log.mu.Unlock()
	for _, l := range log.all {
		dropped += l.Dropped
		if strings.HasPrefix(l.Message, "line ") {
			kept++
		}
	}
	if kept+dropped != 20000 || kept > 5000 {
		t.Errorf("%d lines kept and %d dropped, want 20000 together and at most a few thousand kept", kept, dropped)
	}
}

func TestLog_KeepsTheWordsOfAPanic(t *testing.T) {
	t.Parallel()
	log := newLines()
	p := running(t, options(t, "", log.add))
	r, err := pages(t, p).Get("http://module/probe/die")
	if err == nil {
		_ = r.Body.Close()
	}
	<-p.Exited()
	if line, ok := log.find(says("panic: a goroutine is broken")); !ok || line.Level != slog.LevelError {
		t.Errorf("line = %+v, %v", line, ok)
	}
	if line, ok := log.find(says("goroutine ")); !ok || line.Level != slog.LevelError {
		t.Errorf("the stack is lost: %+v", line)
	}
	if e := p.Exit(); e.Code != 2 {
		t.Errorf("exit = %s", e)
	}
}

func TestProcess_StopIsBoundedWhateverTheModuleDoes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, behaviour string
		before          func(t *testing.T, p *wire.Process)
	}{
		{"a stopped process", "", func(t *testing.T, p *wire.Process) {
			if err := syscall.Kill(p.PID(), syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
		}},
		{"a Stop that blocks", "stop-blocks", func(*testing.T, *wire.Process) {}},
		{"a Stop that fails", "stop-fails", func(*testing.T, *wire.Process) {}},
		{"a grandchild in the group", "", func(t *testing.T, p *wire.Process) { body(t, pages(t, p), "GET", "/probe/grandchild", "", nil) }},
		{"a grandchild with its own session", "", func(t *testing.T, p *wire.Process) {
			body(t, pages(t, p), "GET", "/probe/grandchild?session", "", nil)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			log := newLines()
			p := running(t, options(t, c.behaviour, log.add))
			c.before(t, p)
			pid := p.PID()
			begin := time.Now()
			err := p.Stop(t.Context())
			took := time.Since(begin)
			if took > 5*time.Second {
				t.Errorf("stopping took %s", took)
			}
			if alive(pid) {
				t.Error("the process lives")
			}
			if c.behaviour == "stop-fails" && (err == nil || !strings.Contains(err.Error(), "could not save")) {
				t.Errorf("err = %v, want the module's own", err)
			}
			switch c.name {
			case "a grandchild in the group":
				line := log.wait(t, "about the grandchild", says("grandchild"))
				grandchild, _ := strconv.Atoi(strings.TrimPrefix(line.Message, "grandchild "))
				waitFor(t, "the grandchild's end", time.Second, func() bool { return !alive(grandchild) })
			case "a grandchild with its own session":
				endGrandchild(t, log)
			}
			t.Logf("stopped in %s", took)
		})
	}
}

// startHost starts a host of its own with one module and gives both.
func startHost(t *testing.T, behaviour, runRoot string) (host *exec.Cmd, module int) {
	t.Helper()
	host = exec.Command(os.Args[0])
	host.Env = append(os.Environ(), "WIRE_TEST_HOST="+runRoot, "WIRE_TEST_PROGRAM="+probe, "PROBE="+behaviour)
	out, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = host.Process.Kill(); _ = host.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(line, "pid %d", &module); err != nil {
		t.Fatalf("the host says %q", line)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return host, module
}

func TestHostKilled_NoModuleSurvives(t *testing.T) {
	t.Parallel()
	for range 3 {
		root := shortDir(t)
		host, module := startHost(t, "", root)
		if !alive(module) {
			t.Fatal("the module does not run")
		}
		if err := host.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the module's end", time.Second, func() bool { return !alive(module) })
		if left, _ := os.ReadDir(root); len(left) == 0 {
			t.Fatal("a killed host left no run folder; the sweep is not tested")
		}
		if _, err := wire.Sweep(root, slog.New(slog.DiscardHandler)); err != nil {
			t.Error(err)
		}
		if left, _ := os.ReadDir(root); len(left) != 0 {
			t.Errorf("left after the sweep: %v", left)
		}
	}
}

func TestSweep_EndsOurProcessesAndNobodyElses(t *testing.T) {
	t.Parallel()
	root := shortDir(t)
	p := running(t, wire.LaunchOptions{ModuleID: "probe", Program: probe, RunRoot: root, Services: &services{}})
	records, _ := filepath.Glob(filepath.Join(root, "*.json"))
	if len(records) != 1 {
		t.Fatalf("records: %v", records)
	}
	record, err := os.ReadFile(records[0])
	if err != nil {
		t.Fatal(err)
	}
	// A process that got the number of a module of ours: the same record with another start time.
	stranger := exec.Command("sleep", "30")
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stranger.Process.Kill(); _ = stranger.Wait() }()
	other := strings.Replace(string(record), fmt.Sprintf(`"pid":%d`, p.PID()), fmt.Sprintf(`"pid":%d`, stranger.Process.Pid), 1)
	for name, text := range map[string]string{"m-probe-2.json": other, "m-broken.json": "{"} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	killed, err := wire.Sweep(root, slog.New(slog.DiscardHandler))
	if err != nil || killed != 1 {
		t.Errorf("killed %d, %v; want the one process of ours", killed, err)
	}
	<-p.Exited()
	if !alive(stranger.Process.Pid) {
		t.Error("the sweep ended a process that is not ours")
	}
	if left, _ := os.ReadDir(root); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if n, err := wire.Sweep(filepath.Join(root, "missing"), slog.New(slog.DiscardHandler)); n != 0 || err != nil {
		t.Errorf("an empty place gives %d, %v", n, err)
	}
}

// Not parallel: it counts goroutines and descriptors of the whole test process.
func TestLaunch_LeaksNothingOverManyStarts(t *testing.T) {
	cycle := func() {
		p := running(t, options(t, "", nil))
		if err := p.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	cycle()
	goroutines, files := runtime.NumGoroutine(), countFiles(t)
	for range 5 {
		cycle()
	}
	waitFor(t, "the end of all goroutines", 5*time.Second, func() bool { return runtime.NumGoroutine() <= goroutines })
	if got := countFiles(t); got > files {
		t.Errorf("%d open files, %d before", got, files)
	}
}

func countFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc")
	}
	return len(entries)
}
