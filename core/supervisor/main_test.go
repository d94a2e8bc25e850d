package supervisor_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"mortise/core/fault"
	"mortise/core/manifest"
	"mortise/core/supervisor"
)

// probe is the path of core/wire's test module, built once.
var probe string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "probe")
	if err != nil {
		panic(err)
	}
	probe = filepath.Join(dir, "probe")
	build := exec.Command("go", "build", "-o", probe, "../wire/testdata/probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the test module: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// rows is a catalogue in memory with one module, probe, unless more are added.
type rows struct {
	mu       sync.Mutex
	specs    map[string]supervisor.Spec
	wanted   map[string]supervisor.Desired
	settings map[string]any
	erased   []string
	records  []string
	refuse   error // of Record
	eraseErr error
}

func newRows(t *testing.T) *rows {
	t.Helper()
	text, err := os.ReadFile("../wire/testdata/probe/module.yaml")
	if err != nil {
		t.Fatal(err)
	}
	m, err := manifest.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return &rows{
		specs:    map[string]supervisor.Spec{"probe": {Manifest: m, Program: probe, Dir: t.TempDir()}},
		wanted:   map[string]supervisor.Desired{},
		settings: map[string]any{"word": "tree"},
	}
}

func (r *rows) Spec(_ context.Context, id string) (supervisor.Spec, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	spec, ok := r.specs[id]
	if !ok {
		return supervisor.Spec{}, fault.New(fault.NotFound, "There is no module %q.", id)
	}
	return spec, nil
}

func (r *rows) Rows(context.Context) (list []supervisor.Row, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, want := range r.wanted {
		if want != supervisor.DesiredRemoved {
			list = append(list, supervisor.Row{ID: id, Desired: want})
		}
	}
	return list, nil
}

func (r *rows) Record(_ context.Context, id string, want supervisor.Desired, version, by, reason string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refuse != nil {
		return r.refuse
	}
	r.wanted[id] = want
	r.records = append(r.records, fmt.Sprintf("%s %s %s by %s", id, version, want, by))
	return nil
}

func (r *rows) Settings(context.Context, string) (map[string]any, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.settings, nil
}

func (r *rows) Erase(_ context.Context, id string, data supervisor.DataChoice) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.eraseErr != nil {
		return r.eraseErr
	}
	r.erased = append(r.erased, id+" "+string(data))
	return nil
}

func (r *rows) want(id string) supervisor.Desired {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.wanted[id]
}

func (r *rows) change(f func(*rows)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(r)
}

// behave has the next process of the module misbehave.
func (r *rows) behave(t *testing.T, behaviour string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(r.specs["probe"].Dir, "behaviour"), []byte(behaviour), 0o600); err != nil {
		t.Fatal(err)
	}
}

func options(t *testing.T, r *rows) supervisor.Options {
	t.Helper()
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return supervisor.Options{RunDir: dir, Catalogue: r, Log: slog.New(slog.DiscardHandler)}
}

func start(t *testing.T, o supervisor.Options) *supervisor.Supervisor {
	t.Helper()
	s := supervisor.New(o)
	t.Cleanup(func() {
		if err := s.StopAll(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func enable(t *testing.T, s *supervisor.Supervisor, id string) supervisor.Report {
	t.Helper()
	report, err := s.Enable(t.Context(), id, "ann", nil)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func status(t *testing.T, s *supervisor.Supervisor, id string) supervisor.Status {
	t.Helper()
	st, ok := s.Status(id)
	if !ok {
		t.Fatalf("there is no status of %s", id)
	}
	return st
}

func waitFor(t *testing.T, what string, limit time.Duration, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !done(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not happen within %s", what, limit)
		}
		time.Sleep(time.Millisecond)
	}
}
