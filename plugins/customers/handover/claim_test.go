package handover_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"mortise/core/identity"
	"mortise/core/sdk"
	"mortise/plugins/customers/history"
	"mortise/plugins/internal/attachapi"
	"mortise/plugins/internal/moduletest"
)

// wrongKey is a key that is never made: nobody's, but well formed.
func wrongKey(n int) string { return fmt.Sprintf("ZZZZ-ZZZZ-ZZZZ-%04d", n) }

func TestClaim_TheKeyOfTheLabelMakesTheDeviceOnesOwnAndWorksOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.make(lamp)[0]
	key := b.key(path)
	page := b.Get(b.ann, "/customers/claim?key="+key)
	if page.Status != http.StatusOK || !strings.Contains(page.Body, "Porch lamp") || !strings.Contains(page.Body, "Garden lamp") || strings.Contains(page.Body, lamp) {
		t.Errorf("the page is %d %s", page.Status, page.Body)
	}
	if b.ownerOf(lamp) != 0 {
		t.Error("looking has claimed the device")
	}
	if a := b.Post(b.ann, "/customers/claim", url.Values{"key": {strings.ToLower(strings.ReplaceAll(key, "-", " "))}}); decodeOutcome(t, a) != "ready" {
		t.Errorf("a key that was typed answered %s", a.Body)
	}
	if a := b.claim(b.ann, key); a.Status != http.StatusSeeOther || a.Location != "/devices/"+lamp || a.Flash != "good Porch lamp is yours now." {
		t.Errorf("claiming answered %d %s %q", a.Status, a.Location, a.Flash)
	}
	if b.ownerOf(lamp) != b.ann.UserID || len(b.Host.Events(attachapi.DeviceAttached)) != 1 || len(b.Host.Sealed("claimkey")) != 0 {
		t.Error("the device is not Ann's, or the key is still sealed")
	}
	if got := b.claim(b.bob, key); decodeOutcome(t, got) != "used" || got.Status != http.StatusConflict || strings.Contains(got.Body, "Ann") || strings.Contains(got.Body, "Porch") {
		t.Errorf("Bob got %d %s", got.Status, got.Body)
	}
	if got := b.claim(b.ann, key); decodeOutcome(t, got) != "mine" || !strings.Contains(got.Body, "/devices/"+lamp) {
		t.Errorf("Ann once more got %d %s", got.Status, got.Body)
	}
	if r := b.show(path); r.Record.State != "claimed" || r.Record.Customer != "Ann" || r.History[0].Kind != "record_claimed" || r.History[0].By != "Ann" {
		t.Errorf("the record is %+v", r)
	}
	list, _, err := history.List(t.Context(), b.part.db, history.Filter{UserID: b.ann.UserID})
	// The third one is that her account was made.
	if err != nil || len(list) != 3 || list[0].Kind != "record_claimed" || list[1].Kind != "attached" {
		t.Errorf("Ann's history is %+v, %v", list, err)
	}
}

func decodeOutcome(t *testing.T, a moduletest.Answer) string {
	t.Helper()
	return decode[struct {
		Outcome string `json:"outcome"`
	}](t, a).Outcome
}

func TestClaim_OfManyAtOnceExactlyOneGetsTheDevice(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	key := b.key(b.make(lamp)[0])
	var people []sdk.Identity
	for i := range 6 {
		people = append(people, b.Person(fmt.Sprintf("P%d", i), fmt.Sprintf("p%d@example.com", i), customer...))
	}
	answers := make([]moduletest.Answer, len(people))
	var wg sync.WaitGroup
	for i, p := range people {
		wg.Go(func() { answers[i] = b.claim(p, key) })
	}
	wg.Wait()
	got := 0
	for i, a := range answers {
		if a.Status == http.StatusSeeOther {
			got++
			if b.ownerOf(lamp) != people[i].UserID {
				t.Errorf("%s was told that the device is theirs", people[i].Name)
			}
		} else if decodeOutcome(t, a) != "used" {
			t.Errorf("%s got %d %s", people[i].Name, a.Status, a.Body)
		}
	}
	if got != 1 {
		t.Errorf("%d people got it", got)
	}
	if n := len(b.Host.Events(attachapi.DeviceAttached)); n != 1 {
		t.Errorf("%d facts were published", n)
	}
}

