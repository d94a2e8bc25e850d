package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"mortise/core/fault"
	"mortise/plugins/internal/attachapi"
	"mortise/plugins/internal/moduletest"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/particle/particletest"
	"mortise/plugins/internal/productapi"
)

func TestMissing_ADeviceForTheOwnAccountLeadsToItsSetUp(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.maker.attach(ann, given(heater, attachapi.Account))
	b.maker.attach(carl, given(heater, attachapi.Account)) // who has linked nothing
	setup := "/customers/setup?device=" + heater
	list := decode[listData](t, b.GetJSON(ann, "/devices"))
	if d := findDevice(list.Devices, heater); len(list.Devices) != 5 || d == nil || d.Absent == nil || d.Absent.Setup != setup || d.Name != "as sold" || d.Online || len(list.Troubles) != 0 {
		t.Fatalf("%+v", list.Devices)
	}
	if list := decode[listData](t, b.GetJSON(carl, "/devices")); len(list.Devices) != 1 || list.Devices[0].Absent.Setup != setup {
		t.Errorf("%+v", list)
	}
	if page := decode[deviceData](t, b.GetJSON(ann, "/devices/"+heater)); page.Device.Absent == nil || page.Trouble.Setup != setup || page.Control {
		t.Errorf("%+v", page)
	}
	for _, r := range routesOf(heater)[1:] {
		a := b.Do(ann, r.method, r.path, r.form, "application/json")
		if r.method == "GET" && strings.HasSuffix(r.path, "/events") {
			continue // an empty list
		}
		if a.Status != http.StatusConflict || !strings.Contains(a.Body, "not_in_account") {
			t.Errorf("%s %s: %d %s", r.method, r.path, a.Status, a.Body)
		}
	}
	if a := b.Do(ann, "GET", "/devices/"+heater+"/events", nil, "text/event-stream"); a.Status != http.StatusConflict {
		t.Errorf("a stream: %d", a.Status)
	}
	if b.maker.asked() != 0 {
		t.Error("the maker's credential was used for a person's own device")
	}
}

func TestMissing_IsNotSaidWhileTheAccountCannotBeListed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.maker.attach(ann, given(heater, attachapi.Account))
	b.cloud.Faults.Set(particletest.Faults{Rules: []particletest.Rule{{Prefix: "/v1/devices", Status: 500}}})
	if d := findDevice(decode[listData](t, b.GetJSON(ann, "/devices")).Devices, heater); d == nil || d.Absent == nil || d.Absent.Setup != "" || d.Absent.Kind != "unknown" {
		t.Errorf("%+v", d)
	}
}

func TestMissing_ADeviceThatLeftItsProductIsNamed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	gone := "0b10aced2021949440000009"[:24]
	b.maker.attach(carl, given(gone, attachapi.Product), given(pump, attachapi.Product))
	list := decode[listData](t, b.GetJSON(carl, "/devices"))
	if d := findDevice(list.Devices, gone); len(list.Devices) != 2 || d == nil || d.Absent == nil || d.Absent.Kind != "not_in_product" || len(list.Troubles) != 0 {
		t.Fatalf("%+v", list)
	}
	if a := b.Do(carl, "POST", "/devices/"+gone+"/functions/led", url.Values{"arg": {"x"}}, "application/json"); a.Status != http.StatusConflict || b.maker.count(productapi.MethodCall) != 0 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

func TestAway_LinkedDevicesStayWithOneNotice(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.maker.attach(ann, given(pump, attachapi.Product))
	b.Get(ann, "/devices")
	b.maker.set(func() { b.maker.customersAway = true })
	list := decode[listData](t, b.GetJSON(ann, "/devices"))
	if len(list.Devices) != 4 || findDevice(list.Devices, pump) != nil || len(list.Notices) != 1 || !strings.Contains(list.Notices[0], "cannot be looked up") || !list.Attached {
		t.Fatalf("%+v", list)
	}
	if a := b.GetJSON(ann, "/devices/"+lamp); a.Status != http.StatusOK {
		t.Errorf("a linked device answered %d", a.Status)
	}
	if a := b.GetJSON(ann, "/devices/"+pump); a.Status != http.StatusServiceUnavailable {
		t.Errorf("a device that cannot be looked up answered %d", a.Status)
	}
	if n := b.maker.count("list"); n > 3 {
		t.Errorf("customers was asked %d times though it is away", n)
	}
}

