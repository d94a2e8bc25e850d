package main

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"mortise/core/fault"
	"mortise/plugins/internal/particle/particletest"
	"mortise/plugins/internal/productapi"
)

// reader polls the events of a product as a module does.
type reader struct {
	t      *testing.T
	c      productapi.Client
	p      productapi.Product
	cursor int64
	state  productapi.StreamState
	gaps   int
	missed int
	seen   []productapi.Event
}

// until polls until enough is true, and checks that no number ever comes again.
func (r *reader) until(enough func() bool) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 30*time.Second)
	defer cancel()
	for !enough() {
		a, err := r.c.Events(ctx, productapi.Poll{Product: r.p, After: r.cursor, State: r.state, WaitMS: 5000})
		if err != nil {
			r.t.Fatalf("in state %q with %d events: %v", r.state, len(r.seen), err)
		}
		for _, e := range a.Events {
			if e.Number <= r.cursor || e.Number > a.Cursor {
				r.t.Errorf("number %d after the cursor %d, with the next %d", e.Number, r.cursor, a.Cursor)
			}
			r.cursor = e.Number
		}
		if a.Cursor < r.cursor {
			r.t.Errorf("the cursor went back to %d", a.Cursor)
		}
		if a.Gap {
			r.gaps++
		}
		r.missed += a.Missed
		r.cursor, r.state, r.seen = a.Cursor, a.State, append(r.seen, a.Events...)
	}
}

func (r *reader) is(state productapi.StreamState) func() bool {
	return func() bool { return r.state == state }
}

func (r *reader) has(n int) func() bool { return func() bool { return len(r.seen) >= n } }

// eventually waits for what happens in the background.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	over, tick := time.After(30*time.Second), time.NewTicker(2*time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-over:
			t.Fatal("it never happened: " + what)
		case <-tick.C:
		}
	}
}

func TestEvents_ReachEveryPollThroughOneStream(t *testing.T) {
	t.Parallel()
	b, c := serviceBench(t)
	readers := make([]*reader, 4)
	var everybody sync.WaitGroup
	for i := range readers {
		readers[i] = &reader{t: t, c: c, p: lamps}
		everybody.Go(func() { readers[i].until(readers[i].is(productapi.Live)) })
	}
	everybody.Wait()
	b.cloud.Emit(unclaimed, "lamp/state", "on")
	b.cloud.Emit(stranger, "lamp/state", "foreign")
	b.cloud.Emit(lamp, "lamp/state", `{"led":1}`)
	for i, r := range readers {
		everybody.Go(func() { r.until(r.has(2)) })
		_ = i
	}
	everybody.Wait()
	for _, r := range readers {
		if e := r.seen[1]; len(r.seen) != 2 || e.DeviceID != lamp || e.Name != "lamp/state" || e.Data != `{"led":1}` || e.PublishedAt.IsZero() || r.gaps != 0 || r.missed != 0 {
			t.Errorf("%+v, %d gaps", r.seen, r.gaps)
		}
	}
	if open, ever := b.cloud.OpenStreams(), b.cloud.StreamsOpened(); open != 1 || ever != 1 {
		t.Errorf("%d streams are open, %d ever were", open, ever)
	}
	b.clock.forward(time.Second)
	eventually(t, "the stream is closed after the last poll", func() bool { return b.cloud.OpenStreams() == 0 })
	r := readers[0]
	r.until(func() bool { return r.gaps > 0 && r.state == productapi.Live })
	if b.cloud.StreamsOpened() != 2 {
		t.Errorf("%d streams were opened", b.cloud.StreamsOpened())
	}
}

func TestEvents_WaitAndAnswerNothing(t *testing.T) {
	t.Parallel()
	_, c := serviceBench(t)
	r := &reader{t: t, c: c, p: lamps}
	r.until(r.is(productapi.Live))
	for _, wait := range []int64{0, 30} {
		began := time.Now()
		a, err := c.Events(t.Context(), productapi.Poll{Product: lamps, After: r.cursor, State: r.state, WaitMS: wait})
		if took := time.Since(began); err != nil || len(a.Events) != 0 || a.Cursor != r.cursor || a.State != productapi.Live || took < time.Duration(wait)*time.Millisecond {
			t.Errorf("%d ms: %+v %v after %s", wait, a, err, took)
		}
	}
}

func TestEvents_EndAtOnceWithTheirCaller(t *testing.T) {
	t.Parallel()
	_, c := serviceBench(t)
	r := &reader{t: t, c: c, p: lamps}
	r.until(r.is(productapi.Live))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := c.Events(ctx, productapi.Poll{Product: lamps, After: r.cursor, State: r.state, WaitMS: 25000})
		ended <- err
	}()
	cancel()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("an answer for nobody")
		}
	case <-time.After(20 * time.Second):
		t.Error("still waiting")
	}
}

