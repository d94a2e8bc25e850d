package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/internal/attachapi"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/productapi"
)

// tell delivers a fact of customers, twice, as facts may come.
func (b *bench) tell(t *testing.T, name string, fact any) {
	t.Helper()
	body, err := json.Marshal(fact)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := b.module.Deliver(t.Context(), sdk.Event{Name: name, Subject: "user/2", Payload: body}); err != nil {
			t.Fatal(err)
		}
	}
}

func (b *bench) detach(t *testing.T, person sdk.Identity, id string) {
	t.Helper()
	b.maker.attach(person)
	b.tell(t, attachapi.DeviceDetached, attachapi.DeviceFact{UserID: person.UserID, DeviceID: id, WorkspaceID: 3, ProductID: product, Way: attachapi.Product})
}

func TestAttached_IsOneListWithLinkedAccounts(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.maker.attach(ann, given(pump, attachapi.Product), given(heater, attachapi.Shadow), given(lamp, attachapi.Account))
	data := decode[listData](t, b.GetJSON(ann, "/devices"))
	if len(data.Devices) != 6 || data.Count != 6 || !data.Several || len(data.Accounts) != 1 || len(data.Products) != 1 || len(data.Notices) != 0 {
		t.Fatalf("%+v", data)
	}
	p := findDevice(data.Devices, pump)
	if p.Name != "fleet-0017" || !p.Online || p.Through != fromProduct || p.Origin != "Garden pumps" || p.Account != "" || p.Type != "Argon" || p.Notes != "" {
		t.Errorf("%+v", p)
	}
	if d := findDevice(data.Devices, lamp); d.Through != fromAccount || d.Absent != nil {
		t.Errorf("attached to the own account: %+v", d)
	}
	if n := b.maker.count(productapi.MethodStates); n != 1 || b.maker.asked() != 1 || b.maker.count("list") != 1 {
		t.Errorf("asked for states %d times, in all %d", n, b.maker.asked())
	}
}

func TestAttached_IsShownOnceWhenALinkedAccountHasItToo(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.maker.set(func() {
		b.maker.devices[lamp] = productapi.Device{ID: lamp, Name: "the maker's lamp", Online: true, PlatformID: 6}
	})
	for way, want := range map[attachapi.Way]string{attachapi.Product: fromProduct, attachapi.Shadow: fromProduct, attachapi.Account: fromAccount} {
		b.maker.attach(ann, given(lamp, way))
		data := decode[listData](t, b.GetJSON(ann, "/devices"))
		if len(data.Devices) != 4 || findDevice(data.Devices, lamp).Through != want {
			t.Errorf("%s: %d devices, %+v", way, len(data.Devices), findDevice(data.Devices, lamp))
		}
		if d := decode[deviceData](t, b.GetJSON(ann, "/devices/"+lamp)).Device; d.Through != want {
			t.Errorf("%s: the page shows %+v", way, d)
		}
	}
}

func TestAttached_IsControlledThroughTheProduct(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Host.Set(publishSetting, true)
	b.maker.attach(carl, given(pump, attachapi.Product))
	page := decode[deviceData](t, b.GetJSON(carl, "/devices/"+pump))
	if len(page.Functions) != 1 || findVariable(page.Variables, "led").Text != "off" || !page.OwnNames || page.Device.Notes != "" {
		t.Fatalf("%+v", page)
	}
	p := b.follow(t, carl, "/devices/"+pump+"/events")
	p.next("upstream", `"live"`)
	a := b.Do(carl, "POST", "/devices/"+pump+"/functions/led", url.Values{"arg": {"on"}}, "application/json")
	if v := decode[callData](t, a); a.Status != http.StatusOK || v.State != "done" || *v.ReturnValue != 1 {
		t.Errorf("%d %+v", a.Status, v)
	}
	p.next("call", `"return_value":1`)
	p.next("value", `"value":"on"`)
	if a := b.GetJSON(carl, "/devices/"+pump+"/variables/led"); decode[variableData](t, a).Text != "on" {
		t.Errorf("%s", a.Body)
	}
	for _, path := range []string{"/signal", "/ping"} {
		if a := b.Post(carl, "/devices/"+pump+path, url.Values{}); a.Status != http.StatusSeeOther {
			t.Errorf("%s answered %d %s", path, a.Status, a.Body)
		}
	}
	if a := b.Post(carl, "/devices/"+pump+"/events", url.Values{"name": {"garden/water"}, "data": {"5"}}); a.Status != http.StatusSeeOther {
		t.Errorf("publish answered %d %s", a.Status, a.Body)
	}
	p.next("event", `"name":"garden/water"`)
	if list := decode[listData](t, b.GetJSON(carl, "/devices")); len(list.Devices[0].Values) != 1 || list.Devices[0].Values[0].Text != "on" {
		t.Errorf("%+v", list.Devices)
	}
	if n := b.upstream(); n != 0 {
		t.Errorf("%d calls went to Particle with somebody's own account", n)
	}
}

