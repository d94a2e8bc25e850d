package main

import (
	"context"
	"fmt"
	"path/filepath"
	"text/tabwriter"

	"mortise/core/control"
)

func runStatus(ctx context.Context, t *terminal, args []string) error {
	fs, site, err := newSiteFlags("status", t)
	if err != nil {
		return err
	}
	if _, err := parse(fs, t, args); err != nil {
		return err
	}
	return site.with(ctx, t, func(o control.Operations) error {
		s, err := o.Status(ctx)
		if err != nil {
			return err
		}
		return site.print(t, s, func(tab *tabwriter.Writer) {
			running := "not running"
			if s.Running {
				running = fmt.Sprintf("running at %s (process %d)", s.URL, s.PID)
			}
			fmt.Fprintf(tab, "Mortise %s, %s\n", s.Version, running)
			for _, l := range s.Lines {
				fmt.Fprintf(tab, "%s\t%s\t%s\n", l.Level, l.Title, l.Text)
				if l.Remedy != "" {
					fmt.Fprintf(tab, "\t\t→ %s\n", l.Remedy)
				}
			}
		})
	})
}

func runBackup(ctx context.Context, t *terminal, args []string) error {
	fs, site, err := newSiteFlags("backup", t)
	if err != nil {
		return err
	}
	to := fs.String("to", "", "the new file")
	if _, err := parse(fs, t, args); err != nil {
		return err
	}
	if *to == "" {
		return fmt.Errorf("name the new file with --to: %w", errUsage)
	}
	path, err := filepath.Abs(*to) // the running host has a working folder of its own
	if err != nil {
		return err
	}
	return site.with(ctx, t, func(o control.Operations) error {
		if err := o.Backup(ctx, path); err != nil {
			return err
		}
		return site.print(t, map[string]string{"path": path}, func(tab *tabwriter.Writer) {
			fmt.Fprintf(tab, "copied the store to %s; keep the key file too, somewhere else\n", path)
		})
	})
}

func runKey(ctx context.Context, t *terminal, args []string) error {
	fs, site, err := newSiteFlags("key", t)
	if err != nil {
		return err
	}
	words, err := parse(fs, t, args)
	if err != nil {
		return err
	}
	if len(words) != 1 || words[0] != "rotate" {
		return fmt.Errorf("expected rotate: %w", errUsage)
	}
	return site.with(ctx, t, func(o control.Operations) error {
		sealed, err := o.RotateKey(ctx)
		if err != nil {
			return err
		}
		return site.print(t, map[string]int{"sealed": sealed}, func(tab *tabwriter.Writer) {
			fmt.Fprintf(tab, "made a new key and sealed %d values again\n", sealed)
		})
	})
}
