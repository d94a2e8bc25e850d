package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"mortise/core/control"
)

func runModule(ctx context.Context, t *terminal, args []string) error {
	fs, site, err := newSiteFlags("module", t)
	if err != nil {
		return err
	}
	var options control.ActOptions
	fs.BoolVar(&options.WithRequired, "with-required", false, "enable: also the modules it requires")
	fs.BoolVar(&options.DeleteData, "delete-data", false, "remove: also its tables, settings and secrets")
	words, err := parse(fs, t, args)
	if err != nil {
		return err
	}
	if len(words) == 1 && words[0] == "list" {
		return site.with(ctx, t, func(o control.Operations) error { return listModules(ctx, t, site, o) })
	}
	if len(words) != 2 {
		return fmt.Errorf("expected what to do and the module's id: %w", errUsage)
	}
	verb, id := words[0], words[1]
	switch verb {
	case "new":
		return newModule(t, id)
	case "show":
		return site.with(ctx, t, func(o control.Operations) error {
			m, err := o.Module(ctx, id)
			if err != nil {
				return err
			}
			return site.print(t, m, func(tab *tabwriter.Writer) { showModule(tab, m) })
		})
	case string(control.Enable), string(control.Pause), string(control.Resume), string(control.Remove):
		return site.with(ctx, t, func(o control.Operations) error {
			report, err := o.Act(ctx, id, control.Action(verb), options)
			if err != nil {
				return err
			}
			return site.print(t, report, func(tab *tabwriter.Writer) { fmt.Fprintln(tab, report.Text) })
		})
	}
	return fmt.Errorf("there is no %q: %w", verb, errUsage)
}

func listModules(ctx context.Context, t *terminal, site *siteFlags, o control.Operations) error {
	modules, err := o.Modules(ctx)
	if err != nil {
		return err
	}
	return site.print(t, modules, func(tab *tabwriter.Writer) {
		fmt.Fprintln(tab, "ID\tVERSION\tSTATE\tMEMORY\tRESTARTS\tWHAT IT IS")
		for _, m := range modules {
			memory := "-"
			if m.MemoryBytes > 0 {
				memory = fmt.Sprintf("%.1f MB", float64(m.MemoryBytes)/1e6)
			}
			what := m.Description
			if m.Problem != "" {
				what = "! " + m.Problem
			}
			fmt.Fprintf(tab, "%s\t%s\t%s\t%s\t%d\t%s\n", m.ID, m.Version, m.State, memory, m.Restarts, what)
		}
	})
}

func showModule(tab *tabwriter.Writer, m control.Module) {
	fmt.Fprintf(tab, "id\t%s\nname\t%s\nversion\t%s\nstate\t%s\n", m.ID, m.Name, m.Version, m.State)
	if m.Reason != "" {
		fmt.Fprintf(tab, "reason\t%s\n", m.Reason)
	}
	if m.Problem != "" {
		fmt.Fprintf(tab, "problem\t%s\n", m.Problem)
	}
	if !m.Since.IsZero() {
		fmt.Fprintf(tab, "since\t%s\n", m.Since.Local().Format(time.DateTime))
	}
	if m.PID != 0 {
		fmt.Fprintf(tab, "process\t%d\nrestarts\t%d\n", m.PID, m.Restarts)
	}
	fmt.Fprintf(tab, "requires\t%v\n%s\n", m.Requires, m.Description)
}
