package particle_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mortise/core/fault"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/particle/particletest"
)

func TestStream_DeliversEventsInEveryShapeOfTheWire(t *testing.T) {
	t.Parallel()
	for _, faults := range []particletest.Faults{{}, {StreamCRLF: true}, {StreamSplit: true}, {StreamNoHello: true}, {WrongShapes: true}} {
		var cloud particletest.Server
		client, token := newCloud(t, &cloud, particle.Timeouts{})
		cloud.Faults.Set(faults)
		if faults.StreamNoHello { // such a server sends its head with the first byte
			cloud.Faults.Update(func(f *particletest.Faults) { f.StreamSplit = true })
		}
		stream, err := client.OpenStream(bounded(t), token, particle.Source{Prefix: "lamp/"})
		must(t, err)
		cloud.Emit(particletest.DemoSensor, "other", "x")
		cloud.Emit(particletest.DemoLamp, "lamp/state", "on \"ß\"")
		e, err := stream.Next()
		must(t, err)
		if e.Name != "lamp/state" || e.Data != "on \"ß\"" || e.DeviceID != particletest.DemoLamp || e.TTL != time.Minute || e.PublishedAt.IsZero() {
			t.Errorf("%+v: got %s, ttl %v", faults, e.JSON(), e.TTL)
		}
		stream.Close()
		stream.Close()
		_, err = stream.Next()
		wantKind(t, err, particle.Cancelled)
	}
}

func TestStream_SaysWhyItWasRefusedOrEnded(t *testing.T) {
	t.Parallel()
	var cloud particletest.Server
	client, token := newCloud(t, &cloud, quick)
	open := func(token string) error {
		stream, err := client.OpenStream(bounded(t), token, particle.Source{})
		if err != nil {
			return err
		}
		defer stream.Close()
		_, err = stream.Next()
		return err
	}
	wantKind(t, open("dead"), particle.DeadToken)
	for status, kind := range map[int]particle.Kind{401: particle.DeadToken, 429: particle.RateLimited, 500: particle.Upstream} {
		cloud.Faults.Set(particletest.Faults{StreamStatus: status})
		wantKind(t, open(token), kind)
	}
	cloud.Faults.Set(particletest.Faults{StreamBroken: true})
	wantKind(t, open(token), particle.Unreachable)
	cloud.Faults.Set(particletest.Faults{StreamStalled: true})
	wantKind(t, open(token), particle.NoAnswer)
	cloud.Faults.Set(particletest.Faults{Rules: []particletest.Rule{{Prefix: "/v1/devices/events", Hang: true}}})
	wantKind(t, open(token), particle.NoAnswer)
	cloud.Faults.Set(particletest.Faults{Rules: []particletest.Rule{{Prefix: "/v1/devices/events", HTML: true, Status: 200}}})
	wantKind(t, open(token), particle.NotParticle)
	inBand := handling(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, ":ok\n\nevent: error\ndata: {\"error\":\"invalid_token\",\"error_description\":\"The access token provided has expired.\"}\n\n")
	})
	stream, err := inBand.OpenStream(bounded(t), "tok", particle.Source{})
	must(t, err)
	_, err = stream.Next()
	wantKind(t, err, particle.DeadToken)
}

// hub is a hub of the simulator with short waits.
func hub(t testing.TB, client *particle.Client, token func() string, change func(*particle.HubOptions)) *particle.Hub {
	t.Helper()
	o := particle.HubOptions{Linger: 50 * time.Millisecond, BackoffMin: 5 * time.Millisecond, BackoffMax: 20 * time.Millisecond,
		Connect: func(ctx context.Context, _ string) (*particle.Stream, error) {
			return client.OpenStream(ctx, token(), particle.Source{})
		}}
	if change != nil {
		change(&o)
	}
	h := particle.NewHub(o)
	t.Cleanup(h.Close)
	return h
}

// until reads messages up to the first one that fits.
func until(t testing.TB, s *particle.Subscription, fits func(particle.Message) bool) particle.Message {
	t.Helper()
	ctx := bounded(t)
	for {
		m, err := s.Next(ctx)
		if err != nil {
			t.Fatalf("the message never came: %v", err)
		}
		if fits(m) {
			return m
		}
	}
}

func isState(state particle.StreamState) func(particle.Message) bool {
	return func(m particle.Message) bool { return m.State == state }
}

func isEvent(data string) func(particle.Message) bool {
	return func(m particle.Message) bool { return m.Event != nil && m.Event.Data == data }
}

