package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"mortise/core/fault"
)

// Limits of what is read about a person.
const (
	MaxPersonRows = 200  // of one table
	maxPersonText = 4000 // bytes of one value
)

// PersonRows is what one table of a module has about a person.
type PersonRows struct {
	Rows   []map[string]any `json:"rows"`   // by column, in the order of the table
	Total  int64            `json:"total"`  // how many there are
	Hidden []string         `json:"hidden"` // columns that are not shown because of their names
}

// secretColumn finds columns whose name says that they hold something that opens a door, or what such a thing is checked with.
var secretColumn = regexp.MustCompile(`(?i)(pass(word|wd|phrase|code)|secret|token|hash|digest|salt|nonce|seal|cipher|encrypt|credential|private|signature|verifier|bearer|cookie|claim_?code|api_?key|(^|_)(key|pin|otp|totp|code|mac|pw)$)`)

// sealedPrefix begins every value that the site's key sealed, wherever a module put it; see core/secret.
const sealedPrefix = "sealed:"

// PersonRows reads the rows of a module's table in which column holds a person's id, at most limit (0 or more than MaxPersonRows:
// MaxPersonRows). Columns that look like secrets are never read; long texts are cut, binary values only counted. A table or a column that
// does not exist has no rows.
//
// Errors: fault.Denied when the table is not the module's by its name.
func (s *Store) PersonRows(ctx context.Context, module, table, column string, userID int64, limit int) (PersonRows, error) {
	found := PersonRows{Rows: []map[string]any{}, Hidden: []string{}}
	others, err := s.migratedModules(ctx)
	if err != nil {
		return found, err
	}
	if !ownership(module, others)(table) {
		return found, fault.New(fault.Denied, "the table %s does not belong to the module %s", table, module)
	}
	columns, err := s.columns(ctx, table)
	if err != nil {
		return found, err
	}
	if !slices.Contains(columns, column) {
		return found, nil
	}
	var shown []string
	for _, c := range columns {
		if secretColumn.MatchString(c) {
			found.Hidden = append(found.Hidden, c)
			continue
		}
		shown = append(shown, c)
	}
	if limit <= 0 || limit > MaxPersonRows {
		limit = MaxPersonRows
	}
	// Both names exist just so in the schema, and are quoted; the id is a parameter.
	where := ` FROM ` + quote(table) + ` WHERE ` + quote(column) + ` = ?`
	if err := s.Read(ctx).Raw(`SELECT count(*)`+where, userID).Scan(&found.Total).Error; err != nil {
		return found, fmt.Errorf("count the rows of %s about a person: %w", table, err)
	}
	if found.Total == 0 || len(shown) == 0 {
		return found, nil
	}
	quoted := make([]string, len(shown))
	for i, c := range shown {
		quoted[i] = quote(c)
	}
	rows, err := s.Read(ctx).Raw(`SELECT `+strings.Join(quoted, ", ")+where+` ORDER BY 1 LIMIT ?`, userID, limit).Rows()
	if err != nil {
		return found, fmt.Errorf("read the rows of %s about a person: %w", table, err)
	}
	defer rows.Close()
	found.Rows, err = personValues(rows, shown)
	if err != nil {
		return found, fmt.Errorf("read the rows of %s about a person: %w", table, err)
	}
	return found, nil
}

// columns lists the columns of a table; none when there is no such table.
func (s *Store) columns(ctx context.Context, table string) ([]string, error) {
	var names []string
	if err := s.Read(ctx).Raw(`SELECT name FROM pragma_table_info(?)`, table).Scan(&names).Error; err != nil {
		return nil, fmt.Errorf("list the columns of %s: %w", table, err)
	}
	return names, nil
}

func personValues(rows *sql.Rows, columns []string) ([]map[string]any, error) {
	list := []map[string]any{}
	for rows.Next() {
		values := make([]any, len(columns))
		into := make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return list, err
		}
		row := make(map[string]any, len(columns))
		for i, c := range columns {
			row[c] = personValue(values[i])
		}
		list = append(list, row)
	}
	return list, rows.Err()
}

// personValue is a value as a person can read it.
func personValue(v any) any {
	switch v := v.(type) {
	case []byte:
		return fmt.Sprintf("[%d bytes]", len(v))
	case string:
		if strings.HasPrefix(v, sealedPrefix) {
			return "[sealed]"
		}
		if len(v) > maxPersonText {
			v = v[:maxPersonText] + " …"
		}
		return strings.ToValidUTF8(v, "�")
	case time.Time:
		return v.UTC()
	}
	if _, err := json.Marshal(v); err != nil { // an infinite number
		return fmt.Sprint(v)
	}
	return v
}
