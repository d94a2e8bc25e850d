package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"mortise/core/sdk"
	"mortise/plugins/internal/moduletest"
	"mortise/plugins/internal/particle/particletest"
	"mortise/plugins/internal/tokenapi"
)

// page is an open page that follows events.
type page struct {
	t      *testing.T
	frames chan frame
	close  context.CancelFunc
}

type frame struct{ id, name, data string }

func (b *bench) follow(t *testing.T, person sdk.Identity, path string) *page {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	res, err := http.DefaultClient.Do(b.Request(person, http.MethodGet, path, nil, "text/event-stream").WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cancel)
	if res.StatusCode != http.StatusOK || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		t.Fatalf("%s answered %d %s", path, res.StatusCode, res.Header.Get("Content-Type"))
	}
	p := &page{t: t, frames: make(chan frame, 1000), close: cancel}
	go func() {
		defer res.Body.Close()
		defer close(p.frames)
		lines := bufio.NewScanner(res.Body)
		lines.Buffer(nil, 1<<20)
		var f frame
		for lines.Scan() {
			key, value, _ := strings.Cut(lines.Text(), ": ")
			switch key {
			case "id":
				f.id = value
			case "event":
				f.name = value
			case "data":
				f.data = value
			case "":
				if f.name != "" {
					p.frames <- f
				}
				f = frame{}
			}
		}
	}()
	return p
}

// next waits for a frame of a name that holds a text.
func (p *page) next(name, holds string) frame {
	p.t.Helper()
	timeout := time.After(10 * time.Second)
	for {
		select {
		case f, open := <-p.frames:
			if !open {
				p.t.Fatalf("the stream ended before %s %q", name, holds)
			}
			if f.name == name && strings.Contains(f.data, holds) {
				return f
			}
		case <-timeout:
			p.t.Fatalf("no %s with %q arrived", name, holds)
		}
	}
}

// ended waits for the end of the stream.
func (p *page) ended() {
	p.t.Helper()
	timeout := time.After(10 * time.Second)
	for {
		select {
		case _, open := <-p.frames:
			if !open {
				return
			}
		case <-timeout:
			p.t.Fatal("the stream goes on")
		}
	}
}

func TestStream_SharesOneUpstreamAmongAllPages(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var pages []*page
	for range 10 {
		pages = append(pages, b.follow(t, ann, "/devices/"+lamp+"/events"))
	}
	other := b.follow(t, ann, "/devices/"+sensor+"/events")
	pages[0].next("upstream", `"live"`)
	b.cloud.Emit(lamp, "lamp/state", "on")
	for _, p := range pages {
		var e eventView
		if err := json.Unmarshal([]byte(p.next("event", "lamp/state").data), &e); err != nil || e.DeviceID != lamp || e.Data != "on" || e.PublishedAt.IsZero() {
			t.Errorf("%+v, %v", e, err)
		}
	}
	b.cloud.Emit(sensor, "sensor/temp", "21.5")
	for f := range other.frames {
		if f.name == "event" {
			if !strings.Contains(f.data, "21.5") {
				t.Errorf("another device's event: %s", f.data)
			}
			break
		}
	}
	if n := b.cloud.StreamsOpened(); n != 1 {
		t.Errorf("%d upstream streams were opened", n)
	}
	for _, p := range append(pages, other) {
		p.close()
	}
	moduletest.Eventually(t, "the upstream ends after the last page", func() bool { return b.cloud.OpenStreams() == 0 })
}

func TestStream_BeginsWithTheLastEventsAndGoesOnWhereAPageWas(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	first := b.follow(t, ann, "/devices/"+lamp+"/events")
	first.next("upstream", `"live"`)
	for i := range replayEvents + 10 {
		b.cloud.Emit(lamp, "count", fmt.Sprintf("n%d.", i))
	}
	last := first.next("event", fmt.Sprintf("n%d.", replayEvents+9))
	second := b.follow(t, ann, "/devices/"+lamp+"/events")
	seen := 0
	for f := range second.frames {
		if f.name == "event" {
			seen++
			if seen == 1 && !strings.Contains(f.data, "n10.") {
				t.Errorf("begins with %s", f.data)
			}
			if f.id == last.id {
				break
			}
		}
	}
	if seen != replayEvents {
		t.Errorf("%d events were repeated", seen)
	}
	third := b.follow(t, ann, "/devices/"+lamp+"/events?after="+last.id)
	b.cloud.Emit(lamp, "count", "new")
	for f := range third.frames {
		if f.name == "event" {
			if !strings.Contains(f.data, "new") {
				t.Errorf("after the last event comes %s", f.data)
			}
			break
		}
	}
	a := b.GetJSON(ann, "/devices/"+lamp+"/events")
	if data := decode[eventsData](t, a); len(data.Events) != replayEvents || data.Events[0].Data != "new" || !data.Live {
		t.Errorf("the page lists %d events", len(data.Events))
	}
}

