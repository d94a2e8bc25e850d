package history_test

import (
	"context"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"mortise/core/sdk"
	"mortise/core/sdk/sdkdb"
	"mortise/plugins/customers/history"
	"mortise/plugins/internal/moduletest"
)

// program is a module of nothing but the history.
type program struct {
	http.ServeMux
	db *gorm.DB
}

func (p *program) Start(_ context.Context, host sdk.Host) (err error) {
	p.db, err = sdkdb.Open(host)
	return err
}

func (p *program) Stop(context.Context) error { return nil }

func (p *program) Migrations() []sdk.Migration {
	return []sdk.Migration{sdkdb.Migration(1, "create the history", history.Migrate)}
}

func open(t *testing.T) *gorm.DB {
	t.Helper()
	manifest, err := os.ReadFile("../module.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p := &program{}
	moduletest.Start(t, p, manifest, moduletest.Options{})
	return p.db
}

func sentences(list []history.Entry) string {
	var all []string
	for _, e := range list {
		all = append(all, e.Sentence)
	}
	return strings.Join(all, " ")
}

func TestList_GivesTheNewestFirstAndOnlyOfWhomItIsAskedFor(t *testing.T) {
	t.Parallel()
	db := open(t)
	for _, e := range []history.Entry{{UserID: 1, Sentence: "a"}, {UserID: 2, Sentence: "b"}, {UserID: 1, DeviceID: "d", Sentence: "c"}, {UserID: 1, Sentence: "e"}} {
		if err := history.Add(db, e); err != nil {
			t.Fatal(err)
		}
	}
	list, more, err := history.List(t.Context(), db, history.Filter{UserID: 1, Limit: 2})
	if err != nil || !more || sentences(list) != "e c" {
		t.Errorf("got %q, %v, %v", sentences(list), more, err)
	}
	list, more, err = history.List(t.Context(), db, history.Filter{UserID: 1, Before: list[1].ID})
	if err != nil || more || sentences(list) != "a" {
		t.Errorf("the older ones are %q, %v, %v", sentences(list), more, err)
	}
	if list, _, err = history.List(t.Context(), db, history.Filter{DeviceID: "d"}); err != nil || sentences(list) != "c" {
		t.Errorf("of the device: %q, %v", sentences(list), err)
	}
	if list, _, err = history.List(t.Context(), db, history.Filter{}); err != nil || len(list) != 0 {
		t.Errorf("without a filter: %q, %v", sentences(list), err)
	}
}

func TestForget_TakesAPersonOutAndLeavesWhatOthersDid(t *testing.T) {
	t.Parallel()
	db := open(t)
	ann := history.Actor{ID: 1, Name: "Ann Müller"}
	if err := history.Add(db, history.Entry{UserID: 1, Sentence: "about Ann"}, history.Entry{DeviceID: "d", Sentence: "claimed"}.With(ann), history.Entry{UserID: 2, Sentence: "about Bob"}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // facts come again
		if err := history.Forget(t.Context(), db, 1); err != nil {
			t.Fatal(err)
		}
	}
	var left []history.Entry
	if err := db.Order("id").Find(&left).Error; err != nil {
		t.Fatal(err)
	}
	if sentences(left) != "claimed about Bob" || left[0].ByID != 0 || strings.Contains(left[0].ByName, "Ann") {
		t.Errorf("left: %+v", left)
	}
}

func TestTrim_ErasesWhatIsOld(t *testing.T) {
	t.Parallel()
	db := open(t)
	now := time.Now().UTC()
	if err := history.Add(db, history.Entry{UserID: 1, Sentence: "old", At: now.Add(-2 * time.Hour)}, history.Entry{UserID: 1, Sentence: strings.Repeat("é", 600)}); err != nil {
		t.Fatal(err)
	}
	if err := history.Trim(t.Context(), db, now.Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	list, _, err := history.List(t.Context(), db, history.Filter{UserID: 1})
	if err != nil || len(list) != 1 || len([]rune(list[0].Sentence)) != 500 {
		t.Errorf("left %d entries, %v", len(list), err)
	}
}
