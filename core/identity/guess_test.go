package identity_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"mortise/core/fault"
	"mortise/core/identity"
)

func TestSignIn_AnswersUnknownAndKnownNamesAlike(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.person("known@example.com")
	if _, err := s.CreateUser(t.Context(), identity.System, identity.NewUser{Name: "Invited", Email: "invited@example.com"}); err != nil {
		t.Fatal(err)
	}
	var answers []string
	for _, email := range []string{"known@example.com", "unknown@example.com", "invited@example.com", "not an address", ""} {
		before := s.Stats().PasswordChecks
		_, err := s.SignIn(t.Context(), email, "wrong password", home)
		wantKind(t, err, fault.Invalid)
		answers = append(answers, err.Error())
		if s.Stats().PasswordChecks != before+1 {
			t.Fatalf("%q was answered without hashing a password, which is quicker", email)
		}
	}
	for _, a := range answers {
		if a != answers[0] {
			t.Fatalf("the answers differ: %q", answers)
		}
	}
	if n := s.Stats().DummyChecks; n != 4 {
		t.Fatalf("%d checks against the dummy, want 4", n)
	}
	// And an empty password is not the password of somebody who has none.
	_, err := s.SignIn(t.Context(), "invited@example.com", "", home)
	wantKind(t, err, fault.Invalid)
}

// attempts guesses n times and tells how many guesses were looked at.
func attempts(t *testing.T, s *site, email string, c identity.Client, n int) (looked int) {
	t.Helper()
	for range n {
		_, err := s.SignIn(t.Context(), email, "guess", c)
		switch fault.KindOf(err) {
		case fault.Invalid:
			looked++
		case fault.TooMany:
		default:
			t.Fatal(err)
		}
	}
	return looked
}

func TestFlood_StopsOneAddressWithoutLockingTheOwnerOut(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.person("c@example.com")
	attacker := from("203.0.113.5")
	if n := attempts(t, s, "c@example.com", attacker, 12); n != 5 {
		t.Fatalf("%d guesses were looked at, want 5", n)
	}
	_, err := s.SignIn(t.Context(), "c@example.com", good, attacker)
	wantKind(t, err, fault.TooMany) // even the right one: otherwise the answer would tell
	s.signIn("c@example.com", home)
	if n := attempts(t, s, "nobody@example.com", from("203.0.113.6"), 12); n != 5 {
		t.Fatalf("an unknown name gets %d guesses, want the same 5", n)
	}
	s.pass(30 * time.Minute)
	s.signIn("c@example.com", attacker)
}

