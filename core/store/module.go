package store

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"gorm.io/gorm"
)

// moduleTables lists the tables of a module: by name, whatever its manifest says.
func (s *Store) moduleTables(ctx context.Context, db *gorm.DB, module string) ([]string, error) {
	others, err := s.migratedModules(ctx)
	if err != nil {
		return nil, err
	}
	var names, own []string
	if err := db.Raw(`SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name`).Scan(&names).Error; err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	owns := ownership(module, others)
	for _, n := range names {
		if owns(n) {
			own = append(own, n)
		}
	}
	return own, nil
}

// quote makes a name of any table or column safe to write into a statement.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// TableRows counts the rows of each table of a module.
func (s *Store) TableRows(ctx context.Context, module string) (map[string]int64, error) {
	tables, err := s.moduleTables(ctx, s.Read(ctx), module)
	if err != nil {
		return nil, err
	}
	counts := make(map[string]int64, len(tables))
	for _, t := range tables {
		var n int64
		if err := s.Read(ctx).Raw(`SELECT count(*) FROM ` + quote(t)).Scan(&n).Error; err != nil {
			return nil, fmt.Errorf("count the rows of %s: %w", t, err)
		}
		counts[t] = n
	}
	return counts, nil
}

// exportedRow is one line of an export. A blob is written in base64.
type exportedRow struct {
	Table string         `json:"table"`
	Row   map[string]any `json:"row"`
}

// ExportModule writes all rows of a module's tables as JSON, one row a line: {"table": …, "row": {column: value}}. Blobs are base64. All
// of it is of one moment.
func (s *Store) ExportModule(ctx context.Context, module string, w io.Writer) error {
	return s.Read(ctx).Transaction(func(tx *gorm.DB) error {
		tables, err := s.moduleTables(ctx, tx, module)
		if err != nil {
			return err
		}
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		for _, t := range tables {
			if err := exportTable(tx, t, enc); err != nil {
				return fmt.Errorf("export %s: %w", t, err)
			}
		}
		return nil
	})
}

func exportTable(tx *gorm.DB, table string, enc *json.Encoder) error {
	rows, err := tx.Raw(`SELECT * FROM ` + quote(table)).Rows()
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	values, into := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		row := make(map[string]any, len(columns))
		for i, c := range columns {
			row[c] = values[i]
		}
		if err := enc.Encode(exportedRow{Table: table, Row: row}); err != nil {
			return err
		}
	}
	return rows.Err()
}

// DropModule removes a module's tables, with all that is in them, and the record of its migrations, in one transaction. Close its tunnel
// first.
func (s *Store) DropModule(ctx context.Context, module string) error {
	return s.Write(ctx, func(tx *gorm.DB) error {
		tables, err := s.moduleTables(ctx, tx, module)
		if err != nil {
			return err
		}
		// Tables of a module refer to each other; the check at COMMIT finds nothing left that refers to nothing.
		if err := tx.Exec(`PRAGMA defer_foreign_keys = ON`).Error; err != nil {
			return err
		}
		for _, t := range tables {
			if err := tx.Exec(`DROP TABLE ` + quote(t)).Error; err != nil {
				return fmt.Errorf("drop %s: %w", t, err)
			}
		}
		if !tx.Migrator().HasTable("core_module_migrations") {
			return nil
		}
		return tx.Exec(`DELETE FROM core_module_migrations WHERE module = ?`, module).Error
	})
}
