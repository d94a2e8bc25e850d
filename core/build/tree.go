package build

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const modulePath = "mortise" // of go.mod

// Tree finds the source tree that holds the working folder or, failing that, the running program.
func Tree() (root string, ok bool) {
	if dir, err := os.Getwd(); err == nil {
		if root, ok = TreeAbove(dir); ok {
			return root, true
		}
	}
	if program, err := os.Executable(); err == nil {
		return TreeAbove(filepath.Dir(program))
	}
	return "", false
}

// TreeAbove finds the source tree that dir lies in.
func TreeAbove(dir string) (root string, ok bool) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", false
	}
	for {
		if isRoot(dir) {
			return dir, true
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", false
		}
		dir = parent
	}
}

func isRoot(dir string) bool {
	f, err := os.Open(filepath.Join(dir, "go.mod"))
	if err != nil {
		return false
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if name, ok := strings.CutPrefix(strings.TrimSpace(lines.Text()), "module "); ok {
			return strings.TrimSpace(name) == modulePath
		}
	}
	return false
}

// shared are the folders that every module's program is made of, besides its own. A test compares the list with what the Go tool says.
var shared = []string{"core/fault", "core/manifest", "core/sdk", "core/tunnel", "core/wire", "plugins/internal", "go.mod", "go.sum"}

// newest is the time of the youngest file below the paths of the tree. Tests, bin/ and dot names do not count. Folders do: their time
// changes when a file goes away.
func newest(root string, paths ...string) (time.Time, error) {
	var last time.Time
	for _, p := range paths {
		err := filepath.WalkDir(filepath.Join(root, p), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			name := d.Name()
			if d.IsDir() && (name == "bin" || name == "testdata" || name == "particletest" || strings.HasPrefix(name, ".")) {
				return filepath.SkipDir
			}
			if strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, ".") {
				return nil
			}
			info, err := d.Info()
			if errors.Is(err, fs.ErrNotExist) { // an editor's file that has just gone
				return nil
			}
			if err != nil {
				return err
			}
			if info.ModTime().After(last) {
				last = info.ModTime()
			}
			return nil
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return last, fmt.Errorf("look at the sources: %w", err)
		}
	}
	return last, nil
}

// modules lists the ids of the folders in plugins/ that hold a manifest and Go sources.
func modules(root string) ([]string, error) {
	found, err := filepath.Glob(filepath.Join(root, "plugins", "*", "module.yaml"))
	if err != nil {
		return nil, fmt.Errorf("look for modules: %w", err)
	}
	var ids []string
	for _, f := range found {
		dir := filepath.Dir(f)
		if sources, err := filepath.Glob(filepath.Join(dir, "*.go")); err == nil && len(sources) > 0 {
			ids = append(ids, filepath.Base(dir))
		}
	}
	return ids, nil
}

// ProgramPath is where the program of a module of the source tree is.
func ProgramPath(root, id string) string { return filepath.Join(root, "plugins", id, "bin", id) }
