package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"mortise/core/fault"
)

// Options say what to build.
type Options struct {
	Root     string          // the source tree; see Tree
	Only     []string        // ids; all modules when empty
	Parallel int             // builds at once, 1 or 2; 2 when 0 (the Go tool uses all processors by itself)
	Progress func(step Step) // called from several goroutines, never at once; may be nil
}

// Step is the news of one build.
type Step struct {
	Module string
	Done   bool          // false when it begins
	Took   time.Duration // once it is done
	Err    error
}

// Report tells what Modules did.
type Report struct {
	Built []string // ids, sorted
	Fresh []string // that needed nothing
}

// Modules builds the programs that are missing or older than their sources, to plugins/<id>/bin/<id>. Several processes may do so at
// once: one builds, the others wait and find everything fresh.
//
// Errors: fault.NotFound for an id in Only that the tree does not have, fault.Unavailable when the Go tool is missing,
// fault.Invalid with the compiler's words when the sources do not build.
func Modules(ctx context.Context, o Options) (Report, error) {
	ids, err := modules(o.Root)
	if err != nil {
		return Report{}, err
	}
	for _, id := range o.Only {
		if !slices.Contains(ids, id) {
			return Report{}, fault.New(fault.NotFound, "there is no module %q with sources in %s", id, filepath.Join(o.Root, "plugins"))
		}
	}
	if len(o.Only) > 0 {
		ids = slices.Compact(slices.Sorted(slices.Values(o.Only)))
	}
	stale, err := staleOf(o.Root, ids)
	if err != nil || len(stale) == 0 {
		return Report{Fresh: ids}, err
	}
	unlock, err := lock(ctx, o.Root)
	if err != nil {
		return Report{}, err
	}
	defer unlock()
	if stale, err = staleOf(o.Root, ids); err != nil { // another process may have built meanwhile
		return Report{}, err
	}
	report := Report{Built: stale, Fresh: slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return slices.Contains(stale, id) })}
	return report, buildAll(ctx, o, stale)
}

func buildAll(ctx context.Context, o Options, ids []string) error {
	var mu sync.Mutex
	tell := func(s Step) {
		if o.Progress != nil {
			mu.Lock()
			defer mu.Unlock()
			o.Progress(s)
		}
	}
	parallel := o.Parallel
	if parallel < 1 || parallel > 2 {
		parallel = 2
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, id := range ids {
		group.Go(func() error {
			tell(Step{Module: id})
			began := time.Now()
			err := Program(ctx, o.Root, "./plugins/"+id, ProgramPath(o.Root, id), false)
			tell(Step{Module: id, Done: true, Took: time.Since(began), Err: err})
			return err
		})
	}
	return group.Wait()
}

// staleOf gives those of the ids whose program is missing or older than its sources.
func staleOf(root string, ids []string) ([]string, error) {
	common, err := newest(root, shared...)
	if err != nil {
		return nil, err
	}
	var stale []string
	for _, id := range ids {
		info, err := os.Stat(ProgramPath(root, id))
		if errors.Is(err, fs.ErrNotExist) {
			stale = append(stale, id)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("look at the program of %s: %w", id, err)
		}
		own, err := newest(root, filepath.Join("plugins", id))
		if err != nil {
			return nil, err
		}
		if built := info.ModTime(); built.Before(common) || built.Before(own) {
			stale = append(stale, id)
		}
	}
	return stale, nil
}

// Program builds one package of the tree to the file out. It appears there all at once, also over a program that runs. Modules are
// built without cgo, the host needs it.
func Program(ctx context.Context, root, pkg, out string, cgo bool) error {
	tool, err := exec.LookPath("go")
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "%s has to be built, and the Go tool is not there: install Go from https://go.dev/dl/ and put it on the PATH", pkg)
	}
	if out, err = filepath.Abs(out); err != nil {
		return fmt.Errorf("find the place of %s: %w", out, err)
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return fmt.Errorf("make the folder of %s: %w", out, err)
	}
	began := time.Now()
	temporary := fmt.Sprintf("%s.%d.tmp", out, os.Getpid())
	defer os.Remove(temporary) // nothing is left of it after the rename
	cmd := exec.CommandContext(ctx, tool, "build", "-buildvcs=false", "-ldflags=-s -w", "-o", temporary, pkg)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED="+map[bool]string{false: "0", true: "1"}[cgo], "PWD="+root)
	cmd.WaitDelay = 5 * time.Second
	var words bytes.Buffer
	cmd.Stdout, cmd.Stderr = &words, &words
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("build %s: %w", pkg, context.Cause(ctx))
		}
		return fault.Wrap(fault.Invalid, err, "%s does not build:\n%s", pkg, lastLines(words.String(), 20))
	}
	if err := os.Chtimes(temporary, began, began); err != nil {
		return fmt.Errorf("date the program of %s: %w", pkg, err)
	}
	if err := os.Rename(temporary, out); err != nil {
		return fmt.Errorf("put the program of %s in place: %w", pkg, err)
	}
	return nil
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
