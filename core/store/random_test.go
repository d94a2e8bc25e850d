package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

// TestTunnel_AnswersAsSQLiteDoes runs the same random statements, in and outside transactions, on a tunnel and on a file of its own, and
// compares every value, every count and whether there was an error.
func TestTunnel_AnswersAsSQLiteDoes(t *testing.T) {
	t.Parallel()
	s := blog(t)
	through := s.open(t)
	through.SetMaxOpenConns(1)
	direct, err := sql.Open("sqlite3", "file:"+filepath.ToSlash(filepath.Join(t.TempDir(), "x.db"))+"?_foreign_keys=on&_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer direct.Close()
	direct.SetMaxOpenConns(1)
	for _, q := range []string{
		`CREATE TABLE blog_posts (id INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT NOT NULL UNIQUE, body BLOB, rating REAL, live BOOLEAN, at DATETIME)`,
		`CREATE TABLE blog_tags (id INTEGER PRIMARY KEY, post_id INTEGER REFERENCES blog_posts(id), name TEXT)`,
	} {
		if _, err := direct.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	seed := uint64(time.Now().UnixNano()) //nolint:gosec // any number will do
	t.Logf("seed %d", seed)
	g := &generator{rand.New(rand.NewPCG(seed, 1))} //nolint:gosec // not a secret
	for round := range 150 {
		g.round(t, through, direct, fmt.Sprintf("seed %d round %d", seed, round))
		if t.Failed() {
			return
		}
	}
}

type generator struct{ *rand.Rand }

// runner is what *sql.DB and *sql.Tx have in common.
type runner interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func (g *generator) round(t *testing.T, a, b *sql.DB, where string) {
	t.Helper()
	if g.IntN(2) == 0 {
		g.statement(t, a, b, where)
		return
	}
	ta, err := a.Begin()
	if err != nil {
		t.Fatal(err)
	}
	tb, err := b.Begin()
	if err != nil {
		t.Fatal(err)
	}
	for range g.IntN(6) {
		g.statement(t, ta, tb, where)
	}
	if g.IntN(3) == 0 {
		err = ta.Rollback()
		_ = tb.Rollback()
	} else {
		err = ta.Commit()
		_ = tb.Commit()
	}
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
}

func (g *generator) value() any {
	switch g.IntN(9) {
	case 0:
		return nil
	case 1:
		return g.Int64() - math.MaxInt64/2
	case 2:
		return g.NormFloat64() * 1e6
	case 3:
		return fmt.Sprintf("tęxt %d \x00 ü", g.IntN(50))
	case 4:
		b := make([]byte, g.IntN(300))
		for i := range b {
			b[i] = byte(g.Uint32())
		}
		return b
	case 5:
		return time.Unix(g.Int64N(4e9), g.Int64N(1e9)).UTC()
	case 6:
		return g.IntN(2) == 0
	case 7:
		return ""
	}
	return g.IntN(100)
}

func (g *generator) statement(t *testing.T, a, b runner, where string) {
	t.Helper()
	id := g.IntN(60)
	switch g.IntN(9) {
	case 0, 1:
		g.exec(t, a, b, where, `INSERT INTO blog_posts (title, body, rating, live, at) VALUES (?, ?, ?, ?, ?)`, g.value(), g.value(), g.value(), g.value(), g.value())
	case 2:
		g.exec(t, a, b, where, `UPDATE blog_posts SET body = ?, at = ? WHERE id = ?`, g.value(), g.value(), id)
	case 3:
		g.exec(t, a, b, where, `DELETE FROM blog_posts WHERE id = ?`, id)
	case 4:
		g.exec(t, a, b, where, `INSERT INTO blog_tags (post_id, name) VALUES (?, ?)`, id, g.value())
	case 5:
		g.query(t, a, b, where, `SELECT * FROM blog_posts WHERE id >= ? ORDER BY id`, id)
	case 6:
		g.query(t, a, b, where, `SELECT p.title, count(t.id), max(p.rating), typeof(p.body), p.at FROM blog_posts p LEFT JOIN blog_tags t ON t.post_id = p.id GROUP BY p.id ORDER BY p.id`)
	case 7:
		g.query(t, a, b, where, `INSERT INTO blog_posts (title, at) VALUES (?, ?) RETURNING id, title, at`, g.value(), g.value())
	case 8:
		g.query(t, a, b, where, `SELECT ?, ?, ?, * FROM (SELECT 1 AS x UNION ALL SELECT NULL UNION ALL SELECT 'a' UNION ALL SELECT 1.5)`, g.value(), g.value(), g.value())
	}
}

func (g *generator) exec(t *testing.T, a, b runner, where, query string, args ...any) {
	t.Helper()
	ra, ea := a.ExecContext(t.Context(), query, args...)
	rb, eb := b.ExecContext(t.Context(), query, args...)
	if (ea == nil) != (eb == nil) || ea != nil && ea.Error() != eb.Error() {
		t.Fatalf("%s: %s %v: tunnel %v, SQLite %v", where, query, args, ea, eb)
	}
	if ea != nil {
		return
	}
	na, _ := ra.RowsAffected()
	nb, _ := rb.RowsAffected()
	if na != nb {
		t.Fatalf("%s: %s %v: tunnel changed %d rows, SQLite %d", where, query, args, na, nb)
	}
	la, _ := ra.LastInsertId()
	lb, _ := rb.LastInsertId()
	if query[0] == 'I' && la != lb {
		t.Fatalf("%s: %s %v: tunnel gave id %d, SQLite %d", where, query, args, la, lb)
	}
}

func (g *generator) query(t *testing.T, a, b runner, where, query string, args ...any) {
	t.Helper()
	va, ea := collect(t.Context(), a, query, args)
	vb, eb := collect(t.Context(), b, query, args)
	if (ea == nil) != (eb == nil) || ea != nil && ea.Error() != eb.Error() || !reflect.DeepEqual(va, vb) {
		t.Fatalf("%s: %s %v:\ntunnel %v %v\nSQLite %v %v", where, query, args, va, ea, vb, eb)
	}
}

// collect gives column names and types, and all values.
func collect(ctx context.Context, r runner, query string, args []any) (all [][]any, err error) {
	rows, err := r.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	types, err := rows.ColumnTypes()
	if err != nil {
		return nil, err
	}
	var head []any
	for _, c := range types {
		nullable, ok := c.Nullable()
		head = append(head, c.Name(), c.DatabaseTypeName(), c.ScanType(), nullable, ok)
	}
	all = append(all, head)
	for rows.Next() {
		values, into := make([]any, len(types)), make([]any, len(types))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		for i, v := range values {
			if at, ok := v.(time.Time); ok {
				values[i] = at.UTC()
			}
		}
		all = append(all, values)
	}
	return all, rows.Err()
}
