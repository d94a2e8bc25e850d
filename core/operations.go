package core

import (
	"context"
	"fmt"
	"os"
	"slices"

	"mortise/core/catalogue"
	"mortise/core/control"
	"mortise/core/fault"
	"mortise/core/identity"
	"mortise/core/modules"
	"mortise/core/supervisor"
)

// operator is who the log and the rows name for what came over the command line.
const operator = "operator"

// operations does on this host what the command line asks.
type operations struct{ h *Host }

// Operations are what an operator can do from the command line.
func (h *Host) Operations() control.Operations { return operations{h} }

func (o operations) Status(ctx context.Context) (control.Status, error) {
	s := control.Status{Version: Version, Lines: o.h.board.Lines(ctx)}
	if o.h.running.Load() {
		s.Running, s.PID, s.URL, s.StartedAt = true, os.Getpid(), o.h.URL(), o.h.started
	}
	return s, nil
}

func (o operations) Modules(context.Context) ([]control.Module, error) {
	var list []control.Module
	for _, e := range o.h.modules.List() {
		list = append(list, moduleForOperator(e))
	}
	return list, nil
}

func (o operations) Module(_ context.Context, id string) (control.Module, error) {
	e, err := o.h.modules.Get(id)
	if err != nil {
		return control.Module{}, err
	}
	return moduleForOperator(e), nil
}

func moduleForOperator(e modules.Entry) control.Module {
	m := control.Module{
		ID: e.Manifest.ID, Name: e.Manifest.Name, Description: e.Manifest.Description, Version: e.Manifest.Version, Group: e.Manifest.Group,
		State: string(e.Status.State), Reason: e.Status.Reason, Since: e.Status.Since, PID: e.Status.PID, Restarts: e.Status.Restarts,
		MemoryBytes: e.Status.PSS, Problem: e.Problem,
	}
	for id := range e.Manifest.Requires {
		m.Requires = append(m.Requires, id)
	}
	slices.Sort(m.Requires)
	return m
}

func (o operations) Act(ctx context.Context, id string, action control.Action, options control.ActOptions) (control.Report, error) {
	if action == control.Enable { // what an operator has just put into the folder counts
		if err := o.h.catalogue.Rescan(ctx); err != nil {
			return control.Report{}, err
		}
	}
	if _, err := o.h.modules.Get(id); err != nil {
		return control.Report{}, err
	}
	var report supervisor.Report
	var err error
	switch action {
	case control.Enable:
		var reports []supervisor.Report
		reports, err = o.h.modules.Enable(ctx, id, modules.EnableOptions{WithRequired: options.WithRequired}, operator, nil)
		for _, r := range reports {
			report.Changed = report.Changed || r.Changed
		}
	case control.Pause:
		report, err = o.h.modules.Pause(ctx, id, operator)
	case control.Resume:
		report, err = o.h.modules.Resume(ctx, id, operator)
	case control.Remove:
		report, err = o.h.modules.Remove(ctx, id, operator, options.DeleteData)
	default:
		return control.Report{}, fault.New(fault.Invalid, "There is no action %q; expected enable, pause, resume or remove.", action)
	}
	if err != nil {
		return control.Report{}, err
	}
	e, err := o.h.modules.Get(id)
	if err != nil {
		return control.Report{}, err
	}
	return control.Report{Changed: report.Changed, Text: sentence(id, action, report.Changed), Module: moduleForOperator(e)}, nil
}

// sentence says what an action did.
func sentence(id string, action control.Action, changed bool) string {
	done := map[control.Action]string{control.Enable: "enabled", control.Pause: "paused", control.Resume: "resumed", control.Remove: "removed"}[action]
	if !changed {
		already := map[control.Action]string{control.Enable: "enabled", control.Pause: "paused", control.Resume: "running", control.Remove: "removed"}[action]
		return fmt.Sprintf("%s was %s already; nothing changed", id, already)
	}
	return fmt.Sprintf("%s is %s", id, done)
}

func (o operations) Users(ctx context.Context, search string) ([]control.User, error) {
	page, err := o.h.people.List(ctx, identity.UserQuery{Search: search, Limit: 200})
	if err != nil {
		return nil, err
	}
	list := make([]control.User, 0, len(page.Users))
	for _, u := range page.Users {
		list = append(list, userForOperator(u))
	}
	return list, nil
}

func userForOperator(u identity.User) control.User {
	return control.User{ID: u.ID, Name: u.Name, Email: u.Email, Roles: u.Roles, Blocked: u.Blocked, CreatedAt: u.CreatedAt}
}

func (o operations) CreateUser(ctx context.Context, user control.NewUser) (control.User, error) {
	if user.Name == "" {
		user.Name = user.Email
	}
	made, err := o.h.people.CreateUser(ctx, identity.System, identity.NewUser{
		Name: user.Name, Email: user.Email, Password: user.Password, Roles: user.Roles,
	})
	if err != nil {
		return control.User{}, err
	}
	return userForOperator(made), nil
}

func (o operations) SetRole(ctx context.Context, email, role string, give bool) (control.User, error) {
	u, err := o.h.people.UserByEmail(ctx, email)
	if err != nil {
		return control.User{}, err
	}
	roles := slices.DeleteFunc(slices.Clone(u.Roles), func(r string) bool { return r == role })
	if give {
		roles = append(roles, role)
	}
	if _, err := o.h.people.SetRoles(ctx, identity.System, u.ID, roles); err != nil {
		return control.User{}, err
	}
	if u, err = o.h.people.User(ctx, u.ID); err != nil {
		return control.User{}, err
	}
	return userForOperator(u), nil
}

func (o operations) LoginLink(ctx context.Context, email string) (string, error) {
	u, err := o.h.people.UserByEmail(ctx, email)
	if err != nil {
		return "", err
	}
	token, _, err := o.h.people.LoginLink(ctx, identity.System, u.ID)
	if err != nil {
		return "", err
	}
	return o.h.URL() + "/login-link/" + token, nil
}

func (o operations) Backup(ctx context.Context, path string) error {
	if _, err := os.Lstat(path); err == nil {
		return fault.New(fault.Conflict, "there is a file %s already; name a new one", path)
	}
	return o.h.store.Backup(ctx, path)
}

func (o operations) RotateKey(ctx context.Context) (int, error) {
	rotation, err := o.h.vault.Rotate(ctx, catalogue.Reseal)
	return rotation.Values, err
}

var _ control.Operations = operations{}
