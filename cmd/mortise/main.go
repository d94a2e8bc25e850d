// Command mortise is the host of a site and its operator's tool. "mortise demo" runs everything on embedded defaults.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	_ "time/tzdata" // people's time zones, also on a machine without zone files

	"mortise/core/fault"
)

// command is one word of the command line.
type command struct {
	name  string
	usage string // its arguments
	does  string // one line
	run   func(ctx context.Context, t *terminal, args []string) error
}

func commands() []command {
	return []command{
		{"demo", "[--data DIR] [--listen ADDR] [--sim-listen ADDR] [--bare] [--json]", "run a whole site with a simulated Particle cloud", runDemo},
		{"serve", "[flags]", "run a site", runServe},
		{"build", "[--out DIR] [--json]", "build the modules; with --out, a folder for a machine without Go", runBuild},
		{"module", "list|show|enable|pause|resume|remove|new [id]", "look at modules, change their state, start a new one", runModule},
		{"user", "create|list|role|login-link", "make accounts and let people in", runUser},
		{"status", "", "how the site is, and what to do", runStatus},
		{"backup", "--to FILE", "copy the store while the site runs", runBackup},
		{"key", "rotate", "seal everything with a new key", runKey},
		{"version", "[--json]", "print the version", runVersion},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], &terminal{out: os.Stdout, err: os.Stderr, getenv: os.Getenv})
	stop()
	os.Exit(code)
}

// terminal is what a command sees of the world.
type terminal struct {
	out, err io.Writer
	getenv   func(string) string
}

// errUsage asks for the usage after the message.
var errUsage = errors.New("usage")

// run gives the exit code: 0 done, 1 failed, 2 called the wrong way.
func run(ctx context.Context, args []string, t *terminal) int {
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		usage(t.out)
		return 0
	}
	for _, c := range commands() {
		if c.name != args[0] {
			continue
		}
		err := c.run(ctx, t, args[1:])
		switch {
		case err == nil, errors.Is(err, flag.ErrHelp):
			return 0
		case errors.Is(err, errUsage):
			fmt.Fprintf(t.err, "mortise %s: %s\nusage: mortise %s %s\n", c.name, strings.TrimSuffix(err.Error(), ": usage"), c.name, c.usage)
			return 2
		}
		fmt.Fprintf(t.err, "mortise %s: %v\n", c.name, err)
		tellFields(t.err, err)
		return 1
	}
	fmt.Fprintf(t.err, "mortise: there is no command %q\n\n", args[0])
	usage(t.err)
	return 2
}

// tellFields names what is wrong with single values. On a page that stands beside the fields of the form.
func tellFields(w io.Writer, err error) {
	fields := fault.FieldsOf(err)
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		fmt.Fprintf(w, "  %s: %s\n", name, fields[name])
	}
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "Mortise runs sites for makers of connected devices.\n\nusage: mortise COMMAND")
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range commands() {
		fmt.Fprintf(tab, "  %s\t%s\n", c.name, c.does)
	}
	_ = tab.Flush()
	fmt.Fprintln(w, "\n\"mortise COMMAND -h\" lists the flags of a command.")
}

// parse reads flags and arguments in any order, as in "module enable devices --json".
func parse(fs *flag.FlagSet, t *terminal, args []string) ([]string, error) {
	fs.SetOutput(t.err)
	var words []string
	for {
		if err := fs.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, err
			}
			return nil, fmt.Errorf("%w: %w", err, errUsage)
		}
		if fs.NArg() == 0 {
			return words, nil
		}
		words, args = append(words, fs.Arg(0)), fs.Args()[1:]
	}
}
