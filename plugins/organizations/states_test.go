package main

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mortise/core/fault"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/particle/particletest"
	"mortise/plugins/internal/productapi"
)

const (
	listRoute = "GET /v1/products/{p}/devices"
	oneRoute  = "GET /v1/products/{p}/devices/{id}"
)

// addFleet adds n lamps and gives their ids.
func (b *bench) addFleet(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("0f1ee7ed2021949400%06d", i)
		b.cloud.AddDevice(particletest.Device{ID: ids[i], Name: fmt.Sprintf("fleet-%d", i), Product: "10001", Functions: map[string]func(string) int{"led": func(string) int { return 1 }}})
	}
	return ids
}

// routes counts the listings and the questions for one device since it was called last.
type routes struct {
	b         *bench
	list, one int
}

func (r *routes) since() (list, one int) {
	l, o := r.b.cloud.Calls(listRoute), r.b.cloud.Calls(oneRoute)
	list, one = l-r.list, o-r.one
	r.list, r.one = l, o
	return list, one
}

func (b *bench) counts() *routes {
	r := &routes{b: b}
	r.since()
	return r
}

func TestStates_AreListedOnceForEverybody(t *testing.T) {
	t.Parallel()
	b, c := serviceBench(t)
	ids := b.addFleet(40)
	asked := b.counts()
	var everybody sync.WaitGroup
	for i := range 50 {
		everybody.Go(func() {
			s, err := c.States(t.Context(), lamps, ids[i%10:i%10+30])
			if err != nil || len(s.Devices) != 30 || s.Stale || len(s.Missing) != 0 || !s.Devices[0].Online || s.Devices[0].ID != ids[i%10] || s.Devices[0].Functions != nil {
				t.Errorf("%d devices, stale %v, %v", len(s.Devices), s.Stale, err)
			}
		})
	}
	everybody.Wait()
	if list, one := asked.since(); list != 1 || one != 0 {
		t.Errorf("%d listings and %d single questions", list, one)
	}
	b.clock.forward(4 * time.Second)
	if _, err := c.States(t.Context(), lamps, ids); err != nil {
		t.Error(err)
	}
	if list, one := asked.since(); list != 0 || one != 0 {
		t.Errorf("fresh ones were asked again: %d %d", list, one)
	}
	b.clock.forward(2 * time.Second)
	if s, err := c.States(t.Context(), lamps, ids); err != nil || s.At.Before(b.clock.now()) {
		t.Errorf("after a while: %s %v", s.At, err)
	}
	if list, one := asked.since(); list != 1 || one != 0 {
		t.Errorf("after a while: %d listings and %d single questions", list, one)
	}
}

func TestStates_OfALargeProductAskForAFewDevicesOnly(t *testing.T) {
	t.Parallel()
	b, c := serviceBench(t)
	ids := b.addFleet(650)
	if a := b.Post(ada, first+"/products/refresh", nil); a.Location == "" { // so that it is known how large it is
		t.Fatal(a.Status)
	}
	asked := b.counts()
	for range 3 {
		if s, err := c.States(t.Context(), lamps, ids[:2]); err != nil || len(s.Devices) != 2 || s.Stale {
			t.Errorf("%+v %v", s, err)
		}
	}
	if list, one := asked.since(); list != 0 || one != 2 {
		t.Errorf("a few: %d listings and %d single questions", list, one)
	}
	for i := range 30 { // many customers with one device each: from some point on a listing is cheaper
		if s, err := c.States(t.Context(), lamps, ids[100+i:101+i]); err != nil || len(s.Devices) != 1 || s.Stale {
			t.Fatalf("%+v %v", s, err)
		}
	}
	if list, one := asked.since(); list != 7 || one > 6 {
		t.Errorf("many: %d pages and %d single questions", list, one)
	}
	s, err := c.States(t.Context(), lamps, append(slices.Clone(ids[:490]), stranger))
	if err != nil || len(s.Devices) != 490 || !slices.Equal(s.Missing, []string{stranger}) {
		t.Errorf("all: %d %v %v", len(s.Devices), s.Missing, err)
	}
	if list, one := asked.since(); list != 0 || one != 0 {
		t.Errorf("known from the listing: %d %d", list, one)
	}
}

func TestStates_TellTheLastAnswerWhileParticleFails(t *testing.T) {
	t.Parallel()
	b, c := serviceBench(t)
	ids := b.addFleet(10)
	asked := b.counts()
	b.cloud.Faults.Set(particletest.Faults{Rules: []particletest.Rule{{Status: 500}}})
	if s, err := c.States(t.Context(), lamps, ids); !particle.Is(err, particle.Upstream) {
		t.Errorf("nothing is known: %+v %v", s, err)
	}
	b.cloud.Faults.Set(particletest.Faults{})
	if s, err := c.States(t.Context(), lamps, ids); !particle.Is(err, particle.Upstream) {
		t.Errorf("it is left in peace for a while: %+v %v", s, err)
	}
	b.clock.forward(11 * time.Second)
	known := b.clock.now()
	if s, err := c.States(t.Context(), lamps, ids); err != nil || s.Stale || len(s.Devices) != 10 {
		t.Errorf("again: %+v %v", s, err)
	}
	b.clock.forward(time.Minute)
	b.cloud.Faults.Set(particletest.Faults{Rules: []particletest.Rule{{Status: 429}}})
	asked.since()
	for range 20 {
		s, err := c.States(t.Context(), lamps, append(slices.Clone(ids), stranger))
		if err != nil || !s.Stale || len(s.Devices) != 10 || !s.At.Equal(known) || s.Why == nil || s.Why.Kind != particle.RateLimited {
			t.Fatalf("%+v %v", s, err)
		}
	}
	if list, one := asked.since(); list+one != 1 {
		t.Errorf("asked %d times while it said to wait", list+one)
	}
	b.cloud.Faults.Set(particletest.Faults{})
	b.clock.forward(time.Minute + time.Second)
	if s, err := c.States(t.Context(), lamps, ids); err != nil || s.Stale || s.Why != nil {
		t.Errorf("after the pause: %+v %v", s, err)
	}
}

