package items

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"
)

// Query reads n rows of a table and scans every column, as database/sql users do. It gives how long that took.
func Query(ctx context.Context, db *sql.DB, table string, n int) (time.Duration, error) {
	began := time.Now()
	rows, err := db.QueryContext(ctx, "SELECT id, title, owner, value, updated_at FROM "+table+" WHERE id > ? ORDER BY id LIMIT ?", 0, n)
	if err != nil {
		return 0, fmt.Errorf("query %d rows: %w", n, err)
	}
	defer rows.Close()
	got := 0
	for rows.Next() {
		var i Item
		if err := rows.Scan(&i.ID, &i.Title, &i.Owner, &i.Value, &i.UpdatedAt); err != nil {
			return 0, fmt.Errorf("scan: %w", err)
		}
		got++
	}
	if err := rows.Err(); err != nil {
		return 0, fmt.Errorf("query %d rows: %w", n, err)
	}
	if got != n {
		return 0, fmt.Errorf("got %d rows, want %d", got, n)
	}
	return time.Since(began), nil
}

// Times are quantiles of durations in microseconds.
type Times struct {
	Count int     `json:"count"`
	P50   float64 `json:"p50_us"`
	P99   float64 `json:"p99_us"`
}

// TimesOf sorts the durations and gives their quantiles.
func TimesOf(d []time.Duration) Times {
	if len(d) == 0 {
		return Times{}
	}
	slices.Sort(d)
	at := func(q float64) float64 { return float64(d[int(q*float64(len(d)-1))].Nanoseconds()) / 1000 }
	return Times{Count: len(d), P50: at(0.5), P99: at(0.99)}
}

// Measure runs a query again and again, one after the other, for a while.
func Measure(ctx context.Context, db *sql.DB, table string, n int, lasting time.Duration) (Times, error) {
	for range 20 { // statements are prepared and memory is warm after these
		if _, err := Query(ctx, db, table, n); err != nil {
			return Times{}, err
		}
	}
	var took []time.Duration
	for until := time.Now().Add(lasting); time.Now().Before(until); {
		d, err := Query(ctx, db, table, n)
		if err != nil {
			return Times{}, err
		}
		took = append(took, d)
	}
	return TimesOf(took), nil
}
