package identity_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"mortise/core/fault"
	"mortise/core/identity"
)

func customer(s *site, email string) identity.User {
	s.t.Helper()
	u, err := s.CreateUser(s.t.Context(), identity.System, identity.NewUser{Name: "Carla", Email: email, Roles: []string{identity.RoleCustomer}})
	if err != nil {
		s.t.Fatal(err)
	}
	return u
}

func TestInviteByEmail_MakesThePersonAndTheLinkTogether(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	by := identity.OverCustomers(0)
	carla := identity.NewUser{Name: "Carla", Email: "Carla@Example.com", Roles: []string{identity.RoleCustomer}}

	s.fail = errors.New("the outbox is full")
	if _, err := s.InviteByEmail(t.Context(), by, carla); err == nil {
		t.Fatal("invited without the fact")
	}
	if _, err := s.UserByEmail(t.Context(), "carla@example.com"); !fault.Is(err, fault.NotFound) {
		t.Errorf("half an invitation stayed: %v", err)
	}
	s.fail = nil
	first, err := s.InviteByEmail(t.Context(), by, carla)
	if err != nil || !first.Created || !first.Mailed || first.User.Email != "carla@example.com" {
		t.Fatalf("%+v, %v", first, err)
	}
	void := s.notice(identity.NoticeInvite).Token
	again, err := s.InviteByEmail(t.Context(), by, carla)
	if err != nil || again.Created || !again.Mailed || again.User.ID != first.User.ID {
		t.Fatalf("%+v, %v", again, err)
	}
	link := s.notice(identity.NoticeInvite).Token
	if _, err := s.ResetPassword(t.Context(), void, good, from("192.0.2.1")); !fault.Is(err, fault.NotFound) {
		t.Errorf("the first link: %v", err)
	}
	if _, err := s.ResetPassword(t.Context(), link, good, from("192.0.2.1")); err != nil {
		t.Fatal(err)
	}
	if has, err := s.InviteByEmail(t.Context(), by, carla); err != nil || has.Mailed || has.Created {
		t.Errorf("somebody with a password: %+v, %v", has, err)
	}
	if _, err := s.InviteByEmail(t.Context(), by, identity.NewUser{Name: "", Email: "nobody"}); fault.FieldsOf(err)["name"] == "" || fault.FieldsOf(err)["email"] == "" {
		t.Errorf("%v has no fields", err)
	}
	if _, err := s.Block(t.Context(), by, first.User.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.InviteByEmail(t.Context(), by, carla); !fault.Is(err, fault.Conflict) {
		t.Errorf("a blocked person: %v", err)
	}
	subject := " user/1"
	want := []string{"user.registered" + subject, "user.invited" + subject, "user.invited" + subject, "user.changed" + subject, "user.blocked" + subject}
	if got := s.happened(); !slices.Equal(got, want) {
		t.Errorf("facts = %v, want %v", got, want)
	}
}

func TestOverCustomers_ReachesNobodyWhoIsMore(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ctx := t.Context()
	if err := s.CreateRole(ctx, identity.System, "helper", "Helper", "May nothing by itself."); err != nil {
		t.Fatal(err)
	}
	by := identity.OverCustomers(0)
	var staff []identity.User
	for email, roles := range map[string][]string{
		"root@example.com": {identity.RoleAdministrator}, "two@example.com": {identity.RoleAdministrator},
		"help@example.com": {"helper"}, "both@example.com": {identity.RoleCustomer, "helper"},
	} {
		u, err := s.CreateUser(ctx, identity.System, identity.NewUser{Name: "Staff", Email: email, Roles: roles})
		if err != nil {
			t.Fatal(err)
		}
		staff = append(staff, u)
	}
	for _, u := range staff {
		_, blockErr := s.Block(ctx, by, u.ID)
		_, unblockErr := s.Unblock(ctx, by, u.ID)
		_, _, inviteErr := s.Invite(ctx, by, u.ID)
		for i, err := range []error{blockErr, unblockErr, inviteErr, s.Delete(ctx, by, u.ID)} {
			if !fault.Is(err, fault.Denied) {
				t.Errorf("%s, %d: %v", u.Email, i, err)
			}
		}
		if _, err := s.InviteByEmail(ctx, by, identity.NewUser{Name: "X", Email: u.Email}); !fault.Is(err, fault.Conflict) {
			t.Errorf("%s invited: %v", u.Email, err)
		}
	}
	if _, err := s.CreateUser(ctx, by, identity.NewUser{Name: "Mole", Email: "mole@example.com", Roles: []string{"helper"}}); !fault.Is(err, fault.Denied) {
		t.Errorf("made somebody who is more: %v", err)
	}
	carla := customer(s, "carla@example.com")
	page, err := s.List(ctx, identity.UserQuery{Only: []string{identity.RoleCustomer}})
	if err != nil || page.Total != 1 || page.Users[0].ID != carla.ID {
		t.Errorf("%+v, %v", page, err)
	}
	if err := s.Delete(ctx, by, carla.ID); err != nil {
		t.Error(err)
	}
}

func TestChanged_IsPublishedForANewNameOrAddressOnly(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ctx := t.Context()
	carla := customer(s, "carla@example.com")
	before := len(s.happened())
	same, name, email := carla.Name, "Carla Two", "two@example.com"
	for _, change := range []func() error{
		func() error { return s.UpdateUser(ctx, identity.System, carla.ID, identity.UserChange{Name: &same}) },
		func() error {
			return s.ChangeProfile(ctx, carla.ID, identity.Profile{Name: same, TimeZone: "Europe/Berlin"})
		},
		func() error { return s.ChangeProfile(ctx, carla.ID, identity.Profile{Name: name}) },
		func() error { return s.UpdateUser(ctx, identity.System, carla.ID, identity.UserChange{Email: &email}) },
		func() error {
			_, err := s.SetRoles(ctx, identity.System, carla.ID, []string{identity.RoleCustomer})
			return err
		},
		func() error {
			_, err := s.SetRoles(ctx, identity.System, carla.ID, []string{})
			return err
		},
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.happened()[before:]; len(got) != 3 || slices.ContainsFunc(got, func(fact string) bool { return !strings.HasPrefix(fact, "user.changed") }) {
		t.Errorf("facts = %v", got)
	}
	s.fail = errors.New("the outbox is full")
	if err := s.ChangeProfile(ctx, carla.ID, identity.Profile{Name: "Lost"}); err == nil {
		t.Error("changed without the fact")
	}
	if u, _ := s.User(ctx, carla.ID); u.Name != name {
		t.Errorf("name = %q", u.Name)
	}
}