func TestStates_DoNotWaitForASlowListing(t *testing.T) {
	t.Parallel()
	b, c := serviceBench(t)
	ids := b.addFleet(3)
	if _, err := c.States(t.Context(), lamps, ids); err != nil {
		t.Fatal(err)
	}
	b.module.patience.listed = 20 * time.Millisecond
	b.clock.forward(time.Minute)
	b.cloud.Faults.Set(particletest.Faults{PageLatency: 400 * time.Millisecond})
	if s, err := c.States(t.Context(), lamps, ids); err != nil || !s.Stale || len(s.Devices) != 3 {
		t.Errorf("%+v %v", s, err)
	}
}

func TestStates_AreFreshAfterAChangeFromHere(t *testing.T) {
	t.Parallel()
	b, c := serviceBench(t)
	if _, err := c.States(t.Context(), lamps, []string{unclaimed, lamp}); err != nil {
		t.Fatal(err)
	}
	if err := c.Rename(t.Context(), lamps, unclaimed, "renamed"); err != nil {
		t.Fatal(err)
	}
	asked := b.counts()
	s, err := c.States(t.Context(), lamps, []string{unclaimed, lamp})
	if err != nil || len(s.Devices) != 2 || s.Devices[0].Name != "renamed" {
		t.Errorf("%+v %v", s, err)
	}
	if list, one := asked.since(); list != 0 || one != 1 {
		t.Errorf("%d listings and %d single questions", list, one)
	}
}

func TestStates_EndWithTheWorkspace(t *testing.T) {
	t.Parallel()
	b, c := serviceBench(t)
	if _, err := c.States(t.Context(), lamps, []string{unclaimed}); err != nil {
		t.Fatal(err)
	}
	b.Post(ada, first+"/remove", map[string][]string{"confirm": {"Garden"}})
	before := b.upstream()
	if s, err := c.States(t.Context(), lamps, []string{unclaimed}); !fault.Is(err, fault.NotFound) || b.upstream() != before {
		t.Errorf("%+v %v", s, err)
	}
}

func TestStates_KeepABoundedNumberOfProducts(t *testing.T) {
	t.Parallel()
	b, c := serviceBench(t)
	now := b.clock.now()
	s := b.module.fleets
	if _, err := c.States(t.Context(), lamps, []string{unclaimed}); err != nil {
		t.Fatal(err)
	}
	b.clock.forward(time.Second)
	for i := range maxFleets {
		f := &fleet{of: s, key: productKey{9, fmt.Sprint(i)}, used: b.clock.now(), devices: map[string]*deviceState{}}
		s.byID[f.key] = f
	}
	newest := s.byID[productKey{9, "7"}]
	s.trim(newest)
	if len(s.byID) != maxFleets || s.known(productKey{1, "10001"}) != nil || s.known(newest.key) == nil {
		t.Errorf("%d products are kept since %s", len(s.byID), now)
	}
	for i := range maxKeptStates + 1 {
		newest.devices[fmt.Sprint(i)] = nil
	}
	s.trim(newest)
	if len(s.byID) != 1 {
		t.Errorf("%d products are kept beside a large one", len(s.byID))
	}
}

func TestStates_ALargeFleetIsListedLessOften(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := &fleet{of: b.module.fleets, pages: 3}
	if f.life() != 5*time.Second {
		t.Error(f.life())
	}
	if f.pages = 100; f.life() != 25*time.Second {
		t.Error(f.life())
	}
}

// BenchmarkStates is what a page of 50 attached devices costs here while the answer is fresh.
func BenchmarkStates(b *testing.B) {
	bench := newBench(b)
	ids := bench.addFleet(1000)[300:350]
	bench.connect(b)
	in := productapi.StateQuery{Product: lamps, DeviceIDs: ids}
	if _, err := bench.module.serveStates(b.Context(), in); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if s, err := bench.module.serveStates(b.Context(), in); err != nil || len(s.Devices) != 50 {
				b.Fatal(err)
			}
		}
	})
}

func TestStates_KnowAtOnceWhatWasImportedHere(t *testing.T) {
	t.Parallel()
	b, c := serviceBench(t)
	ids := b.spares(8) // more than are asked for one by one
	if s, err := c.States(t.Context(), lamps, ids); err != nil || len(s.Missing) != len(ids) {
		t.Fatalf("before: %+v %v", s, err)
	}
	b.rests(t, b.begin(t, importing(strings.Join(ids, "\n"))))
	if s, err := c.States(t.Context(), lamps, ids); err != nil || len(s.Devices) != len(ids) {
		t.Errorf("within the same second: %d devices, missing %v, %v", len(s.Devices), s.Missing, err)
	}
}