func TestClaim_TenWrongKeysLockForAnHourAndARestartForgivesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	key := b.key(b.make(lamp)[0])
	for range 30 { // none of these is a guess
		b.look(b.ann, "nonsense")
		b.look(b.ann, key)
		b.look(b.ann, wrongKey(0)) // but for the first time
	}
	for n := range 10 {
		if got := b.look(b.ann, wrongKey(n)); got != "wrong" {
			t.Fatalf("wrong key %d: %s", n, got)
		}
	}
	b.restart()
	b.clock.forward(59 * time.Minute)
	a := b.Get(b.ann, "/customers/claim?key="+key)
	if decodeOutcome(t, a) != "locked" || a.Status != http.StatusTooManyRequests {
		t.Errorf("after ten wrong keys: %d %s", a.Status, a.Body)
	}
	if got := b.claim(b.ann, key); decodeOutcome(t, got) != "locked" || b.ownerOf(lamp) != 0 {
		t.Errorf("claiming with the right key: %d %s", got.Status, got.Body)
	}
	if got := b.look(b.bob, key); got != "ready" {
		t.Errorf("Bob sees %s", got)
	}
	b.clock.forward(2 * time.Minute)
	if got := b.look(b.ann, key); got != "ready" {
		t.Errorf("after an hour: %s", got)
	}
	b.clock.forward(25 * time.Hour)
	if err := b.part.Run(t.Context(), "retention"); err != nil {
		t.Fatal(err)
	}
	var left int64
	if err := b.part.db.Table("customers_guesses").Count(&left).Error; err != nil || left != 0 {
		t.Errorf("%d guesses are kept, %v", left, err)
	}
}

func TestClaim_GuessesAtOnceAreCountedOneByOne(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	outcomes := make([]string, 24)
	var wg sync.WaitGroup
	for i := range outcomes {
		wg.Go(func() { outcomes[i] = b.look(b.ann, wrongKey(i)) })
	}
	wg.Wait()
	if n := strings.Count(strings.Join(outcomes, " "), "wrong"); n != 10 {
		t.Errorf("%d guesses were looked up: %v", n, outcomes)
	}
}

func TestClaim_WhenManyGuessHonestPeopleStillGetIn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	key := b.key(b.make(lamp)[0])
	for p := range 20 {
		who := b.Person("Guesser", fmt.Sprintf("g%d@example.com", p), customer...)
		for n := range 10 {
			b.look(who, wrongKey(100*p+n))
		}
	}
	found, err := b.part.Check(t.Context())
	if err != nil || len(found) != 1 || !strings.Contains(found[0].Title, "200 wrong claim keys") {
		t.Errorf("the findings are %+v, %v", found, err)
	}
	for n, want := range []string{"wrong", "wrong", "wrong", "locked"} {
		if got := b.look(b.bob, wrongKey(9001+n)); got != want {
			t.Errorf("Bob's wrong key no. %d is %s", n+1, got)
		}
	}
	b.look(b.ann, wrongKey(9010)) // a slip of the finger costs her nothing
	if a := b.claim(b.ann, key); a.Status != http.StatusSeeOther {
		t.Errorf("Ann got %d %s", a.Status, a.Body)
	}
}

func TestClaim_TheStaffCannotOwnDevices(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	key := b.key(b.make(lamp)[0])
	u, err := b.People.CreateUser(t.Context(), identity.System, identity.NewUser{Name: "Ada", Email: "ada@maker.example", Roles: []string{identity.RoleAdministrator}})
	if err != nil {
		t.Fatal(err)
	}
	ada := sdk.Identity{UserID: u.ID, Name: u.Name, Roles: u.Roles, Permissions: customer}
	if got := b.look(ada, key); got != "not_you" {
		t.Errorf("an administrator sees %s", got)
	}
	if a := b.claim(ada, key); a.Status != http.StatusForbidden || b.ownerOf(lamp) != 0 {
		t.Errorf("claiming answered %d, and the device is %d's", a.Status, b.ownerOf(lamp))
	}
	if a := b.claim(b.ann, key); a.Status != http.StatusSeeOther {
		t.Errorf("the key is gone: %d", a.Status)
	}
}