func TestStream_TellsCallsValuesAndConnections(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.follow(t, ann, "/devices/"+lamp+"/events")
	p.next("upstream", `"live"`)
	b.callFn(t, lamp, "led", "on")
	p.next("call", `"return_value":1`)
	p.next("value", `"led":{"name":"led","type":"string","value":"on"`)
	b.cloud.SetOffline(lamp, true)
	p.next("device", `"status":"Offline"`)
}

func TestStream_EndsWhenTheAccountIsUnlinkedOrDead(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.follow(t, ann, "/devices/"+lamp+"/events")
	p.next("upstream", `"live"`)
	b.linked.set(ann)
	if err := b.module.Deliver(t.Context(), sdk.Event{Name: "linking.account_unlinked", Payload: []byte(`{"user_id":2,"account_id":1}`)}); err != nil {
		t.Fatal(err)
	}
	p.ended()
	moduletest.Eventually(t, "the upstream ends", func() bool { return b.cloud.OpenStreams() == 0 })

	q := b.follow(t, bob, "/devices/"+bobsLamp+"/events")
	q.next("upstream", `"live"`)
	b.cloud.RevokeTokens(bobParticle)
	b.cloud.EndStreams()
	q.next("upstream", `"dead"`)
	q.ended()
	moduletest.Eventually(t, "linking is told", func() bool {
		b.linked.mu.Lock()
		defer b.linked.mu.Unlock()
		return b.linked.accounts[bob.UserID][0].State == tokenapi.Dead
	})
}

func TestStream_ReconnectsAfterTheCloudBreaksIt(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.follow(t, ann, "/devices/"+lamp+"/events")
	p.next("upstream", `"live"`)
	b.cloud.EndStreams()
	p.next("upstream", `"reconnecting"`)
	p.next("upstream", `"live"`)
	b.cloud.Faults.Set(particletest.Faults{StreamCRLF: true})
	b.cloud.Emit(lamp, "again", "x")
	p.next("event", "again")
}

func TestWatcher_LosesTheOldestAndIsToldHowMany(t *testing.T) {
	t.Parallel()
	w := &watcher{queue: make(chan message, 3)}
	for i := range 10 {
		w.push(message{number: int64(i)})
	}
	if missed := w.takeMissed(); missed != 7 {
		t.Errorf("missed %d", missed)
	}
	if first := <-w.queue; first.number != 7 {
		t.Errorf("the first left is %d", first.number)
	}
	if w.takeMissed() != 0 {
		t.Error("told twice")
	}
}

func TestFeed_BoundsWhatItRemembers(t *testing.T) {
	t.Parallel()
	f := &feed{rings: map[string][]message{}}
	big := make([]byte, replayBytes/4)
	for i := range 20 {
		f.remember(message{number: int64(i), device: lamp, data: big})
	}
	if n := len(f.rings[lamp]); n != 4 {
		t.Errorf("%d big messages are kept", n)
	}
	for i := range replayDevices + 50 {
		f.remember(message{device: fmt.Sprintf("%024x", i)})
	}
	if n := len(f.rings); n > replayDevices {
		t.Errorf("%d devices are kept", n)
	}
}

func TestStream_ShowsWhatThePersonPublishedOnThePagesOfEveryDevice(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.follow(t, ann, "/devices/"+lamp+"/events")
	p.next("upstream", `"live"`)
	if a := b.Post(ann, "/devices/"+sensor+"/events", url.Values{"event_name": {"garden/pump"}, "data": {"12"}}); a.Status != http.StatusSeeOther {
		t.Fatalf("answered %d %s", a.Status, a.Body)
	}
	var e eventView
	if err := json.Unmarshal([]byte(p.next("event", "garden/pump").data), &e); err != nil || e.DeviceID != "" || e.Data != "12" {
		t.Errorf("%+v, %v", e, err)
	}
}
