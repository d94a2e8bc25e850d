package ownership

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"gorm.io/gorm"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/customers/history"
	"mortise/plugins/customers/people"
	"mortise/plugins/internal/attachapi"
)

func TestAttach_IsSeenAtOnceByTheServiceAndTheList(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ann := b.customer(t, "Ann")
	b.attach(t, ann, deviceID(1), strings.ToUpper(deviceID(2)))

	out, err := b.owner.Call(t.Context(), sdk.Call{Service: attachapi.Service, Method: attachapi.List, User: ann})
	if err != nil {
		t.Fatal(err)
	}
	got := attachedOf(t, out)
	if len(got.Devices) != 2 || got.Devices[0].Name != "lamp-01" || got.Devices[0].Way != attachapi.Product || got.Devices[0].Product != "Garden lamp" || got.Products == nil {
		t.Errorf("the service lists %+v", got)
	}
	p, err := b.people.Get(t.Context(), ann.UserID)
	if err != nil || p.Devices != 2 || p.State != people.StateDevices {
		t.Errorf("the list of customers has %+v, %v", p, err)
	}
	facts := b.Host.Events(attachapi.DeviceAttached)
	if len(facts) != 2 || facts[0].Subject != fmt.Sprintf("user/%d", ann.UserID) || !strings.Contains(string(facts[0].Payload), `"way":"product"`) {
		t.Errorf("facts: %+v", facts)
	}
	b.attach(t, ann, deviceID(1)) // again: nothing happens
	if n := len(b.Host.Events(attachapi.DeviceAttached)); n != 2 {
		t.Errorf("attaching again published a fact: %d", n)
	}
}

func TestAttach_WhatSomebodyElseHasIsRefusedAndNothingIsWritten(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ann, bob := b.customer(t, "Ann"), b.customer(t, "Bob")
	b.attach(t, ann, deviceID(2))
	a := b.Post(b.ada, personPage(bob, "attach"), url.Values{"product": {lampKey}, "device": {deviceID(1), deviceID(2), deviceID(3)}})
	if a.Status != http.StatusConflict || !strings.Contains(a.Body, "attached to another customer") {
		t.Errorf("answered %d: %s", a.Status, a.Body)
	}
	if ids := b.has(t, bob); len(ids) != 0 {
		t.Errorf("Bob has %v", ids)
	}
	data := decode[struct{ Devices []candidate }](t, b.Get(b.ada, personPage(bob, "attach")+"?product="+lampKey))
	i := slices.IndexFunc(data.Devices, func(c candidate) bool { return c.ID == deviceID(2) })
	if i < 0 || data.Devices[i].Holder != "Ann" || data.Devices[i].Mine {
		t.Errorf("the page marks %+v", data.Devices)
	}
}

func TestAttach_UnknownDevicesAreRefusedInASentence(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ann := b.customer(t, "Ann")
	for name, c := range map[string]struct {
		ids  string
		want string
	}{
		"not in the product": {deviceID(1) + "\n" + deviceID(777), "is not in this product"},
		"several":            {deviceID(777) + "," + deviceID(778), "2 devices are not in this product"},
		"no id at all":       {"garden lamp", "is not the id of a device"},
	} {
		a := b.Post(b.ada, personPage(ann, "attach"), url.Values{"product": {lampKey}, "ids": {c.ids}})
		if a.Status != http.StatusUnprocessableEntity || !strings.Contains(a.View.FieldErrors["ids"], c.want) {
			t.Errorf("%s: answered %d %v", name, a.Status, a.View.FieldErrors)
		}
	}
	if ids := b.has(t, ann); len(ids) != 0 {
		t.Errorf("Ann has %v", ids)
	}
}