func TestAttached_EventsAreSentInADevicesNameOnlyWhenTheMakerWantsIt(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.maker.attach(ann, given(pump, attachapi.Product))
	path := "/devices/" + pump
	for _, accept := range []string{"text/html", "application/json"} {
		if a := b.Do(ann, "POST", path+"/events", url.Values{"name": {"garden/water"}}, accept); a.Status != http.StatusForbidden || !strings.Contains(a.Body, "come from the device alone") {
			t.Errorf("%s: %d %s", accept, a.Status, a.Body)
		}
	}
	if n := b.maker.count(productapi.MethodPublish); n != 0 || decode[deviceData](t, b.GetJSON(ann, path)).Publish {
		t.Errorf("%d events were published, or the page offers it", n)
	}
	if a := b.Post(ann, "/devices/"+lamp+"/events", url.Values{"name": {"garden/water"}}); a.Status != http.StatusSeeOther || !decode[deviceData](t, b.GetJSON(ann, "/devices/"+lamp)).Publish {
		t.Errorf("her own account: %d %s", a.Status, a.Body)
	}
	b.Host.Set(publishSetting, true)
	if a := b.Post(ann, path+"/events", url.Values{"name": {"garden/water"}}); a.Status != http.StatusSeeOther || b.maker.count(productapi.MethodPublish) != 1 {
		t.Errorf("allowed: %d %s", a.Status, a.Body)
	}
}

func TestAttached_CallsOnceAndSpeaksOfTheMaker(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		id      string
		problem *productapi.Problem
		fail    error
		state   string
		kind    string
		status  int
		words   string
	}{
		{name: "offline", id: heater, state: "failed", kind: string(particle.Offline), status: 503, words: "fleet-0018 is offline"},
		{name: "slow", id: pump, problem: &productapi.Problem{Kind: particle.DeviceTimeout}, state: "accepted", kind: string(particle.DeviceTimeout), status: 504, words: "did not answer in time"},
		{name: "dead credential", id: pump, problem: &productapi.Problem{Kind: particle.DeadToken}, state: "failed", kind: "maker", status: 503, words: "The maker's connection to Particle has a problem"},
		{name: "missing scope", id: pump, problem: &productapi.Problem{Kind: particle.MissingScope}, state: "failed", kind: "maker", status: 503, words: "The maker's connection"},
		{name: "slow down", id: pump, problem: &productapi.Problem{Kind: particle.RateLimited}, state: "failed", kind: string(particle.RateLimited), status: 429, words: "slow down"},
		{name: "the service dies", id: pump, fail: fault.New(fault.Unavailable, "gone"), state: "sent", kind: string(particle.NoAnswer), status: 504, words: "did not answer"},
		{name: "the service hangs", id: pump, fail: fault.New(fault.Timeout, "30 s"), state: "sent", kind: string(particle.NoAnswer), status: 504, words: "did not answer"},
		{name: "too many calls", id: pump, fail: fault.New(fault.TooMany, "64 calls"), state: "failed", kind: "busy", status: 429, words: "Very many people"},
		{name: "the product is gone", id: pump, fail: fault.New(fault.NotFound, "no such product"), state: "failed", kind: "maker", status: 503, words: "The maker's connection"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.maker.attach(carl, given(tc.id, attachapi.Product))
			b.Get(carl, "/devices/"+tc.id) // is remembered for seconds
			b.maker.set(func() { b.maker.problem, b.maker.fail = tc.problem, tc.fail })
			before := b.maker.count(productapi.MethodCall)
			a := b.Do(carl, "POST", "/devices/"+tc.id+"/functions/led", url.Values{"arg": {"on"}}, "application/json")
			v := decode[callData](t, a)
			if a.Status != tc.status || v.State != tc.state || v.Kind != tc.kind || !strings.Contains(v.Message, tc.words) || v.Relink || v.Remedy == "" {
				t.Errorf("%d %+v", a.Status, v)
			}
			if strings.Contains(a.Body, "Link your") || strings.Contains(a.Body, "our Particle account") {
				t.Errorf("speaks of an account of the person: %s", a.Body)
			}
			if n := b.maker.count(productapi.MethodCall) - before; n != 1 {
				t.Errorf("called %d times", n)
			}
		})
	}
}

