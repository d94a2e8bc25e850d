package ownership

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"mortise/plugins/internal/attachapi"
)

func TestMove_TakesWhatIsAttachedToTheWorkspaceThatCameBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ann := b.customer(t, "Ann")
	b.attach(t, ann, deviceID(1), deviceID(2))
	if err := b.db.Exec("UPDATE customers_attachments SET workspace_id = 7").Error; err != nil { // it was removed and added again
		t.Fatal(err)
	}
	old := root + "/products/7/" + lamp
	if data := decode[struct{ Targets []productView }](t, b.Get(b.ada, old)); len(data.Targets) != 1 || data.Targets[0].WorkspaceID != 1 {
		t.Fatalf("the page offers %+v", data.Targets)
	}
	form := url.Values{"to": {"1"}, "attached": {"1"}, "confirm": {"on"}}
	if a := b.Post(b.ada, old+"/move", form); !strings.HasPrefix(a.Flash, "bad ") { // somebody attached another one meanwhile
		t.Errorf("an old page: %d %q", a.Status, a.Flash)
	}
	form.Set("attached", "2")
	facts := len(b.Host.Events(attachapi.DeviceAttached))
	if a := b.Post(b.ada, old+"/move", form); !strings.HasPrefix(a.Flash, "good ") {
		t.Fatalf("answered %d %q %s", a.Status, a.Flash, a.Body)
	}
	if v := b.check(t, ann, deviceID(2)); !v.Attached || v.Device.WorkspaceID != 1 {
		t.Errorf("the check says %+v", v)
	}
	if n := len(b.Host.Events(attachapi.DeviceAttached)) - facts; n != 2 || len(b.Host.Events(attachapi.DeviceDetached)) != 2 {
		t.Errorf("%d facts", n)
	}
	if a := b.Post(b.ada, old+"/move", form); a.Status != http.StatusNotFound {
		t.Errorf("the second of two: %d %q", a.Status, a.Flash)
	}
}

func TestMove_WhatIsInBothStaysTogetherUnlessAWholeProductIsInTheWay(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ann, bob := b.customer(t, "Ann"), b.customer(t, "Bob")
	b.attach(t, ann, deviceID(1))
	if err := b.db.Exec("UPDATE customers_attachments SET workspace_id = 7").Error; err != nil {
		t.Fatal(err)
	}
	move, form := root+"/products/7/"+lamp+"/move", url.Values{"to": {"1"}, "attached": {"1"}, "confirm": {"on"}}
	if err := b.db.Create(&grant{UserID: bob.UserID, WorkspaceID: 1, ProductID: lamp}).Error; err != nil {
		t.Fatal(err)
	}
	a := b.Post(b.ada, move, form)
	if d, err := b.owner.OfDevice(t.Context(), deviceID(1)); !strings.HasPrefix(a.Flash, "bad ") || err != nil || d.WorkspaceID != 7 {
		t.Errorf("%q, %+v, %v", a.Flash, d, err)
	}
	if err := b.db.Exec("DELETE FROM customers_grants").Error; err != nil {
		t.Fatal(err)
	}
	b.attach(t, bob, deviceID(2))
	if err := b.db.Create(&productRow{WorkspaceID: 7, ProductID: lamp, Way: attachapi.Account, Version: 3, ChangedAt: b.clock.now()}).Error; err != nil {
		t.Fatal(err)
	}
	if a := b.Post(b.ada, move, form); !strings.HasPrefix(a.Flash, "good ") {
		t.Fatalf("%d %q", a.Status, a.Flash)
	}
	for id, who := range map[string]int64{deviceID(1): ann.UserID, deviceID(2): bob.UserID} {
		if d, err := b.owner.OfDevice(t.Context(), id); err != nil || d.WorkspaceID != 1 || d.UserID != who || d.Way != attachapi.Account {
			t.Errorf("%+v, %v", d, err)
		}
	}
}
