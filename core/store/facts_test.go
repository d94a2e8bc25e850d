package store_test

import (
	"context"
	"database/sql/driver"
	"slices"
	"testing"

	"mortise/core/tunnel"
)

func TestTunnel_TellsWhichTablesAStatementTouches(t *testing.T) {
	t.Parallel()
	s := blog(t)
	c, err := tunnel.NewConnector(s.options()).Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, want := range []struct {
		sql           string
		deterministic bool
		reads, writes []string
	}{
		{`SELECT title FROM blog_posts`, true, []string{"blog_posts"}, nil},
		{`SELECT count(*) FROM blog_posts`, true, []string{"blog_posts"}, nil},
		{`SELECT p.id, t.name FROM blog_posts p JOIN blog_tags t ON t.post_id = p.id`, true, []string{"blog_posts", "blog_tags"}, nil},
		{`WITH x AS (SELECT name FROM blog_tags) SELECT count(*) FROM x`, true, []string{"blog_tags"}, nil},
		{`SELECT upper(title) FROM blog_posts WHERE id IN (SELECT post_id FROM blog_tags)`, true, []string{"blog_posts", "blog_tags"}, nil},
		{`SELECT random(), title FROM blog_posts`, false, []string{"blog_posts"}, nil},
		{`SELECT CURRENT_TIMESTAMP`, false, nil, nil},
		{`SELECT title FROM blog_posts WHERE at < datetime('now')`, false, []string{"blog_posts"}, nil},
		{`SELECT changes()`, false, nil, nil},
		{`PRAGMA table_info(blog_posts)`, false, nil, nil},
		{`SELECT name FROM sqlite_master`, true, []string{"sqlite_master"}, nil},
		{`INSERT INTO blog_tags (name) SELECT title FROM blog_posts RETURNING id`, true, []string{"blog_posts", "blog_tags"}, []string{"blog_tags"}},
		{`DELETE FROM blog_posts WHERE id = 1 RETURNING id`, true, []string{"blog_posts", "blog_tags"}, []string{"blog_posts"}}, // a reference is looked up
	} {
		rows, err := c.(driver.QueryerContext).QueryContext(context.Background(), want.sql, nil) //nolint:forcetypeassert // it is
		if err != nil {
			t.Errorf("%s: %v", want.sql, err)
			continue
		}
		f, err := rows.(interface{ Facts() (tunnel.Facts, error) }).Facts() //nolint:forcetypeassert // it is
		if err != nil {
			t.Errorf("%s: %v", want.sql, err)
		}
		if err := rows.Close(); err != nil {
			t.Error(err)
		}
		slices.Sort(f.Reads)
		slices.Sort(f.Writes)
		if f.Deterministic != want.deterministic || !slices.Equal(f.Reads, want.reads) || !slices.Equal(f.Writes, want.writes) {
			t.Errorf("%s: got %+v", want.sql, f)
		}
	}
}
