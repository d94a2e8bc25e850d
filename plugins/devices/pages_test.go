package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"mortise/core/sdk"
	"mortise/plugins/internal/moduletest"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/particle/particletest"
	"mortise/plugins/internal/tokenapi"
)

// findDevice looks a device up in a list.
func findDevice(list []listedDevice, id string) *listedDevice {
	for i := range list {
		if list[i].ID == id {
			return &list[i]
		}
	}
	return nil
}

// findVariable looks a variable up.
func findVariable(list []valueView, name string) valueView {
	for _, v := range list {
		if v.Name == name {
			return v
		}
	}
	return valueView{}
}

func TestList_ShowsTheDevicesOfEveryAccount(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.linked.set(ann, b.account(1, annParticle), b.account(2, bobParticle))
	data := decode[listData](t, b.GetJSON(ann, "/devices"))
	if !data.Linked || !data.Several || len(data.Devices) != 5 || *data.Online != 4 {
		t.Fatalf("%+v", data)
	}
	d := findDevice(data.Devices, lamp)
	if d == nil || d.Name != "Porch lamp" || d.Type != "Photon" || !d.Online || d.LastHeard == nil || d.Account != annParticle || d.Path != "/devices/"+lamp {
		t.Errorf("%+v", d)
	}
	if last := data.Devices[4]; last.ID != cellar || last.Status != "Offline" {
		t.Errorf("offline ones come last: %+v", last)
	}
}

func TestList_SaysWhatToDoWhenThereIsNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if data := decode[listData](t, b.Get(carl, "/devices")); data.Linked || len(data.Devices) != 0 {
		t.Errorf("%+v", data)
	}
	b.cloud.AddAccount(particletest.Account{Username: "empty@particle.example", Password: "x"})
	b.linked.set(carl, b.account(9, "empty@particle.example"))
	if data := decode[listData](t, b.Get(carl, "/devices")); !data.Linked || len(data.Devices) != 0 || data.Accounts[0].Trouble != nil {
		t.Errorf("%+v", data)
	}
}

func TestList_ShowsTheRestAndTheLastKnownWhenAnAccountFails(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	other := b.account(2, bobParticle)
	b.linked.set(ann, b.account(1, annParticle), other)
	b.Get(ann, "/devices") // is remembered
	other.AccessToken = "0000000000000000000000000000000000000000"
	other.Generation++
	b.linked.set(ann, b.account(1, annParticle), other)
	data := decode[listData](t, b.Get(ann, "/devices"))
	if data.Accounts[0].State != "ok" || data.Accounts[1].State != "dead" || data.Accounts[1].Trouble == nil || !data.Accounts[1].Trouble.Relink {
		t.Fatalf("%+v", data.Accounts)
	}
	if d := findDevice(data.Devices, bobsLamp); d == nil || !d.Stale || d.Online || d.Status != "Unknown" {
		t.Errorf("%+v", d)
	}
	if d := findDevice(data.Devices, lamp); d == nil || d.Stale {
		t.Errorf("%+v", d)
	}
	if b.linked.reports != 1 {
		t.Errorf("%d reports", b.linked.reports)
	}
}

func TestList_NamesEachTroubleOfTheCloud(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		rule particletest.Rule
		kind particle.Kind
	}{
		{particletest.Rule{Prefix: "/v1/devices", Status: 500}, particle.Upstream},
		{particletest.Rule{Prefix: "/v1/devices", Status: 429}, particle.RateLimited},
		{particletest.Rule{Prefix: "/v1/devices", Hang: true}, particle.NoAnswer},
		{particletest.Rule{Prefix: "/v1/devices", HTML: true, Status: 200}, particle.NotParticle},
		{particletest.Rule{Prefix: "/v1/devices", Drop: true}, particle.Unreachable},
		{particletest.Rule{Prefix: "/v1/devices", Status: 401}, particle.DeadToken},
	} {
		t.Run(string(tc.kind), func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.cloud.Faults.Set(particletest.Faults{Rules: []particletest.Rule{tc.rule}})
			data := decode[listData](t, b.Get(ann, "/devices"))
			if trouble := data.Accounts[0].Trouble; trouble == nil || trouble.Kind != string(tc.kind) || trouble.Message == "" || trouble.Remedy == "" || trouble.Relink != (tc.kind == particle.DeadToken) {
				t.Errorf("%+v", trouble)
			}
		})
	}
}

func TestList_AsksTheCloudOnceForManyPages(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	answers := make(chan moduletest.Answer, 20)
	for range 20 {
		go func() { answers <- b.Get(ann, "/devices") }()
	}
	for range 20 {
		if a := <-answers; a.Status != http.StatusOK {
			t.Errorf("answered %d", a.Status)
		}
	}
	if n := b.cloud.Calls("GET /v1/devices"); n != 1 {
		t.Errorf("the cloud was asked %d times", n)
	}
}

