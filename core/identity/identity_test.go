package identity_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"mortise/core/fault"
	"mortise/core/identity"
	"mortise/core/store"
)

const good = "violet teapot under rain"

// site is a service over a real store, with a clock that the test turns.
type site struct {
	*identity.Service
	t       testing.TB
	store   *store.Store
	notices chan identity.Notice

	mu     sync.Mutex
	clock  time.Time
	events []string
	ask    func() error
	fail   error // of the next publish
	open   bool
}

func (s *site) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clock
}

func (s *site) pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock = s.clock.Add(d)
}

func (s *site) happened() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

func openStore(t testing.TB) *store.Store {
	t.Helper()
	st, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "site.db"), Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	return st
}

func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{t: t, store: openStore(t), notices: make(chan identity.Notice, 100), clock: time.Now().UTC(), open: true}
	s.start()
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

// start begins the service, also anew over the same store.
func (s *site) start() {
	s.t.Helper()
	service, err := identity.New(s.t.Context(), s.store, identity.Options{
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: s.now,
		HashParallel:     32, // more than any test needs, so that a busy machine does not make them wait
		RegistrationOpen: func() bool { return s.open },
		Publish: func(_ context.Context, _ *gorm.DB, name, subject string, _ any) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.fail != nil {
				return s.fail
			}
			s.events = append(s.events, name+" "+subject)
			return nil
		},
		Ask: func(context.Context, string, string, any) error {
			if s.ask != nil {
				return s.ask()
			}
			return nil
		},
		Notify: func(_ context.Context, n identity.Notice) error { s.notices <- n; return nil },
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.Service = service
}

func (s *site) notice(kind identity.NoticeKind) identity.Notice {
	s.t.Helper()
	for {
		select {
		case n := <-s.notices:
			if n.Kind == kind {
				return n
			}
		case <-time.After(10 * time.Second):
			s.t.Fatalf("no notice %s came", kind)
		}
	}
}

func from(address string) identity.Client {
	return identity.Client{Address: netip.MustParseAddr(address), Agent: "a browser"}
}

var home = from("192.0.2.1")

// person makes somebody with roles.
func (s *site) person(email string, roles ...string) identity.User {
	s.t.Helper()
	u, err := s.CreateUser(s.t.Context(), identity.System, identity.NewUser{Name: "Somebody", Email: email, Password: good, Roles: roles})
	if err != nil {
		s.t.Fatal(err)
	}
	return u
}

func (s *site) signIn(email string, c identity.Client) identity.SignedIn {
	s.t.Helper()
	in, err := s.SignIn(s.t.Context(), email, good, c)
	if err != nil {
		s.t.Fatalf("sign in as %s: %v", email, err)
	}
	return in
}

func wantKind(t *testing.T, err error, kind fault.Kind) {
	t.Helper()
	if err == nil || fault.KindOf(err) != kind {
		t.Fatalf("got error %v, want a fault of kind %s", err, kind)
	}
}

func wantField(t *testing.T, err error, field string) {
	t.Helper()
	wantKind(t, err, fault.Invalid)
	if fault.FieldsOf(err)[field] == "" {
		t.Fatalf("error %v with fields %v says nothing of %q", err, fault.FieldsOf(err), field)
	}
}

func TestSite_BeginsWithASetupLinkThatWorksOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	if !s.SetupNeeded() || s.RegistrationOpen() {
		t.Fatal("an empty site must ask for set-up and take no registrations")
	}
	first, needed, err := s.SetupToken(t.Context())
	if err != nil || !needed {
		t.Fatal(needed, err)
	}
	token, _, err := s.SetupToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	form := identity.Registration{Name: "Ana", Email: "Ana@Example.com ", Password: good}
	_, err = s.Setup(t.Context(), first, form, home)
	wantKind(t, err, fault.NotFound) // replaced by the second
	_, err = s.Setup(t.Context(), token, identity.Registration{Name: "Ana", Email: "ana@example.com", Password: "password1"}, home)
	wantField(t, err, "password")
	if _, err := s.PeekLink(t.Context(), identity.PurposeSetup, token); err != nil {
		t.Fatal("a refused form must leave the link valid:", err)
	}
	in, err := s.Setup(t.Context(), token, form, home)
	if err != nil {
		t.Fatal(err)
	}
	if in.User.Email != "ana@example.com" || !in.User.Administrator() {
		t.Fatalf("got %+v", in.User)
	}
	if p, ok := s.Authenticate(in.Token); !ok || p.User.ID != in.User.ID {
		t.Fatal("set-up must sign in")
	}
	_, err = s.Setup(t.Context(), token, identity.Registration{Name: "Eve", Email: "eve@example.com", Password: good}, home)
	wantKind(t, err, fault.NotFound)
	if _, needed, _ := s.SetupToken(t.Context()); needed || s.SetupNeeded() {
		t.Fatal("set-up must be over")
	}
}

