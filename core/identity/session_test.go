package identity_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"mortise/core/fault"
	"mortise/core/identity"
)

const day = 24 * time.Hour

func TestSignIn_GivesANewTokenEachTimeAndKeepsOnlyItsHash(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.person("c@example.com")
	a, b := s.signIn("c@example.com", home), s.signIn("C@Example.COM", home)
	if a.Token == b.Token || a.Session.ID == b.Session.ID {
		t.Fatal("two sign-ins share a token")
	}
	if len(a.Token) < 43 || strings.Contains(a.Session.ID, a.Token) {
		t.Fatal("the token must be 256 bits and not be in its id")
	}
	var n int64
	for _, column := range []string{"id", "agent", "address"} {
		var hits int64
		if err := s.store.Read(t.Context()).Raw("SELECT count(*) FROM core_sessions WHERE "+column+" = ?", a.Token).Scan(&hits).Error; err != nil {
			t.Fatal(err)
		}
		n += hits
	}
	if n != 0 {
		t.Fatal("the token itself is in the store")
	}
	for _, planted := range []string{"", a.Session.ID, strings.Repeat("A", 43), a.Token + "x"} {
		if _, ok := s.Authenticate(planted); ok {
			t.Fatalf("the made-up token %q is accepted", planted)
		}
	}
}

func TestSession_SurvivesARestartAndEndsBySignOut(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.person("c@example.com")
	in := s.signIn("c@example.com", home)
	s.pass(time.Hour)
	s.Authenticate(in.Token)
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.start()
	p, ok := s.Authenticate(in.Token)
	if !ok || !p.Session.LastSeenAt.Equal(s.now().Truncate(time.Millisecond)) {
		t.Fatalf("after the restart: %v %+v", ok, p.Session)
	}
	if err := s.SignOut(t.Context(), in.Session.ID); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Authenticate(in.Token); ok {
		t.Fatal("signed out, but still signed in")
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.start()
	if _, ok := s.Authenticate(in.Token); ok {
		t.Fatal("the session came back with a restart")
	}
}

func TestSession_EndsWhenIdleAndAtItsAbsoluteLimit(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.person("c@example.com", identity.RoleCustomer)
	s.person("root@example.com", identity.RoleAdministrator)
	idle, busy := s.signIn("c@example.com", home), s.signIn("c@example.com", home)
	admin := s.signIn("root@example.com", home)
	for range 9 {
		s.pass(9 * day)
		s.Check(idle.Session.ID) // looking is not using
		if _, ok := s.Authenticate(busy.Token); !ok {
			t.Fatal("a session in use ended before its absolute limit")
		}
	}
	if _, ok := s.Authenticate(idle.Token); ok {
		t.Fatal("an idle session lives on")
	}
	if _, ok := s.Authenticate(admin.Token); ok {
		t.Fatal("an administrator's session lives as long as a customer's")
	}
	s.pass(10 * day)
	if _, ok := s.Authenticate(busy.Token); ok {
		t.Fatal("a session lives on after its absolute limit")
	}
	if err := s.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := s.Stats().Sessions; n != 0 {
		t.Fatalf("%d sessions are left", n)
	}
}

func TestBlock_EndsAllSessionsAtOnceAndForGood(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.person("root@example.com", identity.RoleAdministrator)
	u := s.person("c@example.com", identity.RoleCustomer)
	a, b := s.signIn("c@example.com", home), s.signIn("c@example.com", from("192.0.2.2"))
	if changed, err := s.Block(t.Context(), identity.System, u.ID); err != nil || !changed {
		t.Fatal(changed, err)
	}
	for _, in := range []identity.SignedIn{a, b} {
		if _, ok := s.Authenticate(in.Token); ok {
			t.Fatal("a blocked person is still signed in")
		}
	}
	if changed, _ := s.Block(t.Context(), identity.System, u.ID); changed {
		t.Fatal("blocking a blocked person changes something")
	}
	_, err := s.SignIn(t.Context(), "c@example.com", good, home)
	wantKind(t, err, fault.Denied)
	_, err = s.SignIn(t.Context(), "c@example.com", "wrong", home)
	wantKind(t, err, fault.Invalid) // who does not know the password learns nothing
	if _, err := s.Unblock(t.Context(), identity.System, u.ID); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Authenticate(a.Token); ok {
		t.Fatal("unblocking must not bring sessions back")
	}
	s.signIn("c@example.com", home)
}

func TestBlock_RacingWithSignInsLeavesNobodySignedIn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u := s.person("c@example.com")
	tokens := make(chan string, 4)
	for range 4 {
		go func() {
			in, _ := s.SignIn(context.WithoutCancel(t.Context()), "c@example.com", good, home)
			tokens <- in.Token
		}()
	}
	if _, err := s.Block(t.Context(), identity.System, u.ID); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		if token := <-tokens; token != "" {
			if _, ok := s.Authenticate(token); ok {
				t.Fatal("a sign-in that raced with the block is signed in")
			}
		}
	}
	if n := s.Stats().Sessions; n != 0 {
		t.Fatalf("%d sessions are left in memory", n)
	}
}

