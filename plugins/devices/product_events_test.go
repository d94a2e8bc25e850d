package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/internal/attachapi"
	"mortise/plugins/internal/moduletest"
	"mortise/plugins/internal/productapi"
)

func TestProductEvents_AreOnePollAndReachOnlyTheirDevice(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	people := []sdk.Identity{ann, bob, carl}
	var pages []*page
	for _, person := range people {
		b.maker.attach(person, given(pump, attachapi.Product))
		for range 4 {
			pages = append(pages, b.follow(t, person, "/devices/"+pump+"/events"))
		}
	}
	b.maker.attach(bob, given(heater, attachapi.Product), given(pump, attachapi.Product))
	other := b.follow(t, bob, "/devices/"+heater+"/events")
	for _, p := range append(pages, other) {
		p.next("upstream", `"live"`)
	}
	moduletest.Eventually(t, "one poll waits", func() bool { return b.maker.polling() == 1 })
	b.maker.emit("", "fleet/secret", "for the maker")
	b.maker.emit(heater, "heater/state", "warm")
	b.maker.emit(pump, "pump/state", "on")
	for _, p := range pages {
		for f := range p.frames {
			if f.name == "event" {
				if !strings.Contains(f.data, "pump/state") || !strings.Contains(f.data, pump) {
					t.Errorf("a page got %s", f.data)
				}
				break
			}
		}
	}
	if f := other.next("event", ""); !strings.Contains(f.data, "heater/state") {
		t.Errorf("the other page got %s", f.data)
	}
	if n := b.maker.polling(); n > 1 {
		t.Errorf("%d polls", n)
	}
	for _, p := range append(pages, other) {
		p.close()
	}
	moduletest.Eventually(t, "the poll ends after the last page", func() bool { return b.maker.polling() == 0 })
}

func TestProductEvents_TheNextOwnerReadsNothingOfTheOneBefore(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.maker.attach(carl, given(pump, attachapi.Product))
	p := b.follow(t, carl, "/devices/"+pump+"/events")
	p.next("upstream", `"live"`)
	b.maker.emit(pump, "house/empty", "since Monday")
	p.next("event", "house/empty")
	b.detach(t, carl, pump)
	p.ended()
	b.maker.attach(bob, given(pump, attachapi.Product))
	if a := b.GetJSON(bob, "/devices/"+pump); a.Status != http.StatusOK || strings.Contains(a.Body, "since Monday") {
		t.Errorf("the next owner's page: %d %s", a.Status, a.Body)
	}
	next := b.follow(t, bob, "/devices/"+pump+"/events")
	next.next("upstream", `"live"`)
	b.maker.emit(pump, "house/warm", "x")
	if f := next.next("event", ""); strings.Contains(f.data, "since Monday") {
		t.Errorf("the next owner's stream got %s", f.data)
	}
}

func TestProductEvents_AWayThatChangesToTheOwnAccountEndsPages(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.module.recheck = 1 << 40 // the fact alone ends the stream
	b.maker.attach(carl, given(pump, attachapi.Product))
	p := b.follow(t, carl, "/devices/"+pump+"/events")
	p.next("upstream", `"live"`)
	b.maker.attach(carl, given(pump, attachapi.Account))
	b.tell(t, attachapi.DeviceAttached, attachapi.DeviceFact{UserID: carl.UserID, DeviceID: pump, WorkspaceID: 3, ProductID: product, Way: attachapi.Account})
	p.ended()
}

func TestProductEvents_KeepOneVisitorsCallsFromOthers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.maker.attach(bob, given(pump, attachapi.Product))
	b.maker.attach(carl, given(pump, attachapi.Product))
	mine, others := b.follow(t, carl, "/devices/"+pump+"/events"), b.follow(t, bob, "/devices/"+pump+"/events")
	mine.next("upstream", `"live"`)
	others.next("upstream", `"live"`)
	b.Do(carl, "POST", "/devices/"+pump+"/functions/led", url.Values{"arg": {"secret"}}, "application/json")
	mine.next("call", "secret")
	b.maker.emit(pump, "after", "x")
	for f := range others.frames {
		if f.name == "call" {
			t.Errorf("another person's page got %s", f.data)
		}
		if f.name == "event" {
			break
		}
	}
}

func TestProductEvents_ComeBackAfterTheServiceOrTheCredentialFailed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.maker.attach(carl, given(pump, attachapi.Product))
	p := b.follow(t, carl, "/devices/"+pump+"/events")
	p.next("upstream", `"live"`)
	b.maker.turn(productapi.Dead)
	if f := p.next("upstream", `"dead"`); !strings.Contains(f.data, "the maker's connection to Particle has a problem") || strings.Contains(f.data, "link") {
		t.Errorf("%s", f.data)
	}
	b.maker.turn(productapi.Live)
	p.next("upstream", `"live"`)
	b.maker.set(func() { b.maker.fail = fault.New(fault.Unavailable, "restarted") })
	b.maker.emit(pump, "wake", "")
	p.next("upstream", `"reconnecting"`)
	b.maker.set(func() { b.maker.fail = nil })
	p.next("upstream", `"live"`)
	b.maker.emit(pump, "again", "x")
	p.next("event", "again")
}

func TestProductEvents_AreBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.maker.here()
	for i := range maxPolls + 5 {
		from := (&fleet{m: b.module, product: productapi.Product{WorkspaceID: 3, ProductID: fmt.Sprint(i)}}).events()
		_, err := b.module.live.feed(from)
		if i < maxPolls && err != nil || i >= maxPolls && err != errBusy {
			t.Fatalf("feed %d: %v", i, err)
		}
	}
	moduletest.Eventually(t, "feeds that nobody watches end", func() bool {
		b.module.live.mu.Lock()
		defer b.module.live.mu.Unlock()
		return len(b.module.live.feeds) == 0
	})
}
