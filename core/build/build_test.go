package build_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mortise/core/build"
	"mortise/core/fault"
)

// tree makes a source tree of two tiny modules.
func tree(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	write(t, filepath.Join(root, "go.mod"), "module mortise\n\ngo 1.26\n")
	write(t, filepath.Join(root, "core", "fault", "fault.go"), "package fault\n\nconst Word = \"one\"\n")
	write(t, filepath.Join(root, "plugins", "internal", "x", "x.go"), "package x\n")
	for _, id := range []string{"alpha", "beta"} {
		write(t, filepath.Join(root, "plugins", id, "module.yaml"), "id: "+id+"\n")
		write(t, filepath.Join(root, "plugins", id, "main.go"), "package main\n\nimport \"mortise/core/fault\"\n\nfunc main() { print(\""+id+" \", fault.Word) }\n")
	}
	return root
}

// write makes the file older than any build that follows, as an edit by hand would be.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, program string) string {
	t.Helper()
	out, err := exec.Command(program).CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestModules_BuildsOnlyWhatIsOld(t *testing.T) {
	t.Parallel()
	root := tree(t)
	var steps []string
	o := build.Options{Root: root, Progress: func(s build.Step) {
		if s.Done {
			steps = append(steps, s.Module)
		}
	}}
	report, err := build.Modules(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(steps)
	if !slices.Equal(report.Built, []string{"alpha", "beta"}) || !slices.Equal(steps, report.Built) {
		t.Errorf("report = %+v, steps %v", report, steps)
	}
	if out := run(t, build.ProgramPath(root, "beta")); out != "beta one" {
		t.Errorf("beta says %q", out)
	}
	if report, err = build.Modules(t.Context(), o); err != nil || len(report.Built) != 0 || len(report.Fresh) != 2 {
		t.Errorf("again: %+v, %v", report, err)
	}
	write(t, filepath.Join(root, "plugins", "beta", "beta_test.go"), "package main\n")
	write(t, filepath.Join(root, "plugins", "alpha", "module.yaml"), "id: alpha\n\n")
	later := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(root, "plugins", "beta"), later, later); err != nil { // the test file has touched it
		t.Fatal(err)
	}
	if report, err = build.Modules(t.Context(), o); err != nil || !slices.Equal(report.Built, []string{"alpha"}) {
		t.Errorf("after an edit: %+v, %v", report, err)
	}
	write(t, filepath.Join(root, "core", "fault", "fault.go"), "package fault\n\nconst Word = \"two\"\n")
	if report, err = build.Modules(t.Context(), build.Options{Root: root, Only: []string{"beta"}}); err != nil || !slices.Equal(report.Built, []string{"beta"}) {
		t.Errorf("after an edit of the SDK: %+v, %v", report, err)
	}
	if out := run(t, build.ProgramPath(root, "beta")); out != "beta two" {
		t.Errorf("beta says %q", out)
	}
}

func TestModules_SaysWhatTheCompilerSays(t *testing.T) {
	t.Parallel()
	root := tree(t)
	write(t, filepath.Join(root, "plugins", "alpha", "main.go"), "package main\n\nfunc main() { nonsense() }\n")
	_, err := build.Modules(t.Context(), build.Options{Root: root, Only: []string{"alpha"}})
	if message, ok := fault.Visible(err); !ok || !fault.Is(err, fault.Invalid) || !strings.Contains(message, "undefined: nonsense") {
		t.Errorf("err = %v", err)
	}
	left, _ := filepath.Glob(filepath.Join(root, "plugins", "alpha", "bin", "*"))
	if len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := build.Modules(t.Context(), build.Options{Root: root, Only: []string{"gamma"}}); !fault.Is(err, fault.NotFound) {
		t.Errorf("an unknown module: %v", err)
	}
}

func TestModules_BuildOnceForManyWhoAsk(t *testing.T) {
	t.Parallel()
	root := tree(t)
	var mu sync.Mutex
	built := 0
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			report, err := build.Modules(t.Context(), build.Options{Root: root})
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			built += len(report.Built)
		})
	}
	wg.Wait()
	if built != 2 {
		t.Errorf("%d builds, want one of each module", built)
	}
}

func TestModules_SayThatGoIsMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := build.Modules(t.Context(), build.Options{Root: tree(t)})
	if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "go.dev/dl") {
		t.Errorf("err = %v", err)
	}
}

func TestTree_IsFoundFromAnywhereInside(t *testing.T) {
	t.Parallel()
	root := tree(t)
	if got, ok := build.TreeAbove(filepath.Join(root, "plugins", "alpha")); !ok || got != root {
		t.Errorf("tree = %q, %v", got, ok)
	}
	other := t.TempDir()
	write(t, filepath.Join(other, "go.mod"), "module something/else\n")
	if got, ok := build.TreeAbove(other); ok {
		t.Errorf("took %q for the source tree", got)
	}
	if _, ok := build.Tree(); !ok {
		t.Error("the tree of this very test is not found")
	}
}

// The list of shared folders is by hand; a folder that is missing in it would leave old programs running.
func TestShared_NamesEverythingThatModulesAreMadeOf(t *testing.T) {
	t.Parallel()
	root, ok := build.Tree()
	if !ok {
		t.Fatal("no source tree")
	}
	cmd := exec.Command("go", "list", "-e", "-deps", "./core/wire", "./core/sdk/sdkdb")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Fields(string(out)) {
		folder, ours := strings.CutPrefix(line, "mortise/")
		if ours && !slices.ContainsFunc(build.Shared(), func(s string) bool { return folder == s || strings.HasPrefix(folder, s+"/") }) {
			t.Errorf("modules are made of %s, which the list does not name", folder)
		}
	}
}
