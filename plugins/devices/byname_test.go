package main

import (
	"fmt"
	"math"
	"net/url"
	"slices"
	"strings"
	"testing"

	"mortise/core/fault"
	"mortise/plugins/internal/attachapi"
)

// manyID is the id of one of the devices of maker.more.
func manyID(n int) string { return fmt.Sprintf("0c%022x", n) }

// many attaches the first n devices of maker.more to carl, none of which has a name of its own there.
func (b *bench) many(n int) {
	b.maker.more(n)
	list := make([]attachapi.Attachment, 0, n)
	for i := range n {
		a := given(manyID(i), attachapi.Product)
		a.Name = fmt.Sprintf("plot-%04d", i)
		list = append(list, a)
	}
	b.maker.attach(carl, list...)
}

// statesAsked counts the ids of all questions for states.
func (b *bench) statesAsked() int {
	b.maker.mu.Lock()
	defer b.maker.mu.Unlock()
	return b.maker.stated
}

func TestByName_AsksOnlyHowTheDevicesOfThePageAre(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.many(1000)
	b.maker.set(func() {
		d := b.maker.devices[manyID(70)]
		d.Online = false
		b.maker.devices[d.ID] = d
		delete(b.maker.devices, manyID(61))
	})
	first := decode[listData](t, b.Get(carl, "/devices"))
	if !first.ByName || first.Online != nil || first.Count != 1000 || len(first.Devices) != perPage || first.Devices[0].ID != manyID(0) || first.Devices[0].Name != "more-0000" || !first.Devices[0].Online {
		t.Fatalf("%+v", first)
	}
	if n := b.statesAsked(); n != perPage || b.maker.asked() != 1 {
		t.Errorf("asked for %d states in %d calls", n, b.maker.asked())
	}
	second := decode[listData](t, b.Get(carl, "/devices?page=2"))
	if d := findDevice(second.Devices, manyID(70)); d == nil || d.Status != "Offline" || d.Stale {
		t.Errorf("offline: %+v", d)
	}
	if d := findDevice(second.Devices, manyID(61)); d == nil || d.Absent == nil || d.Absent.Kind != "not_in_product" || d.Name != "plot-0061" {
		t.Errorf("not in the product any more: %+v", d)
	}
	if last := decode[listData](t, b.Get(carl, "/devices?page=999")); last.Page != 17 || len(last.Devices) != 40 || last.Devices[39].ID != manyID(999) {
		t.Errorf("page %d has %d devices", last.Page, len(last.Devices))
	}
	if n := b.statesAsked(); n != 2*perPage+40 {
		t.Errorf("asked for %d states", n)
	}
}

func TestByName_SearchesNamesAndIdsWithoutAsking(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.many(300)
	b.Post(carl, "/devices/"+manyID(200)+"/rename", url.Values{"name": {"Apple tree"}})
	if list := decode[listData](t, b.Get(carl, "/devices")); list.Devices[0].Name != "Apple tree" {
		t.Errorf("the own name decides about the order: %+v", list.Devices[0])
	}
	before := b.statesAsked()
	for search, want := range map[string]string{"apple": manyID(200), manyID(299): manyID(299), "PLOT-0298": manyID(298)} {
		found := decode[listData](t, b.Get(carl, "/devices?q="+url.QueryEscape(search)))
		if found.Count != 1 || len(found.Devices) != 1 || found.Devices[0].ID != want {
			t.Errorf("%q: %d devices", search, found.Count)
		}
	}
	if n := b.statesAsked() - before; n != 3 {
		t.Errorf("asked for %d states", n)
	}
	for _, state := range []string{"offline", "argon"} { // nobody knows it of all of them
		if none := decode[listData](t, b.Get(carl, "/devices?q="+state)); none.Count != 0 {
			t.Errorf("%q finds %d devices", state, none.Count)
		}
	}
}