func TestClaim_NobodyLooksAnythingUpBeforeSigningIn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	key := b.key(b.make(lamp)[0])
	var bodies []string
	for _, k := range []string{key, wrongKey(1)} {
		a := b.Get(sdk.Identity{}, "/customers/claim?key="+k)
		data := decode[struct {
			Outcome  string `json:"outcome"`
			Login    string `json:"login_path"`
			Register string `json:"register_path"`
		}](t, a)
		if a.Status != http.StatusOK || data.Outcome != "sign_in" || data.Login != "/login?next="+url.QueryEscape("/customers/claim?key="+k) || data.Register != "/register?next="+url.QueryEscape("/customers/claim?key="+k) {
			t.Errorf("got %d %+v", a.Status, data)
		}
		bodies = append(bodies, strings.ReplaceAll(a.Body, k, ""))
	}
	if bodies[0] != bodies[1] {
		t.Error("a visitor can tell a key from a wrong one")
	}
	if a := b.Post(sdk.Identity{}, "/customers/claim", url.Values{"key": {key}, "claim": {"1"}}); a.Status != http.StatusUnauthorized {
		t.Errorf("claiming answered %d", a.Status)
	}
	if got := b.look(b.ivo, key); got != "not_you" {
		t.Errorf("an account without the permission sees %s", got)
	}
	if a := b.claim(b.ivo, key); a.Status != http.StatusForbidden || b.ownerOf(lamp) != 0 {
		t.Errorf("it claims with %d", a.Status)
	}
	var guesses int64
	if err := b.part.db.Table("customers_guesses").Count(&guesses).Error; err != nil || guesses != 0 {
		t.Errorf("%d guesses were counted, %v", guesses, err)
	}
}

func TestClaim_SaysWhatBecameOfAnOldKey(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.make(lamp)[0]
	first := b.key(path)
	if a := b.act(b.office, path, "/key", url.Values{"action": {"new"}, "days": {"10"}}); a.Status != http.StatusSeeOther {
		t.Fatalf("a new key answered %d %s", a.Status, a.Body)
	}
	second := b.key(path)
	if got := b.look(b.ann, first); got != "revoked" || first == second {
		t.Errorf("the key before the new one is %s", got)
	}
	b.clock.forward(10 * 24 * time.Hour)
	if got := b.look(b.ann, second); got != "expired" || !b.show(path).Record.Expired {
		t.Errorf("the key is %s after its days", got)
	}
	if a := b.claim(b.ann, second); decodeOutcome(t, a) != "expired" || b.ownerOf(lamp) != 0 {
		t.Errorf("claiming with it answered %d %s", a.Status, a.Body)
	}
	b.act(b.office, path, "/key", url.Values{"action": {"new"}})
	third := b.key(path)
	b.act(b.office, path, "/key", url.Values{"action": {"revoke"}})
	if got := b.look(b.ann, third); got != "revoked" || b.show(path).Record.State != "revoked" {
		t.Errorf("the key that was taken back is %s", got)
	}
	if a := b.act(b.office, path, "/key", url.Values{"action": {"revoke"}}); a.Status != http.StatusConflict {
		t.Errorf("taking it back twice answered %d", a.Status)
	}
	if n := len(b.Host.Sealed("claimkey")); n != 0 {
		t.Errorf("%d keys are sealed", n)
	}
}

func TestClaim_ADeviceThatIsSomebodysByAnotherWayIsNotGivenAway(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.make(lamp)[0]
	key := b.key(path)
	b.attach(b.bob, lamp)
	if a := b.claim(b.ann, key); decodeOutcome(t, a) != "used" || b.ownerOf(lamp) != b.bob.UserID {
		t.Errorf("Ann got %d %s", a.Status, a.Body)
	}
	if r := b.show(path); r.Record.State != "ready" {
		t.Errorf("half of the claim stayed: %+v", r.Record)
	}
	b.hear()
	if r := b.show(path); r.Record.State != "claimed" || r.Record.Customer != "Bob" || len(b.Host.Sealed("claimkey")) != 0 {
		t.Errorf("the record did not follow: %+v", r.Record)
	}
}

