package store_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"gorm.io/gorm"

	"mortise/core/store"
)

func openStore(t testing.TB) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "site.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func mustWrite(t testing.TB, s *store.Store, sql string, args ...any) {
	t.Helper()
	if err := s.Write(t.Context(), func(tx *gorm.DB) error { return tx.Exec(sql, args...).Error }); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func count(t testing.TB, s *store.Store, table string) (n int64) {
	t.Helper()
	if err := s.Read(context.Background()).Table(table).Count(&n).Error; err != nil {
		t.Fatal(err)
	}
	return n
}

func TestStore_KeepsWhatWasCommittedAndNothingElse(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	mustWrite(t, s, `CREATE TABLE core_t (n INTEGER)`)
	mustWrite(t, s, `INSERT INTO core_t VALUES (1)`)
	boom := errors.New("boom")
	if err := s.Write(t.Context(), func(tx *gorm.DB) error {
		if err := tx.Exec(`INSERT INTO core_t VALUES (2)`).Error; err != nil {
			return err
		}
		return boom
	}); !errors.Is(err, boom) {
		t.Fatalf("got %v", err)
	}
	func() {
		defer func() { _ = recover() }()
		_ = s.Write(t.Context(), func(tx *gorm.DB) error {
			tx.Exec(`INSERT INTO core_t VALUES (3)`)
			panic("boom")
		})
	}()
	if n := count(t, s, "core_t"); n != 1 {
		t.Fatalf("got %d rows, want 1", n)
	}
}

func TestStore_RefusesToWriteThroughRead(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	mustWrite(t, s, `CREATE TABLE core_t (n INTEGER)`)
	if err := s.Read(t.Context()).Exec(`INSERT INTO core_t VALUES (1)`).Error; err == nil {
		t.Fatal("expected an error")
	}
}

func TestStore_RefusesAWriteInsideAWrite(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	err := s.Write(t.Context(), func(tx *gorm.DB) error {
		return s.Write(tx.Statement.Context, func(*gorm.DB) error { return nil })
	})
	if err == nil {
		t.Fatal("expected an error")
	}
}
