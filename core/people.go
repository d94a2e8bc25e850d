package core

import (
	"context"

	"mortise/core/fault"
	"mortise/core/identity"
	"mortise/core/sdk"
	"mortise/core/services"
)

// peopleForModules is core/identity as modules may see it.
type peopleForModules struct{ h *Host }

// User finds one person.
func (p peopleForModules) User(ctx context.Context, id int64) (sdk.User, error) {
	u, err := p.h.people.User(ctx, id)
	if err != nil {
		return sdk.User{}, err
	}
	return userForModules(u), nil
}

// Users finds those of the ids that exist.
func (p peopleForModules) Users(ctx context.Context, ids []int64) ([]sdk.User, error) {
	found, err := p.h.people.UsersByID(ctx, ids...)
	if err != nil {
		return nil, err
	}
	list := make([]sdk.User, 0, len(found))
	for _, u := range found {
		list = append(list, userForModules(u))
	}
	return list, nil
}

// Identity says who a person is for one module, now: blocking, signing out and taking a permission away count at once.
func (p peopleForModules) Identity(_ context.Context, userID int64, session, module string) (sdk.Identity, error) {
	principal, ok := p.h.people.Check(session)
	if !ok || principal.User.ID != userID {
		return sdk.Identity{}, fault.New(fault.SignedOut, "The session is over.") // also when the account was blocked: that ends its sessions
	}
	var permissions []string
	if m, found := p.h.modules.Manifest(module); found {
		for _, one := range m.Permissions {
			if p.h.people.Can(principal.User.Roles, one.ID) {
				permissions = append(permissions, one.ID)
			}
		}
	}
	return sdk.Identity{
		UserID: userID, Name: principal.User.Name, Roles: principal.User.Roles, Permissions: permissions,
		Locale: principal.User.Locale, TimeZone: principal.User.TimeZone,
	}, nil
}

func userForModules(u identity.User) sdk.User {
	return sdk.User{ID: u.ID, Name: u.Name, Email: u.Email, Roles: u.Roles, Blocked: u.Blocked, CreatedAt: u.CreatedAt}
}

var _ services.People = peopleForModules{}
