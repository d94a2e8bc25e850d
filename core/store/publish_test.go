package store_test

import (
	"errors"
	"testing"

	"gorm.io/gorm"

	"mortise/core/sdk"
	"mortise/core/sdk/sdkdb"
)

func stepsOf(statements ...string) []sdk.Migration {
	return []sdk.Migration{sqlStep(1, statements...)}
}

// publishes plays a module that publishes in every way.
func publishes(t *testing.T, s *site, woken chan struct{}) {
	t.Helper()
	db := s.gorm(t, "blog")
	boom := errors.New("boom")
	if err := db.Transaction(func(tx *gorm.DB) error {
		if err := tx.Create(&post{Title: "lost"}).Error; err != nil {
			return err
		}
		if err := sdkdb.Publish(tx, "blog.posted", "post/1", map[string]int{"id": 1}); err != nil {
			return err
		}
		return boom
	}); !errors.Is(err, boom) {
		t.Fatal(err)
	}
	if n := count(t, s.store, "core_events"); n != 0 {
		t.Fatalf("%d events of a transaction that was rolled back", n)
	}
	if err := db.Transaction(func(tx *gorm.DB) error {
		if err := sdkdb.Publish(tx, "blog.posted", "post/2", map[string]int{"id": 2}); err != nil {
			return err
		}
		if n := count(t, s.store, "core_events"); n != 0 {
			t.Errorf("%d events before the commit", n)
		}
		if err := tx.Exec(`SELECT * FROM core_events`).Error; err == nil {
			t.Error("the module kept the host's rights")
		}
		return tx.Create(&post{Title: "kept"}).Error
	}); err != nil {
		t.Fatal(err)
	}
	<-woken
	if err := sdkdb.Publish(db, "blog.posted", "post/3", nil); err != nil {
		t.Fatal(err)
	}
	<-woken
	var subjects []string
	s.store.Read(t.Context()).Raw(`SELECT module || ' ' || subject || ' ' || payload FROM core_events ORDER BY 1`).Scan(&subjects)
	if len(subjects) != 2 || subjects[0] != `blog post/2 {"id":2}` || subjects[1] != "blog post/3 null" {
		t.Fatalf("%v", subjects)
	}
	if len(woken) != 0 {
		t.Fatal("woken for nothing")
	}
	if n := count(t, s.store, "blog_posts"); n != 1 {
		t.Fatalf("%d posts", n)
	}
}
