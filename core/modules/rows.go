package modules

import (
	"context"

	"mortise/core/catalogue"
	"mortise/core/services"
	"mortise/core/supervisor"
)

// Rows is the catalogue as the supervisor sees it: what to run, and what to remember of it.
type Rows struct{ m *Manager }

// Rows gives the supervisor's view of the manager's catalogue.
func (m *Manager) Rows() Rows { return Rows{m} }

// Spec tells what lies on disk now.
func (r Rows) Spec(_ context.Context, id string) (supervisor.Spec, error) {
	if err := r.m.o.Catalogue.Startable(id); err != nil {
		return supervisor.Spec{}, err
	}
	module, err := r.m.o.Catalogue.Get(id)
	if err != nil {
		return supervisor.Spec{}, err
	}
	if err := services.CheckContracts(module.Manifest); err != nil {
		return supervisor.Spec{}, err
	}
	return supervisor.Spec{Manifest: module.Manifest, Dir: module.Dir, Program: module.Program}, nil
}

// Rows lists what was ever enabled and whose data, at least, is kept.
func (r Rows) Rows(context.Context) ([]supervisor.Row, error) {
	var rows []supervisor.Row
	for _, module := range r.m.o.Catalogue.Modules() {
		row := supervisor.Row{ID: module.Manifest.ID}
		switch {
		case module.Row.ID == "":
			continue
		case module.Row.Desired == catalogue.Paused:
			row.Desired = "paused"
		case module.Row.Desired != catalogue.Enabled:
			row.Desired = "removed"
		case !module.Row.QuarantinedAt.IsZero():
			row.Desired, row.Reason = "quarantined", module.Row.QuarantineReason
		default:
			row.Desired = "enabled"
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// Record remembers what somebody wanted of a module, or that it was quarantined.
func (r Rows) Record(ctx context.Context, id string, want supervisor.Desired, _, by, reason string) error {
	c := r.m.o.Catalogue
	switch want {
	case "quarantined":
		return c.SetQuarantine(ctx, id, reason)
	case "removed":
		_, err := c.SetDesired(ctx, id, catalogue.None, by)
		return err
	case "paused":
		_, err := c.SetDesired(ctx, id, catalogue.Paused, by)
		return err
	}
	_, err := c.SetDesired(ctx, id, catalogue.Enabled, by)
	return err
}

// Settings gives what the module is configured with, secrets in clear.
func (r Rows) Settings(ctx context.Context, id string) (map[string]any, error) {
	return r.m.o.Catalogue.Settings(ctx, id)
}

// Erase ends what is kept of a removed module, as the administrator chose.
func (r Rows) Erase(ctx context.Context, id string, data supervisor.DataChoice) error {
	return r.m.o.Catalogue.Forget(ctx, id, data == "delete", "administrator")
}

var _ supervisor.Catalogue = Rows{}