func TestAttach_WhenParticleCannotBeAskedNothingChangesAndThePageSaysSo(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ann := b.customer(t, "Ann")
	for _, spec := range []string{"503", "429", "html", "drop", "hang"} {
		b.fault(t, spec)
		a := b.Post(b.ada, personPage(ann, "attach"), url.Values{"product": {lampKey}, "device": {deviceID(1)}})
		if a.Status < 400 || !strings.Contains(a.Body, `"trouble":{"kind"`) {
			t.Errorf("%s: answered %d: %s", spec, a.Status, a.Body)
		}
		b.noFaults()
	}
	b.services.set(func(s *services) { s.fail = fault.New(fault.Unavailable, "organizations does not run") })
	a := b.Post(b.ada, personPage(ann, "attach"), url.Values{"product": {lampKey}, "device": {deviceID(1)}})
	if a.Status != http.StatusServiceUnavailable || !strings.Contains(a.Body, "Organizations does not answer") {
		t.Errorf("without organizations: answered %d: %s", a.Status, a.Body)
	}
	if ids := b.has(t, ann); len(ids) != 0 {
		t.Errorf("Ann has %v", ids)
	}
}

func TestDetach_IsImmediateAndCanBeUndone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ann, bob := b.customer(t, "Ann"), b.customer(t, "Bob")
	b.attach(t, ann, deviceID(1), deviceID(2))
	b.detach(t, ann, deviceID(1))
	if ids := b.has(t, ann); !slices.Equal(ids, []string{deviceID(2)}) {
		t.Errorf("Ann has %v", ids)
	}
	verdict := b.check(t, ann, deviceID(1))
	if verdict.Attached || verdict.Device != nil {
		t.Errorf("the check says %+v", verdict)
	}
	if n := len(b.Host.Events(attachapi.DeviceDetached)); n != 1 {
		t.Errorf("%d facts", n)
	}
	data := decode[struct{ Detached []deviceView }](t, b.Get(b.ada, personPage(ann, "devices")))
	if len(data.Detached) != 1 || data.Detached[0].DeviceID != deviceID(1) {
		t.Fatalf("the page offers to undo %+v", data.Detached)
	}
	form := url.Values{"version": {fmt.Sprint(data.Detached[0].Version)}}
	for range 2 { // the second time is a double click
		if a := b.Post(b.ada, devicePath(deviceID(1))+"/undo", form); a.Status != http.StatusSeeOther || strings.HasPrefix(a.Flash, "bad") {
			t.Fatalf("undoing answered %d %q", a.Status, a.Flash)
		}
	}
	if v := b.check(t, ann, deviceID(1)); !v.Attached {
		t.Error("it is not attached again")
	}
	b.detach(t, ann, deviceID(1))
	b.attach(t, bob, deviceID(1))
	if a := b.Post(b.ada, devicePath(deviceID(1))+"/undo", form); !strings.Contains(a.Flash, "too late") {
		t.Errorf("undoing what Bob has by now: %q", a.Flash)
	}
	if v := b.check(t, ann, deviceID(1)); v.Attached {
		t.Error("Ann has Bob's device")
	}
}

func TestDetach_TwiceSaysThatItWasDone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ann, bob := b.customer(t, "Ann"), b.customer(t, "Bob")
	b.attach(t, ann, deviceID(1))
	b.detach(t, ann, deviceID(1))
	if a := b.Post(b.ada, personPage(ann, "detach"), url.Values{"device": {deviceID(1)}}); a.Status != http.StatusSeeOther || !strings.Contains(a.Flash, "already") {
		t.Errorf("answered %d %q", a.Status, a.Flash)
	}
	b.attach(t, ann, deviceID(1))
	if a := b.Post(b.ada, personPage(bob, "detach"), url.Values{"device": {deviceID(1)}}); a.Status != http.StatusNotFound {
		t.Errorf("detaching Ann's device from Bob answered %d", a.Status)
	}
	if v := b.check(t, ann, deviceID(1)); !v.Attached {
		t.Error("Ann's device is gone")
	}
}

