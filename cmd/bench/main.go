package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// childVariable tells a process of this program that it is a part of the measurement: "baseline" or "host".
const childVariable = "MORTISE_BENCH_CHILD"

// measurement is one group of figures, taken on one of the sites. The order matters: memory comes after loads of pages as many sites see
// them and before those of a customer with very many devices, and the last one of the workbench kills its host.
type measurement struct {
	name, what string
	on         place
	run        func(context.Context, *site, *report) error
}

func measurements() []measurement {
	return []measurement{
		{"page", "a signed-in page with one query, against one process", workbench, measurePage},
		{"queries", "the same with eight queries", workbench, measureQueries},
		{"anonymous", "pages for who is not signed in", workbench, measureAnonymous},
		{"modules", "the list of 50 modules", workbench, measureModules},
		{"tunnel", "a query of a module, against a direct one", workbench, measureTunnel},
		{"enable", "enabling a module until its first page", workbench, measureEnable},
		{"fanout", "an event to 1,000 open pages", workbench, measureFanOut},
		{"kill", "killing a module, then the host", workbench, measureKill},
		{"customers", "importing 10,000 customers, and the list of them", office, measureCustomers},
		{"memory", "host and the maker's four modules after load", office, measureMemory},
		{"attach", "1,000 devices attached to a customer, and one taken away", office, measureAttach},
	}
}

// options are the command line.
type options struct {
	only    string
	seconds float64
	json    bool
	list    bool
	profile string
}

// lasting is how long one run of the load generator takes.
func (o options) lasting() time.Duration { return time.Duration(o.seconds * float64(time.Second)) }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	switch os.Getenv(childVariable) {
	case "baseline":
		err = runBaseline(os.Args[1:])
	case "host":
		err = runHost(ctx, os.Args[1:])
	default:
		err = run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var o options
	flag.StringVar(&o.only, "only", "", "`names` of the measurements to make, with commas; all when left out")
	flag.Float64Var(&o.seconds, "seconds", 3, "how long one run of the load generator takes")
	flag.BoolVar(&o.json, "json", false, "print JSON")
	flag.BoolVar(&o.list, "list", false, "name the measurements")
	flag.StringVar(&o.profile, "profile", "", "write CPU profiles of host and module to this `folder`")
	flag.Parse()
	if o.list {
		for _, m := range measurements() {
			fmt.Printf("%-10s %s\n", m.name, m.what)
		}
		return nil
	}
	wanted, err := choose(o.only)
	if err != nil {
		return err
	}
	if o.seconds < 0.1 || o.seconds > 600 {
		return fmt.Errorf("-seconds %v: expected 0.1 to 600", o.seconds)
	}
	r := &report{Machine: machine()}
	if err := measure(ctx, o, wanted, r); err != nil {
		return err
	}
	if o.json {
		return r.writeJSON(os.Stdout)
	}
	r.writeText(os.Stdout)
	return nil
}

// measure makes the wanted measurements, one site after the other. One that fails is reported and does not keep the others from being made.
func measure(ctx context.Context, o options, wanted []measurement, r *report) error {
	began := time.Now()
	progress := func(what string) {
		fmt.Fprintf(os.Stderr, "%6.1f s  %s\n", time.Since(began).Seconds(), what)
	}
	for _, p := range []place{workbench, office} {
		mine := slices.DeleteFunc(slices.Clone(wanted), func(m measurement) bool { return m.on != p })
		if len(mine) == 0 {
			continue
		}
		if err := measureOn(ctx, o, p, mine, r, progress); err != nil {
			return err
		}
	}
	progress("done")
	return nil
}

func measureOn(ctx context.Context, o options, p place, wanted []measurement, r *report, progress func(string)) error {
	s, err := openSite(ctx, o, p, progress)
	if s != nil {
		defer s.close()
	}
	if err != nil {
		if s != nil {
			err = fmt.Errorf("%w\n%s", err, s.log.String())
		}
		return err
	}
	for _, m := range wanted {
		progress(m.name + ": " + m.what)
		if err := m.run(ctx, s, r); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			r.Failed = append(r.Failed, fmt.Sprintf("%s: %v", m.name, err))
			progress("failed: " + err.Error())
		}
	}
	return nil
}

func choose(only string) ([]measurement, error) {
	all := measurements()
	if only == "" {
		return all, nil
	}
	names := strings.Split(only, ",")
	for _, name := range names {
		if !slices.ContainsFunc(all, func(m measurement) bool { return m.name == name }) {
			return nil, fmt.Errorf("there is no measurement %q; -list names them", name)
		}
	}
	return slices.DeleteFunc(all, func(m measurement) bool { return !slices.Contains(names, m.name) }), nil
}

// machine says where the figures are from.
func machine() string {
	model := ""
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value) + ", "
				break
			}
		}
	}
	return fmt.Sprintf("%s%d processors, %s/%s, %s", model, runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
}
