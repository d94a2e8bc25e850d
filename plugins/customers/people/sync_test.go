package people

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"mortise/core/fault"
	"mortise/core/identity"
	"mortise/core/sdk"
)

// between is a host that lets a test do something between the answer of a call and its arrival.
type between struct {
	sdk.Host
	mu    sync.Mutex
	after func(method string) // called without the lock
	calls map[string]int
	fail  map[string]error
	busy  int // calls that are refused at first
}

func (h *between) Call(ctx context.Context, service, method string, in, out any) error {
	h.mu.Lock()
	if h.calls == nil {
		h.calls = map[string]int{}
	}
	h.calls[method]++
	err, after := h.fail[method], h.after
	if h.busy > 0 {
		h.busy--
		err = fault.New(fault.Unavailable, "the module customers is not enabled")
	}
	h.mu.Unlock()
	if err != nil {
		return err
	}
	err = h.Host.Call(ctx, service, method, in, out)
	if after != nil {
		after(method)
	}
	return err
}

func (h *between) set(after func(method string)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.after = after
}

func (h *between) failWith(method string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fail = map[string]error{method: err}
}

func (h *between) count(method string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.calls[method]
}

// newBetween is a bench whose calls of the host a test can look into.
func newBetween(t testing.TB) (*bench, *between) {
	t.Helper()
	h := &between{}
	return newBench(t, func(m *module) {
		m.wrap = func(host sdk.Host) sdk.Host { h.Host = host; return h }
	}), h
}

func TestDeliver_ANewcomerAppearsAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.owner.devices[b.ada.UserID+2] = 2 // attached before the fact came
	p := b.customer(t, "Nina", "nina@example.com")
	if p.State != StateDevices || p.Devices != 2 || p.Name != "Nina" || p.Registered {
		t.Errorf("%+v", p)
	}
	if said := b.sentences(t, p.ID); !slices.Equal(said, []string{": The account was made."}) {
		t.Errorf("%q", said)
	}
}

func TestGet_FindsANewcomerWhoseFactStillWaits(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	carla, err := b.People.CreateUser(t.Context(), identity.System, identity.NewUser{Name: "Carla", Email: "carla@example.com", Roles: []string{identity.RoleCustomer}})
	if err != nil {
		t.Fatal(err)
	}
	boss, err := b.People.CreateUser(t.Context(), identity.System, identity.NewUser{Name: "Boss", Email: "boss@example.com", Roles: []string{identity.RoleAdministrator}})
	if err != nil {
		t.Fatal(err)
	}
	if p, err := b.module.people.Get(t.Context(), carla.ID); err != nil || p.Name != "Carla" {
		t.Errorf("%+v, %v", p, err)
	}
	for _, id := range []int64{boss.ID, 9999} {
		if p, err := b.module.people.Get(t.Context(), id); !fault.Is(err, fault.NotFound) {
			t.Errorf("%d: %+v, %v", id, p, err)
		}
	}
}