func TestList_WaitsAMinuteAfterSlowDown(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.cloud.Faults.Set(particletest.Faults{Rules: []particletest.Rule{{Prefix: "/v1/devices", Status: 429}}})
	for range 3 {
		b.Get(ann, "/devices")
	}
	if n := b.upstream(); n != 1 {
		t.Errorf("the cloud was asked %d times", n)
	}
}

func TestDevice_ShowsValuesFunctionsAndDetails(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	data := decode[deviceData](t, b.GetJSON(ann, "/devices/"+lamp))
	if data.Device.Name != "Porch lamp" || !data.Control || len(data.Functions) != 3 {
		t.Fatalf("%+v", data)
	}
	if v := findVariable(data.Variables, "led"); v.Value != "off" || v.Text != "off" || v.State != "fresh" || v.Type != "string" || v.ReadAt == nil {
		t.Errorf("%+v", v)
	}
	if a := b.Get(ann, "/devices/"+strings.ToUpper(lamp)); a.Status != http.StatusOK {
		t.Errorf("an id in capitals: %d", a.Status)
	}
	if data := decode[deviceData](t, b.Get(looker, "/devices/"+lamp)); data.Control {
		t.Error("who may only look is offered controls")
	}
}

func TestDevice_DoesNotWaitForASlowDevice(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.cloud.AddDevice(particletest.Device{ID: slow, Name: "Slow one", Owner: annParticle, Behaviour: particletest.Lamp, Latency: 250 * time.Millisecond})
	began := time.Now()
	data := decode[deviceData](t, b.Get(ann, "/devices/"+slow))
	if took := time.Since(began); took > 240*time.Millisecond && findVariable(data.Variables, "led").State != "unread" {
		t.Errorf("took %v and shows %+v", took, data.Variables)
	}
	moduletest.Eventually(t, "the value arrives later", func() bool {
		return findVariable(decode[deviceData](t, b.Get(ann, "/devices/"+slow)).Variables, "led").Text == "off"
	})
}

func TestDevice_ShowsLastKnownValuesWhenItIsGone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Get(ann, "/devices/"+lamp)
	b.cloud.Faults.Set(particletest.Faults{Rules: []particletest.Rule{{Prefix: "/v1/devices", Status: 500}}})
	b.module.lists.drop(accountKey(1))
	data := decode[deviceData](t, b.Get(ann, "/devices/"+lamp))
	if v := findVariable(data.Variables, "led"); v.State != "stale" || v.Text != "off" || v.ReadAt == nil {
		t.Errorf("%+v", v)
	}
	if data.Trouble == nil || data.Trouble.Kind != string(particle.Upstream) || !data.Device.Stale || len(data.Functions) != 3 {
		t.Errorf("%+v", data)
	}
}

func TestUnlink_TakesDevicesAndWhatWasKeptAway(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Get(ann, "/devices/"+lamp)
	b.linked.set(ann)
	if a := b.Get(ann, "/devices/"+lamp); a.Status != http.StatusNotFound {
		t.Errorf("answered %d", a.Status)
	}
	for range 2 {
		if err := b.module.Deliver(t.Context(), sdk.Event{Name: "linking.account_unlinked", Subject: "user/2", Payload: []byte(`{"user_id":2,"account_id":1}`)}); err != nil {
			t.Fatal(err)
		}
	}
	if rows, err := b.module.records.lastSeen(t.Context(), 2, accountKey(1)); err != nil || len(rows) != 0 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
	if values, err := b.module.records.values(t.Context(), 2, accountKey(1), lamp); err != nil || len(values) != 0 {
		t.Errorf("%d values, %v", len(values), err)
	}
}

func TestUnlink_OfAnotherPersonsAccountNumberShowsNothingOld(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Get(ann, "/devices")
	b.linked.set(ann)
	reused := b.account(1, bobParticle) // a store may use a number again
	reused.Generation += 5
	b.linked.set(bob, reused)
	data := decode[listData](t, b.Get(bob, "/devices"))
	if len(data.Devices) != 1 || data.Devices[0].ID != bobsLamp {
		t.Errorf("%+v", data.Devices)
	}
}

