package identity

import (
	"context"
	"fmt"
	"slices"

	"gorm.io/gorm"
)

// rights are what roles may do. A value never changes: a change puts a new one in its place.
type rights struct {
	roles   []roleRow // built-ins first, then by title
	granted map[string]map[string]bool
}

func readRights(db *gorm.DB) (*rights, error) {
	r := &rights{granted: make(map[string]map[string]bool)}
	if err := db.Order("built_in DESC, title, id").Find(&r.roles).Error; err != nil {
		return nil, fmt.Errorf("read the roles: %w", err)
	}
	for _, role := range r.roles {
		r.granted[role.ID] = make(map[string]bool)
	}
	var rows []permissionRow
	if err := db.Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("read the permissions: %w", err)
	}
	for _, p := range rows {
		if set := r.granted[p.Role]; set != nil {
			set[p.Permission] = true
		}
	}
	return r, nil
}

func (s *Service) loadRights(db *gorm.DB) error {
	r, err := readRights(db)
	if err != nil {
		return err
	}
	s.rights.Store(r)
	return nil
}

func (r *rights) can(roles []string, permission string) bool {
	for _, role := range roles {
		if role == RoleAdministrator || r.granted[role][permission] {
			return true
		}
	}
	return false
}

// Can tells whether one of the roles has the permission. The administrator role has all. Memory only.
func (s *Service) Can(roles []string, permission string) bool {
	return permission != "" && s.rights.Load().can(roles, permission)
}

// PermissionsOf gives those of among that the roles have, in that order.
func (s *Service) PermissionsOf(roles []string, among []string) []string {
	r := s.rights.Load()
	have := []string{}
	for _, p := range among {
		if r.can(roles, p) {
			have = append(have, p)
		}
	}
	return have
}

// changeRights is change for roles and permissions: the new rights are read inside the transaction, so that nothing can fail
// between the commit and the swap.
func (s *Service) changeRights(ctx context.Context, write func(tx *gorm.DB) error, take func()) error {
	var fresh *rights
	return s.change(ctx, func(tx *gorm.DB) (err error) {
		if err := write(tx); err != nil {
			return err
		}
		fresh, err = readRights(tx)
		return err
	}, func() {
		s.rights.Store(fresh)
		if take != nil {
			take()
		}
	})
}

// holdsAll tells whether an actor has every permission of a role.
func (s *Service) holdsAll(by Actor, role string) bool {
	if by.administrator() {
		return true
	}
	if role == RoleAdministrator {
		return false
	}
	r := s.rights.Load()
	for p := range r.granted[role] {
		if !r.can(by.Roles, p) {
			return false
		}
	}
	return true
}

// extra are the roles of a that b does not have.
func extra(a, b []string) []string {
	var more []string
	for _, r := range a {
		if !slices.Contains(b, r) {
			more = append(more, r)
		}
	}
	return more
}
