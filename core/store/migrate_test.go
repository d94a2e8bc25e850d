package store

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"mortise/core/fault"
)

func stepsFrom(t *testing.T, files map[string]string) []step {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys["m/"+name] = &fstest.MapFile{Data: []byte(text)}
	}
	steps, err := readSteps(fsys, "m")
	if err != nil {
		t.Fatal(err)
	}
	return steps
}

func TestOpen_AppliesEachMigrationOnceAndAllOfItOrNothing(t *testing.T) {
	t.Parallel()
	o := Options{Path: filepath.Join(t.TempDir(), "a", "site.db"), Log: slog.New(slog.DiscardHandler)}
	reopen := func(files map[string]string) error {
		s, err := open(t.Context(), o, stepsFrom(t, files))
		if err == nil {
			err = s.Close()
		}
		return err
	}
	first := map[string]string{"0002_a.sql": "CREATE TABLE core_a (n INTEGER); INSERT INTO core_a VALUES (1);", "0005_b.sql": "CREATE TABLE core_b (n INTEGER)"}
	for range 2 {
		if err := reopen(first); err != nil {
			t.Fatal(err)
		}
	}
	between := map[string]string{"0003_c.sql": "ALTER TABLE core_a ADD COLUMN m", "0002_a.sql": first["0002_a.sql"], "0005_b.sql": first["0005_b.sql"]}
	if err := reopen(between); err != nil {
		t.Fatal(err)
	}
	if err := reopen(first); !errors.Is(err, ErrNewer) {
		t.Fatalf("an older program: %v", err)
	}
	changed := map[string]string{"0002_a.sql": "CREATE TABLE core_a (n TEXT)", "0003_c.sql": between["0003_c.sql"], "0005_b.sql": first["0005_b.sql"]}
	if err := reopen(changed); err == nil {
		t.Fatal("a changed migration went unnoticed")
	}
	between["0007_d.sql"] = "CREATE TABLE core_d (n INTEGER); INSERT INTO nowhere VALUES (1)"
	if err := reopen(between); err == nil {
		t.Fatal("a failing migration went unnoticed")
	}
	between["0007_d.sql"] = "CREATE TABLE core_d (n INTEGER)"
	if err := reopen(between); err != nil {
		t.Fatalf("the failed migration left something behind: %v", err)
	}
	info, err := os.Stat(o.Path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", info.Mode(), err)
	}
}

func TestOpen_RefusesAFileThatIsNoStore(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "site.db")
	if err := os.WriteFile(path, []byte("this is not a database, and long enough to be looked at"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{Path: path}); !fault.Is(err, fault.Conflict) {
		t.Fatalf("got %v", err)
	}
}

func TestReadSteps_RefusesTwoOfANumberAndNamesWithoutOne(t *testing.T) {
	t.Parallel()
	for _, files := range []fstest.MapFS{
		{"m/0001_a.sql": {}, "m/1_b.sql": {}},
		{"m/a.sql": {}},
		{"m/0000_a.sql": {}},
	} {
		if _, err := readSteps(files, "m"); err == nil {
			t.Errorf("%v went through", files)
		}
	}
}
