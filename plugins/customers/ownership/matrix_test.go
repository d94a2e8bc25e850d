package ownership

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/internal/attachapi"
	"mortise/plugins/internal/particle/particletest"
)

// page is one page of this part with what its forms send.
type page struct {
	method, path string
	form         url.Values
	needs        string // permission
}

// pages are all of this part, about a person, a device and a product that exist.
func pages(who sdk.Identity) []page {
	product := root + "/products/" + lampKey
	customer := product + "/particle/" + customerKey("carla@customers.example")
	name := url.Values{"username": {"carla@customers.example"}}
	return []page{
		{"GET", root + "/products", nil, "customers.view"},
		{"GET", product, nil, "customers.configure"},
		{"POST", product, url.Values{"way": {"account"}, "version": {"0"}, "confirm": {"on"}}, "customers.configure"},
		{"POST", product + "/move", url.Values{"to": {"2"}, "attached": {"1"}, "confirm": {"on"}}, "customers.configure"},
		{"GET", product + "/particle", nil, "customers.configure"},
		{"GET", product + "/particle?view=missing", nil, "customers.configure"},
		{"GET", customer + "/reset?" + name.Encode(), nil, "customers.configure"},
		{"POST", customer + "/reset", name, "customers.configure"},
		{"GET", customer + "/delete?" + name.Encode(), nil, "customers.configure"},
		{"POST", customer + "/delete", url.Values{"username": name["username"], "confirm": name["username"], "once": {"ABCDEFGHIJKLMNOPQRSTUVWXYZ"}}, "customers.configure"},
		{"GET", personPage(who, "devices"), nil, "customers.view"},
		{"GET", personPage(who, "attach"), nil, "customers.attach"},
		{"POST", personPage(who, "attach"), url.Values{"product": {lampKey}, "device": {deviceID(5)}}, "customers.attach"},
		{"POST", personPage(who, "detach"), url.Values{"device": {deviceID(1)}}, "customers.attach"},
		{"POST", personPage(who, "shadow"), url.Values{"product": {lampKey}, "action": {"renew"}}, "customers.configure"},
		{"GET", root + "/devices", nil, "customers.view"},
		{"GET", devicePath(deviceID(1)), nil, "customers.view"},
		{"GET", devicePath(deviceID(1)) + "/transfer?q=a", nil, "customers.attach"},
		{"POST", devicePath(deviceID(1)) + "/transfer", url.Values{"to": {"1"}, "version": {"1"}}, "customers.attach"},
		{"POST", devicePath(deviceID(1)) + "/detach", url.Values{"version": {"1"}}, "customers.attach"},
		{"POST", devicePath(deviceID(1)) + "/undo", url.Values{"version": {"1"}}, "customers.attach"},
		{"GET", root + "/operations", nil, "customers.view"},
		{"GET", root + "/operations/1", nil, "customers.view"},
		{"POST", root + "/operations/1/retry", url.Values{}, "customers.configure"},
	}
}

func TestMatrix_WhoMayNotIsRefusedAndNobodyIsAsked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ann := b.customer(t, "Ann")
	b.cloud.AddCustomer(particletest.Customer{Email: "carla@customers.example", Password: "x", Product: lamp})
	b.shadowWay(t)
	b.attach(t, ann, deviceID(1))
	services, upstream, events, mails := b.services.total(), b.upstream(), len(b.Host.Events("")), len(b.Host.Mails())
	for _, p := range pages(ann) {
		for _, who := range []sdk.Identity{b.sam, b.ines, ann, {}} {
			if who.Can(p.needs) {
				continue
			}
			want := http.StatusForbidden
			if !who.SignedIn() {
				want = http.StatusUnauthorized
			}
			if a := b.Do(who, p.method, p.path, p.form, "text/html"); a.Status != want {
				t.Errorf("%s %s for %q answered %d", p.method, p.path, who.Name, a.Status)
			}
		}
	}
	if b.services.total() != services || b.upstream() != upstream || len(b.Host.Events("")) != events || len(b.Host.Mails()) != mails {
		t.Errorf("somebody was asked: %d services, %d requests, %d facts, %d mails more", b.services.total()-services, b.upstream()-upstream, len(b.Host.Events(""))-events, len(b.Host.Mails())-mails)
	}
	if ids := b.has(t, ann); len(ids) != 1 {
		t.Errorf("Ann has %v", ids)
	}
}

