package outbox_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"mortise/core/fault"
	"mortise/core/manifest"
	"mortise/core/outbox"
	"mortise/core/sdk"
	"mortise/core/store"
)

// site is a store with modules that listen.
type site struct {
	*outbox.Outbox
	store *store.Store

	mu      sync.Mutex
	subs    []outbox.Subscriber
	down    map[string]bool
	handler func(ctx context.Context, module string, e sdk.Event) error
	got     []string // "module name subject payload"
	changed chan struct{}
}

func wants(module string, names ...string) outbox.Subscriber {
	s := outbox.Subscriber{Module: module, Events: manifest.Events{Publishes: []manifest.Published{{Name: module + ".happened"}}}}
	for _, n := range names {
		s.Events.Subscribes = append(s.Events.Subscribes, manifest.Subscription{Name: n})
	}
	return s
}

func openStore(t testing.TB, path string) *store.Store {
	t.Helper()
	st, err := store.Open(t.Context(), store.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	return st
}

func newSite(t testing.TB, st *store.Store, change func(*outbox.Options), subs ...outbox.Subscriber) *site {
	t.Helper()
	s := &site{store: st, subs: subs, down: map[string]bool{}, changed: make(chan struct{}, 1)}
	o := outbox.Options{
		Store: st, Deliver: s.deliver,
		Subscribers: func() []outbox.Subscriber { s.mu.Lock(); defer s.mu.Unlock(); return slices.Clone(s.subs) },
		Running:     func(m string) bool { s.mu.Lock(); defer s.mu.Unlock(); return !s.down[m] },
		Retry:       func(int) time.Duration { return 5 * time.Millisecond },
	}
	if change != nil {
		change(&o)
	}
	s.Outbox = outbox.New(o)
	return s
}

func (s *site) deliver(ctx context.Context, module string, e sdk.Event) error {
	s.mu.Lock()
	handler := s.handler
	s.mu.Unlock()
	if handler != nil {
		if err := handler(ctx, module, e); err != nil {
			return err
		}
	}
	s.mu.Lock()
	s.got = append(s.got, fmt.Sprintf("%s %s %s %s", module, e.Name, e.Subject, e.Payload))
	s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default:
	}
	return nil
}

func (s *site) seen() []string { s.mu.Lock(); defer s.mu.Unlock(); return slices.Clone(s.got) }

// run dispatches until the test, or the returned stop, ends it.
func (s *site) run(t testing.TB) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = s.Run(ctx) }()
	stop = func() { cancel(); <-ended }
	t.Cleanup(stop)
	return stop
}

// until waits for a condition.
func (s *site) until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-s.changed:
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never: %s; seen %v", what, s.seen())
		}
	}
}

func (s *site) publish(t testing.TB, source, name, subject, payload string) {
	t.Helper()
	if err := s.PublishNow(t.Context(), source, name, subject, []byte(payload)); err != nil {
		t.Fatal(err)
	}
}

func storePath(t testing.TB) string { return filepath.Join(t.TempDir(), "site.db") }

func TestOutbox_DeliversAFactToEachSubscriberInOrder(t *testing.T) {
	t.Parallel()
	s := newSite(t, openStore(t, storePath(t)), nil, wants("devices", "linking.happened"), wants("audit", "linking.happened"), wants("linking"), wants("deaf", "user.deleted"))
	s.run(t)
	var want []string
	for i := range 150 { // more than a batch
		s.publish(t, "linking", "linking.happened", "user/1", fmt.Sprint(i))
		want = append(want, fmt.Sprintf("devices linking.happened user/1 %d", i))
	}
	s.until(t, "300 deliveries", func() bool { return len(s.seen()) == 300 })
	got := slices.DeleteFunc(s.seen(), func(line string) bool { return !strings.HasPrefix(line, "devices") })
	if !slices.Equal(got, want) {
		t.Errorf("devices saw another order: %v", got)
	}
	s.until(t, "an empty queue", func() bool { c, err := s.Counts(t.Context(), ""); return err == nil && c.Waiting == 0 })
}

