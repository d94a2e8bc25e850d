package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"mortise/cmd/bench/internal/items"
)

// tunnelGoals are the budgets by rows, in µs.
var tunnelGoals = []struct {
	rows        int
	budget, aim float64
}{{1, 150, 80}, {50, 300, 200}, {1000, 5000, 3000}}

// measureTunnel compares a module's query through the host with the same query in the process that has the file open.
func measureTunnel(ctx context.Context, s *site, r *report) error {
	direct, err := openDirect(s)
	if err != nil {
		return err
	}
	defer direct.Close()
	lasting := s.options.lasting() / 4
	for _, goal := range tunnelGoals {
		var through, local []float64
		for range rounds {
			var t items.Times
			path := fmt.Sprintf("/bench/query?rows=%d&ms=%d", goal.rows, lasting.Milliseconds())
			if err := s.visitor.json(ctx, path, &t); err != nil {
				return err
			}
			d, err := items.Measure(ctx, direct, "bench_items", goal.rows, lasting)
			if err != nil {
				return err
			}
			through, local = append(through, t.P50), append(local, d.P50)
		}
		how := "tunnel: database/sql in the module's process (GET /bench/query), one query after the other, until every row is scanned; " +
			"direct is the same query on the same rows in a process that opens its file with the same SQLite"
		r.add(
			figure{Name: fmt.Sprintf("tunnelled query, rows %d: p50", goal.rows), Value: median(through), Unit: "µs", Budget: goal.budget, Aim: goal.aim, Less: true, Bound: true, How: how},
			figure{Name: fmt.Sprintf("  direct query, rows %d: p50", goal.rows), Value: median(local), Unit: "µs"},
		)
	}
	return nil
}

func openDirect(s *site) (*sql.DB, error) {
	folder, err := os.MkdirTemp(s.folder, "direct-")
	if err != nil {
		return nil, err
	}
	one, err := newSingle(folder, os.DirFS(s.path("plugins", "bench", "templates")))
	if err != nil {
		return nil, err
	}
	if pool, err := one.db.DB(); err == nil {
		defer pool.Close()
	}
	pool, err := sql.Open("sqlite3", "file:"+filepath.Join(folder, "single.db")+"?_query_only=on&_stmt_cache_size=100")
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(1)
	pool.SetConnMaxLifetime(time.Hour)
	return pool, nil
}