func TestRegister_MakesACustomerAndChecksTheForm(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.person("root@example.com", identity.RoleAdministrator)
	in, err := s.Register(t.Context(), identity.Registration{Name: " Bo  B ", Email: "bo@bücher.example", Password: good, TimeZone: "Europe/Berlin"}, home)
	if err != nil {
		t.Fatal(err)
	}
	if in.User.Name != "Bo B" || in.User.Email != "bo@xn--bcher-kva.example" || !slices.Equal(in.User.Roles, []string{identity.RoleCustomer}) {
		t.Fatalf("got %+v", in.User)
	}
	if want := fmt.Sprintf("user.registered user/%d", in.User.ID); !slices.Contains(s.happened(), want) {
		t.Fatalf("events %v lack %q", s.happened(), want)
	}
	for field, form := range map[string]identity.Registration{
		"name":      {Name: "a\u202eb", Email: "c@example.com", Password: good},
		"email":     {Name: "C", Email: "BO@Bücher.example", Password: good},
		"password":  {Name: "C", Email: "c@example.com", Password: "short"},
		"time_zone": {Name: "C", Email: "c@example.com", Password: good, TimeZone: "Local"},
		"locale":    {Name: "C", Email: "c@example.com", Password: good, Locale: "../etc"},
	} {
		_, err := s.Register(t.Context(), form, home)
		wantField(t, err, field)
	}
	s.open = false
	_, err = s.Register(t.Context(), identity.Registration{Name: "C", Email: "c@example.com", Password: good}, home)
	wantKind(t, err, fault.Denied)
}

func TestRegister_LeavesNothingWhenTheEventCannotBePublished(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.person("root@example.com", identity.RoleAdministrator)
	s.fail = errors.New("outbox is full")
	if _, err := s.Register(t.Context(), identity.Registration{Name: "C", Email: "c@example.com", Password: good}, home); err == nil {
		t.Fatal("registration must fail with its event")
	}
	_, err := s.UserByEmail(t.Context(), "c@example.com")
	wantKind(t, err, fault.NotFound)
	if n := s.Stats().Sessions; n != 0 {
		t.Fatalf("%d sessions are left in memory", n)
	}
}

func TestRegister_TwoAtOnceWithOneAddressMakeOnePerson(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.person("root@example.com", identity.RoleAdministrator)
	var wg sync.WaitGroup
	results := make(chan error, 8)
	for range 8 {
		wg.Go(func() {
			_, err := s.Register(t.Context(), identity.Registration{Name: "C", Email: "c@example.com", Password: good}, home)
			results <- err
		})
	}
	wg.Wait()
	close(results)
	made := 0
	for err := range results {
		if err == nil {
			made++
		} else {
			wantField(t, err, "email")
		}
	}
	if made != 1 {
		t.Fatalf("%d registrations succeeded, want 1", made)
	}
}

func TestDelete_AsksFirstAndTakesEverythingAlong(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.person("root@example.com", identity.RoleAdministrator)
	u := s.person("c@example.com", identity.RoleCustomer)
	in := s.signIn("c@example.com", home)
	s.ask = func() error { return fault.New(fault.Conflict, "There is an open order.") }
	err := s.Delete(t.Context(), identity.System, u.ID)
	wantKind(t, err, fault.Conflict)
	if _, ok := s.Authenticate(in.Token); !ok {
		t.Fatal("a refused removal must change nothing")
	}
	s.ask = nil
	if err := s.Delete(t.Context(), identity.ActorOf(in.Principal), u.ID); err != nil { // people may remove themselves
		t.Fatal(err)
	}
	if _, ok := s.Authenticate(in.Token); ok {
		t.Fatal("the session of a removed person must be over")
	}
	if want := fmt.Sprintf("user.deleted user/%d", u.ID); !slices.Contains(s.happened(), want) {
		t.Fatalf("events %v lack %q", s.happened(), want)
	}
	again := s.person("c@example.com")
	if again.ID <= u.ID {
		t.Fatalf("id %d was given out again", again.ID)
	}
}

