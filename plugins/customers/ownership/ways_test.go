package ownership

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"mortise/core/fault"
	"mortise/plugins/internal/attachapi"
)

func TestWay_ChangingItSaysWhatHappensAndAsksForAConfirmation(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ann, bob := b.customer(t, "Ann"), b.customer(t, "Bob")
	b.attach(t, ann, deviceID(1), deviceID(2))
	b.attach(t, bob, deviceID(3))
	page := root + "/products/" + lampKey
	data := decode[struct{ Consequences []string }](t, b.Get(b.ada, page+"?way=account"))
	if len(data.Consequences) != 2 || !strings.Contains(data.Consequences[0], "3 devices of 2 customers") {
		t.Errorf("the page says %q", data.Consequences)
	}
	form := url.Values{"way": {"account"}, "version": {"0"}}
	if a := b.Post(b.ada, page, form); a.Status != http.StatusUnprocessableEntity || a.View.FieldErrors["confirm"] == "" {
		t.Fatalf("unconfirmed: answered %d", a.Status)
	}
	form.Set("confirm", "on")
	if a := b.Post(b.ada, page, form); a.Status != http.StatusSeeOther {
		t.Fatalf("answered %d: %s", a.Status, a.Body)
	}
	for _, who := range []string{deviceID(1), deviceID(3)} {
		d, err := b.owner.OfDevice(t.Context(), who)
		if err != nil || d.Way != attachapi.Account {
			t.Errorf("%+v, %v", d, err)
		}
	}
	if way, err := b.owner.WayOf(t.Context(), 1, lamp); err != nil || way != attachapi.Account {
		t.Errorf("%s, %v", way, err)
	}
}

func TestWay_OfTwoAdministratorsTheSecondIsToldAndKeepsWhatWasChosen(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	page := root + "/products/" + lampKey
	if a := b.Post(b.ada, page, url.Values{"way": {"account"}, "version": {"0"}}); a.Status != http.StatusSeeOther {
		t.Fatalf("answered %d: %s", a.Status, a.Body)
	}
	a := b.Post(b.ada, page, url.Values{"way": {"shadow"}, "version": {"0"}})
	data := decode[struct {
		Way      string
		Conflict string
		Product  Product
	}](t, a)
	if a.Status != http.StatusConflict || data.Way != "shadow" || data.Product.Way != attachapi.Account || data.Product.Version != 1 || data.Conflict == "" {
		t.Errorf("answered %d: %+v", a.Status, data)
	}
}

func TestWay_ToShadowMakesACustomerForEachAndBackDeletesThem(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ann, bob := b.customer(t, "Ann"), b.customer(t, "Bob")
	b.attach(t, ann, deviceID(1), deviceID(2))
	b.attach(t, bob, deviceID(3))
	b.shadowWay(t)
	b.run(t, b.module)
	if names := b.customersAt(t); len(names) != 2 {
		t.Fatalf("Particle has %v, operations %+v", names, b.operations(t))
	}
	b.way(t, "product")
	b.run(t, b.module)
	if names := b.customersAt(t); len(names) != 0 || b.shadowOf(t, ann) != nil || len(b.Host.Sealed(secretShadow)) != 0 {
		t.Errorf("Particle has %v", names)
	}
	if v := b.check(t, ann, deviceID(2)); !v.Attached || v.Device.Way != attachapi.Product {
		t.Errorf("the check says %+v", v.Device)
	}
}

func TestProducts_WithoutOrganizationsWhatIsKnownHereIsShownWithANotice(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ann := b.customer(t, "Ann")
	b.attach(t, ann, deviceID(1))
	b.services.set(func(s *services) { s.fail = fault.New(fault.Unavailable, "it is paused") })
	for _, page := range []string{root + "/products", root + "/products/" + lampKey, personPage(ann, "devices"), personPage(ann, "attach"), devicePath(deviceID(1))} {
		a := b.Get(b.ada, page)
		if a.Status != http.StatusOK || !strings.Contains(a.Body, "Organizations does not answer") {
			t.Errorf("%s answered %d: %s", page, a.Status, a.Body)
		}
	}
	list, err := b.owner.Products(t.Context())
	if err == nil || len(list) != 1 || list[0].Name != "Garden lamp" || list[0].Known || list[0].Attached != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	if a := b.Get(b.ada, root+"/products/1/99999"); a.Status != http.StatusServiceUnavailable {
		t.Errorf("a product that nobody can be asked about: %d", a.Status)
	}
	b.services.set(func(s *services) { s.fail = fault.New(fault.Denied, "the manifest does not use particle.product") })
	if a := b.Get(b.ada, root+"/products"); a.Status != http.StatusOK || !strings.Contains(a.Body, "trouble") {
		t.Errorf("without the module: %d", a.Status)
	}
}

func TestMany_AThousandDevicesAreAttachedAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ann := b.customer(t, "Ann")
	ids := []string{}
	for n := 1001; n <= 2000; n++ {
		ids = append(ids, deviceID(n))
	}
	b.addDevices(ids)
	began := b.clock.now()
	n, err := b.owner.AttachMany(t.Context(), Many{UserID: ann.UserID, WorkspaceID: 1, ProductID: lamp, Product: "Garden lamp", DeviceIDs: ids})
	if err != nil || n != 1000 {
		t.Fatalf("%d, %v", n, err)
	}
	t.Logf("1,000 devices in %s", b.clock.now().Sub(began))
	if len(b.has(t, ann)) != 1000 || len(b.Host.Events(attachapi.DeviceAttached)) != 1000 {
		t.Error("not all of them are there")
	}
	data := decode[struct {
		Devices []deviceView
		Total   int
	}](t, b.Get(b.ada, root+"/devices?q=ann&page=3"))
	if data.Total != 1000 || len(data.Devices) != perPage || data.Devices[0].Person != "Ann" {
		t.Errorf("the list has %d, %+v", data.Total, data.Devices[:1])
	}
	if a := b.Post(b.ada, personPage(ann, "detach"), url.Values{"device": ids}); a.Status != http.StatusSeeOther || len(b.has(t, ann)) != 0 {
		t.Errorf("detaching all answered %d %s", a.Status, fmt.Sprint(len(b.has(t, ann))))
	}
}
