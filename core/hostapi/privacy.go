package hostapi

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"mortise/core/fault"
	"mortise/core/identity"
	"mortise/core/manifest"
	"mortise/core/services"
	"mortise/core/store"
)

// reportBudget bounds the rows of a report, in bytes of JSON: an answer of a service has at most services.MaxMessage.
const reportBudget = 700 << 10

type userIn struct {
	UserID int64 `json:"user_id"`
}

// Report is what the site keeps about a person.
type Report struct {
	Account Account        `json:"account"`
	Modules []ModuleReport `json:"modules"` // those that have something, by name
}

// Account is what the host itself keeps.
type Account struct {
	ID          int64            `json:"id"`
	Name        string           `json:"name"`
	Email       string           `json:"email"`
	Roles       []string         `json:"roles"`
	Blocked     bool             `json:"blocked"`
	HasPassword bool             `json:"has_password"`
	Locale      string           `json:"locale"`
	TimeZone    string           `json:"time_zone"`
	CreatedAt   time.Time        `json:"created_at"`
	LastSeenAt  *time.Time       `json:"last_seen_at"`
	Sessions    []AccountSession `json:"sessions"`
}

// AccountSession is a session without its id, which is of no use outside.
type AccountSession struct {
	Agent      string    `json:"agent"`
	Address    string    `json:"address"`
	CreatedAt  time.Time `json:"created_at"`
	LastSeenAt time.Time `json:"last_seen_at"`
}

// ModuleReport is what one module keeps, in the tables that its manifest names under personal_data.
type ModuleReport struct {
	ID     string        `json:"id"`
	Name   string        `json:"name"`
	Tables []TableReport `json:"tables"`
}

// TableReport is what one table has.
type TableReport struct {
	Table   string `json:"table"`
	Purpose string `json:"purpose"`
	Keep    string `json:"keep"` // why it stays when the person is erased; "" when it goes
	store.PersonRows
}

// Kept is a table that stays when a person is erased.
type Kept struct {
	ID      string `json:"id"` // of the module
	Name    string `json:"name"`
	Table   string `json:"table"`
	Purpose string `json:"purpose"`
	Keep    string `json:"keep"`
}

type eraseOut struct {
	Requested bool   `json:"requested"`
	Kept      []Kept `json:"kept"`
}

var errNotYours = fault.New(fault.Denied, "Only the person itself, or somebody with the permission for it, can do this.")

// subject finds the person that a call is about, if the caller may know what is kept about them: it is the person itself, or somebody with
// the calling module's privacy permission asks about a customer.
func (a *API) subject(ctx context.Context, call services.HostCall, id int64) (identity.User, error) {
	own := call.User.SignedIn() && call.User.UserID == id
	if !own && !(call.User.SignedIn() && call.User.Can(call.Module.PrivacyPermission())) {
		return identity.User{}, errNotYours
	}
	if own {
		return a.o.People.User(ctx, id)
	}
	return a.customer(ctx, id)
}

func (a *API) report(ctx context.Context, call services.HostCall, in userIn) (any, error) {
	u, err := a.subject(ctx, call, in.UserID)
	if err != nil {
		return nil, err
	}
	r := Report{Modules: []ModuleReport{}, Account: Account{
		ID: u.ID, Name: u.Name, Email: u.Email, Roles: slices.Concat([]string{}, u.Roles), Blocked: u.Blocked, HasPassword: u.HasPassword, Locale: u.Locale, TimeZone: u.TimeZone,
		CreatedAt: u.CreatedAt, LastSeenAt: u.LastSeenAt, Sessions: []AccountSession{},
	}}
	for _, s := range a.o.People.Sessions(u.ID) {
		r.Account.Sessions = append(r.Account.Sessions, AccountSession{Agent: s.Agent, Address: s.Address, CreatedAt: s.CreatedAt, LastSeenAt: s.LastSeenAt})
	}
	left := reportBudget
	for _, m := range a.modules() {
		tables, err := a.tables(ctx, m, u.ID, &left)
		if err != nil {
			return nil, err
		}
		if len(tables) > 0 {
			r.Modules = append(r.Modules, ModuleReport{ID: m.ID, Name: m.Name, Tables: tables})
		}
	}
	a.o.Log.InfoContext(ctx, "personal data shown", "module", call.Module.ID, "user_id", u.ID, "by", call.User.UserID)
	return r, nil
}

// modules gives those that name personal data, by name.
func (a *API) modules() []*manifest.Manifest {
	list := slices.DeleteFunc(slices.Clone(a.o.Modules()), func(m *manifest.Manifest) bool { return len(m.Personal) == 0 })
	slices.SortFunc(list, func(a, b *manifest.Manifest) int { return strings.Compare(a.Name+a.ID, b.Name+b.ID) })
	return list
}

// tables reads what a module has about a person, as long as the budget lasts; totals are given in any case.
func (a *API) tables(ctx context.Context, m *manifest.Manifest, userID int64, left *int) ([]TableReport, error) {
	var list []TableReport
	for _, p := range m.Personal {
		limit := store.MaxPersonRows
		if *left <= 0 {
			limit = 1
		}
		rows, err := a.o.Store.PersonRows(ctx, m.ID, p.Table, p.Column, userID, limit)
		if err != nil {
			return nil, err
		}
		if rows.Total == 0 {
			continue
		}
		for i, row := range rows.Rows {
			text, err := json.Marshal(row)
			if err != nil {
				return nil, fmt.Errorf("encode a row of %s: %w", p.Table, err)
			}
			if *left -= len(text) + 1; *left < 0 {
				rows.Rows = rows.Rows[:i]
				break
			}
		}
		list = append(list, TableReport{Table: p.Table, Purpose: p.Purpose, Keep: p.Keep, PersonRows: rows})
	}
	return list, nil
}

func (a *API) erase(ctx context.Context, call services.HostCall, in userIn) (any, error) {
	u, err := a.subject(ctx, call, in.UserID)
	if err != nil {
		return nil, err
	}
	subject, payload := fmt.Sprintf("user/%d", u.ID), map[string]any{"user_id": u.ID}
	if err := a.o.Ask(ctx, "user.will_be_erased", subject, payload); err != nil {
		return nil, err
	}
	if err := a.o.Publish(ctx, "user.erase_requested", subject, payload); err != nil {
		return nil, err
	}
	a.o.Log.WarnContext(ctx, "erasure of personal data requested", "module", call.Module.ID, "user_id", u.ID, "by", call.User.UserID)
	out := eraseOut{Requested: true, Kept: []Kept{}}
	for _, m := range a.modules() {
		for _, p := range m.Personal {
			if p.Keep != "" {
				out.Kept = append(out.Kept, Kept{ID: m.ID, Name: m.Name, Table: p.Table, Purpose: p.Purpose, Keep: p.Keep})
			}
		}
	}
	return out, nil
}
