package privacy

import (
	"net/http"
	"testing"
)

func TestErase_GoingOnTellsTheModulesOnceMore(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.keep(b.ann.UserID, "Ann Annerson lives at the harbour.")
	if a := b.Post(b.officer, b.page(b.ann.UserID)+"/erase", form("wish", "data", "confirm", "ann@example.com")); a.Status != http.StatusSeeOther {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	b.DeliverFacts()
	b.keep(b.ann.UserID, "Ann Annerson came back.") // before anybody has seen that the modules were done
	e := b.erasures()[0]
	if a := b.Post(b.officer, b.page(b.ann.UserID)+"/erase", form("go_on", idText(e.ID))); a.Status != http.StatusSeeOther {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	b.DeliverFacts()
	if a := b.Get(b.officer, b.page(b.ann.UserID)); a.Status != http.StatusOK {
		t.Fatal(a.Status)
	}
	if e = b.erasures()[0]; e.State != stateDone || e.ModulesAt == nil {
		t.Errorf("%+v", e)
	}
	for _, entry := range b.history(b.ann.UserID) {
		t.Errorf("still there: %v", entry)
	}
}
