package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"text/tabwriter"

	"mortise/core"
	"mortise/core/config"
	"mortise/core/control"
	"mortise/core/fault"
)

// siteFlags are those of every command that acts on a site.
type siteFlags struct {
	config config.Config
	json   bool
}

func newSiteFlags(name string, t *terminal) (*flag.FlagSet, *siteFlags, error) {
	fs := flag.NewFlagSet("mortise "+name, flag.ContinueOnError)
	s := &siteFlags{config: config.Default()}
	if name == "demo" {
		s.config.Data = demoData
	}
	if err := config.Bind(fs, &s.config, t.getenv); err != nil {
		return nil, nil, err
	}
	fs.BoolVar(&s.json, "json", false, "answer as JSON")
	fs.Usage = func() {
		fmt.Fprintf(t.err, "Usage of mortise %s:\n", name)
		fs.PrintDefaults()
		fmt.Fprintf(t.err, "\nBy the environment alone, because command lines are no secret:\n%s", config.EnvironmentHelp())
	}
	return fs, s, nil
}

// operations reaches the running host of the data folder; without one it opens the folder itself. close ends what was opened.
func (s *siteFlags) operations(ctx context.Context, t *terminal) (o control.Operations, closeSite func() error, err error) {
	client, err := control.Dial(ctx, s.config.Data)
	if err == nil {
		return client, func() error { return nil }, nil
	}
	if !fault.Is(err, fault.Unavailable) {
		return nil, nil, err
	}
	locateModules(&s.config)
	host, err := core.New(ctx, s.config, core.Options{Stderr: t.err, Quiet: true})
	if err != nil {
		return nil, nil, err
	}
	return host.Operations(), host.Close, nil
}

// with runs do on the site and closes what it opened.
func (s *siteFlags) with(ctx context.Context, t *terminal, do func(control.Operations) error) error {
	o, closeSite, err := s.operations(ctx, t)
	if err != nil {
		return err
	}
	err = do(o)
	if closeErr := closeSite(); err == nil {
		err = closeErr
	}
	return err
}

// print writes v as JSON, or what text writes.
func (s *siteFlags) print(t *terminal, v any, text func(*tabwriter.Writer)) error {
	if s.json {
		return json.NewEncoder(t.out).Encode(v)
	}
	tab := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	text(tab)
	return tab.Flush()
}

func runVersion(_ context.Context, t *terminal, args []string) error {
	fs := flag.NewFlagSet("mortise version", flag.ContinueOnError)
	asJSON := fs.Bool("json", false, "answer as JSON")
	if _, err := parse(fs, t, args); err != nil {
		return err
	}
	if *asJSON {
		return json.NewEncoder(t.out).Encode(map[string]string{"version": core.Version})
	}
	_, err := fmt.Fprintln(t.out, core.Version)
	return err
}
