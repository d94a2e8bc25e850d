package store_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"mortise/core/fault"
)

func TestPersonRows_GivesOnePersonsRowsWithoutSecrets(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	mustWrite(t, s, `CREATE TABLE blog_posts (id INTEGER PRIMARY KEY, user_id INTEGER, title TEXT, written_at DATETIME, photo BLOB, score REAL, "odd "" name" TEXT,
		access_token TEXT, TokenHash TEXT, password TEXT, claim_key TEXT, secret_key TEXT, pin TEXT, keyboard TEXT)`)
	mustWrite(t, s, `INSERT INTO blog_posts VALUES (1, 7, 'Hello', '2026-01-02 03:04:05+00:00', x'00FF', 1e999, 'odd', 'opensesame', 'opensesame', 'opensesame', 'opensesame', 'opensesame', 'opensesame', 'sealed:1:abc'),
		(2, 8, 'Another''s', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)`)
	found, err := s.PersonRows(t.Context(), "blog", "blog_posts", "user_id", 7, 0)
	if err != nil || found.Total != 1 || len(found.Rows) != 1 {
		t.Fatalf("%+v, %v", found, err)
	}
	if want := []string{"access_token", "TokenHash", "password", "claim_key", "secret_key", "pin"}; !slices.Equal(found.Hidden, want) {
		t.Errorf("hidden = %v, want %v", found.Hidden, want)
	}
	text, err := json.Marshal(found)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"opensesame", "Another", "sealed:1"} {
		if strings.Contains(string(text), bad) {
			t.Errorf("the answer has %q: %s", bad, text)
		}
	}
	for _, want := range []string{`"title":"Hello"`, `"photo":"[2 bytes]"`, `"keyboard":"[sealed]"`, `2026-01-02T03:04:05Z`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the answer lacks %s: %s", want, text)
		}
	}
}

func TestPersonRows_IsBoundedAndKeepsToTheModulesTables(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	mustWrite(t, s, `CREATE TABLE blog_posts (id INTEGER PRIMARY KEY, user_id INTEGER, title TEXT)`)
	mustWrite(t, s, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300) INSERT INTO blog_posts (user_id, title) SELECT 7, printf('%.*c', 5000, 'x') FROM n`)
	for _, limit := range []int{0, 1000, 3} {
		found, err := s.PersonRows(t.Context(), "blog", "blog_posts", "user_id", 7, limit)
		if want := map[bool]int{true: 3, false: 200}[limit == 3]; err != nil || found.Total != 300 || len(found.Rows) != want {
			t.Errorf("limit %d: %d of %d, %v", limit, len(found.Rows), found.Total, err)
		}
		if title := fmt.Sprint(found.Rows[0]["title"]); len(title) > 4100 {
			t.Errorf("a title of %d bytes", len(title))
		}
	}
	mustWrite(t, s, `CREATE TABLE core_things (id INTEGER PRIMARY KEY, user_id INTEGER)`)
	for _, foreign := range []string{"core_things", "sqlite_master", "shop_orders", "blog", ""} {
		if _, err := s.PersonRows(t.Context(), "blog", foreign, "user_id", 7, 0); !fault.Is(err, fault.Denied) {
			t.Errorf("table %q: %v", foreign, err)
		}
	}
	for _, tc := range [][2]string{
		{"blog_gone", "user_id"}, {"blog_posts", "nowhere"}, {"blog_posts", `user_id" = 1 OR "id`}, {`blog_posts" WHERE 1=1 --`, "user_id"}, {"blog_posts", "1=1"},
	} {
		if found, err := s.PersonRows(t.Context(), "blog", tc[0], tc[1], 7, 0); err != nil || found.Total != 0 || len(found.Rows) != 0 {
			t.Errorf("%v: %+v, %v", tc, found, err)
		}
	}
}
