package catalogue

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"mortise/core/fault"
	"mortise/core/manifest"
)

// Desired is what the administrator wants of a module.
type Desired string

// What an administrator can want.
const (
	None    Desired = "none" // never enabled, or removed with its data kept
	Enabled Desired = "enabled"
	Paused  Desired = "paused"
)

// Row is what was decided about a module. Zero times mean never.
type Row struct {
	ID               string    `json:"id"`
	Version          string    `json:"version"` // of the accepted manifest
	Digest           string    `json:"digest"`  // of the accepted manifest
	Desired          Desired   `json:"desired"`
	EnabledAt        time.Time `json:"enabled_at,omitzero"`
	EnabledBy        string    `json:"enabled_by"`
	ChangedAt        time.Time `json:"changed_at,omitzero"`
	ChangedBy        string    `json:"changed_by"`
	QuarantinedAt    time.Time `json:"quarantined_at,omitzero"`
	QuarantineReason string    `json:"quarantine_reason"`

	manifest *manifest.Manifest
}

// moduleRow is the table.
type moduleRow struct {
	ID               string `gorm:"primaryKey"`
	Version          string
	Digest           string
	Manifest         string
	Desired          Desired
	EnabledAt        *time.Time
	EnabledBy        string
	ChangedAt        time.Time
	ChangedBy        string
	QuarantinedAt    *time.Time
	QuarantineReason string
}

// TableName is for GORM.
func (moduleRow) TableName() string { return "core_modules" }

func (r moduleRow) public() (Row, error) {
	row := Row{ID: r.ID, Version: r.Version, Digest: r.Digest, Desired: r.Desired, EnabledBy: r.EnabledBy, ChangedAt: r.ChangedAt.UTC(),
		ChangedBy: r.ChangedBy, QuarantineReason: r.QuarantineReason}
	if r.EnabledAt != nil {
		row.EnabledAt = r.EnabledAt.UTC()
	}
	if r.QuarantinedAt != nil {
		row.QuarantinedAt = r.QuarantinedAt.UTC()
	}
	row.manifest = &manifest.Manifest{}
	if err := json.Unmarshal([]byte(r.Manifest), row.manifest); err != nil {
		return row, fmt.Errorf("read the accepted manifest of %s: %w", r.ID, err)
	}
	return row, nil
}

func (c *Catalogue) readRows(ctx context.Context) (map[string]Row, error) {
	var list []moduleRow
	if err := c.o.Store.Read(ctx).Find(&list).Error; err != nil {
		return nil, fmt.Errorf("read the modules: %w", err)
	}
	rows := make(map[string]Row, len(list))
	for _, r := range list {
		row, err := r.public()
		if err != nil {
			return nil, err
		}
		rows[r.ID] = row
	}
	return rows, nil
}

// SetDesired records what the administrator wants; changed is false when it was so already. Enabling a module that was not enabled
// or paused accepts the manifest of its folder, with everything it asks for; to accept another one later, use Accept. Enabling and
// resuming end a quarantine.
//
// Errors: fault.NotFound; fault.Conflict for a module that cannot be used, and for pausing what is not enabled.
func (c *Catalogue) SetDesired(ctx context.Context, id string, want Desired, by string) (changed bool, err error) {
	return c.change(ctx, id, func(m *Module, r *moduleRow, now time.Time) (bool, error) {
		switch want {
		case Enabled:
			if r.Desired == Enabled && r.QuarantinedAt == nil {
				return false, nil
			}
			if m.Problem != "" {
				return false, fault.New(fault.Conflict, "the module %s cannot be enabled. %s", id, m.Problem)
			}
			if r.Desired != Enabled && r.Desired != Paused {
				accept(r, m.Manifest)
				r.EnabledAt, r.EnabledBy = &now, by
			}
			r.QuarantinedAt, r.QuarantineReason = nil, ""
		case Paused:
			if r.Desired == Paused {
				return false, nil
			}
			if r.Desired != Enabled {
				return false, fault.New(fault.Conflict, "the module %s is not enabled", id)
			}
		case None:
			if r.Desired == None || r.Desired == "" {
				return false, nil
			}
			r.EnabledAt, r.EnabledBy, r.QuarantinedAt, r.QuarantineReason = nil, "", nil, ""
		default:
			return false, fault.New(fault.Internal, "nobody can want %q of a module", want)
		}
		r.Desired, r.ChangedAt, r.ChangedBy = want, now, by
		return true, nil
	})
}

// Accept records that the administrator accepts the manifest of the folder for a module that is enabled or paused already.
func (c *Catalogue) Accept(ctx context.Context, id, by string) (changed bool, err error) {
	return c.change(ctx, id, func(m *Module, r *moduleRow, now time.Time) (bool, error) {
		if m.Problem != "" {
			return false, fault.New(fault.Conflict, "the manifest of %s cannot be accepted. %s", id, m.Problem)
		}
		if !m.Active() {
			return false, fault.New(fault.Conflict, "the module %s is not enabled", id)
		}
		if !m.Changed() {
			return false, nil
		}
		accept(r, m.Manifest)
		r.ChangedAt, r.ChangedBy = now, by
		return true, nil
	})
}

// SetQuarantine records since when and why a module is kept from starting; an empty reason ends it.
func (c *Catalogue) SetQuarantine(ctx context.Context, id, reason string) error {
	_, err := c.change(ctx, id, func(m *Module, r *moduleRow, now time.Time) (bool, error) {
		if m.Accepted == nil || r.QuarantineReason == reason {
			return false, nil
		}
		r.QuarantineReason, r.QuarantinedAt = reason, nil
		if reason != "" {
			r.QuarantinedAt = &now
		}
		return true, nil
	})
	return err
}

func accept(r *moduleRow, m *manifest.Manifest) {
	text, _ := json.Marshal(m) // a parsed manifest always encodes
	r.Version, r.Digest, r.Manifest = m.Version, m.Digest(), string(text)
}

// change runs edit on the module's row and writes it when edit says that it changed.
func (c *Catalogue) change(ctx context.Context, id string, edit func(*Module, *moduleRow, time.Time) (bool, error)) (changed bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m, err := c.Get(id)
	if err != nil {
		return false, err
	}
	row := moduleRow{ID: id}
	err = c.o.Store.Write(ctx, func(tx *gorm.DB) error {
		if err := tx.Where("id = ?", id).Limit(1).Find(&row).Error; err != nil {
			return fmt.Errorf("read the module %s: %w", id, err)
		}
		if changed, err = edit(m, &row, c.o.Now().UTC()); err != nil || !changed {
			return err
		}
		if err := tx.Clauses(clause.OnConflict{UpdateAll: true}).Create(&row).Error; err != nil {
			return fmt.Errorf("write the module %s: %w", id, err)
		}
		return nil
	})
	if err != nil || !changed {
		return false, err
	}
	public, err := row.public()
	if err != nil {
		return true, err
	}
	c.rows[id] = public
	c.publish()
	return true, nil
}