func TestDeletedPerson_LeavesNothingBehind(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Get(ann, "/devices/"+lamp)
	b.Get(bob, "/devices/"+bobsLamp)
	if err := b.module.Deliver(t.Context(), sdk.Event{Name: "user.deleted", Subject: "user/2"}); err != nil {
		t.Fatal(err)
	}
	if rows, err := b.module.records.lastSeen(t.Context(), 2, accountKey(1)); err != nil || len(rows) != 0 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
	if rows, err := b.module.records.lastSeen(t.Context(), 3, accountKey(2)); err != nil || len(rows) != 1 {
		t.Errorf("%d rows of bob, %v", len(rows), err)
	}
	if err := b.module.Run(t.Context(), "retention"); err != nil {
		t.Fatal(err)
	}
}

// route is one page about a device.
type route struct {
	method, path string
	form         url.Values
	control      bool
}

func routesOf(id string) []route {
	return []route{
		{"GET", "/devices/" + id, nil, false},
		{"POST", "/devices/" + id + "/functions/led", url.Values{"arg": {"on"}}, true},
		{"GET", "/devices/" + id + "/variables/led", nil, false},
		{"GET", "/devices/" + id + "/events", nil, false},
		{"POST", "/devices/" + id + "/events", url.Values{"name": {"x"}, "data": {"y"}}, true},
		{"POST", "/devices/" + id + "/rename", url.Values{"name": {"mine"}}, true},
		{"POST", "/devices/" + id + "/signal", url.Values{"signal": {"1"}}, true},
		{"POST", "/devices/" + id + "/ping", url.Values{}, true},
	}
}

func TestIsolation_NobodyReachesAnothersDeviceByAnyRoute(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, accept := range []string{"text/html", "application/json", "text/event-stream"} {
		for _, person := range persons {
			for _, r := range routesOf(bobsLamp) {
				if person.UserID == bob.UserID {
					continue
				}
				want := http.StatusNotFound
				switch {
				case !person.SignedIn():
					want = http.StatusUnauthorized
				case r.control && !person.Can("devices.control"):
					want = http.StatusForbidden
				}
				a := b.Do(person, r.method, r.path, r.form, accept)
				if a.Status != want || strings.Contains(a.Body, "Bob") {
					t.Errorf("%s: %s %s as %s: %d, want %d", person.Name, r.method, r.path, accept, a.Status, want)
				}
			}
		}
	}
	for _, id := range []string{"", "x", "0a10aced202194944a0000b", "..%2f..", "0a10aced202194944a0000b1%00", "Bob's%20lamp"} {
		if a := b.Get(ann, "/devices/"+id+"/variables/led"); a.Status != http.StatusNotFound {
			t.Errorf("id %q answered %d", id, a.Status)
		}
	}
	for call, n := range b.cloud.AllCalls() {
		if call != "GET /v1/devices" {
			t.Errorf("%d calls of %s went out", n, call)
		}
	}
	if n := b.cloud.Called(bobsLamp, "led"); n != 0 {
		t.Errorf("bob's lamp was switched %d times", n)
	}
}

func TestIsolation_ADeadAccountReachesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Get(ann, "/devices")
	b.linked.set(ann, tokenapi.Account{ID: 1, Label: annParticle, State: tokenapi.Dead, BaseURL: b.url, Generation: 7})
	before := b.upstream()
	for _, r := range routesOf(lamp) {
		a := b.Do(ann, r.method, r.path, r.form, "application/json")
		if r.path == "/devices/"+lamp || r.method == "GET" && strings.HasSuffix(r.path, "/events") {
			continue // shows what was known
		}
		if a.Status != http.StatusConflict || !strings.Contains(a.Body, "dead_token") || !strings.Contains(a.Body, `"relink":true`) {
			t.Errorf("%s %s: %d %s", r.method, r.path, a.Status, a.Body)
		}
	}
	if n := b.upstream() - before; n != 0 {
		t.Errorf("%d calls went out", n)
	}
}

func TestList_ShowsTheLastKnownValuesWithoutAskingTheDevices(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.linked.set(ann, b.account(1, annParticle))
	read := decode[variableData](t, b.GetJSON(ann, "/devices/"+lamp+"/variables/led"))
	asked := len(b.cloud.AllCalls())
	list := findDevice(decode[listData](t, b.GetJSON(ann, "/devices")).Devices, lamp)
	if list == nil || len(list.Values) != 1 || list.Values[0].Name != "led" || list.Values[0].Text != read.Text || list.Values[0].ReadAt == nil {
		t.Fatalf("%+v", list)
	}
	if len(b.cloud.AllCalls()) != asked {
		t.Error("the list asked a device for a value")
	}
	b.linked.set(bob, b.account(1, annParticle)) // the same account id must not show what another person's pages have read
	if other := findDevice(decode[listData](t, b.GetJSON(bob, "/devices")).Devices, lamp); other == nil || len(other.Values) != 0 {
		t.Errorf("%+v", other)
	}
}
