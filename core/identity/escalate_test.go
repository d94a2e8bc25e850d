package identity_test

import (
	"testing"

	"mortise/core/fault"
	"mortise/core/identity"
)

// helper is somebody who manages people and permissions, and no more.
func helper(t *testing.T, s *site) identity.Actor {
	t.Helper()
	for _, role := range []string{"support", "builder"} {
		if err := s.CreateRole(t.Context(), identity.System, role, role, ""); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.ApplyChanges(t.Context(), identity.System, []identity.Change{
		{Role: "support", Permission: identity.AdminPeople, Want: true}, {Role: "support", Permission: identity.AdminPermissions, Want: true},
		{Role: "builder", Permission: identity.AdminModules, Want: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	u := s.person("help@example.com", "support")
	return identity.Actor{UserID: u.ID, Roles: u.Roles}
}

func TestPermissions_WhoManagesThemCannotTakeWhatTheyDoNotHave(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	by := helper(t, s)
	builder := s.person("b@example.com", "builder")
	// Without the permission the builder would be the helper's to change, to the helper's own address for example.
	_, err := s.ApplyChanges(t.Context(), by, []identity.Change{{Role: "builder", Permission: identity.AdminModules, Seen: true}})
	wantKind(t, err, fault.Denied)
	email := "mine@example.com"
	wantKind(t, s.UpdateUser(t.Context(), by, builder.ID, identity.UserChange{Email: &email}), fault.Denied)
	_, err = s.ApplyChanges(t.Context(), by, []identity.Change{{Role: identity.RoleCustomer, Permission: identity.AdminPeople, Want: true}})
	if err != nil {
		t.Error("what one has can be given:", err)
	}
}

func TestRoles_WhoManagesPeopleCannotRenameAGreaterOne(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	by := helper(t, s)
	wantKind(t, s.UpdateRole(t.Context(), by, identity.RoleAdministrator, "Guests", ""), fault.Denied)
	wantKind(t, s.UpdateRole(t.Context(), by, "builder", "Guests", ""), fault.Denied)
	if err := s.UpdateRole(t.Context(), by, identity.RoleCustomer, "Customers", ""); err != nil {
		t.Error(err)
	}
}

func TestUpdateUser_LeavesOnesOwnAddressToThePassword(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	by := helper(t, s)
	other, same, name := "other@example.com", "HELP@example.com", "Helper"
	err := s.UpdateUser(t.Context(), by, by.UserID, identity.UserChange{Name: &name, Email: &other})
	wantKind(t, err, fault.Invalid)
	if fault.FieldsOf(err)["email"] == "" {
		t.Errorf("no word at the field: %v", err)
	}
	if err := s.UpdateUser(t.Context(), by, by.UserID, identity.UserChange{Name: &name, Email: &same}); err != nil {
		t.Error("the form with the address as it is:", err)
	}
}