func TestHub_HoldsOneUpstreamForAThousandSubscribers(t *testing.T) {
	t.Parallel()
	var cloud particletest.Server
	cloud.Beat = -1
	client, token := newCloud(t, &cloud, particle.Timeouts{})
	h := hub(t, client, func() string { return token }, nil)
	var readers sync.WaitGroup
	var subscriptions []*particle.Subscription
	for range 1000 {
		s, err := h.Subscribe("ada", "")
		must(t, err)
		subscriptions = append(subscriptions, s)
	}
	until(t, subscriptions[0], isState(particle.Live))
	for _, s := range subscriptions {
		readers.Go(func() {
			until(t, s, isEvent("on"))
			s.Close()
		})
	}
	cloud.Emit(particletest.DemoLamp, "lamp/state", "on")
	readers.Wait()
	if n := cloud.StreamsOpened(); n != 1 {
		t.Errorf("%d upstream streams were opened, want 1", n)
	}
	eventually(t, "the upstream is closed after the last one left", func() bool { return cloud.OpenStreams() == 0 && h.Stats().Accounts == 0 })
}

func TestHub_LingersForAPageChange(t *testing.T) {
	t.Parallel()
	var cloud particletest.Server
	client, token := newCloud(t, &cloud, particle.Timeouts{})
	h := hub(t, client, func() string { return token }, func(o *particle.HubOptions) { o.Linger = time.Hour })
	for range 3 {
		s, err := h.Subscribe("ada", "")
		must(t, err)
		until(t, s, isState(particle.Live))
		s.Close()
		s.Close()
	}
	if n := cloud.StreamsOpened(); n != 1 {
		t.Errorf("%d streams were opened, want 1", n)
	}
}

func TestHub_NarrowsToADevice(t *testing.T) {
	t.Parallel()
	var cloud particletest.Server
	client, token := newCloud(t, &cloud, particle.Timeouts{})
	h := hub(t, client, func() string { return token }, nil)
	s, err := h.Subscribe("ada", particletest.DemoLamp)
	must(t, err)
	until(t, s, isState(particle.Live))
	cloud.Emit(particletest.DemoSensor, "x", "of another device")
	cloud.Emit(particletest.DemoLamp, "x", "mine")
	if m := until(t, s, func(m particle.Message) bool { return m.Event != nil }); m.Event.Data != "mine" {
		t.Errorf("got %s", m.Event.JSON())
	}
}

func TestHub_ComesBackAfterEachKindOfBreak(t *testing.T) {
	t.Parallel()
	var cloud particletest.Server
	limits := quick
	limits.StreamIdle = 100 * time.Millisecond
	cloud.KeepAlive = 20 * time.Millisecond
	client, token := newCloud(t, &cloud, limits)
	h := hub(t, client, func() string { return token }, nil)
	s, err := h.Subscribe("ada", "")
	must(t, err)
	until(t, s, isState(particle.Live))
	for i, faults := range []particletest.Faults{{StreamBroken: true}, {StreamStalled: true}, {StreamStatus: 500}} {
		cloud.Faults.Set(faults)
		if faults.StreamStatus != 0 {
			cloud.EndStreams()
		}
		if m := until(t, s, isState(particle.Reconnecting)); m.Err == nil {
			t.Error("the break has no reason")
		}
		cloud.Faults.Set(particletest.Faults{})
		until(t, s, isState(particle.Live))
		eventually(t, "events arrive again", func() bool {
			cloud.Emit(particletest.DemoLamp, "x", fmt.Sprint(i))
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
			defer cancel()
			m, err := s.Next(ctx)
			return err == nil && m.Event != nil && m.Event.Data == fmt.Sprint(i)
		})
	}
}

func TestHub_StopsAtADeadTokenAndGoesOnAfterLinkingAgain(t *testing.T) {
	t.Parallel()
	var cloud particletest.Server
	client, first := newCloud(t, &cloud, particle.Timeouts{})
	var token atomic.Value
	token.Store(first)
	h := hub(t, client, func() string { return token.Load().(string) }, nil)
	s, err := h.Subscribe("ada", "")
	must(t, err)
	until(t, s, isState(particle.Live))
	cloud.RevokeToken(first)
	m := until(t, s, isState(particle.Dead))
	wantKind(t, m.Err, particle.DeadToken)
	late, err := h.Subscribe("ada", "") // a page opened now is told at once, without another attempt
	must(t, err)
	before := cloud.Calls("GET /v1/devices/events")
	until(t, late, isState(particle.Dead))
	if n := cloud.Calls("GET /v1/devices/events"); n != before {
		t.Error("a dead token was tried again")
	}
	token.Store(cloud.IssueToken(particletest.DemoEmail, particletest.DemoClientID))
	h.Reconnect("ada")
	until(t, s, isState(particle.Live))
	until(t, late, isState(particle.Live))
	h.Reconnect("nobody")
}