func TestSite_KeepsItsLastAdministrator(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	root := s.person("root@example.com", identity.RoleAdministrator)
	_, err := s.SetRoles(t.Context(), identity.System, root.ID, nil)
	wantKind(t, err, fault.Conflict)
	_, err = s.Block(t.Context(), identity.System, root.ID)
	wantKind(t, err, fault.Conflict)
	wantKind(t, s.Delete(t.Context(), identity.System, root.ID), fault.Conflict)
	s.person("second@example.com", identity.RoleAdministrator)
	if _, err := s.Block(t.Context(), identity.System, root.ID); err != nil {
		t.Fatal(err)
	}
}

func TestPeople_WhoManagePeopleCannotGrowAboveThemselves(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ctx := t.Context()
	root := s.person("root@example.com", identity.RoleAdministrator)
	if err := s.CreateRole(ctx, identity.System, "support", "Support", ""); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateRole(ctx, identity.System, "builder", "Builder", ""); err != nil {
		t.Fatal(err)
	}
	_, err := s.ApplyChanges(ctx, identity.System, []identity.Change{
		{Role: "support", Permission: identity.AdminAccess, Want: true}, {Role: "support", Permission: identity.AdminPeople, Want: true},
		{Role: "builder", Permission: identity.AdminModules, Want: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	helper := s.person("help@example.com", "support")
	by := identity.Actor{UserID: helper.ID, Roles: helper.Roles}
	customer := s.person("c@example.com", identity.RoleCustomer)

	_, err = s.SetRoles(ctx, by, customer.ID, []string{identity.RoleAdministrator})
	wantKind(t, err, fault.Denied)
	_, err = s.SetRoles(ctx, by, helper.ID, []string{"support", "builder"})
	wantKind(t, err, fault.Denied)
	_, _, err = s.LoginLink(ctx, by, root.ID)
	wantKind(t, err, fault.Denied)
	_, err = s.Block(ctx, by, root.ID)
	wantKind(t, err, fault.Denied)
	email := "mine@example.com"
	wantKind(t, s.UpdateUser(ctx, by, root.ID, identity.UserChange{Email: &email}), fault.Denied)
	_, err = s.CreateUser(ctx, by, identity.NewUser{Name: "X", Email: "x@example.com", Roles: []string{"builder"}})
	wantKind(t, err, fault.Denied)
	_, err = s.ApplyChanges(ctx, by, []identity.Change{{Role: "support", Permission: identity.AdminModules, Want: true}})
	wantKind(t, err, fault.Denied)
	if s.Can([]string{"support"}, identity.AdminModules) {
		t.Fatal("a refused change took effect")
	}
	if changed, err := s.SetRoles(ctx, by, customer.ID, []string{"support", identity.RoleCustomer}); err != nil || !changed {
		t.Fatal("what one has oneself can be given:", changed, err)
	}
}

func TestList_FindsSortsAndPages(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for i := range 25 {
		n := identity.NewUser{Name: fmt.Sprintf("Person %02d", i), Email: fmt.Sprintf("p%02d@example.com", i)}
		if i%5 == 0 {
			n.Roles = []string{identity.RoleCustomer}
		}
		if _, err := s.CreateUser(t.Context(), identity.System, n); err != nil {
			t.Fatal(err)
		}
	}
	page, err := s.List(t.Context(), identity.UserQuery{Sort: "email", Desc: true, Offset: 10, Limit: 5})
	if err != nil {
		t.Fatal(err)
	}
	if page.Total != 25 || len(page.Users) != 5 || page.Users[0].Email != "p14@example.com" {
		t.Fatalf("got %d of %d, first %q", len(page.Users), page.Total, page.Users[0].Email)
	}
	page, err = s.List(t.Context(), identity.UserQuery{Search: "PERSON 2", Role: identity.RoleCustomer})
	if err != nil || page.Total != 1 || page.Users[0].Name != "Person 20" {
		t.Fatalf("got %+v, %v", page, err)
	}
	if page, err = s.List(t.Context(), identity.UserQuery{Search: "%"}); err != nil || page.Total != 0 {
		t.Fatalf("a percent sign is not a wildcard: %d, %v", page.Total, err)
	}
	_, err = s.List(t.Context(), identity.UserQuery{Sort: "password"})
	wantKind(t, err, fault.Invalid)
}
