package store_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"mortise/core/store"
)

func TestStore_CountsExportsAndDropsWhatAModuleKeeps(t *testing.T) {
	t.Parallel()
	s := blog(t)
	coreTables(t, s.store)
	db := s.open(t)
	for _, title := range []string{"a", "b <&>"} {
		if _, err := db.Exec(`INSERT INTO blog_posts (title, body, live, at) VALUES (?, ?, true, '2026-01-02 03:04:05')`, title, []byte{255}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Exec(`INSERT INTO blog_tags (post_id, name) VALUES (1, 'x')`); err != nil {
		t.Fatal(err)
	}
	rows, err := s.store.TableRows(t.Context(), "blog")
	if err != nil || len(rows) != 2 || rows["blog_posts"] != 2 || rows["blog_tags"] != 1 {
		t.Fatalf("%v %v", rows, err)
	}
	var out bytes.Buffer
	if err := s.store.ExportModule(t.Context(), "blog", &out); err != nil {
		t.Fatal(err)
	}
	lines := 0
	for sc := bufio.NewScanner(&out); sc.Scan(); lines++ {
		var line struct {
			Table string
			Row   map[string]any
		}
		if err := json.Unmarshal(sc.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		if lines == 1 && (line.Table != "blog_posts" || line.Row["title"] != "b <&>" || line.Row["body"] != "/w==" || line.Row["live"] != true) {
			t.Fatalf("%+v", line)
		}
	}
	if lines != 3 {
		t.Fatalf("%d lines", lines)
	}
	if err := s.store.DropModule(t.Context(), "blog"); err != nil {
		t.Fatal(err)
	}
	if rows, err := s.store.TableRows(t.Context(), "blog"); err != nil || len(rows) != 0 {
		t.Fatalf("%v %v", rows, err)
	}
	if count(t, s.store, "core_module_migrations") != 0 || count(t, s.store, "core_secret") != 1 || count(t, s.store, "blogger_posts") != 0 {
		t.Fatal("too little or too much was removed")
	}
}

func TestStore_BacksUpWhileItIsWritten(t *testing.T) {
	t.Parallel()
	s := blog(t)
	db := s.open(t)
	if _, err := db.Exec(`INSERT INTO blog_posts (title) VALUES ('kept')`); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "copy.db")
	if err := s.store.Backup(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	if err := s.store.Backup(t.Context(), path); err == nil {
		t.Fatal("a backup was overwritten")
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", info.Mode(), err)
	}
	twin, err := store.Open(t.Context(), store.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer twin.Close()
	if err := twin.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := count(t, twin, "blog_posts"); n != 1 {
		t.Fatalf("%d rows", n)
	}
	if err := s.store.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	if size, err := s.store.Size(); err != nil || size == 0 {
		t.Fatalf("%d %v", size, err)
	}
}