func TestEvents_SurviveADroppedStream(t *testing.T) {
	t.Parallel()
	for name, drop := range map[string]func(*bench, *reader){
		"ended": func(b *bench, _ *reader) { b.cloud.EndStreams() },
		"broken": func(b *bench, r *reader) {
			b.cloud.Faults.Set(particletest.Faults{StreamBroken: true})
			r.until(r.is(productapi.Reconnecting))
			b.cloud.Faults.Set(particletest.Faults{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, c := serviceBench(t)
			r := &reader{t: t, c: c, p: lamps}
			r.until(r.is(productapi.Live))
			b.cloud.Emit(unclaimed, "before", "1")
			r.until(r.has(1))
			drop(b, r)
			r.until(func() bool { return r.gaps > 0 && r.state == productapi.Live && b.cloud.OpenStreams() == 1 })
			b.cloud.Emit(unclaimed, "after", "2")
			r.until(r.has(2))
			if r.seen[1].Name != "after" || r.missed != 0 || b.cloud.OpenStreams() != 1 {
				t.Errorf("%+v, %d missed", r.seen, r.missed)
			}
		})
	}
}

func TestEvents_AreTriedAgainWhenThereAreTooManyStreams(t *testing.T) {
	t.Parallel()
	for _, status := range []int{429, 529, 500} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			b, c := serviceBench(t)
			b.cloud.Faults.Set(particletest.Faults{StreamStatus: status})
			r := &reader{t: t, c: c, p: lamps}
			r.until(r.is(productapi.Reconnecting))
			b.cloud.Faults.Set(particletest.Faults{})
			r.until(r.is(productapi.Live))
			if findings, err := b.module.Check(t.Context()); err != nil || len(findings) != 0 {
				t.Errorf("%+v %v", findings, err)
			}
		})
	}
}

