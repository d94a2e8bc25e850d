package hostapi

import (
	"context"
	"time"

	"mortise/core/identity"
	"mortise/core/services"
)

var customers = []string{identity.RoleCustomer}

// Person is a customer as modules may see one.
type Person struct {
	ID          int64      `json:"id"`
	Name        string     `json:"name"`
	Email       string     `json:"email"`
	Blocked     bool       `json:"blocked"`
	HasPassword bool       `json:"has_password"`
	CreatedAt   time.Time  `json:"created_at"`
	LastSeenAt  *time.Time `json:"last_seen_at"` // nil: never signed in
}

func personOf(u identity.User) Person {
	return Person{
		ID: u.ID, Name: u.Name, Email: u.Email, Blocked: u.Blocked, HasPassword: u.HasPassword, CreatedAt: u.CreatedAt, LastSeenAt: u.LastSeenAt,
	}
}

// actor is on whose behalf a call changes people.
func actor(call services.HostCall) identity.Actor { return identity.OverCustomers(call.User.UserID) }

// customer finds a person whom modules may reach.
func (a *API) customer(ctx context.Context, id int64) (identity.User, error) {
	u, err := a.o.People.User(ctx, id)
	if err != nil {
		return identity.User{}, err
	}
	return u, identity.OverCustomers(0).Reaches(u)
}

type listIn struct {
	Search  string `json:"search"`
	Blocked *bool  `json:"blocked"`
	Sort    string `json:"sort"`
	Desc    bool   `json:"desc"`
	Offset  int    `json:"offset"`
	Limit   int    `json:"limit"`
}

type listOut struct {
	People []Person `json:"people"`
	Total  int64    `json:"total"`
}

func (a *API) list(ctx context.Context, _ services.HostCall, in listIn) (any, error) {
	page, err := a.o.People.List(ctx, identity.UserQuery{
		Search: in.Search, Only: customers, Blocked: in.Blocked, Sort: in.Sort, Desc: in.Desc, Offset: in.Offset, Limit: in.Limit,
	})
	if err != nil {
		return nil, err
	}
	out := listOut{People: make([]Person, 0, len(page.Users)), Total: page.Total}
	for _, u := range page.Users {
		out.People = append(out.People, personOf(u))
	}
	return out, nil
}

type idIn struct {
	ID int64 `json:"id"`
}

func (a *API) get(ctx context.Context, _ services.HostCall, in idIn) (any, error) {
	u, err := a.customer(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return personOf(u), nil
}

type emailIn struct {
	Email string `json:"email"`
}

func (a *API) find(ctx context.Context, _ services.HostCall, in emailIn) (any, error) {
	u, err := a.o.People.UserByEmail(ctx, in.Email)
	if err != nil {
		return nil, err
	}
	if err := identity.OverCustomers(0).Reaches(u); err != nil {
		return nil, err
	}
	return personOf(u), nil
}

type newPersonIn struct {
	Name  string `json:"name"`
	Email string `json:"email"`
}

func (in newPersonIn) user() identity.NewUser {
	return identity.NewUser{Name: in.Name, Email: in.Email, Roles: customers}
}

type inviteOut struct {
	ID      int64 `json:"id"`
	Created bool  `json:"created"` // there was nobody with the address
	Invited bool  `json:"invited"` // a mail goes out; not to somebody who has a password
}

func (a *API) invite(ctx context.Context, call services.HostCall, in newPersonIn) (any, error) {
	done, err := a.o.People.InviteByEmail(ctx, actor(call), in.user())
	if err != nil {
		return nil, err
	}
	return inviteOut{ID: done.User.ID, Created: done.Created, Invited: done.Mailed}, nil
}

func (a *API) create(ctx context.Context, call services.HostCall, in newPersonIn) (any, error) {
	u, err := a.o.People.CreateUser(ctx, actor(call), in.user())
	if err != nil {
		return nil, err
	}
	return idIn{ID: u.ID}, nil
}

type expiresOut struct {
	ExpiresAt time.Time `json:"expires_at"`
}

func (a *API) resend(ctx context.Context, call services.HostCall, in idIn) (any, error) {
	u, err := a.customer(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if u.HasPassword {
		return nil, errHasPassword
	}
	_, expires, err := a.o.People.Invite(ctx, actor(call), in.ID) // the token stays here: it would sign the module in as the person
	if err != nil {
		return nil, err
	}
	return expiresOut{expires}, nil
}

type changedOut struct {
	Changed bool `json:"changed"`
}

func (a *API) block(ctx context.Context, call services.HostCall, in idIn) (any, error) {
	changed, err := a.o.People.Block(ctx, actor(call), in.ID)
	if err != nil {
		return nil, err
	}
	return changedOut{changed}, nil
}

func (a *API) unblock(ctx context.Context, call services.HostCall, in idIn) (any, error) {
	changed, err := a.o.People.Unblock(ctx, actor(call), in.ID)
	if err != nil {
		return nil, err
	}
	return changedOut{changed}, nil
}

func (a *API) remove(ctx context.Context, call services.HostCall, in idIn) (any, error) {
	return done{}, a.o.People.Delete(ctx, actor(call), in.ID)
}

// Session is one sign-in of a customer.
type Session struct {
	ID         string    `json:"id"`
	Agent      string    `json:"agent"`
	Address    string    `json:"address"`
	CreatedAt  time.Time `json:"created_at"`
	LastSeenAt time.Time `json:"last_seen_at"`
	Current    bool      `json:"current"` // the request that led to the call came with it
}

func (a *API) sessionsOf(call services.HostCall, id int64) []Session {
	list := []Session{}
	for _, s := range a.o.People.Sessions(id) {
		list = append(list, Session{
			ID: s.ID, Agent: s.Agent, Address: s.Address, CreatedAt: s.CreatedAt, LastSeenAt: s.LastSeenAt, Current: s.ID == call.Session,
		})
	}
	return list
}

func (a *API) sessions(ctx context.Context, call services.HostCall, in idIn) (any, error) {
	if _, err := a.customer(ctx, in.ID); err != nil {
		return nil, err
	}
	return a.sessionsOf(call, in.ID), nil
}

type endSessionIn struct {
	ID      int64  `json:"id"`
	Session string `json:"session"`
}

func (a *API) endSession(ctx context.Context, _ services.HostCall, in endSessionIn) (any, error) {
	if _, err := a.customer(ctx, in.ID); err != nil {
		return nil, err
	}
	return done{}, a.o.People.EndSession(ctx, in.ID, in.Session)
}
