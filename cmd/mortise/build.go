package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"mortise/core/build"
	"mortise/core/config"
)

func runBuild(ctx context.Context, t *terminal, args []string) error {
	flags := flag.NewFlagSet("mortise build", flag.ContinueOnError)
	out := flags.String("out", "", "make a self-contained folder here: host, modules and themes")
	asJSON := flags.Bool("json", false, "answer as JSON")
	if _, err := parse(flags, t, args); err != nil {
		return err
	}
	root, ok := build.Tree()
	if !ok {
		return errors.New("there is no source tree here; run it inside a checkout of Mortise")
	}
	report, err := buildTree(ctx, t.err, root)
	if err != nil {
		return err
	}
	if *out != "" {
		if err := assemble(ctx, t.err, root, *out); err != nil {
			return err
		}
	}
	if *asJSON {
		return json.NewEncoder(t.out).Encode(map[string]any{"built": known(report.Built), "fresh": known(report.Fresh), "out": *out})
	}
	fmt.Fprintf(t.out, "%d modules built, %d were fresh\n", len(report.Built), len(report.Fresh))
	if *out != "" {
		fmt.Fprintf(t.out, "%s is ready: %s serve\n", *out, filepath.Join(*out, "mortise"))
	}
	return nil
}

// known makes an empty list of none, for JSON.
func known(ids []string) []string { return append([]string{}, ids...) }

// locateModules says where the modules are when nobody did: in the source tree around the working folder or the program, else beside
// the program, as "build --out" lays them out, else in the working folder.
func locateModules(c *config.Config) {
	if !slices.Equal(c.Plugins, config.Default().Plugins) {
		return
	}
	if root, ok := build.Tree(); ok {
		c.Plugins = []string{filepath.Join(root, "plugins")}
		return
	}
	if program, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(program), "plugins")
		if info, err := os.Stat(beside); err == nil && info.IsDir() {
			c.Plugins = []string{beside}
		}
	}
}

// buildModules brings the modules of the source tree up to date, if the host uses the plugins folder of one.
func buildModules(ctx context.Context, w io.Writer, c config.Config) error {
	root, ok := build.Tree()
	if !ok || !slices.Contains(c.Plugins, filepath.Join(root, "plugins")) {
		return nil
	}
	_, err := buildTree(ctx, w, root)
	return err
}

func buildTree(ctx context.Context, w io.Writer, root string) (build.Report, error) {
	return build.Modules(ctx, build.Options{Root: root, Progress: func(s build.Step) {
		switch {
		case s.Err != nil:
			fmt.Fprintf(w, "module %s does not build\n", s.Module)
		case s.Done:
			fmt.Fprintf(w, "built module %s in %.1f s\n", s.Module, s.Took.Seconds())
		default:
			fmt.Fprintf(w, "building module %s …\n", s.Module)
		}
	}})
}

// assemble makes the folder for a machine without Go: the host (with the shipped themes inside), and each module with its
// manifest, program, templates and help.
func assemble(ctx context.Context, w io.Writer, root, out string) error {
	if entries, err := os.ReadDir(out); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty; name a new folder with --out", out)
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	target, err := filepath.Abs(filepath.Join(out, "mortise"))
	if err != nil {
		return err
	}
	fmt.Fprintln(w, "building the host …")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", target, "./cmd/mortise")
	cmd.Dir, cmd.Stderr = root, w
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build the host: %w", err)
	}
	manifests, err := filepath.Glob(filepath.Join(root, "plugins", "*", "module.yaml"))
	if err != nil {
		return err
	}
	for _, manifest := range manifests {
		if err := assembleModule(filepath.Dir(manifest), filepath.Join(out, "plugins")); err != nil {
			return err
		}
	}
	return os.CopyFS(filepath.Join(out, "themes"), os.DirFS(filepath.Join(root, "themes")))
}

// assembleModule copies what a module needs at run time: sources stay behind.
func assembleModule(source, plugins string) error {
	id := filepath.Base(source)
	target := filepath.Join(plugins, id)
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	for _, name := range []string{"module.yaml", "help.md"} {
		if err := copyFile(filepath.Join(source, name), filepath.Join(target, name), 0o644); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := copyFile(filepath.Join(source, "bin", id), filepath.Join(target, id), 0o755); err != nil {
		return err
	}
	templates := filepath.Join(source, "templates")
	if _, err := os.Stat(templates); err != nil {
		return nil // a module without pages
	}
	return os.CopyFS(filepath.Join(target, "templates"), os.DirFS(templates))
}

func copyFile(from, to string, mode fs.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