func TestEvents_AreDeadWithTheCredentialAndComeBackWithANewOne(t *testing.T) {
	t.Parallel()
	b, c := serviceBench(t)
	r := &reader{t: t, c: c, p: lamps}
	r.until(r.is(productapi.Live))
	b.cloud.RevokeToken(b.token)
	r.until(r.is(productapi.Dead))
	if findings, err := b.module.Check(t.Context()); err != nil || len(findings) != 1 || !strings.Contains(findings[0].Title, "401") {
		t.Errorf("%+v %v", findings, err)
	}
	fresh := b.cloud.IssueToken(maker, "")
	a := b.Post(ada, first+"/edit", url.Values{"name": {"Garden"}, "base_url": {b.url}, "token": {fresh}, "version": {"1"}})
	if a.Location != first {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	r.until(r.is(productapi.Live))
	b.cloud.Emit(unclaimed, "again", "1")
	r.until(r.has(1))
	if r.gaps != 1 || r.seen[0].Name != "again" || strings.Contains(b.Host.LogText(), fresh) || strings.Contains(b.Host.LogText(), b.token) {
		t.Errorf("%d gaps, %+v", r.gaps, r.seen)
	}
}

func TestEvents_TryARefusedCredentialAgainNowAndThen(t *testing.T) {
	t.Parallel()
	b, c := serviceBench(t)
	b.cloud.Faults.Set(particletest.Faults{StreamStatus: 403})
	r := &reader{t: t, c: c, p: lamps}
	r.until(r.is(productapi.Dead))
	b.cloud.Faults.Set(particletest.Faults{})
	done := make(chan struct{})
	go func() { // the poll keeps the stream wanted while the clock goes on
		defer close(done)
		r.until(r.is(productapi.Live))
	}()
	eventually(t, "it is tried again", func() bool {
		b.clock.forward(50 * time.Millisecond)
		return b.cloud.OpenStreams() == 1
	})
	<-done
}

func TestEvents_NeverComeAgainAfterARestart(t *testing.T) {
	t.Parallel()
	b, c := serviceBench(t)
	r := &reader{t: t, c: c, p: lamps}
	r.until(r.is(productapi.Live))
	for i := range 5 {
		b.cloud.Emit(unclaimed, "before", fmt.Sprint(i))
	}
	r.until(r.has(5))
	if err := b.module.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stream is closed", func() bool { return b.cloud.OpenStreams() == 0 })
	if _, err := c.Events(t.Context(), productapi.Poll{Product: lamps, After: r.cursor}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("stopped: %v", err)
	}
	for _, back := range []time.Duration{0, -time.Hour} { // also when the clock was put back meanwhile
		b.clock.forward(back)
		m := b.restart(t)
		r.c, r.state, r.gaps = b.client(t, m), "", 0
		r.until(r.is(productapi.Live))
		n := len(r.seen)
		b.cloud.Emit(unclaimed, "after", "1")
		r.until(r.has(n + 1))
		if r.gaps != 1 || r.seen[n].Name != "after" {
			t.Errorf("%d gaps, %+v", r.gaps, r.seen[n:])
		}
		if err := m.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEvents_AreKeptInABoundedRing(t *testing.T) {
	t.Parallel()
	b, c := serviceBench(t)
	r := &reader{t: t, c: c, p: lamps}
	r.until(r.is(productapi.Live))
	const n = ringEvents + 100
	f := b.module.streams.feeds[productKey{1, "10001"}]
	for i := range n {
		if b.cloud.Emit(unclaimed, "many", strings.Repeat("x", i%100)); i%50 == 49 { // no faster than they are taken
			eventually(t, "they are taken", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.next > r.cursor+int64(i) })
		}
	}
	r.until(func() bool { return len(r.seen)+r.missed >= n })
	if len(r.seen) != ringEvents || r.missed != 100 || r.gaps != 0 {
		t.Errorf("%d events, %d missed, %d gaps", len(r.seen), r.missed, r.gaps)
	}
	b.cloud.Emit(unclaimed, "long", strings.Repeat("ä", maxEventData))
	r.until(r.has(ringEvents + 1))
	if last := r.seen[ringEvents].Data; len(last) > maxEventData+3 || !strings.HasSuffix(last, "ä…") {
		t.Errorf("%d bytes", len(last))
	}
	for range 40 {
		b.cloud.Emit(unclaimed, "long", strings.Repeat("x", maxEventData))
	}
	eventually(t, "they are taken", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.next > r.cursor+40 })
	f.mu.Lock()
	defer f.mu.Unlock()
	size := 0
	for _, e := range f.ring {
		size += e.size
	}
	if size != f.bytes || size > ringBytes || len(f.ring) < 10 {
		t.Errorf("%d events with %d bytes, counted as %d", len(f.ring), size, f.bytes)
	}
}

func TestEvents_CountWhatTheHubLost(t *testing.T) {
	t.Parallel()
	b, c := serviceBench(t)
	r := &reader{t: t, c: c, p: lamps}
	r.until(r.is(productapi.Live))
	b.module.streams.feeds[productKey{1, "10001"}].lose(7)
	if r.until(func() bool { return r.missed > 0 }); r.missed != 7 {
		t.Errorf("%d", r.missed)
	}
}

func TestEvents_TellTheStatesWhoIsOnline(t *testing.T) {
	t.Parallel()
	b, c := serviceBench(t)
	b.module.patience.linger = time.Hour
	r := &reader{t: t, c: c, p: lamps}
	r.until(r.is(productapi.Live))
	if s, err := c.States(t.Context(), lamps, []string{unclaimed}); err != nil || !s.Devices[0].Online {
		t.Fatalf("%+v %v", s, err)
	}
	asked := b.counts()
	for i, offline := range []bool{true, false} {
		b.clock.forward(time.Second)
		b.cloud.SetOffline(unclaimed, offline)
		r.until(r.has(i + 1))
		if s, err := c.States(t.Context(), lamps, []string{unclaimed}); err != nil || s.Devices[0].Online == offline {
			t.Errorf("%+v %v", s, err)
		}
	}
	if list, one := asked.since(); list+one != 0 {
		t.Errorf("Particle was asked %d times", list+one)
	}
}

func TestEvents_MakeRoomForAnotherProduct(t *testing.T) {
	t.Parallel()
	b, _ := serviceBench(t)
	m := New()
	b.prepare(m)
	m.hubOptions.MaxAccounts = 1
	if err := m.Start(t.Context(), b.Host); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Stop(context.WithoutCancel(t.Context())) })
	c := b.client(t, m)
	r := &reader{t: t, c: c, p: lamps}
	r.until(r.is(productapi.Live))
	pumps := productapi.Product{WorkspaceID: 1, ProductID: "10002"}
	waiting := &reader{t: t, c: c, p: pumps}
	waiting.until(waiting.is(productapi.Live)) // nobody polls the lamps at this moment
	ctx, cancel := context.WithCancel(t.Context())
	polling := make(chan struct{})
	go func() {
		defer close(polling)
		_, _ = c.Events(ctx, productapi.Poll{Product: pumps, After: waiting.cursor, State: waiting.state, WaitMS: 25000})
	}()
	f := m.streams.feeds[productKey{1, "10002"}]
	eventually(t, "somebody polls", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.polls > 0 })
	if _, err := c.Events(t.Context(), productapi.Poll{Product: lamps, After: r.cursor, WaitMS: 1000}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("%v", err)
	}
	cancel()
	<-polling
}

func TestEvents_EndWithTheWorkspace(t *testing.T) {
	t.Parallel()
	b, c := serviceBench(t)
	r := &reader{t: t, c: c, p: lamps}
	r.until(r.is(productapi.Live))
	ended := make(chan error, 1)
	go func() {
		_, err := c.Events(t.Context(), productapi.Poll{Product: lamps, After: r.cursor, State: r.state, WaitMS: 25000})
		ended <- err
	}()
	f := b.module.streams.feeds[productKey{1, "10001"}]
	eventually(t, "somebody polls", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.polls > 0 })
	b.Post(ada, first+"/remove", url.Values{"confirm": {"Garden"}})
	if err := <-ended; !fault.Is(err, fault.NotFound) {
		t.Errorf("%v", err)
	}
	eventually(t, "the stream is closed", func() bool { return b.cloud.OpenStreams() == 0 })
}