func TestSessions_ArePeoplesOwnToSeeAndEnd(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u, other := s.person("c@example.com"), s.person("d@example.com")
	a, b := s.signIn("c@example.com", home), s.signIn("c@example.com", from("2001:db8::1"))
	foreign := s.signIn("d@example.com", home)
	if list := s.Sessions(u.ID); len(list) != 2 || list[0].Agent != "a browser" {
		t.Fatalf("got %+v", list)
	}
	wantKind(t, s.EndSession(t.Context(), u.ID, foreign.Session.ID), fault.NotFound)
	if err := s.EndSession(t.Context(), u.ID, b.Session.ID); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Authenticate(b.Token); ok {
		t.Fatal("the ended session lives")
	}
	s.signIn("c@example.com", home)
	if n, err := s.EndSessions(t.Context(), u.ID, a.Session.ID); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	if _, ok := s.Authenticate(a.Token); !ok {
		t.Fatal("the own session ended with the others")
	}
	if len(s.Sessions(other.ID)) != 1 {
		t.Fatal("somebody else's session ended")
	}
}

func TestSessions_AreBoundedForEachPerson(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u := s.person("c@example.com")
	first, err := firstOfMany(s, u, 51)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(s.Sessions(u.ID)); n != 50 {
		t.Fatalf("%d sessions live, want 50", n)
	}
	if _, ok := s.Authenticate(first); ok {
		t.Fatal("the session not used for longest must end first")
	}
}

// firstOfMany signs in by links, which is quicker than by passwords.
func firstOfMany(s *site, u identity.User, n int) (first string, err error) {
	for i := range n {
		token, _, err := s.LoginLink(s.t.Context(), identity.System, u.ID)
		if err != nil {
			return "", err
		}
		s.pass(time.Second)
		in, err := s.SignInByLink(s.t.Context(), token, home)
		if err != nil {
			return "", err
		}
		if i == 0 {
			first = in.Token
		}
	}
	return first, nil
}

func TestRoles_TakeEffectInLiveSessionsAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.person("root@example.com", identity.RoleAdministrator)
	u := s.person("c@example.com")
	in := s.signIn("c@example.com", home)
	can := func() bool {
		p, ok := s.Authenticate(in.Token)
		return ok && s.Can(p.User.Roles, "devices.control")
	}
	if err := s.GrantDefaults(t.Context(), map[string][]string{"devices.control": {identity.RoleCustomer, "no_such_role"}}); err != nil {
		t.Fatal(err)
	}
	if can() {
		t.Fatal("without the role there is no permission")
	}
	if _, err := s.SetRoles(t.Context(), identity.System, u.ID, []string{identity.RoleCustomer}); err != nil {
		t.Fatal(err)
	}
	if !can() {
		t.Fatal("the new role has no effect")
	}
	_, err := s.ApplyChanges(t.Context(), identity.System, []identity.Change{{Role: identity.RoleCustomer, Permission: "devices.control", Seen: true}})
	if err != nil {
		t.Fatal(err)
	}
	if can() {
		t.Fatal("the withdrawn permission still holds")
	}
}

