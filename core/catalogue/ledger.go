package catalogue

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gorm.io/gorm"

	"mortise/core/fault"
)

// Ledger is what a module has on the site, for the administrator to read before removing it.
type Ledger struct {
	ID          string        `json:"id"`
	Name        string        `json:"name"`
	Tables      []LedgerTable `json:"tables"`
	Rows        int64         `json:"rows"`     // of all tables
	Settings    int64         `json:"settings"` // that were set
	Secrets     int64         `json:"secrets"`  // that the module keeps
	Pages       int           `json:"pages"`
	Links       int           `json:"links"`
	Permissions []LedgerRight `json:"permissions"`
	Jobs        []string      `json:"jobs"`
	Undelivered int64         `json:"undelivered"` // events
	Dependents  []string      `json:"dependents"`  // must be removed first
}

// LedgerTable is a table with its rows.
type LedgerTable struct {
	Name     string `json:"name"`
	Rows     int64  `json:"rows"`
	Personal string `json:"personal,omitempty"` // what it holds of people
}

// LedgerRight is a permission with the roles that hold it.
type LedgerRight struct {
	ID    string   `json:"id"`
	Title string   `json:"title"`
	Roles []string `json:"roles"`
}

// Ledger lists what removing the module takes away.
func (c *Catalogue) Ledger(ctx context.Context, id string) (Ledger, error) {
	m, err := c.Get(id)
	if err != nil {
		return Ledger{}, err
	}
	of := m.Manifest
	if m.Accepted != nil {
		of = m.Accepted
	}
	l := Ledger{ID: id, Name: of.Name, Pages: len(of.Pages), Links: len(of.Links), Tables: []LedgerTable{}, Permissions: []LedgerRight{}, Jobs: []string{}, Dependents: c.Dependents(id)}
	for _, j := range of.Jobs {
		l.Jobs = append(l.Jobs, j.Title)
	}
	if err := c.o.Store.Read(ctx).Model(&settingRow{}).Where("module = ?", id).Count(&l.Settings).Error; err != nil {
		return l, fmt.Errorf("count the settings of %s: %w", id, err)
	}
	for _, count := range []struct {
		ask  Counter
		into *int64
	}{{c.o.Secrets, &l.Secrets}, {c.o.Undelivered, &l.Undelivered}} {
		if count.ask == nil {
			continue
		}
		if *count.into, err = count.ask(ctx, id); err != nil {
			return l, fmt.Errorf("count what %s has: %w", id, err)
		}
	}
	if err := c.ledgerTables(ctx, m, &l); err != nil {
		return l, err
	}
	var ids []string
	for _, p := range of.Permissions {
		ids = append(ids, p.ID)
	}
	roles := map[string][]string{}
	if c.o.RolesOf != nil && len(ids) > 0 {
		if roles, err = c.o.RolesOf(ctx, ids); err != nil {
			return l, fmt.Errorf("find the roles that hold permissions of %s: %w", id, err)
		}
	}
	for _, p := range of.Permissions {
		l.Permissions = append(l.Permissions, LedgerRight{ID: p.ID, Title: p.Title, Roles: append([]string{}, roles[p.ID]...)})
	}
	return l, nil
}

func (c *Catalogue) ledgerTables(ctx context.Context, m *Module, l *Ledger) error {
	if c.o.TableRows == nil {
		return nil
	}
	rows, err := c.o.TableRows(ctx, l.ID)
	if err != nil {
		return fmt.Errorf("count the rows of %s: %w", l.ID, err)
	}
	for _, name := range slices.SortedFunc(maps.Keys(rows), cmp.Compare[string]) {
		t := LedgerTable{Name: name, Rows: rows[name]}
		var purposes []string
		for _, p := range m.Manifest.Personal {
			if p.Table == name {
				purposes = append(purposes, p.Purpose)
			}
		}
		t.Personal = strings.Join(purposes, "; ")
		l.Tables, l.Rows = append(l.Tables, t), l.Rows+t.Rows
	}
	return nil
}

// Forget removes a module whose process has ended: with deleteData everything of it, else only what makes it active, so that
// enabling it again finds its data. It can be repeated when it was interrupted. fault.Conflict while other modules need it.
func (c *Catalogue) Forget(ctx context.Context, id string, deleteData bool, by string) error {
	m, err := c.Get(id)
	if err != nil {
		return err
	}
	if others := c.Dependents(id); len(others) > 0 && m.Active() {
		return fault.New(fault.Conflict, "remove %s first: they need %s", strings.Join(others, ", "), id)
	}
	if _, err := c.SetDesired(ctx, id, None, by); err != nil {
		return err
	}
	for _, cleaner := range c.o.Cleaners {
		if err := cleaner.Forget(ctx, m, deleteData); err != nil {
			return fmt.Errorf("remove the %s of %s: %w", cleaner.What, id, err)
		}
	}
	if !deleteData {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	err = c.o.Store.Write(ctx, func(tx *gorm.DB) error {
		for _, query := range []string{
			`DELETE FROM core_module_settings WHERE module = ?`,
			`DELETE FROM core_module_migrations WHERE module = ?`,
			`DELETE FROM core_modules WHERE id = ?`,
		} {
			if err := tx.Exec(query, id).Error; err != nil {
				return fmt.Errorf("remove the module %s: %w", id, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	delete(c.rows, id)
	c.publish()
	return nil
}

// HasSealed tells whether any setting is sealed, for secret.Options.OtherSealed.
func (c *Catalogue) HasSealed(ctx context.Context) (bool, error) {
	return HasSealed(ctx, c.o.Store.Read(ctx))
}

// HasSealed is Catalogue.HasSealed for a moment when there is no catalogue yet: the catalogue needs the key that depends on the answer.
func HasSealed(ctx context.Context, db *gorm.DB) (bool, error) {
	var found []int
	err := db.WithContext(ctx).Raw(`SELECT 1 FROM core_module_settings WHERE sealed LIMIT 1`).Scan(&found).Error
	return len(found) > 0, err
}

// Reseal seals every secret setting again, in the transaction of a change of key; it is a secret.Reseal.
func Reseal(tx *gorm.DB, again func(module, name, key, sealed string) (string, error)) error {
	var rows []settingRow
	if err := tx.Where("sealed").Find(&rows).Error; err != nil {
		return fmt.Errorf("read the sealed settings: %w", err)
	}
	for _, r := range rows {
		sealed, err := again(r.Module, sealName, r.Key, r.Value)
		if err != nil {
			return fmt.Errorf("seal the setting %s of %s again: %w", r.Key, r.Module, err)
		}
		if err := tx.Model(&settingRow{}).Where("module = ? AND key = ?", r.Module, r.Key).Update("value", sealed).Error; err != nil {
			return fmt.Errorf("keep the setting %s of %s: %w", r.Key, r.Module, err)
		}
	}
	return nil
}