func TestDeliver_FactsMayComeTwiceAndLate(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	who := b.Person("Nina", "nina@example.com")
	if _, err := b.People.Block(t.Context(), identity.System, who.UserID); err != nil {
		t.Fatal(err)
	}
	facts := b.Facts()
	slices.Reverse(facts)
	for range 2 {
		for _, e := range facts {
			if err := b.Deliver(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
	}
	if p := b.now(t, who.UserID); p.State != StateBlocked || !p.Blocked {
		t.Errorf("%+v", p)
	}
	if err := b.People.Delete(t.Context(), identity.System, who.UserID); err != nil {
		t.Fatal(err)
	}
	for _, e := range facts { // of somebody who is not there any more
		if err := b.Deliver(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.people.Get(t.Context(), who.UserID); !fault.Is(err, fault.NotFound) {
		t.Errorf("somebody who is gone: %v", err)
	}
}

func TestDeliver_CountsEachLinkOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.customer(t, "Nina", "nina@example.com")
	hear := func(name string, account int) {
		t.Helper()
		e := sdk.Event{Name: name, Subject: fmt.Sprintf("user/%d", p.ID), Time: b.clock.now(), Payload: fmt.Appendf(nil, `{"user_id":%d,"account_id":%d}`, p.ID, account)}
		for range 2 {
			if err := b.Deliver(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
	}
	hear("linking.account_linked", 7)
	hear("linking.account_linked", 8)
	if p := b.now(t, p.ID); p.Linked != 2 || p.State != StateLinked {
		t.Errorf("%+v", p)
	}
	hear("linking.account_dead", 7)
	hear("linking.account_unlinked", 8)
	hear("linking.account_unlinked", 9)
	if p := b.now(t, p.ID); p.Linked != 0 || p.State != StateCreated {
		t.Errorf("%+v", p)
	}
	if n := len(b.history(t, p.ID)); n != 5 {
		t.Errorf("%d entries: %q", n, b.sentences(t, p.ID))
	}
	if err := b.Deliver(t.Context(), sdk.Event{Name: "linking.account_linked", Subject: fmt.Sprintf("user/%d", b.staff.UserID), Payload: []byte(`{"account_id":1}`)}); err != nil {
		t.Errorf("a link of the staff: %v", err)
	}
}

func TestRefresh_ALateAnswerDoesNotReplaceANewerOne(t *testing.T) {
	t.Parallel()
	b, host := newBetween(t)
	p := b.customer(t, "Nina", "nina@example.com")
	first := true
	host.set(func(method string) {
		if method != "get" || !first {
			return
		}
		first = false // the answer is on its way; meanwhile the person is blocked, and the fact of it overtakes
		if _, err := b.People.Block(t.Context(), identity.System, p.ID); err != nil {
			t.Error(err)
		}
		b.DeliverFacts()
	})
	if err := b.people.refresh(t.Context(), p.ID, change{}); err != nil {
		t.Fatal(err)
	}
	if got := b.now(t, p.ID); !got.Blocked || first {
		t.Errorf("%+v", got)
	}
}

func TestSync_ALateAnswerDoesNotReplaceANewerOneNorBringBackTheGone(t *testing.T) {
	t.Parallel()
	b, host := newBetween(t)
	nina, otto := b.customer(t, "Nina", "nina@example.com"), b.customer(t, "Otto", "otto@example.com")
	first := true
	host.set(func(method string) {
		if method != "list" || !first {
			return
		}
		first = false // the page is on its way
		if _, err := b.People.Block(t.Context(), identity.System, nina.ID); err != nil {
			t.Error(err)
		}
		if err := b.People.Delete(t.Context(), identity.System, otto.ID); err != nil {
			t.Error(err)
		}
		b.DeliverFacts()
	})
	b.run(t, "sync")
	if got := b.now(t, nina.ID); !got.Blocked || first {
		t.Errorf("%+v", got)
	}
	if _, err := b.people.Get(t.Context(), otto.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("Otto is back: %v", err)
	}
}

func TestStart_FillsTheListAsSoonAsTheSiteAnswers(t *testing.T) {
	t.Parallel()
	h := &between{busy: 1}
	newBench(t, func(m *module) { // waits for what Start began
		m.wrap = func(host sdk.Host) sdk.Host { h.Host = host; return h }
	})
	if n := h.count("list"); n != 2 {
		t.Errorf("asked %d times", n)
	}
}

func TestSync_FindsWhoIsNewChangedGoneAndPromoted(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	gone, promoted, changed := b.customer(t, "Gone", "gone@example.com"), b.customer(t, "Promoted", "promoted@example.com"), b.customer(t, "Changed", "changed@example.com")
	b.Post(b.ada, gone.pathOf()+"/notes", once("text", "Owes us a lamp"))
	b.Post(b.ada, promoted.pathOf()+"/notes", once("text", "Will work for us"))
	fresh := b.Person("New", "new@example.com")
	if err := b.People.Delete(t.Context(), identity.System, gone.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := b.People.SetRoles(t.Context(), identity.System, promoted.ID, []string{identity.RoleAdministrator}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.People.Block(t.Context(), identity.System, changed.ID); err != nil {
		t.Fatal(err)
	}
	b.run(t, "sync") // without a single fact
	for _, p := range []Person{gone, promoted} {
		if _, err := b.people.Get(t.Context(), p.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s is still in the list: %v", p.Name, err)
		}
	}
	if got := b.now(t, changed.ID); !got.Blocked || got.Version != changed.Version+1 {
		t.Errorf("%+v", got)
	}
	b.now(t, fresh.UserID)
	notes, err := b.people.store.notes(t.Context(), gone.ID)
	if err != nil || len(notes) != 0 {
		t.Errorf("notes about the gone: %v, %v", notes, err)
	}
	if !slices.Equal(b.module.owner.forgotten, []int64{gone.ID}) {
		t.Errorf("the devices of %v were detached, want those of %d", b.module.owner.forgotten, gone.ID)
	}
	if notes, err = b.people.store.notes(t.Context(), promoted.ID); err != nil || len(notes) != 1 {
		t.Errorf("notes about the promoted: %v, %v", notes, err)
	}
}

func TestSync_WritesNothingWhenNothingChanged(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.customer(t, "Nina", "nina@example.com")
	before, err := b.people.store.person(t.Context(), p.ID)
	if err != nil {
		t.Fatal(err)
	}
	b.run(t, "sync")
	if after, err := b.people.store.person(t.Context(), p.ID); err != nil || after.ReadAt != before.ReadAt || after.Version != before.Version {
		t.Errorf("%+v, %v", after, err)
	}
}

func TestSync_GoesThroughManyPages(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for i := range 2*syncPage + 3 {
		b.Person(fmt.Sprintf("Person %d", i), fmt.Sprintf("p%d@example.com", i))
	}
	b.run(t, "sync")
	if data := b.list(t, ""); data.All != 2*syncPage+3 {
		t.Errorf("%d customers", data.All)
	}
}

func TestSync_AFailureTakesNobodyOut(t *testing.T) {
	t.Parallel()
	b, host := newBetween(t)
	p := b.customer(t, "Nina", "nina@example.com")
	host.failWith("list", fault.New(fault.Unavailable, "the site is busy"))
	if _, err := b.people.Run(t.Context(), "sync"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("%v", err)
	}
	b.now(t, p.ID)
	if data := b.list(t, ""); data.All != 1 { // the list does not need the site
		t.Errorf("%+v", data)
	}
}

func TestForget_ErasesWhatIsKept(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Post(b.ada, root+"/import", once("text", "nina@example.com,Nina,no,Likes green\nNINA@example.com,Nina\nother@example.com"))
	b.people.background.Wait()
	p, err := b.people.ByEmail(t.Context(), "Nina@example.com ")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.people.Forget(t.Context(), p.ID); err != nil {
		t.Fatal(err)
	}
	if err := b.people.Forget(t.Context(), p.ID); err != nil {
		t.Fatal(err)
	}
	lines, err := b.people.store.lines(t.Context(), 1, nil, 0, 10)
	if err != nil || len(lines) != 3 || lines[2].Email != "other@example.com" {
		t.Fatalf("%+v, %v", lines, err)
	}
	for _, l := range lines[:2] {
		if l.Email != "" || l.Name != "" || l.Note != "" || l.UserID != 0 {
			t.Errorf("%+v", l)
		}
	}
	if notes, err := b.people.store.notes(t.Context(), p.ID); err != nil || len(notes) != 0 {
		t.Errorf("%v, %v", notes, err)
	}
}

func TestDirectory_EnsureAndSearch(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := t.Context()
	p, created, err := b.people.Ensure(ctx, "Nina Ärger", "Nina@Example.com", false)
	if err != nil || !created || p.Email != "nina@example.com" || p.State != StateCreated {
		t.Fatalf("%+v, %t, %v", p, created, err)
	}
	if again, created, err := b.people.Ensure(ctx, "Other name", "nina@example.com", false); err != nil || created || again.ID != p.ID || again.Name != "Nina Ärger" {
		t.Errorf("%+v, %t, %v", again, created, err)
	}
	if again, created, err := b.people.Ensure(ctx, "", "nina@example.com", true); err != nil || created || again.State != StateInvited || again.InvitedAt == nil {
		t.Errorf("%+v, %t, %v", again, created, err)
	}
	if _, _, err := b.people.Ensure(ctx, "X", "no address", false); !fault.Is(err, fault.Invalid) || fault.FieldsOf(err)["email"] == "" {
		t.Errorf("%v", err)
	}
	if _, _, err := b.people.Ensure(ctx, "", "x@example.com", false); !fault.Is(err, fault.Invalid) || fault.FieldsOf(err)["name"] == "" {
		t.Errorf("%v", err)
	}
	for _, invite := range []bool{true, false} {
		if _, _, err := b.people.Ensure(ctx, "Sam", "sam@maker.example", invite); !fault.Is(err, fault.Conflict) || err.Error() != ErrStaff.Error() {
			t.Errorf("invite %t: %v", invite, err)
		}
	}
	found, err := b.people.Search(ctx, "arger", 5)
	if err != nil || len(found) != 1 || found[0].ID != p.ID {
		t.Errorf("%+v, %v", found, err)
	}
	if err := b.people.SetDevices(b.db.WithContext(ctx), p.ID, 3); err != nil {
		t.Fatal(err)
	}
	if p := b.now(t, p.ID); p.Devices != 3 || p.State != StateDevices {
		t.Errorf("%+v", p)
	}
	b.clock.forward(time.Minute)
}
