package main

import (
	"strings"
	"testing"

	"mortise/plugins/internal/particle"
)

func TestResume_EndsAnInvitationAndARemoval(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.organize(t)
	in := memberInput{Team: "Garden lamp", Username: bob}
	c, err := particle.New(particle.Options{BaseURL: b.url})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.InviteMember(t.Context(), b.token, particle.TeamOf{Product: "10001"}, bob, ""); err != nil {
		t.Fatal(err)
	}
	invited := b.cut(t, operation{Kind: opMemberInvite, ProductID: "10001", Name: bob}, in)
	b.restart(t)
	if got := b.stateOf(t, invited); got.State != opDone {
		t.Errorf("recorded %+v", got)
	}
	removed := b.cut(t, operation{Kind: opMemberRemove, ProductID: "10001", Name: bob}, in)
	b.restart(t)
	if got := b.stateOf(t, removed); got.State != opDone || named(decode[shownMembers](t, b.Get(ada, first+"/team?product=10001")).Members, bob) != nil {
		t.Errorf("recorded %+v", got)
	}
}

func TestClients_SayWhoUsesThemBeforeTheyAreDeleted(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.token = b.cloud.IssueToken(maker, "old-client-1")
	b.connect(t)
	at := first + "/clients/old-client-1/delete"
	b.shadows.absent = true
	d := decode[shownMembers](t, b.Get(ada, at))
	if len(d.Used.By) != 1 || !strings.HasPrefix(d.Used.By[0], "This workspace") || len(d.Used.Unasked) != 1 || !strings.HasPrefix(d.Used.Unasked[0], "Customers") {
		t.Errorf("without Customers: %+v", d.Used)
	}
	b.shadows.absent, b.linking.clientID = false, "old-client-1"
	b.shadows.clients = []map[string]any{{"client_id": "old-client-1", "workspace_id": 1, "product_id": "10001"}, {"client_id": "x", "workspace_id": 1, "product_id": "10002"}}
	if d = decode[shownMembers](t, b.Get(ada, at)); len(d.Used.By) != 3 || len(d.Used.Unasked) != 0 {
		t.Errorf("with all: %+v", d.Used)
	}
}
