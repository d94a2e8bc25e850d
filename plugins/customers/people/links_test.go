package people

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"mortise/core/fault"
	"mortise/core/identity"
	"mortise/core/sdk"
	"mortise/plugins/internal/tokenapi"
)

// linking is a host with the module linking: it knows how many accounts each person has linked.
type linking struct {
	sdk.Host
	mu     sync.Mutex
	counts map[int64]int
	away   error
	asked  []int  // people of each question
	after  func() // called without the lock, between an answer and its arrival
}

func (l *linking) Call(ctx context.Context, service, method string, in, out any) error {
	if service != tokenapi.PeopleService {
		return l.Host.Call(ctx, service, method, in, out)
	}
	l.mu.Lock()
	q := in.(tokenapi.People)
	l.asked = append(l.asked, len(q.UserIDs))
	answer := tokenapi.Counts{Counts: map[int64]int{}}
	for _, id := range q.UserIDs {
		if n := l.counts[id]; n > 0 {
			answer.Counts[id] = n
		}
	}
	away, after := l.away, l.after
	l.mu.Unlock()
	if away != nil {
		return away
	}
	if after != nil {
		after()
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, out)
}

func (l *linking) set(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

func newLinked(t testing.TB) (*bench, *linking) {
	t.Helper()
	l := &linking{counts: map[int64]int{}}
	return newBench(t, func(m *module) {
		m.wrap = func(host sdk.Host) sdk.Host { l.Host = host; return l }
	}), l
}

func (b *bench) hear(t testing.TB, name string, person int64, account int) {
	t.Helper()
	e := sdk.Event{Name: name, Subject: fmt.Sprintf("user/%d", person), Time: b.clock.now(), Payload: fmt.Appendf(nil, `{"user_id":%d,"account_id":%d}`, person, account)}
	for range 2 {
		if err := b.Deliver(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSync_CountsLinksThatAreOlderThanTheList(t *testing.T) {
	t.Parallel()
	b, l := newLinked(t)
	var ids []int64
	for i := range 250 {
		u, err := b.People.CreateUser(t.Context(), identity.System, identity.NewUser{Name: fmt.Sprintf("P%d", i), Email: fmt.Sprintf("p%d@example.com", i), Roles: []string{identity.RoleCustomer}})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, u.ID)
	}
	l.set(func() { l.counts[ids[0]], l.counts[ids[249]], l.asked = 1, 2, nil })
	b.run(t, "sync")
	if p := b.now(t, ids[0]); p.Linked != 1 || p.State != StateLinked {
		t.Errorf("%+v", p)
	}
	if p := b.now(t, ids[249]); p.Linked != 2 {
		t.Errorf("%+v", p)
	}
	if p := b.now(t, ids[1]); p.Linked != 0 || p.State != StateCreated {
		t.Errorf("%+v", p)
	}
	if !slices.Equal(l.asked, []int{200, 50}) {
		t.Errorf("asked about %v", l.asked)
	}
	l.set(func() { l.counts = map[int64]int{} }) // facts of it were missed
	b.run(t, "sync")
	if p := b.now(t, ids[249]); p.Linked != 0 || p.State != StateCreated {
		t.Errorf("%+v", p)
	}
}

func TestFirstStart_CountsLinks(t *testing.T) {
	t.Parallel()
	b, l := newLinked(t)
	u, err := b.People.CreateUser(t.Context(), identity.System, identity.NewUser{Name: "Nina", Email: "nina@example.com", Roles: []string{identity.RoleCustomer}})
	if err != nil {
		t.Fatal(err)
	}
	l.set(func() { l.counts[u.ID] = 1 })
	b.people.fill(t.Context())
	if p := b.now(t, u.ID); p.Linked != 1 {
		t.Errorf("%+v", p)
	}
}

func TestSync_LeavesTheNumbersAloneWithoutLinking(t *testing.T) {
	t.Parallel()
	b, l := newLinked(t)
	p := b.customer(t, "Nina", "nina@example.com")
	l.set(func() { l.away = fault.New(fault.Unavailable, "no enabled module provides the service") })
	b.hear(t, "linking.account_linked", p.ID, 7)
	b.run(t, "sync")
	if p := b.now(t, p.ID); p.Linked != 1 || p.State != StateLinked {
		t.Errorf("%+v", p)
	}
	if log := b.Host.LogText(); strings.Contains(log, "could not be counted") {
		t.Errorf("a module that is not there is no failure: %s", log)
	}
	l.set(func() { l.away = fault.New(fault.Internal, "broken") })
	b.run(t, "sync")
	if p := b.now(t, p.ID); p.Linked != 1 || !strings.Contains(b.Host.LogText(), "could not be counted") {
		t.Errorf("%+v", p)
	}
}

func TestDeliver_ALinkFromBeforeEndsOnce(t *testing.T) {
	t.Parallel()
	b, l := newLinked(t)
	p := b.customer(t, "Nina", "nina@example.com")
	l.set(func() { l.counts[p.ID] = 2 })
	b.run(t, "sync")
	l.set(func() { l.counts[p.ID] = 1 })
	b.hear(t, "linking.account_unlinked", p.ID, 7)
	if p := b.now(t, p.ID); p.Linked != 1 {
		t.Errorf("%+v", p)
	}
	l.set(func() { l.counts[p.ID] = 2 })
	b.hear(t, "linking.account_linked", p.ID, 8)
	if p := b.now(t, p.ID); p.Linked != 2 {
		t.Errorf("%+v", p)
	}
	want := []string{": The account was made.", ": Unlinked a Particle account.", ": Linked a Particle account."}
	if said := b.sentences(t, p.ID); !slices.Equal(said, want) {
		t.Errorf("%q", said)
	}
}

func TestSync_AFactThatOvertakesTheAnswerCounts(t *testing.T) {
	t.Parallel()
	b, l := newLinked(t)
	p := b.customer(t, "Nina", "nina@example.com")
	l.set(func() {
		l.counts[p.ID] = 3 // an answer that is old when it arrives
		l.after = func() {
			l.set(func() { l.after, l.counts[p.ID] = nil, 1 })
			b.hear(t, "linking.account_linked", p.ID, 7)
		}
	})
	b.run(t, "sync")
	if p := b.now(t, p.ID); p.Linked != 1 {
		t.Errorf("%+v", p)
	}
}