func TestRecords_FollowTransfersDetachmentsAndDeletedPeople(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.make(lamp)[0]
	b.claim(b.ann, b.key(path))
	b.hear()
	if r := b.show(path); r.Record.State != "claimed" {
		t.Errorf("the facts of the claim itself made it %+v", r.Record)
	}
	b.transfer(lamp, b.ann, b.bob)
	b.hear()
	b.hear() // facts come more than once
	if r := b.show(path); r.Record.State != "transferred" || r.Record.UserID != b.bob.UserID {
		t.Errorf("after the transfer it is %+v", r.Record)
	}
	b.detach(b.bob, lamp)
	b.hear()
	if r := b.show(path); r.Record.State != "bench" || r.Record.UserID != 0 {
		t.Errorf("after the detachment it is %+v", r.Record)
	}
	b.act(b.office, path, "/key", url.Values{"action": {"new"}})
	b.claim(b.ann, b.key(path))
	event := sdk.Event{Name: "user.erase_requested", Subject: fmt.Sprintf("user/%d", b.ann.UserID)}
	for range 2 {
		if err := b.part.Deliver(t.Context(), event); err != nil {
			t.Fatal(err)
		}
	}
	if r := b.show(path); r.Record.UserID != 0 || r.Record.State != "bench" {
		t.Errorf("after the erasure it is %+v", r.Record)
	}
}

func TestSetup_IsForTheOwnDevicesThatMustBeClaimedAtParticle(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	paths := b.make(lamp, pump)
	b.claim(b.bob, b.key(paths[1]))
	b.chooseWay(attachapi.Account)
	a := b.claim(b.ann, b.key(paths[0]))
	if a.Location != "/customers/setup?device="+lamp {
		t.Fatalf("claiming led to %s: %s", a.Location, a.Body)
	}
	type page struct {
		State   string `json:"state"`
		Code    string `json:"code"`
		Trouble string `json:"trouble"`
	}
	for _, state := range []struct {
		owner  string
		online bool
		linked string
		want   string
	}{{"", true, "", "waiting"}, {"maker@particle.example", true, "ann@particle.example", "elsewhere"}, {"ann@particle.example", true, "", "unknown"},
		{"ann@particle.example", false, "Ann@particle.example", "arrived"}, {"ann@particle.example", true, "ann@particle.example", "online"}} {
		b.fleet.set(func(f *fleet) {
			f.devices[0].Owner, f.devices[0].Online, f.linked = state.owner, state.online, state.linked
		})
		if got := decode[page](t, b.Get(b.ann, a.Location)); got.State != state.want {
			t.Errorf("%+v is %q", state, got.State)
		}
	}
	b.fleet.set(func(f *fleet) { f.away = true })
	if got := decode[page](t, b.Get(b.ann, a.Location)); got.State != "unknown" {
		t.Errorf("without organizations it is %q", got.State)
	}
	if got := decode[page](t, b.Post(b.ann, a.Location, nil)); got.Code != "" || got.Trouble == "" {
		t.Errorf("a code without an account: %+v", got)
	}
	asked := b.fleet.calls()
	for _, device := range []string{pump, cellar, foreign, "nonsense", ""} {
		if g, p := b.Get(b.ann, "/customers/setup?device="+device), b.Post(b.ann, "/customers/setup?device="+device, nil); g.Status != http.StatusNotFound || p.Status != http.StatusNotFound || g.Body != p.Body {
			t.Errorf("%q answered %d and %d", device, g.Status, p.Status)
		}
	}
	if b.fleet.calls() != asked {
		t.Error("another module was asked for devices of others")
	}
	if a := b.Get(b.bob, "/customers/setup?device="+pump); a.Location != "/devices/"+pump {
		t.Errorf("a device that needs no code led to %d %s", a.Status, a.Location)
	}
	for range 20 {
		b.Post(b.ann, a.Location, nil)
	}
	if got := decode[page](t, b.Post(b.ann, a.Location, nil)); !strings.Contains(got.Trouble, "many codes") {
		t.Errorf("after twenty codes: %+v", got)
	}
}

