package people

import (
	"fmt"
	"testing"

	"mortise/core/sdk"
	"mortise/plugins/customers/history"
)

// What was erased must not come back as news about somebody who is only still there.
func TestErase_KeepsThePlaceInTheListAndTellsNothingNew(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.customer(t, "Nina", "nina@example.com")
	b.Post(b.ada, PathOf(p.ID)+"/notes", once("text", "Likes green"))
	fact := func(name, payload string) {
		t.Helper()
		if err := b.people.Deliver(t.Context(), sdk.Event{Name: name, Subject: fmt.Sprintf("user/%d", p.ID), Payload: []byte(payload), Time: b.people.site.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	fact("linking.account_linked", `{"account_id":7}`)
	for range 2 {
		fact("user.erase_requested", "{}")
		if err := history.Forget(t.Context(), b.people.store.db, p.ID); err != nil { // as the whole module does, last
			t.Fatal(err)
		}
		fact("linking.account_unlinked", `{"account_id":7}`)
		fact("user.changed", "{}")
		if _, err := b.people.Run(t.Context(), "sync"); err != nil {
			t.Fatal(err)
		}
	}
	if notes, err := b.people.store.notes(t.Context(), p.ID); err != nil || len(notes) != 0 {
		t.Errorf("notes: %v, %v", notes, err)
	}
	if told, _, err := history.List(t.Context(), b.people.store.db, history.Filter{UserID: p.ID, Limit: 10}); err != nil || len(told) != 0 {
		t.Errorf("the history says %+v, %v", told, err)
	}
	if now := b.now(t, p.ID); now.Name != "Nina" || now.Linked != 0 || now.InvitedAt != nil {
		t.Errorf("in the list stands %+v", now)
	}
}