func TestHub_StopsWhenThereIsNoLink(t *testing.T) {
	t.Parallel()
	var attempts atomic.Int32
	h := hub(t, nil, nil, func(o *particle.HubOptions) {
		o.Connect = func(context.Context, string) (*particle.Stream, error) {
			if attempts.Add(1) == 1 {
				return nil, fault.New(fault.Unavailable, "the linking module is paused")
			}
			return nil, fmt.Errorf("ask for the token: %w", fault.New(fault.NotFound, "no account is linked"))
		}
	})
	s, err := h.Subscribe("ada", "")
	must(t, err)
	until(t, s, isState(particle.Reconnecting))
	if m := until(t, s, isState(particle.Dead)); !fault.Is(m.Err, fault.NotFound) || attempts.Load() != 2 {
		t.Errorf("got %v after %d attempts", m.Err, attempts.Load())
	}
}

func TestHub_DropsTheOldestForASlowSubscriberAndSaysHowMany(t *testing.T) {
	t.Parallel()
	var cloud particletest.Server
	cloud.Beat = -1
	client, token := newCloud(t, &cloud, particle.Timeouts{})
	h := hub(t, client, func() string { return token }, func(o *particle.HubOptions) { o.Buffer = 4 })
	slow, err := h.Subscribe("ada", "")
	must(t, err)
	fast, err := h.Subscribe("ada", "")
	must(t, err)
	until(t, slow, isState(particle.Live))
	until(t, fast, isState(particle.Live))
	for i := range 10 {
		cloud.Emit(particletest.DemoLamp, "x", fmt.Sprint(i))
		until(t, fast, isEvent(fmt.Sprint(i)))
	}
	if m := until(t, slow, func(m particle.Message) bool { return m.State == "" }); m.Lagged != 6 {
		t.Errorf("got %+v, want 6 lost", m)
	}
	for i := 6; i < 10; i++ {
		m, err := slow.Next(bounded(t))
		if err != nil || m.Event == nil || m.Event.Data != fmt.Sprint(i) {
			t.Errorf("got %+v, %v, want event %d", m, err, i)
		}
	}
}

func TestHub_EndsSubscriptionsWithItsReason(t *testing.T) {
	t.Parallel()
	var cloud particletest.Server
	client, token := newCloud(t, &cloud, particle.Timeouts{})
	h := hub(t, client, func() string { return token }, func(o *particle.HubOptions) { o.MaxAccounts, o.MaxReaders = 2, 2 })
	end := func(s *particle.Subscription) error {
		for {
			if _, err := s.Next(bounded(t)); err != nil {
				return err
			}
		}
	}
	a, err := h.Subscribe("a", "")
	must(t, err)
	b, err := h.Subscribe("b", "")
	must(t, err)
	if _, err := h.Subscribe("c", ""); !errors.Is(err, particle.ErrHubFull) {
		t.Errorf("a third account: %v", err)
	}
	b2, err := h.Subscribe("b", "")
	must(t, err)
	if _, err := h.Subscribe("b", ""); !errors.Is(err, particle.ErrHubFull) {
		t.Errorf("a third subscriber: %v", err)
	}
	h.Drop("a")
	if err := end(a); !errors.Is(err, particle.ErrDropped) {
		t.Errorf("dropped: %v", err)
	}
	b2.Close()
	if err := end(b2); !errors.Is(err, particle.ErrSubscriber) {
		t.Errorf("closed: %v", err)
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	for {
		if _, err := b.Next(gone); err != nil {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("given up: %v", err)
			}
			break
		}
	}
	h.Close()
	if err := end(b); !errors.Is(err, particle.ErrHubClosed) {
		t.Errorf("hub closed: %v", err)
	}
	if _, err := h.Subscribe("a", ""); !errors.Is(err, particle.ErrHubClosed) {
		t.Errorf("after closing: %v", err)
	}
	eventually(t, "no stream is left", func() bool { return cloud.OpenStreams() == 0 })
}

// BenchmarkHub_FanOut1000 is the time from publishing at the cloud until the last of 1,000 subscribers has the event.
func BenchmarkHub_FanOut1000(b *testing.B) {
	var cloud particletest.Server
	cloud.Beat = -1
	client, token := newCloud(b, &cloud, particle.Timeouts{})
	h := hub(b, client, func() string { return token }, nil)
	ctx, cancel := context.WithCancel(context.Background())
	var arrived, readers sync.WaitGroup
	for range 1000 {
		s, err := h.Subscribe("ada", "")
		if err != nil {
			b.Fatal(err)
		}
		until(b, s, isState(particle.Live))
		readers.Go(func() {
			defer s.Close()
			for {
				m, err := s.Next(ctx)
				if err != nil {
					return
				}
				if m.Event != nil {
					_ = m.Event.JSON()
					arrived.Done()
				}
			}
		})
	}
	for b.Loop() {
		arrived.Add(1000)
		cloud.Emit(particletest.DemoLamp, "lamp/state", "on")
		arrived.Wait()
	}
	cancel()
	readers.Wait()
}