func TestClaim_WhatAKillLeftSealedIsErasedLater(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	paths := b.make(lamp, pump)
	key := b.key(paths[0])
	b.claim(b.ann, key)
	// As if the program had been stopped right after the claim.
	if err := b.part.db.Exec("UPDATE customers_keys SET sealed = 1 WHERE record_id = 1").Error; err != nil {
		t.Fatal(err)
	}
	if err := b.Host.Secrets().Set(t.Context(), "claimkey", "1", strings.ReplaceAll(key, "-", "")); err != nil {
		t.Fatal(err)
	}
	b.restart()
	if err := b.part.Run(t.Context(), "resume"); err != nil {
		t.Fatal(err)
	}
	if sealed := b.Host.Sealed("claimkey"); len(sealed) != 1 || b.look(b.ann, key) != "mine" || b.look(b.bob, key) != "used" {
		t.Errorf("%d keys are sealed", len(sealed))
	}
}

func TestPrivacy_TheReportHoldsNoKeyAndNoHash(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	key := b.key(b.make(lamp)[0])
	b.look(b.ann, wrongKey(1))
	b.claim(b.ann, key)
	var hashes []string
	if err := b.part.db.Raw("SELECT hash FROM customers_keys UNION SELECT hash FROM customers_guesses").Scan(&hashes).Error; err != nil || len(hashes) != 2 {
		t.Fatalf("%d hashes, %v", len(hashes), err)
	}
	var report json.RawMessage
	ctx := sdk.WithRequest(t.Context(), sdk.Request{ID: "test", User: b.ann})
	if err := b.Host.Call(ctx, "host.privacy", "report", map[string]any{"user_id": b.ann.UserID}, &report); err != nil {
		t.Fatal(err)
	}
	for _, secret := range append(hashes, key, strings.ReplaceAll(key, "-", ""), wrongKey(1)) {
		if strings.Contains(string(report), secret) {
			t.Errorf("%s stands in the report", secret)
		}
	}
	for _, table := range []string{"customers_records", "customers_guesses"} {
		if !strings.Contains(string(report), table) {
			t.Errorf("%s is not in the report", table)
		}
	}
}

func TestSetup_KnowsTheShadowCustomerOfThePerson(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.chooseWay(attachapi.Shadow)
	a := b.claim(b.ann, b.key(b.make(lamp)[0]))
	var shadow string
	if err := b.part.db.Raw("SELECT username FROM customers_shadows WHERE user_id = ?", b.ann.UserID).Scan(&shadow).Error; err != nil || shadow == "" {
		t.Fatalf("the shadow customer is %q, %v; claiming answered %d %s", shadow, err, a.Status, a.Body)
	}
	for owner, want := range map[string]string{shadow: "online", "maker@particle.example": "elsewhere"} {
		b.fleet.set(func(f *fleet) { f.devices[0].Owner, f.devices[0].Online = owner, true })
		if got := b.Get(b.ann, a.Location); !strings.Contains(got.Body, `"state":"`+want+`"`) || strings.Contains(got.Body, owner) {
			t.Errorf("of %s it is %s", owner, got.Body)
		}
	}
}

func TestClaim_LeadsToTheOwnPageWhereNobodyShowsDevices(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	key := b.key(b.make(lamp)[0])
	b.fleet.set(func(f *fleet) { f.unseen = true })
	if a := b.claim(b.ann, key); a.Status != http.StatusSeeOther || a.Location != "/customers" || a.Flash != "good Porch lamp is yours now." {
		t.Errorf("claiming answered %d %s %q", a.Status, a.Location, a.Flash)
	}
	if a := b.claim(b.ann, key); decodeOutcome(t, a) != "mine" || strings.Contains(a.Body, "/devices/") {
		t.Errorf("once more: %s", a.Body)
	}
	if a := b.Get(b.ann, "/customers/setup?device="+lamp); a.Location != "/customers" {
		t.Errorf("the set-up led to %d %s", a.Status, a.Location)
	}
}