func TestChangePassword_EndsEverythingElse(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u := s.person("c@example.com")
	mine, stolen := s.signIn("c@example.com", home), s.signIn("c@example.com", from("203.0.113.9"))
	link, _, err := s.LoginLink(t.Context(), identity.System, u.ID)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.ChangePassword(t.Context(), mine.Session.ID, "wrong", "another long phrase", home)
	wantField(t, err, "current_password")
	_, err = s.ChangePassword(t.Context(), mine.Session.ID, good, "C@example.com", home)
	wantField(t, err, "password")
	renewed, err := s.ChangePassword(t.Context(), mine.Session.ID, good, "another long phrase", home)
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{mine.Token, stolen.Token} {
		if _, ok := s.Authenticate(token); ok {
			t.Fatal("an old token outlives the change of the password")
		}
	}
	if _, ok := s.Authenticate(renewed.Token); !ok {
		t.Fatal("whoever changed the password must stay signed in")
	}
	_, err = s.SignInByLink(t.Context(), link, home)
	wantKind(t, err, fault.NotFound)
	if n := s.notice(identity.NoticePasswordChanged); n.To != "c@example.com" {
		t.Fatalf("the notice went to %q", n.To)
	}
	_, err = s.SignIn(t.Context(), "c@example.com", good, home)
	wantKind(t, err, fault.Invalid)
}

func TestConfirm_RenewsTheTokenAndTheTimeOfTheConfirmation(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.person("c@example.com")
	in := s.signIn("c@example.com", home)
	s.pass(time.Hour)
	p, _ := s.Authenticate(in.Token)
	if p.Session.ConfirmedWithin(s.now(), 15*time.Minute) {
		t.Fatal("an hour old is not fresh")
	}
	_, err := s.Confirm(t.Context(), in.Session.ID, "wrong", home)
	wantField(t, err, "current_password")
	again, err := s.Confirm(t.Context(), in.Session.ID, good, home)
	if err != nil {
		t.Fatal(err)
	}
	if !again.Session.ConfirmedWithin(s.now(), 15*time.Minute) {
		t.Fatal("not confirmed")
	}
	if _, ok := s.Authenticate(in.Token); ok || again.Token == in.Token {
		t.Fatal("the token must be renewed by a confirmation")
	}
}

func TestChangeEmail_NeedsThePasswordAndTellsTheOldAddress(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.person("taken@example.com")
	s.person("old@example.com")
	in := s.signIn("old@example.com", home)
	wantField(t, s.ChangeEmail(t.Context(), in.Session.ID, "wrong", "new@example.com", home), "current_password")
	wantField(t, s.ChangeEmail(t.Context(), in.Session.ID, good, "Taken@example.com", home), "email")
	wantField(t, s.ChangeEmail(t.Context(), in.Session.ID, good, "a@b\r\nBcc: c@d", home), "email")
	if err := s.ChangeEmail(t.Context(), in.Session.ID, good, "New@example.com", home); err != nil {
		t.Fatal(err)
	}
	if n := s.notice(identity.NoticeEmailChanged); n.To != "old@example.com" {
		t.Fatalf("the notice went to %q", n.To)
	}
	if p, _ := s.Authenticate(in.Token); p.User.Email != "new@example.com" {
		t.Fatalf("the session still says %q", p.User.Email)
	}
	if err := s.ChangeProfile(t.Context(), in.User.ID, identity.Profile{Name: "Née", TimeZone: "Asia/Tokyo", Locale: "ja"}); err != nil {
		t.Fatal(err)
	}
	if p, _ := s.Authenticate(in.Token); p.User.Name != "Née" || p.User.Location().String() != "Asia/Tokyo" {
		t.Fatalf("got %+v", p.User)
	}
}
