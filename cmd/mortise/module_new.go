package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"mortise/core/build"
	"mortise/core/help"
	"mortise/core/manifest"
)

var moduleID = regexp.MustCompile(`^[a-z][a-z0-9_]{2,30}$`)

// newModule writes a working module to start from into the source tree: the one that the help page builds, under another name.
func newModule(t *terminal, id string) error {
	if !moduleID.MatchString(id) || slices.Contains(manifest.Reserved, id) {
		return fmt.Errorf("%q cannot be a module's id: expected 3 to 31 small letters, digits and _, and none of the host's own names", id)
	}
	root, ok := build.Tree()
	if !ok {
		return errors.New("there is no source tree here; run it inside a checkout of Mortise")
	}
	folder := filepath.Join(root, "plugins", id)
	if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s exists already; nothing was written", folder)
	}
	files, err := help.Scaffold(id)
	if err != nil {
		return err
	}
	for name, text := range files {
		path := filepath.Join(folder, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(t.out, "%s is a working module. Start the site (mortise demo), enable %s under Modules, and change it to what you need.\n", folder, id)
	return err
}
