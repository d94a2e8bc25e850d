package store

import (
	"context"
	"fmt"
)

// Applied gives the migration steps of a module that ran: number to name.
func (s *Store) Applied(ctx context.Context, module string) (map[int]string, error) {
	var rows []struct {
		Number int
		Name   string
	}
	err := s.Read(ctx).Raw(`SELECT number, name FROM core_module_migrations WHERE module = ?`, module).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("read the migrations of %s: %w", module, err)
	}
	applied := make(map[int]string, len(rows))
	for _, r := range rows {
		applied[r.Number] = r.Name
	}
	return applied, nil
}
