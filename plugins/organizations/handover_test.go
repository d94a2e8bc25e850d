package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"mortise/core/fault"
	"mortise/plugins/internal/moduletest"
)

// makeServer creates a client for shadow customers of the lamps.
func (b *bench) makeServer(t *testing.T) (moduletest.Answer, shownCreated) {
	t.Helper()
	a := b.Post(ada, first+"/clients/new", url.Values{"purpose": {forServer}, "name": {"Lamp server"}, "product": {"10001"}, "once": {newOnce()}})
	if a.Status != http.StatusCreated {
		t.Fatalf("answered %d: %s", a.Status, a.Body)
	}
	return a, decode[shownCreated](t, a)
}

func TestHandOver_GivesAServersClientToCustomersAndErasesTheSecret(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	_, d := b.makeServer(t)
	if d.Operation.HandOverTo != "Use for shadow customers" || len(b.Host.Sealed("handover")) != 1 {
		t.Fatalf("offered %+v", d.Operation)
	}
	b.shadows.fail = fault.New(fault.Denied, "no")
	if a := b.Post(ada, d.Operation.Path+"/hand-over", url.Values{"once": {newOnce()}}); !strings.HasPrefix(a.Flash, "bad You may not set up Customers") {
		t.Errorf("refused: %q", a.Flash)
	}
	b.shadows.fail = nil
	a := b.Post(ada, d.Operation.Path+"/hand-over", url.Values{"once": {newOnce()}})
	if !strings.HasPrefix(a.Flash, "good Customers makes shadow customers with the client "+d.ClientID) || b.linking.clientID != "" {
		t.Fatalf("handed over: %q", a.Flash)
	}
	got := b.shadows.clients[0]
	if got["client_id"] != d.ClientID || got["client_secret"] != d.Secret || got["base_url"] != b.url || got["product_id"] != "10001" || got["workspace_id"] != float64(1) {
		t.Errorf("handed over %v", got["client_id"])
	}
	if len(b.Host.Sealed("handover")) != 0 || strings.Contains(b.Host.LogText(), d.Secret) {
		t.Error("the secret is still somewhere")
	}
	if body := b.Get(ada, root+"/operations").Body; !strings.Contains(body, "Use an OAuth client for shadow customers") || strings.Contains(body, d.Secret) {
		t.Error("the operations do not tell it right")
	}
}

func TestHandOver_KeepsNoSecretThatNobodyCanTake(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	b.shadows.absent = true
	if _, d := b.makeServer(t); d.Operation.HandOver || len(b.Host.Sealed("handover")) != 0 {
		t.Errorf("offered %+v", d.Operation)
	}
}

func TestHandOver_OfALateAnswerIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	_, d := b.makeServer(t)
	b.shadows.fail = fault.New(fault.Timeout, "late")
	if a := b.Post(ada, d.Operation.Path+"/hand-over", url.Values{"once": {newOnce()}}); !strings.HasPrefix(a.Flash, "warn ") {
		t.Fatalf("late: %q", a.Flash)
	}
	b.clock.forward(time.Minute)
	if err := b.module.Run(t.Context(), "resume"); err != nil || len(b.Host.Sealed("handover")) != 0 {
		t.Errorf("still kept: %v", err)
	}
}

func TestResume_LooksWhetherCustomersHadTheClient(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	_, d := b.makeServer(t)
	in := handOverInput{Source: d.Operation.ID, To: forServer}
	taken := b.cut(t, operation{Kind: opHandOver, Subject: d.ClientID, ProductID: "10001"}, in)
	elsewhere := b.cut(t, operation{Kind: opHandOver, Subject: d.ClientID, ProductID: "10002"}, handOverInput{Source: 99, To: forServer})
	b.shadows.clients = []map[string]any{{"client_id": d.ClientID, "workspace_id": 1, "product_id": "10001"}}
	b.restart(t)
	if got := b.stateOf(t, taken); got.State != opDone || !strings.HasPrefix(got.Sentence, "Customers ") || len(b.Host.Sealed("handover")) != 0 {
		t.Errorf("taken: %+v", got)
	}
	if got := b.stateOf(t, elsewhere); got.State != opFailed {
		t.Errorf("not taken: %+v", got)
	}
}
