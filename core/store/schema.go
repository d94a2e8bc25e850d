package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"mortise/core/fault"
)

// The authorizer lets some things through that a migration must not do: ALTER TABLE own RENAME TO foreign is asked about by the old name
// alone, REFERENCES not at all, and sqlite_sequence belongs to everybody. So the schema is read before and after, on the migrating
// connection itself, and compared before COMMIT.

// object is one row of sqlite_master.
type object struct{ kind, name, table, sql string }

// schema is what a migration may not change outside the module's own tables.
type schema struct {
	objects   map[string]object // by kind and name
	sequences map[string]int64  // of AUTOINCREMENT, by table
	refers    map[string][]string
}

// readSchema reads all of it, with the authorizer lifted.
func (c *conn) readSchema(ctx context.Context) (s schema, err error) {
	s = schema{objects: map[string]object{}, sequences: map[string]int64{}, refers: map[string][]string{}}
	err = c.asHost(func() error {
		if err := c.each(ctx, `SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master`, func(v []driver.Value) {
			o := object{kind: text(v[0]), name: text(v[1]), table: text(v[2]), sql: text(v[3])}
			s.objects[o.kind+" "+o.name] = o
		}); err != nil {
			return err
		}
		if err := c.each(ctx, `SELECT m.name, f."table" FROM sqlite_master m, pragma_foreign_key_list(m.name) f WHERE m.type = 'table'`, func(v []driver.Value) {
			s.refers[text(v[0])] = append(s.refers[text(v[0])], text(v[1]))
		}); err != nil {
			return err
		}
		if _, ok := s.objects["table sqlite_sequence"]; !ok {
			return nil
		}
		return c.each(ctx, `SELECT name, seq FROM sqlite_sequence`, func(v []driver.Value) {
			s.sequences[text(v[0])], _ = v[1].(int64)
		})
	})
	return s, err
}

// each runs a query and hands over its rows.
func (c *conn) each(ctx context.Context, sql string, f func([]driver.Value)) error {
	rows, err := c.db.QueryContext(ctx, sql, nil)
	if err != nil {
		return err
	}
	defer rows.Close()
	dest := make([]driver.Value, len(rows.Columns()))
	for {
		switch err := rows.Next(dest); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		f(dest)
	}
}

func text(v driver.Value) string {
	switch v := v.(type) {
	case string:
		return v
	case []byte:
		return string(v)
	}
	return ""
}

// compareSchemas finds what the migration of a module must not have done. owns tells whether a table may be the module's at all, listed
// whether its manifest has it.
func compareSchemas(before, after schema, module string, owns, listed func(string) bool) error {
	for _, key := range slices.Sorted(maps.Keys(after.objects)) {
		now := after.objects[key]
		if was, ok := before.objects[key]; ok && was == now {
			continue
		}
		if err := checkObject(now, module, owns, listed); err != nil {
			return err
		}
	}
	for _, key := range slices.Sorted(maps.Keys(before.objects)) {
		if was := before.objects[key]; after.objects[key] != was && !owns(was.table) {
			return fault.New(fault.Denied, "the migration changed or removed %s %s, which is not the module's", was.kind, was.name)
		}
	}
	for table, targets := range after.refers {
		for _, target := range targets {
			if owns(table) && !owns(strings.ToLower(target)) {
				return fault.New(fault.Denied, "table %s refers to %s: a module's tables can refer to its own tables only", table, target)
			}
		}
	}
	for _, pair := range [][2]schema{{before, after}, {after, before}} {
		for table, n := range pair[0].sequences {
			if m, ok := pair[1].sequences[table]; !owns(table) && (!ok || m != n) {
				return fault.New(fault.Denied, "the migration changed the numbering of table %s, which is not the module's", table)
			}
		}
	}
	return nil
}

// checkObject checks something that the migration made or changed.
func checkObject(o object, module string, owns, listed func(string) bool) error {
	switch {
	case o.name == "sqlite_sequence": // SQLite makes it with the first AUTOINCREMENT
		return nil
	case o.kind != "table" && o.kind != "index":
		return fault.New(fault.Denied, "the migration made a %s (%s): only tables and indexes are allowed", o.kind, o.name)
	case !owns(o.table):
		return fault.New(fault.Denied, "the migration made or changed table %s: names start with %s_", o.table, module)
	case !listed(o.table):
		return fault.New(fault.Denied, "the migration made table %s, which the manifest does not list under tables", o.table)
	case o.kind == "index" && !indexNameFits(o.name, module):
		// Names of indexes are shared by the whole store.
		return fault.New(fault.Denied, "index %s: its name must start with %s_, idx_%s_ or uni_%s_", o.name, module, module, module)
	}
	return nil
}

func indexNameFits(name, module string) bool {
	for _, prefix := range []string{"", "idx_", "uni_", "sqlite_autoindex_"} {
		if strings.HasPrefix(name, prefix+module+"_") {
			return true
		}
	}
	return false
}

// ownership gives the function that tells whether a table is the module's by its name. Of two modules "blog" and "blog_extra", the
// table blog_extra_pages belongs to the second: others are the ids of all modules with tables.
func ownership(module string, others []string) func(table string) bool {
	var longer []string
	for _, o := range others {
		if strings.HasPrefix(o, module+"_") {
			longer = append(longer, o+"_")
		}
	}
	return func(table string) bool {
		if !strings.HasPrefix(table, module+"_") {
			return false
		}
		for _, p := range longer {
			if strings.HasPrefix(table, p) {
				return false
			}
		}
		return true
	}
}

// migratedModules lists the modules that ever made tables. The list is empty as long as the host's own tables are not there.
func (s *Store) migratedModules(ctx context.Context) ([]string, error) {
	db := s.Read(ctx)
	if !db.Migrator().HasTable("core_module_migrations") {
		return nil, nil
	}
	var ids []string
	if err := db.Raw(`SELECT DISTINCT module FROM core_module_migrations`).Scan(&ids).Error; err != nil {
		return nil, fmt.Errorf("list modules with tables: %w", err)
	}
	return ids, nil
}

// exists tells whether a name is a table, a view or a table-valued function of the store. Unlike the authorizer's own connection this one
// may be asked in the middle of preparing a statement. What a migration has made and not committed yet is the module's own anyway.
func (s *Store) exists(name string) bool {
	lower := strings.ToLower(name)
	if strings.HasPrefix(lower, "sqlite_") || strings.HasPrefix(lower, "pragma_") {
		return true
	}
	var n int
	err := s.readerDB.QueryRowContext(context.Background(), `SELECT (SELECT count(*) FROM sqlite_master WHERE lower(name) = ?1)
		+ (SELECT count(*) FROM pragma_module_list WHERE lower(name) = ?1)`, lower).Scan(&n)
	return err != nil || n > 0
}