func TestByName_BeginsAboveTwoPagesAndOnlyForPages(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.many(fewDevices)
	b.maker.set(func() {
		d := b.maker.devices[manyID(0)]
		d.Online = false
		b.maker.devices[d.ID] = d
	})
	few := decode[listData](t, b.Get(carl, "/devices?page=2"))
	if few.ByName || few.Online == nil || *few.Online != fewDevices-1 || few.Devices[perPage-1].ID != manyID(0) {
		t.Errorf("as before: %+v", few)
	}
	b.many(fewDevices + 1)
	if list := decode[listData](t, b.Get(carl, "/devices?page=2")); !list.ByName || list.Devices[0].ID != manyID(perPage) {
		t.Errorf("%+v", list)
	}
	all := decode[listData](t, b.GetJSON(carl, "/devices"))
	if all.ByName || len(all.Devices) != fewDevices+1 || *all.Online != fewDevices+1 {
		t.Errorf("a program gets %d devices", len(all.Devices))
	}
	if page := decode[listData](t, b.GetJSON(carl, "/devices?page=1")); !page.ByName || len(page.Devices) != perPage || page.Page != 1 {
		t.Errorf("a program gets a page of %d", len(page.Devices))
	}
}

func TestByName_KeepsLinkedAccountsInTheSameOrder(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.many(200)
	b.maker.mu.Lock()
	list := b.maker.attached[carl.UserID].Devices
	b.maker.mu.Unlock()
	b.maker.attach(ann, append(list, given(lamp, attachapi.Account))...)
	data := decode[listData](t, b.Get(ann, "/devices?page=4"))
	if data.Count != 204 || len(data.Devices) != 24 || !data.Several {
		t.Fatalf("%d of %d devices", len(data.Devices), data.Count)
	}
	if d := findDevice(data.Devices, lamp); d == nil || d.Through != fromAccount || !d.Online || d.Stale {
		t.Errorf("%+v", d)
	}
}

func TestByName_ShowsWhatIsKnownWhenTheProductFails(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.many(200)
	b.Get(carl, "/devices") // is kept
	b.maker.set(func() { b.maker.fail = fault.New(fault.Unavailable, "paused") })
	for _, path := range []string{"/devices", "/devices?page=2"} {
		list := decode[listData](t, b.Get(carl, path))
		if len(list.Devices) != perPage || len(list.Troubles) != 1 || list.Troubles[0].Trouble.Kind != "maker_away" || list.Count != 200 {
			t.Fatalf("%s: %+v", path, list.Troubles)
		}
		for _, d := range list.Devices {
			if d.Status != "Unknown" || !d.Stale || d.Online {
				t.Fatalf("%s: %+v", path, d)
			}
		}
		if known := path == "/devices"; strings.HasPrefix(list.Devices[0].Name, "more-") != known {
			t.Errorf("%s: %q", path, list.Devices[0].Name)
		}
	}
}

func TestByName_ShowsValuesOfThePage(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.many(200)
	b.maker.set(func() {
		for _, n := range []int{3, 150} {
			d := b.maker.devices[manyID(n)]
			d.Functions, d.Variables = []string{"led"}, map[string]string{"led": "string"}
			b.maker.devices[d.ID], b.maker.led[d.ID] = d, "on"
		}
	})
	for _, n := range []int{3, 150} {
		b.GetJSON(carl, "/devices/"+manyID(n)+"/variables/led")
	}
	for path, want := range map[string]int{"/devices": 2, "/devices?page=3": 0} { // those that were opened have their fleet's name, which comes first
		list := decode[listData](t, b.Get(carl, path))
		with := slices.DeleteFunc(list.Devices, func(d listedDevice) bool { return len(d.Values) == 0 })
		if len(with) != want || want > 0 && (with[1].ID != manyID(150) || with[1].Values[0].Text != "on") {
			t.Errorf("%s: %+v", path, with)
		}
	}
}

// BenchmarkList draws the first page of a person with so many attached devices: asking how all of them are, and how those of the page
// are. Services are called in the process.
func BenchmarkList(b *testing.B) {
	for _, n := range []int{100, 1000, 3000} {
		for name, few := range map[string]int{"ask all": math.MaxInt, "ask the page": fewDevices} {
			b.Run(fmt.Sprintf("%d %s", n, name), func(b *testing.B) {
				bench := newBench(b)
				bench.module.few = few
				bench.many(n)
				bench.Get(carl, "/devices")
				for b.Loop() {
					if a := bench.Get(carl, "/devices"); a.Status != 200 {
						b.Fatal(a.Status)
					}
				}
			})
		}
	}
}