func TestFlood_CountsParallelGuesses(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.person("c@example.com")
	var wg sync.WaitGroup
	var mu sync.Mutex
	looked := 0
	for range 24 {
		wg.Go(func() {
			_, err := s.SignIn(t.Context(), "c@example.com", "guess", home)
			if fault.Is(err, fault.Invalid) {
				mu.Lock()
				looked++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if looked != 5 {
		t.Fatalf("%d parallel guesses were looked at, want 5", looked)
	}
}

func TestFlood_StopsOneAddressOverManyAccounts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	looked := 0
	for i := range 60 {
		looked += attempts(t, s, fmt.Sprintf("p%d@example.com", i), from(fmt.Sprintf("2001:db8:1:1::%x", i+1)), 1) // one line's /64
	}
	if looked != 50 {
		t.Fatalf("one /64 tried %d accounts, want 50", looked)
	}
}

func TestFlood_LeavesTheOwnerAWayInUnderABotnet(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.person("c@example.com")
	s.signIn("c@example.com", home) // a familiar device
	for i := range 25 {
		attempts(t, s, "c@example.com", from(fmt.Sprintf("198.51.100.%d", i)), 4)
	}
	if n := attempts(t, s, "c@example.com", from("198.51.100.200"), 6); n != 2 {
		t.Fatalf("a further bot gets %d guesses, want 2", n)
	}
	s.signIn("c@example.com", from("198.51.100.201")) // the owner on a new network
	if n := attempts(t, s, "c@example.com", home, 6); n != 5 {
		t.Fatalf("the familiar device gets %d tries, want 5", n)
	}
}

func TestSignIn_ForgivesTheFailuresOfWhoeverKnowsThePassword(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.person("c@example.com")
	for range 3 {
		attempts(t, s, "c@example.com", home, 4)
		s.signIn("c@example.com", home)
	}
}

func TestReset_WorksOnceWithinItsHourAndEndsSessions(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.person("c@example.com")
	in := s.signIn("c@example.com", home)
	if err := s.RequestReset(t.Context(), "c@example.com", home); err != nil {
		t.Fatal(err)
	}
	n := s.notice(identity.NoticeReset)
	if link, err := s.PeekLink(t.Context(), identity.PurposeReset, n.Token); err != nil || link.UserID != in.User.ID {
		t.Fatal(link, err)
	}
	_, err := s.PeekLink(t.Context(), identity.PurposeLogin, n.Token)
	wantKind(t, err, fault.NotFound) // a link is for one purpose
	_, err = s.SignInByLink(t.Context(), n.Token, home)
	wantKind(t, err, fault.NotFound)
	_, err = s.ResetPassword(t.Context(), n.Token, "qwertyuiop", home)
	wantField(t, err, "password")
	if _, err := s.ResetPassword(t.Context(), n.Token, "another long phrase", home); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Authenticate(in.Token); ok {
		t.Fatal("sessions must end with a reset")
	}
	_, err = s.ResetPassword(t.Context(), n.Token, "yet another phrase", home)
	wantKind(t, err, fault.NotFound)
	if _, err := s.SignIn(t.Context(), "c@example.com", "another long phrase", home); err != nil {
		t.Fatal(err)
	}

	if err := s.RequestReset(t.Context(), "c@example.com", home); err != nil {
		t.Fatal(err)
	}
	n = s.notice(identity.NoticeReset)
	s.pass(time.Hour + time.Second)
	_, err = s.ResetPassword(t.Context(), n.Token, "yet another phrase", home)
	wantKind(t, err, fault.NotFound)
}

func TestReset_IsVoidAfterANewerOneAndWhenTheAddressChanges(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u := s.person("c@example.com")
	var tokens []string
	for range 2 {
		if err := s.RequestReset(t.Context(), "c@example.com", home); err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, s.notice(identity.NoticeReset).Token)
	}
	_, err := s.ResetPassword(t.Context(), tokens[0], "another long phrase", home)
	wantKind(t, err, fault.NotFound)
	email := "new@example.com"
	if err := s.UpdateUser(t.Context(), identity.System, u.ID, identity.UserChange{Email: &email}); err != nil {
		t.Fatal(err)
	}
	_, err = s.ResetPassword(t.Context(), tokens[1], "another long phrase", home)
	wantKind(t, err, fault.NotFound)
}

func TestReset_UsedTwiceAtOnceWorksOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u := s.person("c@example.com")
	token, _, err := s.Invite(t.Context(), identity.System, u.ID)
	if err != nil {
		t.Fatal(err)
	}
	results := make(chan error, 6)
	for i := range 6 {
		go func() {
			_, err := s.ResetPassword(t.Context(), token, fmt.Sprintf("another long phrase %d", i), home)
			results <- err
		}()
	}
	done := 0
	for range 6 {
		switch err := <-results; {
		case err == nil:
			done++
		case !fault.Is(err, fault.NotFound):
			t.Fatal(err)
		}
	}
	if done != 1 {
		t.Fatalf("the link worked %d times", done)
	}
}

func TestReset_TellsNobodyWhoHasAnAccountAndMailsNobodyToDeath(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.person("root@example.com", identity.RoleAdministrator)
	s.person("c@example.com")
	blocked := s.person("blocked@example.com")
	if _, err := s.Block(t.Context(), identity.System, blocked.ID); err != nil {
		t.Fatal(err)
	}
	for _, email := range []string{"unknown@example.com", "blocked@example.com", "c@example.com", "c@example.com", "c@example.com", "c@example.com"} {
		if err := s.RequestReset(t.Context(), email, home); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.RequestReset(t.Context(), "root@example.com", home); err != nil { // the postman is done with the others then
		t.Fatal(err)
	}
	mails := 0
	for {
		n := s.notice(identity.NoticeReset)
		if n.To == "root@example.com" {
			break
		}
		if n.To != "c@example.com" {
			t.Fatalf("a mail went to %q", n.To)
		}
		mails++
	}
	if mails != 3 {
		t.Fatalf("%d mails to one person within an hour, want 3", mails)
	}
	var err error
	for range 10 {
		err = errors.Join(err, s.RequestReset(t.Context(), "c@example.com", home))
	}
	wantKind(t, err, fault.TooMany)
}

func TestLoginLink_SignsInOnceWithin15Minutes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u := s.person("c@example.com")
	token, _, err := s.LoginLink(t.Context(), identity.System, u.ID)
	if err != nil {
		t.Fatal(err)
	}
	in, err := s.SignInByLink(t.Context(), token, home)
	if err != nil || in.User.ID != u.ID {
		t.Fatal(in, err)
	}
	_, err = s.SignInByLink(t.Context(), token, home)
	wantKind(t, err, fault.NotFound)
	if token, _, err = s.LoginLink(t.Context(), identity.System, u.ID); err != nil {
		t.Fatal(err)
	}
	s.pass(16 * time.Minute)
	_, err = s.SignInByLink(t.Context(), token, home)
	wantKind(t, err, fault.NotFound)
}

func TestInvite_LetsAPersonChooseTheFirstPassword(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u, err := s.CreateUser(t.Context(), identity.System, identity.NewUser{Name: "New", Email: "new@example.com"})
	if err != nil || u.HasPassword {
		t.Fatal(u, err)
	}
	if _, _, err := s.Invite(t.Context(), identity.System, u.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ResetPassword(t.Context(), s.notice(identity.NoticeInvite).Token, good, home); err != nil {
		t.Fatal(err)
	}
	s.signIn("new@example.com", home)
}
