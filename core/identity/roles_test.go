package identity_test

import (
	"fmt"
	"testing"
	"time"

	"gorm.io/gorm"

	"mortise/core/fault"
	"mortise/core/identity"
)

func TestMatrix_AppliesOnlyWhatChangedAndReportsConflicts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ctx := t.Context()
	if err := s.CreateRole(ctx, identity.System, "support", "Support", "Helps people"); err != nil {
		t.Fatal(err)
	}
	apply := func(c ...identity.Change) identity.Applied {
		t.Helper()
		a, err := s.ApplyChanges(ctx, identity.System, c)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	a := apply(identity.Change{Role: "support", Permission: "admin.log", Want: true}, identity.Change{Role: "support", Permission: "devices.view", Want: true})
	if a.Changed != 2 || len(a.Conflicts) != 0 {
		t.Fatalf("got %+v", a)
	}
	if a = apply(identity.Change{Role: "support", Permission: "admin.log", Want: true}); a.Changed != 0 || len(a.Conflicts) != 0 {
		t.Fatalf("what somebody else did the same way is no conflict: %+v", a)
	}
	a = apply(
		identity.Change{Role: "support", Permission: "admin.log", Want: false, Seen: false}, // withdrawn as they saw it, granted since
		identity.Change{Role: "gone", Permission: "admin.log", Want: true},
		identity.Change{Role: identity.RoleAdministrator, Permission: "admin.log", Seen: true},
		identity.Change{Role: "support", Permission: "not a permission", Want: true},
		identity.Change{Role: "support", Permission: "devices.view", Seen: true},
	)
	if a.Changed != 1 || len(a.Conflicts) != 4 || !a.Conflicts[0].Now {
		t.Fatalf("got %+v", a)
	}
	m := s.Matrix()
	if !m.Granted["support"]["admin.log"] || m.Granted["support"]["devices.view"] || len(m.Roles) != 2 {
		t.Fatalf("got %+v", m)
	}
	m.Granted["support"]["admin.modules"] = true
	if s.Can([]string{"support"}, "admin.modules") {
		t.Fatal("the matrix is not a copy")
	}
	if s.Can(nil, "admin.log") || s.Can([]string{identity.RoleAnonymous, "gone"}, "admin.log") || s.Can([]string{identity.RoleAdministrator}, "") {
		t.Fatal("something is allowed that nobody granted")
	}
	if got := s.PermissionsOf([]string{"support"}, []string{"admin.modules", "admin.log"}); len(got) != 1 || got[0] != "admin.log" {
		t.Fatalf("got %v", got)
	}
	if got := s.RolesWith([]string{"admin.log"}); len(got["admin.log"]) != 1 {
		t.Fatalf("got %v", got)
	}
	if err := s.ForgetPermissions(ctx, []string{"admin.log"}); err != nil || s.Can([]string{"support"}, "admin.log") {
		t.Fatal("the permission is not forgotten", err)
	}
}

func TestRoles_BuiltInOnesStayAndOthersComeAndGo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ctx := t.Context()
	for _, id := range []string{"", "X", "a b", "anonymous", "1a"} {
		wantField(t, s.CreateRole(ctx, identity.System, id, "Title", ""), "id")
	}
	wantField(t, s.CreateRole(ctx, identity.System, "support", "", ""), "title")
	if err := s.CreateRole(ctx, identity.System, "support", "Support", ""); err != nil {
		t.Fatal(err)
	}
	wantField(t, s.CreateRole(ctx, identity.System, "support", "Support", ""), "id")
	if err := s.UpdateRole(ctx, identity.System, "support", "Help desk", "Answers"); err != nil {
		t.Fatal(err)
	}
	s.person("h@example.com", "support")
	in := s.signIn("h@example.com", home)
	roles, err := s.Roles(ctx)
	if err != nil || len(roles) != 3 || roles[2].Title != "Help desk" || roles[2].Members != 1 {
		t.Fatalf("got %+v, %v", roles, err)
	}
	wantKind(t, s.DeleteRole(ctx, identity.System, identity.RoleCustomer), fault.Conflict)
	wantKind(t, s.DeleteRole(ctx, identity.System, "gone"), fault.NotFound)
	if err := s.DeleteRole(ctx, identity.System, "support"); err != nil {
		t.Fatal(err)
	}
	if p, ok := s.Authenticate(in.Token); !ok || len(p.User.Roles) != 0 {
		t.Fatalf("got %v %+v", ok, p.User)
	}
	_, err = s.CreateUser(ctx, identity.System, identity.NewUser{Name: "X", Email: "x@example.com", Roles: []string{"support"}})
	wantField(t, err, "roles")
}

// crowd fills the store with n people and a session for each.
func crowd(tb testing.TB, s *site, n int) {
	tb.Helper()
	err := s.store.Write(tb.Context(), func(tx *gorm.DB) error {
		now := time.Now().UTC()
		for i := range n {
			err := tx.Exec("INSERT INTO core_users (name, name_key, email, created_at) VALUES (?, ?, ?, ?)",
				fmt.Sprintf("Person %d", i), fmt.Sprintf("person %d", i), fmt.Sprintf("p%d@example.com", i), now).Error
			if err != nil {
				return err
			}
		}
		return tx.Exec("INSERT INTO core_user_roles SELECT id, 'customer' FROM core_users").Error
	})
	if err != nil {
		tb.Fatal(err)
	}
}

func TestList_IsQuickWithTenThousandPeople(t *testing.T) {
	s := newSite(t)
	crowd(t, s, 10_000)
	for _, q := range []identity.UserQuery{
		{}, {Sort: "email", Desc: true, Offset: 9_900}, {Search: "person 77"}, {Role: identity.RoleCustomer, Sort: "created"}, {Search: "nobody at all", Sort: "seen"},
	} {
		start := time.Now()
		if _, err := s.List(t.Context(), q); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 3*time.Second { // usually 5 ms; the machine may be busy
			t.Errorf("%+v took %s", q, took)
		} else {
			t.Logf("%+v took %s", q, took)
		}
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	s := newSite(b)
	s.person("c@example.com", identity.RoleCustomer)
	in, err := s.SignIn(b.Context(), "c@example.com", good, home)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if p, ok := s.Authenticate(in.Token); !ok || s.Can(p.User.Roles, "admin.log") {
				b.Fail()
			}
		}
	})
}
