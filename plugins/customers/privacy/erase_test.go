package privacy

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"mortise/core/sdk"
	"mortise/plugins/internal/moduletest"
)

func TestErase_DataAloneLeavesTheAccountAndIsConfirmedByALook(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.keep(b.ann.UserID, "Ann Annerson lives at the harbour.")
	a := b.Post(b.officer, b.page(b.ann.UserID)+"/erase", form("wish", "data", "confirm", " ANN@example.com "))
	if a.Status != http.StatusSeeOther || a.Location != b.page(b.ann.UserID) || !strings.HasPrefix(a.Flash, "info ") {
		t.Fatalf("%d %s %q %s", a.Status, a.Location, a.Flash, a.Body)
	}
	e := b.erasures()[0]
	if e.AskedAt == nil || e.ParticleAt == nil || e.ModulesAt != nil || e.DeletedAt != nil || e.State != stateRunning || e.ByID != b.officer.UserID || !strings.Contains(e.Remaining, "customers_history") {
		t.Fatalf("%+v", e)
	}
	var data struct {
		Erasure erasureView
		Modules []moduleView
	}
	show := func() {
		t.Helper()
		if a := b.Get(b.officer, b.page(b.ann.UserID)); a.Status != http.StatusOK || a.Decode(&data) != nil {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	}
	show()
	if len(data.Erasure.Left) == 0 || data.Erasure.State != stateRunning || len(data.Erasure.Kept) != 1 {
		t.Errorf("%+v", data.Erasure)
	}
	b.DeliverFacts()
	show()
	if len(data.Erasure.Left) != 0 || data.Erasure.State != stateDone || data.Erasure.By != "Olga Officer" {
		t.Errorf("%+v", data.Erasure)
	}
	if !b.exists(b.ann.UserID) || len(b.history(b.ann.UserID)) != 0 {
		t.Errorf("the account or the history: %v", b.history(b.ann.UserID))
	}
	b.clock.forward(time.Hour)
	if show(); len(b.history(b.ann.UserID)) != 1 {
		t.Errorf("a look after the end is not in the history")
	}
}

func TestErase_WithTheAccountLeavesARecordWithoutPersonalData(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.keep(b.ann.UserID, "Ann Annerson")
	a := b.Post(b.officer, b.page(b.ann.UserID)+"/erase", form("wish", "account", "confirm", idText(b.ann.UserID)))
	if a.Status != http.StatusSeeOther || !strings.HasPrefix(a.Flash, "good ") || b.exists(b.ann.UserID) {
		t.Fatalf("%d %q %s", a.Status, a.Flash, a.Body)
	}
	b.DeliverFacts()
	a = b.Get(b.officer, b.page(b.ann.UserID))
	if a.Status != http.StatusOK || a.View.Template != "privacy_gone" || strings.Contains(a.Body, "Ann") || strings.Contains(a.Body, "ann@") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	for _, path := range []string{"/erase", "/export"} {
		if a := b.Get(b.officer, b.page(b.ann.UserID)+path); path == "/export" && a.Status != http.StatusNotFound || path == "/erase" && a.Status != http.StatusSeeOther {
			t.Errorf("%s of who is gone: %d", path, a.Status)
		}
	}
	if a := b.Post(b.officer, b.page(b.ann.UserID)+"/erase", form("confirm", "1")); a.Status != http.StatusNotFound {
		t.Errorf("erasing who is gone: %d", a.Status)
	}
	e := b.erasures()[0]
	if e.State != stateDone || e.DeletedAt == nil || e.EndedAt == nil || len(b.part.forgot) != 1 {
		t.Errorf("%+v, forgot %v", e, b.part.forgot)
	}
	if n := b.count("customers_history"); n != 0 {
		t.Errorf("%d lines of history are left", n)
	}
	b.clock.forward(keepFor + time.Hour)
	if _, err := b.part.Run(t.Context(), "retention"); err != nil || len(b.erasures()) != 0 {
		t.Errorf("after two years: %v, %d records", err, len(b.erasures()))
	}
}

func (b *bench) count(table string) (n int64) {
	b.t.Helper()
	if err := b.part.DB.Table(table).Count(&n).Error; err != nil {
		b.t.Fatal(err)
	}
	return n
}

func TestErase_ARefusalIsShownAndNothingHappened(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.keep(b.ann.UserID, "stays")
	b.part.set("A repair is under way.", nil)
	a := b.Post(b.officer, b.page(b.ann.UserID)+"/erase", form("wish", "account", "confirm", "ann@example.com"))
	if a.Status != http.StatusConflict || a.View.Template != "privacy_erase" || a.View.Message == nil || !strings.Contains(a.View.Message.Text, "A repair is under way.") {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	var data struct{ Wish, Confirm string }
	if err := a.Decode(&data); err != nil || data.Wish != "account" || data.Confirm != "ann@example.com" {
		t.Errorf("the input is not kept: %+v, %v", data, err)
	}
	b.DeliverFacts()
	e := b.erasures()[0]
	if e.State != stateRefused || e.AskedAt != nil || strings.Contains(e.Sentence, "repair") || len(b.part.forgot) != 0 || !b.exists(b.ann.UserID) {
		t.Errorf("%+v, forgot %v", e, b.part.forgot)
	}
	if said := b.history(b.ann.UserID); len(said) != 2 || !strings.Contains(said[0], "A repair is under way.") {
		t.Errorf("history: %v", said)
	}
	b.part.set("", nil)
	if a := b.Post(b.officer, b.page(b.ann.UserID)+"/erase", form("wish", "account", "confirm", "ann@example.com")); a.Status != http.StatusSeeOther || b.exists(b.ann.UserID) {
		t.Errorf("afterwards: %d %s", a.Status, a.Body)
	}
}

func TestErase_TheSameFormAtTheSameMomentEndsOnTheSamePage(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.keep(b.ann.UserID, "something")
	page, same := b.page(b.ann.UserID)+"/erase", form("wish", "data", "confirm", "ann@example.com")
	var first moduletest.Answer
	var one atomic.Bool
	err := b.part.DB.Callback().Query().After("gorm:query").Register("overtake", func(tx *gorm.DB) {
		if strings.Contains(tx.Statement.SQL.String(), "once = ") && one.CompareAndSwap(false, true) { // between the look and the write
			first = b.Post(b.officer, page, same)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	second := b.Post(b.officer, page, same)
	if first.Status != http.StatusSeeOther || second.Status != http.StatusSeeOther || second.Location != first.Location || len(b.erasures()) != 1 {
		t.Errorf("%d, %d %s, %d erasures", first.Status, second.Status, second.Body, len(b.erasures()))
	}
}

func TestErase_NeedsTheTypedWordsAndActsOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, typed := range []string{"", "bob@example.com", "Ann", "0", idText(b.bob.UserID), strings.Repeat("x", 3000)} {
		if a := b.Post(b.officer, b.page(b.ann.UserID)+"/erase", form("wish", "account", "confirm", typed)); a.Status != http.StatusUnprocessableEntity || a.View.FieldErrors["confirm"] == "" {
			t.Errorf("%.20q: %d", typed, a.Status)
		}
	}
	if len(b.erasures()) != 0 || len(b.part.asked) != 0 {
		t.Fatalf("something was asked: %v", b.part.asked)
	}
	if a := b.Post(b.officer, b.page(b.ann.UserID)+"/erase", map[string][]string{"wish": {"data"}, "confirm": {"ann@example.com"}}); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("a form without its word: %d", a.Status)
	}
	b.keep(b.ann.UserID, "something")
	same := form("wish", "data", "confirm", "ann@example.com")
	for range 2 {
		if a := b.Post(b.officer, b.page(b.ann.UserID)+"/erase", same); a.Status != http.StatusSeeOther {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
	if a := b.Post(b.officer, b.page(b.bob.UserID)+"/erase", form("once", same.Get("once"), "confirm", "bob@example.com")); a.Status != http.StatusNotFound {
		t.Errorf("the form of one customer for another: %d", a.Status)
	}
	a := b.Post(b.officer, b.page(b.ann.UserID)+"/erase", form("confirm", "ann@example.com"))
	if a.Status != http.StatusSeeOther || !strings.Contains(a.Flash, "already") {
		t.Errorf("a second erasure beside the first: %d %q", a.Status, a.Flash)
	}
	if n := len(b.erasures()); n != 1 {
		t.Errorf("%d records", n)
	}
}

func TestErase_GoesOnWhenParticleIsBackEvenAfterTheAccountIsGone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.part.set("", errors.New("Particle is away"))
	a := b.Post(b.officer, b.page(b.ann.UserID)+"/erase", form("wish", "account", "confirm", "ann@example.com"))
	if a.Status != http.StatusSeeOther || b.exists(b.ann.UserID) {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	b.DeliverFacts()
	if e := b.erasures()[0]; e.State != stateRunning || e.ParticleAt != nil || e.DeletedAt == nil {
		t.Fatalf("%+v", e)
	}
	b.clock.forward(lateBy + time.Minute)
	found, err := b.part.Check(t.Context())
	if err != nil || len(found) != 1 || strings.Contains(found[0].Title, "Ann") || found[0].Link != b.page(b.ann.UserID) {
		t.Errorf("%+v, %v", found, err)
	}
	b.job()
	b.part.set("", nil)
	b.clock.forward(time.Hour)
	b.job()
	if e := b.erasures()[0]; e.State != stateDone || e.ParticleAt == nil {
		t.Errorf("%+v", e)
	}
	if found, err := b.part.Check(t.Context()); err != nil || len(found) != 0 {
		t.Errorf("%+v, %v", found, err)
	}
}

func (b *bench) job() {
	b.t.Helper()
	if mine, err := b.part.Run(b.t.Context(), "erase"); err != nil || !mine {
		b.t.Fatal(mine, err)
	}
}

func TestErase_AfterACrashWaitsForAPersonUntilTheModulesWereTold(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	start := b.clock.now()
	cut := func(e erasure) int64 {
		e.Once, e.State, e.Sentence, e.StartedAt, e.NextAt, e.Kept, e.Remaining = idText(e.UserID), stateRunning, saidBegun, start, start.Add(lease), "[]", "[]"
		if err := b.part.records.begin(t.Context(), &e); err != nil {
			t.Fatal(err)
		}
		return e.ID
	}
	early := cut(erasure{UserID: b.ann.UserID, ByID: b.officer.UserID, DeleteAccount: true})
	late := cut(erasure{UserID: b.bob.UserID, ByID: b.officer.UserID, DeleteAccount: true, AskedAt: &start})
	b.job()
	if b.erasures()[0].State != stateRunning || !b.exists(b.bob.UserID) {
		t.Fatal("the job took what a page works on")
	}
	if err := b.part.Privacy.Start(t.Context()); err != nil { // the program starts anew
		t.Fatal(err)
	}
	b.job()
	list := b.erasures()
	if list[0].ID != early || list[0].State != stateAttention || !b.exists(b.ann.UserID) || len(b.part.asked) != 1 {
		t.Errorf("cut short before the question: %+v, asked %v", list[0], b.part.asked)
	}
	if list[1].ID != late || list[1].State != stateDone || b.exists(b.bob.UserID) {
		t.Errorf("cut short after it: %+v", list[1])
	}
	found, err := b.part.Check(t.Context())
	if err != nil || len(found) != 1 || !strings.Contains(found[0].Remedy, "Go on") {
		t.Errorf("%+v, %v", found, err)
	}
	if a := b.Post(b.officer, b.page(b.bob.UserID)+"/erase", form("go_on", idText(early))); a.Status != http.StatusNotFound {
		t.Errorf("another customer's record: %d", a.Status)
	}
	a := b.Post(b.officer, b.page(b.ann.UserID)+"/erase", form("go_on", idText(early)))
	if a.Status != http.StatusSeeOther || !strings.HasPrefix(a.Flash, "good ") || b.exists(b.ann.UserID) || b.erasures()[0].State != stateDone {
		t.Errorf("%d %q %+v", a.Status, a.Flash, b.erasures()[0])
	}
}

func TestErase_TheFactTellsWhatACrashHasKeptFromTheRecord(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	now := b.clock.now()
	e := erasure{Once: "A", UserID: b.ann.UserID, ByID: b.officer.UserID, State: stateAttention, Sentence: saidUnsure, StartedAt: now, NextAt: now, Kept: "[]", Remaining: "[]", DeleteAccount: true}
	if err := b.part.records.begin(t.Context(), &e); err != nil {
		t.Fatal(err)
	}
	for range 2 { // facts may come twice
		if err := b.part.Deliver(t.Context(), sdk.Event{Name: "user.erase_requested", Subject: "user/" + idText(b.ann.UserID)}); err != nil {
			t.Fatal(err)
		}
	}
	if got := b.erasures()[0]; got.AskedAt == nil || got.State != stateRunning {
		t.Errorf("%+v", got)
	}
	b.job()
	if got := b.erasures()[0]; got.State != stateDone || b.exists(b.ann.UserID) {
		t.Errorf("%+v", got)
	}
}

func TestErase_ARefusedDeletionLeavesTheAccountAndSaysSo(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.part.stay = "The account has an open order."
	a := b.Post(b.officer, b.page(b.ann.UserID)+"/erase", form("wish", "account", "confirm", "ann@example.com"))
	if e := b.erasures()[0]; a.Status != http.StatusSeeOther || !strings.Contains(a.Flash, "open order") || e.State != stateAttention || e.Sentence != saidNoLeave || !b.exists(b.ann.UserID) {
		t.Errorf("%q %+v", a.Flash, e)
	}
	b.part.stay = ""
	a = b.Post(b.officer, b.page(b.ann.UserID)+"/erase", form("go_on", "1"))
	if e := b.erasures()[0]; !strings.HasPrefix(a.Flash, "good ") || e.State != stateDone || b.exists(b.ann.UserID) {
		t.Errorf("%q %+v", a.Flash, e)
	}
}