func TestDetached_IsGoneAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.module.recheck = 1 << 40 // the fact alone ends the stream
	b.maker.attach(carl, given(pump, attachapi.Product))
	b.Get(carl, "/devices/"+pump)
	b.Do(carl, "POST", "/devices/"+pump+"/functions/led", url.Values{"arg": {"on"}}, "application/json")
	b.Post(carl, "/devices/"+pump+"/rename", url.Values{"name": {"My pump"}})
	p := b.follow(t, carl, "/devices/"+pump+"/events")
	p.next("upstream", `"live"`)
	b.detach(t, carl, pump)
	p.ended()
	asked := b.maker.asked()
	for _, r := range routesOf(pump) {
		if a := b.Do(carl, r.method, r.path, r.form, "application/json"); a.Status != http.StatusNotFound {
			t.Errorf("%s %s answered %d", r.method, r.path, a.Status)
		}
	}
	if data := decode[listData](t, b.GetJSON(carl, "/devices")); len(data.Devices) != 0 {
		t.Errorf("%+v", data.Devices)
	}
	if n := b.maker.asked() - asked; n != 0 {
		t.Errorf("the product was asked %d times", n)
	}
	rows, err := b.module.records.lastSeen(t.Context(), carl.UserID, pumps)
	values, err2 := b.module.records.values(t.Context(), carl.UserID, pumps, pump)
	names, err3 := b.module.records.names(t.Context(), carl.UserID)
	if err != nil || err2 != nil || err3 != nil || len(rows)+len(values)+len(names) != 0 {
		t.Errorf("%d seen, %d values, %d names are left; %v %v %v", len(rows), len(values), len(names), err, err2, err3)
	}
	if calls := b.module.calls.of(callKey{carl.UserID, pumps, pump}); len(calls) != 0 {
		t.Errorf("calls are left: %v", calls)
	}
	b.maker.attach(carl, given(pump, attachapi.Product))
	b.tell(t, attachapi.DeviceAttached, attachapi.DeviceFact{UserID: carl.UserID, DeviceID: pump, WorkspaceID: 3, ProductID: product, Way: attachapi.Product})
	if d := decode[deviceData](t, b.GetJSON(carl, "/devices/"+pump)); d.Device.Name != "fleet-0017" || d.Functions[0].Call != nil {
		t.Errorf("attached again: %+v", d)
	}
	if rows, err := b.module.records.lastSeen(t.Context(), carl.UserID, pumps); err != nil || len(rows) != 1 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
}

func TestDetached_EndsStreamsAlsoWhenTheFactWasMissed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.maker.attach(carl, given(pump, attachapi.Product))
	b.maker.attach(bob, given(pump, attachapi.Product)) // has it through the same product
	p, other := b.follow(t, carl, "/devices/"+pump+"/events"), b.follow(t, bob, "/devices/"+pump+"/events")
	p.next("upstream", `"live"`)
	other.next("upstream", `"live"`)
	b.maker.attach(carl)
	p.ended()
	b.maker.emit(pump, "still", "there")
	other.next("event", "still")
}

func TestDetached_ValuesOnTheirWayAreNotKept(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.maker.attach(carl, given(pump, attachapi.Product))
	b.Get(carl, "/devices/"+pump)
	late := &target{holding: holding{source: &fleet{m: b.module, product: productapi.Product{WorkspaceID: 3, ProductID: product}, user: carl.UserID}}, device: particle.Device{ID: pump}}
	b.detach(t, carl, pump)
	b.module.keep(t.Context(), carl.UserID, late, map[string]reading{"led": {name: "led", value: "late", at: b.module.now()}}, "late")
	if values, err := b.module.records.values(t.Context(), carl.UserID, pumps, pump); err != nil || len(values) != 0 {
		t.Errorf("%v %v", values, err)
	}
}

func TestDetachedProduct_TakesAllItsDevices(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.module.recheck = 1 << 40
	b.maker.grant(carl, attachapi.Product)
	if data := decode[listData](t, b.GetJSON(carl, "/devices")); len(data.Devices) != 2 {
		t.Fatalf("%+v", data.Devices)
	}
	p := b.follow(t, carl, "/devices/"+heater+"/events")
	p.next("upstream", `"live"`)
	b.maker.attach(carl)
	b.tell(t, attachapi.ProductDetached, attachapi.ProductFact{UserID: carl.UserID, WorkspaceID: 3, ProductID: product})
	p.ended()
	if a := b.GetJSON(carl, "/devices/"+heater); a.Status != http.StatusNotFound {
		t.Errorf("answered %d", a.Status)
	}
	if rows, err := b.module.records.lastSeen(t.Context(), carl.UserID, pumps); err != nil || len(rows) != 0 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
}