func TestTransfer_OfTwoAdministratorsTheSecondIsTold(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ann, bob, cleo := b.customer(t, "Ann"), b.customer(t, "Bob"), b.customer(t, "Cleo")
	b.attach(t, ann, deviceID(1))
	page := decode[struct {
		Device deviceView
		People []people.PersonView
	}](t, b.Get(b.ada, devicePath(deviceID(1))+"/transfer?q=bob"))
	if len(page.People) != 1 || page.People[0].ID != bob.UserID {
		t.Fatalf("the page finds %+v", page.People)
	}
	version := fmt.Sprint(page.Device.Version)
	to := func(who sdk.Identity) url.Values {
		return url.Values{"to": {fmt.Sprint(who.UserID)}, "version": {version}}
	}
	if a := b.Post(b.ada, devicePath(deviceID(1))+"/transfer", to(bob)); a.Status != http.StatusSeeOther {
		t.Fatalf("answered %d: %s", a.Status, a.Body)
	}
	if a := b.Post(b.ada, devicePath(deviceID(1))+"/transfer", to(cleo)); a.Status != http.StatusConflict || !strings.Contains(a.Body, "Somebody else has changed this") {
		t.Errorf("the second one: answered %d: %s", a.Status, a.Body)
	}
	if a := b.Post(b.ada, devicePath(deviceID(1))+"/transfer", to(bob)); a.Status != http.StatusSeeOther { // a double click
		t.Errorf("the first once more: answered %d", a.Status)
	}
	if len(b.has(t, ann)) != 0 || len(b.has(t, bob)) != 1 || len(b.has(t, cleo)) != 0 {
		t.Errorf("Ann %v, Bob %v, Cleo %v", b.has(t, ann), b.has(t, bob), b.has(t, cleo))
	}
	if len(b.Host.Events(attachapi.DeviceDetached)) != 1 || len(b.Host.Events(attachapi.DeviceAttached)) != 2 {
		t.Errorf("facts: %+v", b.Host.Events(""))
	}
	past := decode[struct{ History []struct{ Sentence string } }](t, b.Get(b.ada, devicePath(deviceID(1))))
	if len(past.History) != 3 {
		t.Errorf("history: %+v", past.History)
	}
}

func TestWholeProduct_BelongsToOneCustomerWithAllItsDevices(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ann, bob := b.customer(t, "Ann"), b.customer(t, "Bob")
	b.attach(t, bob, deviceID(1))
	whole := url.Values{"product": {lampKey}, "action": {"product"}, "confirm": {"on"}}
	if a := b.Post(b.ada, personPage(ann, "attach"), whole); a.Status != http.StatusConflict || !strings.Contains(a.Body, "1 device is attached to other customers") {
		t.Fatalf("with a device of Bob's: answered %d: %s", a.Status, a.Body)
	}
	b.detach(t, bob, deviceID(1))
	if a := b.Post(b.ada, personPage(ann, "attach"), url.Values{"product": {lampKey}, "action": {"product"}}); a.Status != http.StatusUnprocessableEntity || a.View.FieldErrors["confirm"] == "" {
		t.Errorf("unconfirmed: answered %d %v", a.Status, a.View.FieldErrors)
	}
	if a := b.Post(b.ada, personPage(ann, "attach"), whole); a.Status != http.StatusSeeOther {
		t.Fatalf("answered %d: %s", a.Status, a.Body)
	}
	if v := b.check(t, ann, deviceID(7)); v.Attached || v.Product == nil || v.Product.ProductID != lamp {
		t.Errorf("the check says %+v", v)
	}
	if v := b.check(t, bob, deviceID(7)); v.Product != nil {
		t.Errorf("the check tells Bob %+v", v)
	}
	if a := b.Post(b.ada, personPage(bob, "attach"), url.Values{"product": {lampKey}, "device": {deviceID(1)}}); a.Status != http.StatusConflict || !strings.Contains(a.Body, "as a whole") {
		t.Errorf("a device of it for Bob: answered %d: %s", a.Status, a.Body)
	}
	if a := b.Post(b.ada, personPage(bob, "attach"), whole); a.Status != http.StatusConflict {
		t.Errorf("the product for Bob: answered %d", a.Status)
	}
	if a := b.Post(b.ada, root+"/products/"+lampKey, url.Values{"way": {"account"}, "version": {"0"}, "confirm": {"on"}}); a.Status != http.StatusConflict {
		t.Errorf("another way for it: answered %d", a.Status)
	}
	if a := b.Post(b.ada, personPage(ann, "detach"), url.Values{"product": {lampKey}}); a.Status != http.StatusSeeOther {
		t.Errorf("detaching answered %d", a.Status)
	}
	if v := b.check(t, ann, deviceID(7)); v.Product != nil {
		t.Error("Ann still has the product")
	}
	if len(b.Host.Events(attachapi.ProductAttached)) != 1 || len(b.Host.Events(attachapi.ProductDetached)) != 1 {
		t.Errorf("facts: %+v", b.Host.Events(""))
	}
}