func TestMatrix_ForgedIdsAreNotFoundAndNobodyIsAsked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ann := b.customer(t, "Ann")
	b.attach(t, ann, deviceID(1))
	staff := sdk.Identity{UserID: b.sam.UserID}
	services, upstream := b.services.total(), b.upstream()
	for _, p := range []page{
		{"GET", root + "/people/999/devices", nil, ""},
		{"GET", root + "/people/0/devices", nil, ""},
		{"GET", root + "/people/x/attach", nil, ""},
		{"GET", personPage(staff, "devices"), nil, ""}, // no customer
		{"POST", personPage(staff, "attach"), url.Values{"product": {lampKey}, "device": {deviceID(2)}}, ""},
		{"POST", root + "/people/999/detach", url.Values{"device": {deviceID(1)}}, ""},
		{"POST", root + "/people/999/shadow", url.Values{"product": {lampKey}, "action": {"renew"}}, ""},
		{"POST", personPage(ann, "shadow"), url.Values{"product": {lampKey}, "action": {"renew"}}, ""}, // has none
		{"POST", personPage(ann, "shadow"), url.Values{"product": {"1/../x"}, "action": {"renew"}}, ""},
		{"POST", personPage(ann, "detach"), url.Values{"product": {"1/" + pump}}, ""},
		{"GET", root + "/devices/" + deviceID(2), nil, ""},
		{"GET", root + "/devices/nonsense", nil, ""},
		{"GET", root + "/devices/" + strings.ToUpper(deviceID(1)) + "/transfer", nil, ""},
		{"POST", root + "/devices/" + deviceID(2) + "/detach", url.Values{"version": {"1"}}, ""},
		{"POST", root + "/devices/" + deviceID(2) + "/undo", url.Values{"version": {"1"}}, ""},
		{"POST", root + "/devices/" + deviceID(2) + "/transfer", url.Values{"to": {"1"}, "version": {"1"}}, ""},
		{"GET", root + "/products/x/" + lamp, nil, ""},
		{"GET", root + "/products/1/..%2f..%2fx", nil, ""},
		{"GET", root + "/operations/77", nil, ""},
		{"POST", root + "/operations/77/retry", url.Values{}, ""},
		{"GET", root + "/products/" + lampKey + "/particle/abc/reset?username=carla@customers.example", nil, ""},
		{"POST", root + "/products/" + lampKey + "/particle/abc/delete", url.Values{"username": {"carla@customers.example"}}, ""},
		{"GET", "/customers/password?key=nonsense", nil, ""},
		{"GET", "/customers/password", nil, ""},
		{"POST", "/customers/password", url.Values{"key": {"ABCDEFGHIJKLMNOPQRSTUVWXYZ"}, "password": {"long enough"}, "again": {"long enough"}}, ""},
	} {
		if a := b.Do(b.ada, p.method, p.path, p.form, "text/html"); a.Status != http.StatusNotFound {
			t.Errorf("%s %s answered %d: %s", p.method, p.path, a.Status, a.Body)
		}
	}
	if b.services.total() != services || b.upstream() != upstream {
		t.Errorf("somebody was asked: %d services, %d requests", b.services.total()-services, b.upstream()-upstream)
	}
}

func TestService_NobodyLearnsOfTheDevicesOfOthers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ann, bob := b.customer(t, "Ann"), b.customer(t, "Bob")
	b.attach(t, ann, deviceID(1))
	if v := b.check(t, bob, deviceID(1)); v != (attachapi.Verdict{}) {
		t.Errorf("Bob learns %+v", v)
	}
	for _, method := range []string{attachapi.List, attachapi.Check, attachapi.Others} {
		if _, err := b.owner.Call(t.Context(), sdk.Call{Service: attachapi.Service, Method: method, Input: []byte(`{"device_id":"` + deviceID(1) + `"}`)}); !fault.Is(err, fault.SignedOut) {
			t.Errorf("%s of nobody: %v", method, err)
		}
	}
	if _, err := b.owner.Call(t.Context(), sdk.Call{Service: attachapi.Service, Method: "attach", User: ann}); !fault.Is(err, fault.NotFound) {
		t.Errorf("an unknown method: %v", err)
	}
	if v := b.check(t, ann, "../"+deviceID(1)); v.Attached {
		t.Errorf("nonsense: %+v", v)
	}
	if v := b.check(t, ann, " "+strings.ToUpper(deviceID(1))); !v.Attached {
		t.Errorf("in capitals: %+v", v)
	}
}

func TestPages_OfWhoMayLookOfferNothingToChange(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ann := b.customer(t, "Ann")
	b.shadowWay(t)
	b.attach(t, ann, deviceID(1))
	for _, p := range []string{root + "/products", personPage(ann, "devices"), devicePath(deviceID(1)), root + "/operations/1"} {
		a := b.Get(b.sam, p)
		if a.Status != http.StatusOK || strings.Contains(a.Body, `"may_attach":true`) || strings.Contains(a.Body, `"may_configure":true`) {
			t.Errorf("%s answered %d: %s", p, a.Status, a.Body)
		}
	}
}