func TestProductIsolation_NobodyReachesWhatIsNotTheirs(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.linked.set(ann)
	b.maker.attach(bob, given(pump, attachapi.Product), given(heater, attachapi.Shadow))
	b.maker.attach(ann, given(lamp, attachapi.Account))
	b.maker.attach(carl, given("0b10aced2021949440000008", attachapi.Product)) // another device of the same product
	for _, accept := range []string{"text/html", "application/json", "text/event-stream"} {
		for _, person := range []sdk.Identity{ann, carl, looker, nobody} {
			for _, id := range []string{pump, heater} {
				for _, r := range routesOf(id) {
					want := http.StatusNotFound
					switch {
					case !person.SignedIn():
						want = http.StatusUnauthorized
					case r.control && !person.Can("devices.control"):
						want = http.StatusForbidden
					}
					if a := b.Do(person, r.method, r.path, r.form, accept); a.Status != want || strings.Contains(a.Body, "fleet") {
						t.Errorf("%s: %s %s as %s: %d, want %d", person.Name, r.method, r.path, accept, a.Status, want)
					}
				}
			}
		}
	}
	if b.maker.asked() != 0 || b.maker.count(productapi.MethodEvents) != 0 || b.upstream() != 0 {
		t.Errorf("the product was asked %d times, Particle %d times", b.maker.asked(), b.upstream())
	}
}

func TestOwnName_StaysHereAndIsOnlyThePersons(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.maker.attach(carl, given(pump, attachapi.Product))
	b.maker.attach(bob, given(pump, attachapi.Product))
	if a := b.Post(carl, "/devices/"+pump+"/rename", url.Values{"name": {"Gartenpumpe"}}); a.Status != http.StatusSeeOther || !strings.HasPrefix(a.Flash, "good") {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if d := decode[deviceData](t, b.GetJSON(carl, "/devices/"+pump)); d.Device.Name != "Gartenpumpe" || d.Form.Rename != "Gartenpumpe" {
		t.Errorf("%+v", d.Device)
	}
	if list := decode[listData](t, b.GetJSON(carl, "/devices")); list.Devices[0].Name != "Gartenpumpe" {
		t.Errorf("%+v", list.Devices)
	}
	if list := decode[listData](t, b.GetJSON(bob, "/devices")); findDevice(list.Devices, pump).Name != "fleet-0017" {
		t.Errorf("%+v", list.Devices)
	}
	if b.maker.count(productapi.MethodRename) != 0 {
		t.Error("the fleet was renamed")
	}
	b.Post(carl, "/devices/"+pump+"/rename", url.Values{"name": {""}})
	if d := decode[deviceData](t, b.GetJSON(carl, "/devices/"+pump)); d.Device.Name != "fleet-0017" {
		t.Errorf("%+v", d.Device)
	}
}

func TestGivenName_GoesBeforeTheFleetsAndAfterThePersonsOwn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	handed := given(pump, attachapi.Product)
	handed.Given = true
	b.maker.attach(carl, handed)
	if list := decode[listData](t, b.GetJSON(carl, "/devices")); list.Devices[0].Name != "as sold" {
		t.Errorf("%+v", list.Devices)
	}
	b.Post(carl, "/devices/"+pump+"/rename", url.Values{"name": {"Gartenpumpe"}})
	if d := decode[deviceData](t, b.GetJSON(carl, "/devices/"+pump)); d.Device.Name != "Gartenpumpe" {
		t.Errorf("%+v", d.Device)
	}
}

func TestErasedPerson_LeavesNothingOfTheMakersDevices(t *testing.T) {
	t.Parallel()
	for _, fact := range []string{"user.erase_requested", "user.deleted"} {
		t.Run(fact, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.maker.attach(ann, given(pump, attachapi.Product))
			b.maker.attach(bob, given(pump, attachapi.Product))
			for _, person := range []sdk.Identity{ann, bob} {
				b.Get(person, "/devices/"+pump)
				b.Post(person, "/devices/"+pump+"/rename", url.Values{"name": {"Mine"}})
			}
			b.Get(ann, "/devices/"+lamp)
			for range 2 {
				if err := b.module.Deliver(t.Context(), sdk.Event{Name: fact, Subject: "user/2", Payload: []byte(`{"user_id":2}`)}); err != nil {
					t.Fatal(err)
				}
			}
			left := func(person sdk.Identity) (n int) {
				for _, source := range []string{pumps, accountKey(1)} {
					rows, err := b.module.records.lastSeen(t.Context(), person.UserID, source)
					values, err2 := b.module.records.values(t.Context(), person.UserID, source, pump)
					if err != nil || err2 != nil {
						t.Fatal(err, err2)
					}
					n += len(rows) + len(values)
				}
				names, err := b.module.records.names(t.Context(), person.UserID)
				if err != nil {
					t.Fatal(err)
				}
				return n + len(names)
			}
			if n := left(ann); n != 0 {
				t.Errorf("%d rows are left", n)
			}
			if n := left(bob); n != 3 {
				t.Errorf("%d rows of somebody else, want 3", n)
			}
		})
	}
}
