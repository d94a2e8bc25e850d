package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"mortise/plugins/internal/particle/particletest"
)

type shownDevices struct {
	Devices []deviceView `json:"devices"`
	Pages   int          `json:"pages"`
	Trouble *trouble     `json:"trouble"`
}

func TestDevices_AreListedByPageAndFilter(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	for i := range 40 {
		b.cloud.AddDevice(particletest.Device{ID: fmt.Sprintf("0a10aced202194944a0001%02x", i), Name: fmt.Sprintf("pump-%02d", i), Owner: maker, Product: "10002", Platform: 6})
	}
	d := decode[shownDevices](t, b.Get(staff, first+"/devices?product=10002&page=2"))
	if d.Pages != 2 || len(d.Devices) != 15 {
		t.Errorf("second page: %d of %d pages", len(d.Devices), d.Pages)
	}
	d = decode[shownDevices](t, b.GetJSON(staff, first+"/devices?product=10002&name=pump-07"))
	if len(d.Devices) != 1 || d.Devices[0].Name != "pump-07" {
		t.Errorf("found %+v", d.Devices)
	}
	b.cloud.Faults.Set(particletest.Faults{Rules: []particletest.Rule{{Prefix: "/v1/products/10002/devices", Status: 403}}})
	if d := decode[shownDevices](t, b.Get(staff, first+"/devices?product=10002")); d.Trouble == nil || d.Trouble.Scope != "devices:list" {
		t.Errorf("refused: %+v", d.Trouble)
	}
}

func TestDevices_AreChangedAndTakenOut(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	at := first + "/devices/" + lamp
	form := url.Values{"product": {"10001"}, "name": {"Porch"}, "notes": {"north wall"}, "groups": {"north, bench"}, "once": {newOnce()}}
	if a := b.Post(ada, at, form); !strings.HasPrefix(a.Flash, "good ") {
		t.Fatalf("answered %d %q %s", a.Status, a.Flash, a.Body)
	}
	d := decode[struct {
		Device deviceView `json:"device"`
	}](t, b.Get(ada, at+"?product=10001")).Device
	if d.Name != "Porch" || d.Notes != "north wall" || strings.Join(d.Groups, ",") != "north,bench" {
		t.Errorf("is %+v", d)
	}
	if a := b.Post(ada, at+"/remove", url.Values{"product": {"10001"}, "confirm": {"Porch"}, "once": {newOnce()}}); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("by its name: %d", a.Status)
	}
	if a := b.Post(ada, at+"/remove", url.Values{"product": {"10001"}, "confirm": {lamp}, "once": {newOnce()}}); !strings.HasPrefix(a.Flash, "good ") {
		t.Errorf("taken out: %d %q", a.Status, a.Flash)
	}
	if a := b.Get(ada, at+"?product=10001"); a.Status != http.StatusNotFound {
		t.Errorf("still there: %d", a.Status)
	}
}

func TestResume_RepeatsAChangeOfADevice(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	name := "Half done"
	groups := []string{"north"}
	id := b.cut(t, operation{Kind: opDeviceChange, ProductID: "10001", Subject: lamp, Name: "lamp"}, deviceInput{Name: &name, Groups: &groups})
	b.restart(t)
	if got := b.stateOf(t, id); got.State != opDone {
		t.Errorf("recorded %+v", got)
	}
	d := decode[shownDevices](t, b.Get(staff, first+"/devices?product=10001&name=half"))
	if len(d.Devices) != 1 || len(d.Devices[0].Groups) != 1 {
		t.Errorf("is %+v", d.Devices)
	}
}