func TestAway_TheMakersServiceShowsWhatWasKnownOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	second := given(heater, attachapi.Product)
	second.ProductID, second.Product = "777", "Heaters"
	b.maker.attach(ann, given(pump, attachapi.Product), second)
	b.Get(ann, "/devices/"+pump)
	b.maker.set(func() { b.maker.productAway = true })
	b.module.lists.drop(pumps + "/device/" + pump)
	list := decode[listData](t, b.GetJSON(ann, "/devices"))
	if len(list.Devices) != 6 || len(list.Troubles) != 1 || list.Troubles[0].Trouble.Kind != "maker_away" || list.Troubles[0].Label != "Garden pumps, Heaters" {
		t.Fatalf("%+v", list)
	}
	if d := findDevice(list.Devices, pump); d.Name != "fleet-0017" || d.Status != "Unknown" || d.Online || d.LastHeard == nil {
		t.Errorf("%+v", d)
	}
	if d := findDevice(list.Devices, heater); d.Name != "as sold" || d.Status != "Unknown" || d.Type != "" {
		t.Errorf("%+v", d)
	}
	page := decode[deviceData](t, b.GetJSON(ann, "/devices/"+pump))
	if v := findVariable(page.Variables, "led"); v.Text != "off" || v.State != "stale" || len(page.Functions) != 1 {
		t.Errorf("%+v", page)
	}
	before := b.maker.count(productapi.MethodCall)
	a := b.Do(ann, "POST", "/devices/"+pump+"/functions/led", url.Values{"arg": {"on"}}, "application/json")
	if v := decode[callData](t, a); v.State != "failed" || v.Kind != "maker_away" || b.maker.count(productapi.MethodCall) != before {
		t.Errorf("%d %+v", a.Status, v)
	}
}

func TestAway_OldStatesAreShownAsOld(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.maker.attach(carl, given(pump, attachapi.Product))
	b.maker.set(func() { b.maker.stale = true })
	list := decode[listData](t, b.GetJSON(carl, "/devices"))
	if d := list.Devices[0]; !d.Stale || d.Status != "Unknown" || len(list.Troubles) != 1 || list.Troubles[0].Trouble.Kind != string(particle.Upstream) {
		t.Errorf("%+v", list)
	}
}