func TestOutbox_PublishesWithTheTransactionOrNotAtAll(t *testing.T) {
	t.Parallel()
	st := openStore(t, storePath(t))
	s := newSite(t, st, nil, wants("devices", "user.deleted"))
	boom := errors.New("boom")
	err := st.Write(t.Context(), func(tx *gorm.DB) error {
		if err := s.Publish(t.Context(), tx, "user.deleted", "user/1", map[string]int{"user_id": 1}); err != nil {
			return err
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Fatal(err)
	}
	if c, _ := s.Counts(t.Context(), ""); c.Waiting != 0 {
		t.Fatalf("%d deliveries survived the rollback", c.Waiting)
	}
	err = st.Write(t.Context(), func(tx *gorm.DB) error {
		return s.Publish(t.Context(), tx, "user.deleted", "user/2", map[string]int{"user_id": 2})
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Wake()
	s.run(t)
	s.until(t, "the fact", func() bool { return slices.Equal(s.seen(), []string{`devices user.deleted user/2 {"user_id":2}`}) })
}

func TestOutbox_HoldsBackASubjectThatFailsAndNoOther(t *testing.T) {
	t.Parallel()
	s := newSite(t, openStore(t, storePath(t)), nil, wants("devices", "linking.happened"), wants("linking"))
	var healed atomic.Bool
	var keys sync.Map
	s.handler = func(_ context.Context, _ string, e sdk.Event) error {
		if e.Subject == "user/1" && string(e.Payload) == "1" {
			if old, again := keys.LoadOrStore("first", e.Key); again && old != e.Key {
				t.Errorf("key changed from %v to %v", old, e.Key)
			}
			if !healed.Load() {
				return errors.New("not now")
			}
		}
		return nil
	}
	s.run(t)
	s.publish(t, "linking", "linking.happened", "user/1", "1")
	s.publish(t, "linking", "linking.happened", "user/1", "2")
	s.publish(t, "linking", "linking.happened", "user/2", "3")
	s.until(t, "the other subject", func() bool { return slices.Contains(s.seen(), "devices linking.happened user/2 3") })
	s.until(t, "a recorded failure", func() bool {
		list, err := s.Failing(t.Context(), 10)
		return err == nil && len(list) == 1 && list[0].Attempts >= 2 && list[0].LastError == "not now" && !list[0].Dead
	})
	if slices.Contains(s.seen(), "devices linking.happened user/1 2") {
		t.Fatal("a later fact overtook an earlier one of its subject")
	}
	healed.Store(true)
	s.until(t, "all", func() bool { return len(s.seen()) == 3 })
	if got := s.seen()[1:]; !slices.Equal(got, []string{"devices linking.happened user/1 1", "devices linking.happened user/1 2"}) {
		t.Errorf("order = %v", got)
	}
}

func TestOutbox_KeepsFactsWhileAModuleIsPausedOrDown(t *testing.T) {
	t.Parallel()
	s := newSite(t, openStore(t, storePath(t)), nil, wants("devices", "linking.happened"), wants("audit", "linking.happened"), wants("linking"))
	s.mu.Lock()
	s.subs[0].Paused = true
	s.down["audit"] = true
	s.mu.Unlock()
	s.run(t)
	s.publish(t, "linking", "linking.happened", "user/1", "1")
	if c, err := s.Counts(t.Context(), "devices"); err != nil || c.Waiting != 1 || c.Oldest.IsZero() {
		t.Fatalf("counts = %+v, %v", c, err)
	}
	s.mu.Lock()
	s.subs[0].Paused = false
	delete(s.down, "audit")
	s.mu.Unlock()
	s.Wake()
	s.until(t, "both", func() bool { return len(s.seen()) == 2 })
}

func TestOutbox_DoesNotBlameAModuleThatWentAway(t *testing.T) {
	t.Parallel()
	s := newSite(t, openStore(t, storePath(t)), nil, wants("devices", "linking.happened"), wants("linking"))
	gone := make(chan struct{}, 1)
	s.handler = func(_ context.Context, module string, _ sdk.Event) error {
		s.mu.Lock()
		s.down[module] = true
		s.mu.Unlock()
		gone <- struct{}{}
		return fault.New(fault.Unavailable, "crashed")
	}
	s.run(t)
	s.publish(t, "linking", "linking.happened", "user/1", "1")
	<-gone
	if list, err := s.Failing(t.Context(), 10); err != nil || len(list) != 0 {
		t.Errorf("failing = %v, %v; want nothing counted", list, err)
	}
}

func TestOutbox_OneSlowModuleDelaysNoOther(t *testing.T) {
	t.Parallel()
	s := newSite(t, openStore(t, storePath(t)), nil, wants("slow", "linking.happened"), wants("devices", "linking.happened"), wants("linking"))
	s.handler = func(ctx context.Context, module string, _ sdk.Event) error {
		if module == "slow" {
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}
	s.run(t)
	for i := range 20 {
		s.publish(t, "linking", "linking.happened", "user/1", fmt.Sprint(i))
	}
	s.until(t, "20 deliveries beside the slow one", func() bool { return len(s.seen()) == 20 })
}

func TestOutbox_GoesOnAfterARestart(t *testing.T) {
	t.Parallel()
	path := storePath(t)
	st := openStore(t, path)
	first := newSite(t, st, nil, wants("devices", "linking.happened"), wants("linking"))
	first.handler = func(context.Context, string, sdk.Event) error { return errors.New("not now") }
	stop := first.run(t)
	first.publish(t, "linking", "linking.happened", "user/1", "1")
	first.publish(t, "linking", "linking.happened", "user/1", "2")
	stop()
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	second := newSite(t, openStore(t, path), nil, wants("devices", "linking.happened"), wants("linking"))
	second.run(t)
	second.until(t, "both after the restart", func() bool {
		return slices.Equal(second.seen(), []string{"devices linking.happened user/1 1", "devices linking.happened user/1 2"})
	})
}

func TestOutbox_SetsAsideWhatFailsForDaysUntilTheAdministratorDecides(t *testing.T) {
	t.Parallel()
	var clock atomic.Int64
	start := time.Now()
	s := newSite(t, openStore(t, storePath(t)), func(o *outbox.Options) {
		o.Now = func() time.Time { return start.Add(time.Duration(clock.Load())) }
		o.Retry = func(int) time.Duration { clock.Add(int64(25 * time.Hour)); return 0 }
	}, wants("devices", "linking.happened"), wants("linking"))
	var healed atomic.Bool
	s.handler = func(_ context.Context, _ string, e sdk.Event) error {
		if !healed.Load() && string(e.Payload) == "1" {
			return errors.New("never")
		}
		return nil
	}
	s.run(t)
	s.publish(t, "linking", "linking.happened", "user/1", "1")
	s.publish(t, "linking", "linking.happened", "user/1", "2")
	s.until(t, "the later fact, once the first is dead", func() bool { return len(s.seen()) == 1 })
	list, err := s.Failing(t.Context(), 10)
	if err != nil || len(list) != 1 || !list[0].Dead || list[0].Module != "devices" || list[0].Event != "linking.happened" {
		t.Fatalf("failing = %+v, %v", list, err)
	}
	healed.Store(true)
	if err := s.TryAgain(t.Context(), list[0].ID); err != nil {
		t.Fatal(err)
	}
	s.until(t, "the dead one", func() bool { return len(s.seen()) == 2 })
	s.until(t, "an empty queue", func() bool { c, err := s.Counts(t.Context(), ""); return err == nil && c == (outbox.Counts{}) })
	if err := s.Drop(t.Context(), 99999); !fault.Is(err, fault.NotFound) {
		t.Errorf("drop of nothing: %v", err)
	}
	clock.Add(int64(30 * 24 * time.Hour))
	if err := s.Trim(t.Context()); err != nil {
		t.Fatal(err)
	}
	var left int64
	if err := s.store.Read(t.Context()).Table("core_outbox").Count(&left).Error; err != nil || left != 0 {
		t.Errorf("%d old facts are left, %v", left, err)
	}
}

func TestOutbox_RefusesWhatTheManifestDoesNotAllow(t *testing.T) {
	t.Parallel()
	s := newSite(t, openStore(t, storePath(t)), nil, wants("linking"))
	for _, tc := range []struct {
		source, name, subject, payload string
		want                           fault.Kind
	}{
		{"linking", "linking.other", "", "1", fault.Denied},
		{"linking", "user.deleted", "", "1", fault.Denied},
		{"stranger", "stranger.happened", "", "1", fault.Denied},
		{"host", "user.will_be_deleted", "", "1", fault.Invalid},
		{"host", "nonsense", "", "1", fault.Invalid},
		{"linking", "linking.happened", strings.Repeat("x", 300), "1", fault.Invalid},
		{"linking", "linking.happened", "", "{", fault.Invalid},
		{"linking", "linking.happened", "", `"` + strings.Repeat("x", outbox.MaxPayload) + `"`, fault.TooLarge},
	} {
		if err := s.PublishNow(t.Context(), tc.source, tc.name, tc.subject, []byte(tc.payload)); !fault.Is(err, tc.want) {
			t.Errorf("%s publishes %s: %v, want %v", tc.source, tc.name, err, tc.want)
		}
	}
}

func TestOutbox_WritesThroughAnyTransaction(t *testing.T) {
	t.Parallel()
	path := storePath(t)
	s := newSite(t, openStore(t, path), nil, wants("devices", "linking.happened"), wants("linking"))
	var _ outbox.Executor = (*sql.Tx)(nil) // what the tunnel has
	err := s.store.Write(t.Context(), func(tx *gorm.DB) error {
		return s.Insert(t.Context(), tx.Statement.ConnPool, "linking", "linking.happened", "user/1", []byte("1"))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Forget(t.Context(), "devices"); err != nil {
		t.Fatal(err)
	}
	if c, err := s.Counts(t.Context(), "devices"); err != nil || c != (outbox.Counts{}) {
		t.Errorf("counts = %+v, %v; want nothing after Forget", c, err)
	}
}

func TestAsk_LetsAnySubscriberRefuse(t *testing.T) {
	t.Parallel()
	question := "user.will_be_deleted"
	lenient := wants("lenient", question)
	lenient.Events.Subscribes[0].OnFail = "allow"
	s := newSite(t, openStore(t, storePath(t)), func(o *outbox.Options) { o.AskTimeout = 50 * time.Millisecond }, wants("linking", question), lenient)
	var answer map[string]func(context.Context) error // guarded by s.mu: one who hangs may ask late
	script := func(next map[string]func(context.Context) error) { s.mu.Lock(); answer = next; s.mu.Unlock() }
	s.handler = func(ctx context.Context, module string, e sdk.Event) error {
		if e.Name != question || e.Source != "host" || string(e.Payload) != `{"user_id":7}` {
			t.Errorf("asked %+v", e)
		}
		s.mu.Lock()
		f := answer[module]
		s.mu.Unlock()
		if f != nil {
			return f(ctx)
		}
		return nil
	}
	released := make(chan struct{})
	defer close(released)
	hang := func(context.Context) error { <-released; return nil } // also deaf to its context
	for _, tc := range []struct {
		name, module string
		answer       func(context.Context) error
		reason       string
	}{
		{"all agree", "linking", nil, ""},
		{"one refuses", "lenient", func(context.Context) error { return fmt.Errorf("call: %w", sdk.Refuse("Unlink first.")) }, "Unlink first."},
		{"one fails, closed", "linking", func(context.Context) error { return errors.New("boom") }, "gave no answer"},
		{"one fails, open", "lenient", func(context.Context) error { return errors.New("boom") }, ""},
		{"one hangs, closed", "linking", hang, "gave no answer"},
		{"one hangs, open", "lenient", hang, ""},
	} {
		script(map[string]func(context.Context) error{tc.module: tc.answer})
		err := s.Ask(t.Context(), question, "user/7", map[string]int{"user_id": 7})
		if tc.reason == "" && err != nil || tc.reason != "" && (!fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), tc.reason)) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.reason)
		}
	}
	s.mu.Lock()
	s.subs[0].Paused = true
	s.mu.Unlock()
	script(nil)
	if err := s.Ask(t.Context(), question, "user/7", map[string]int{"user_id": 7}); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "is paused") {
		t.Errorf("a paused module that must agree: %v", err)
	}
	if err := s.Ask(t.Context(), "user.deleted", "", nil); err == nil {
		t.Error("a fact was asked")
	}
}