func TestCheck_NamesTheProductThatHasTheDeviceAmongSeveral(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ann := b.customer(t, "Ann")
	for _, key := range []string{"1/" + pump, lampKey} {
		if a := b.Post(b.ada, personPage(ann, "attach"), url.Values{"product": {key}, "action": {"product"}, "confirm": {"on"}}); a.Status != http.StatusSeeOther {
			t.Fatalf("answered %d: %s", a.Status, a.Body)
		}
	}
	if v := b.check(t, ann, deviceID(3)); v.Product == nil || v.Product.ProductID != lamp {
		t.Errorf("the check says %+v", v.Product)
	}
}

func TestAttach_OfTwoAtTheSameMomentOneWins(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ann, bob := b.customer(t, "Ann"), b.customer(t, "Bob")
	for n := 1; n <= 5; n++ {
		var both sync.WaitGroup
		failed := make([]error, 2)
		for i, who := range []sdk.Identity{ann, bob} {
			both.Go(func() {
				_, failed[i] = b.owner.AttachMany(t.Context(), Many{UserID: who.UserID, WorkspaceID: 1, ProductID: lamp, Product: "Garden lamp", DeviceIDs: []string{deviceID(n), deviceID(n + 10)}})
			})
		}
		both.Wait()
		if (failed[0] == nil) == (failed[1] == nil) || !fault.Is(errors.Join(failed...), fault.Conflict) {
			t.Errorf("%v", failed)
		}
		held, err := b.owner.HoldersOf(t.Context(), []string{deviceID(n), deviceID(n + 10), deviceID(29)})
		if err != nil || len(held) != 2 || held[deviceID(n)] != held[deviceID(n+10)] {
			t.Errorf("%v, %v", held, err)
		}
	}
	if n := len(b.has(t, ann)) + len(b.has(t, bob)); n != 10 {
		t.Errorf("%d are attached", n)
	}
}

func TestAttach_NobodyWhoIsGoneGetsAnything(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ann := b.customer(t, "Ann")
	if err := b.module.Deliver(t.Context(), sdk.Event{Name: "user.deleted", Subject: fmt.Sprintf("user/%d", ann.UserID)}); err != nil {
		t.Fatal(err)
	}
	for what, attach := range map[string]func(tx *gorm.DB) error{
		"a device": func(tx *gorm.DB) error {
			_, err := b.owner.AttachIn(tx, Attach{UserID: ann.UserID, WorkspaceID: 1, ProductID: lamp, DeviceID: deviceID(1)})
			return err
		},
		"a product": func(tx *gorm.DB) error {
			return b.owner.GrantIn(tx, ann.UserID, 1, lamp, "Garden lamp", history.Actor{})
		},
	} {
		if err := b.db.Transaction(attach); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "not here any more") {
			t.Errorf("%s: %v", what, err)
		}
	}
	var rows int64
	if err := b.db.Raw("SELECT (SELECT count(*) FROM customers_attachments) + (SELECT count(*) FROM customers_grants)").Scan(&rows).Error; err != nil || rows != 0 {
		t.Errorf("%d rows, %v", rows, err)
	}
	b.attach(t, ann, deviceID(1)) // this site still has the account, and her page has been opened: she is a customer as any other
}

func TestAttach_NobodyGetsMoreThanTheirPagesCanShow(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ann := b.customer(t, "Ann")
	rows := make([]attachment, maxOfPerson-1)
	for i := range rows {
		rows[i] = attachment{DeviceID: fmt.Sprintf("0c10aced202194944a%06d", i), UserID: ann.UserID, WorkspaceID: 1, ProductID: lamp, Way: attachapi.Product, Version: 1, AttachedAt: b.clock.now()}
	}
	if err := b.db.CreateInBatches(rows, 500).Error; err != nil {
		t.Fatal(err)
	}
	a := b.Post(b.ada, personPage(ann, "attach"), url.Values{"product": {lampKey}, "device": {deviceID(1), deviceID(2)}})
	if a.Status != http.StatusConflict || !strings.Contains(a.Body, "Attach the whole product instead") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	b.attach(t, ann, deviceID(1))
}