func TestAway_LinkingLeavesTheMakersDevices(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.linked.set(carl)
	b.maker.attach(carl, given(pump, attachapi.Product))
	b.linked.mu.Lock()
	b.linked.away = true
	b.linked.mu.Unlock()
	list := decode[listData](t, b.GetJSON(carl, "/devices"))
	if len(list.Devices) != 1 || len(list.Notices) != 0 || list.Linking {
		t.Fatalf("a site without linking shows %+v", list)
	}
	if a := b.GetJSON(carl, "/devices/"+pump); a.Status != http.StatusOK {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := b.GetJSON(carl, "/devices/"+heater); a.Status != http.StatusNotFound {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

func TestAway_LinkingThatIsPausedIsSaid(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Get(ann, "/devices")
	b.linked.mu.Lock()
	b.linked.away = true
	b.linked.mu.Unlock()
	if list := decode[listData](t, b.GetJSON(ann, "/devices")); len(list.Notices) != 1 || !strings.Contains(list.Notices[0], "linked accounts") || !list.Linking {
		t.Errorf("%+v", list)
	}
	if a := b.GetJSON(ann, "/devices/"+lamp); a.Status != http.StatusServiceUnavailable {
		t.Errorf("answered %d", a.Status)
	}
}

func TestUnused_CustomersIsNotAskedAllTheTime(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for range 10 {
		if list := decode[listData](t, b.GetJSON(ann, "/devices")); len(list.Notices) != 0 || list.Attached || len(list.Devices) != 4 {
			t.Fatalf("%+v", list)
		}
	}
	if n := b.maker.count("list"); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestGrant_ListsAndSearchesTheWholeProduct(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.module.patience.list = time.Minute // whatever the machine does besides
	b.maker.grant(carl, attachapi.Product)
	b.maker.more(1200)
	list := decode[listData](t, b.GetJSON(carl, "/devices"))
	if len(list.Devices) != maxDevices || list.Products[0].Total != 1202 || list.Count != maxDevices {
		t.Fatalf("%d devices, %+v", len(list.Devices), list.Products)
	}
	calls := b.maker.count(productapi.MethodDevices)
	second := decode[listData](t, b.Get(carl, "/devices?page=2"))
	if len(second.Devices) != perPage || second.Page != 2 || second.Devices[0].ID == list.Devices[0].ID || b.maker.count(productapi.MethodDevices) != calls {
		t.Errorf("page 2 has %d devices after %d calls", len(second.Devices), b.maker.count(productapi.MethodDevices)-calls)
	}
	if last := decode[listData](t, b.Get(carl, "/devices?page=999")); last.Page != 17 || len(last.Devices) != 40 {
		t.Errorf("page %d with %d devices", last.Page, len(last.Devices))
	}
	found := decode[listData](t, b.Get(carl, "/devices?q=more-1199"))
	if len(found.Devices) != 1 || found.Devices[0].Name != "more-1199" {
		t.Errorf("%+v", found.Devices)
	}
	if none := decode[listData](t, b.Get(carl, "/devices?q=nothing+has+this")); len(none.Devices) != 0 || none.Search == "" {
		t.Errorf("%+v", none)
	}
	id := found.Devices[0].ID
	if a := b.GetJSON(carl, "/devices/"+id); a.Status != http.StatusOK {
		t.Errorf("a device beyond the list answered %d", a.Status)
	}
	if a := b.GetJSON(carl, "/devices/"+bobsLamp); a.Status != http.StatusNotFound || strings.Contains(a.Body, "Bob") {
		t.Errorf("a device outside the product answered %d", a.Status)
	}
}

func TestGrant_LeavesOutDevicesThatAreAttachedToSomebodyElse(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.maker.attach(bob, given(pump, attachapi.Product))
	b.maker.grant(carl, attachapi.Product)
	if a := b.GetJSON(carl, "/devices/"+heater); a.Status != http.StatusOK {
		t.Errorf("a device of nobody else's answered %d", a.Status)
	}
	for _, path := range []string{"/devices", "/devices?q=fleet"} {
		if list := decode[listData](t, b.Get(carl, path)); list.Count != 1 || list.Devices[0].ID != heater || list.Products[0].Devices != 1 {
			t.Errorf("%s shows %+v", path, list.Devices)
		}
	}
	b.maker.set(func() { b.maker.othersFail = fault.New(fault.Unavailable, "paused") })
	if list := decode[listData](t, b.Get(carl, "/devices")); list.Count != 0 || len(list.Notices) != 1 {
		t.Errorf("nobody can tell whose they are: %+v", list)
	}
	b.maker.set(func() { b.maker.othersFail = nil })
	b.module.customers.wake()
	before := b.maker.asked()
	for _, r := range routesOf(pump) {
		if a := b.Do(carl, r.method, r.path, r.form, "application/json"); a.Status != http.StatusNotFound {
			t.Errorf("%s %s answered %d", r.method, r.path, a.Status)
		}
	}
	if n := b.maker.asked() - before; n != 0 {
		t.Errorf("the product was asked %d times", n)
	}
}

func TestGrant_ADeviceThatLeavesTheProductEndsItsOpenStream(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.maker.grant(carl, attachapi.Product)
	gone, stays := b.follow(t, carl, "/devices/"+pump+"/events"), b.follow(t, carl, "/devices/"+heater+"/events")
	gone.next("upstream", `"live"`)
	stays.next("upstream", `"live"`)
	b.maker.set(func() { b.maker.stale = true; delete(b.maker.devices, pump) })
	asked := b.maker.count(productapi.MethodStates)
	moduletest.Eventually(t, "the product is asked again", func() bool { return b.maker.count(productapi.MethodStates) > asked+4 })
	b.maker.emit(pump, "still", "there") // an old answer says nothing
	gone.next("event", "still")
	b.maker.set(func() { b.maker.stale = false })
	gone.ended()
	b.maker.emit(heater, "heater", "there")
	stays.next("event", "heater")
}

func TestGrant_OfAProductForOwnAccountsUsesNoneOfTheMakersRights(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.maker.grant(ann, attachapi.Account)
	if list := decode[listData](t, b.GetJSON(ann, "/devices")); len(list.Devices) != 4 {
		t.Errorf("%+v", list.Devices)
	}
	if a := b.GetJSON(ann, "/devices/"+pump); a.Status != http.StatusNotFound || b.maker.asked() != 0 {
		t.Errorf("%d after %d calls", a.Status, b.maker.asked())
	}
}

func TestStream_EndsWhenItStaysUnknownWhetherThePersonHasTheDevice(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.maker.attach(carl, given(pump, attachapi.Product))
	p := b.follow(t, carl, "/devices/"+pump+"/events")
	p.next("upstream", `"live"`)
	b.maker.set(func() { b.maker.customersAway = true })
	p.ended()
	moduletest.Eventually(t, "the poll ends", func() bool { return b.maker.polling() == 0 })
}
