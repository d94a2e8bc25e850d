package identity

import (
	"context"
	"fmt"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"mortise/core/fault"
)

// Role is a named set of permissions.
type Role struct {
	ID          string `json:"id"`
	Title       string `json:"title"`
	Description string `json:"description"`
	BuiltIn     bool   `json:"built_in"`
	Members     int64  `json:"members"`
}

// mostRoles bounds the matrix.
const mostRoles = 100

// Roles lists all, the built-in ones first, with the number of their members.
func (s *Service) Roles(ctx context.Context) ([]Role, error) {
	var counts []struct {
		Role string
		N    int64
	}
	err := s.store.Read(ctx).Model(&userRoleRow{}).Select("role, count(*) AS n").Group("role").Scan(&counts).Error
	if err != nil {
		return nil, fmt.Errorf("count members of roles: %w", err)
	}
	members := make(map[string]int64)
	for _, c := range counts {
		members[c.Role] = c.N
	}
	roles := []Role{}
	for _, r := range s.rights.Load().roles {
		roles = append(roles, Role{r.ID, r.Title, r.Description, r.BuiltIn, members[r.ID]})
	}
	return roles, nil
}

// CreateRole makes a role without permissions. id is lower-case ASCII with "_". Fields of fault.Invalid: id, title.
func (s *Service) CreateRole(ctx context.Context, by Actor, id, title, description string) error {
	wrong := fields{}
	if !roleForm.MatchString(id) || id == RoleAnonymous {
		wrong.add("id", "The id must have 2 to 40 lower-case letters, digits and underscores, and start with a letter.")
	}
	row := roleRow{ID: id, CreatedAt: s.now()}
	row.Title, row.Description = roleWords(wrong, title, description)
	if err := wrong.err(); err != nil {
		return err
	}
	err := s.changeRights(ctx, func(tx *gorm.DB) error {
		var all []roleRow
		if err := tx.Find(&all).Error; err != nil {
			return fmt.Errorf("read the roles: %w", err)
		}
		if len(all) >= mostRoles {
			return fault.New(fault.Conflict, "A site can have at most %d roles.", mostRoles)
		}
		for _, r := range all {
			if r.ID == id {
				return fields{"id": "There is a role with this id already."}.err()
			}
		}
		if err := tx.Create(&row).Error; err != nil {
			return fmt.Errorf("create a role: %w", err)
		}
		return nil
	}, nil)
	if err == nil {
		s.log.InfoContext(ctx, "role created", "role", id, "by", by.UserID)
	}
	return err
}

func roleWords(wrong fields, title, description string) (string, string) {
	title, ok := cleanName(title)
	if !ok {
		wrong.add("title", wrongName)
	}
	if description != "" {
		if description, ok = cleanName(description); !ok {
			wrong.add("description", "The description must have at most 100 characters.")
		}
	}
	return title, description
}

// UpdateRole changes the words of a role, also of a built-in one. Fields of fault.Invalid: title, description; fault.Denied for a role
// that may do more than the actor, since its name is what others go by.
func (s *Service) UpdateRole(ctx context.Context, by Actor, id, title, description string) error {
	if err := s.mayGive(by, []string{id}); err != nil {
		return err
	}
	wrong := fields{}
	title, description = roleWords(wrong, title, description)
	if err := wrong.err(); err != nil {
		return err
	}
	err := s.changeRights(ctx, func(tx *gorm.DB) error {
		done := tx.Exec("UPDATE core_roles SET title = ?, description = ? WHERE id = ?", title, description, id)
		if done.Error != nil {
			return fmt.Errorf("change a role: %w", done.Error)
		}
		if done.RowsAffected == 0 {
			return errNoRole
		}
		return nil
	}, nil)
	if err == nil {
		s.log.InfoContext(ctx, "role renamed", "role", id, "by", by.UserID)
	}
	return err
}

var errNoRole = fault.New(fault.NotFound, "There is no such role.")

// DeleteRole removes a role; its members keep their other roles. fault.Conflict for a built-in one.
func (s *Service) DeleteRole(ctx context.Context, by Actor, id string) error {
	if err := s.mayGive(by, []string{id}); err != nil {
		return err
	}
	err := s.changeRights(ctx, func(tx *gorm.DB) error {
		var row roleRow
		if err := tx.Where("id = ?", id).Limit(1).Find(&row).Error; err != nil {
			return fmt.Errorf("read a role: %w", err)
		}
		if row.ID == "" {
			return errNoRole
		}
		if row.BuiltIn {
			return fault.New(fault.Conflict, "This role is part of every site and cannot be removed.")
		}
		if err := tx.Delete(&row).Error; err != nil {
			return fmt.Errorf("delete a role: %w", err)
		}
		return nil
	}, s.people.forgetAll)
	if err == nil {
		s.log.WarnContext(ctx, "role deleted", "role", id, "by", by.UserID)
	}
	return err
}

// Matrix is who may do what.
type Matrix struct {
	Roles   []Role                     `json:"roles"` // without the administrator, who may do everything; Members is 0
	Granted map[string]map[string]bool `json:"granted"`
}

// Matrix gives a copy of the present state. Memory only.
func (s *Service) Matrix() Matrix {
	r := s.rights.Load()
	m := Matrix{Roles: []Role{}, Granted: make(map[string]map[string]bool)}
	for _, role := range r.roles {
		if role.ID == RoleAdministrator {
			continue
		}
		m.Roles = append(m.Roles, Role{ID: role.ID, Title: role.Title, Description: role.Description, BuiltIn: role.BuiltIn})
		set := make(map[string]bool, len(r.granted[role.ID]))
		for p := range r.granted[role.ID] {
			set[p] = true
		}
		m.Granted[role.ID] = set
	}
	return m
}

// Change is one cell of the matrix that somebody changed: what they saw and what they want.
type Change struct {
	Role       string `json:"role"`
	Permission string `json:"permission"`
	Want       bool   `json:"want"`
	Seen       bool   `json:"seen"`
}

// Conflict is a change that was left alone.
type Conflict struct {
	Change
	Now    bool   `json:"now"`
	Reason string `json:"reason"`
}

// Applied is the outcome.
type Applied struct {
	Changed   int        `json:"changed"`
	Conflicts []Conflict `json:"conflicts"`
}

// mostChanges bounds one post.
const mostChanges = 2000

// ApplyChanges changes single cells, all in one transaction. A cell of a role or permission that is gone, or that somebody else
// changed meanwhile so that it is neither as seen nor as wanted, is left alone and reported. Only an administrator may allow
// others what the actor is not allowed, and take it from them (fault.Denied): with less rights than the actor, a person would be
// the actor's to change.
func (s *Service) ApplyChanges(ctx context.Context, by Actor, changes []Change) (Applied, error) {
	result := Applied{Conflicts: []Conflict{}}
	if len(changes) > mostChanges {
		return result, fault.New(fault.TooLarge, "At most %d permissions can be changed at once.", mostChanges)
	}
	var done []Change
	err := s.changeRights(ctx, func(tx *gorm.DB) error {
		now, err := readRights(tx)
		if err != nil {
			return err
		}
		for _, c := range changes {
			have := now.granted[c.Role][c.Permission]
			if reason := s.conflict(now, c, have); reason != "" {
				result.Conflicts = append(result.Conflicts, Conflict{c, have, reason})
				continue
			}
			if have == c.Want {
				continue
			}
			if !by.administrator() && !now.can(by.Roles, c.Permission) {
				return fault.New(fault.Denied, "You cannot allow or forbid others what you may not do yourself.")
			}
			if err := setPermission(tx, c.Role, c.Permission, c.Want); err != nil {
				return err
			}
			done = append(done, c)
		}
		return nil
	}, nil)
	if err != nil {
		return Applied{Conflicts: []Conflict{}}, err
	}
	for _, c := range done {
		s.log.WarnContext(ctx, "permission changed", "role", c.Role, "permission", c.Permission, "allowed", c.Want, "by", by.UserID)
	}
	result.Changed = len(done)
	return result, nil
}

func (s *Service) conflict(now *rights, c Change, have bool) string {
	switch {
	case c.Role == RoleAdministrator:
		return "The administrator may do everything."
	case now.granted[c.Role] == nil:
		return "This role does not exist any more."
	case c.Want && !s.knownPermission(c.Permission):
		return "This permission does not exist any more."
	case have != c.Seen && have != c.Want:
		return "Somebody else has changed this meanwhile."
	}
	return ""
}

func (s *Service) knownPermission(p string) bool {
	return len(p) <= 120 && permitForm.MatchString(p) && (s.o.KnownPermission == nil || s.o.KnownPermission(p))
}

func setPermission(tx *gorm.DB, role, permission string, allowed bool) (err error) {
	row := permissionRow{Role: role, Permission: permission}
	if allowed {
		err = tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&row).Error
	} else {
		err = tx.Where("role = ? AND permission = ?", role, permission).Delete(&permissionRow{}).Error
	}
	if err != nil {
		return fmt.Errorf("change a permission: %w", err)
	}
	return nil
}

// GrantDefaults gives roles what a module that is enabled for the first time suggests, by permission. Unknown roles are left out.
func (s *Service) GrantDefaults(ctx context.Context, defaults map[string][]string) error {
	if len(defaults) == 0 {
		return nil
	}
	return s.changeRights(ctx, func(tx *gorm.DB) error {
		now, err := readRights(tx)
		if err != nil {
			return err
		}
		for permission, roles := range defaults {
			if len(permission) > 120 || !permitForm.MatchString(permission) {
				return fault.New(fault.Invalid, "The permission %q has no valid name.", permission)
			}
			for _, role := range roles {
				if role == RoleAdministrator || now.granted[role] == nil {
					continue
				}
				if err := setPermission(tx, role, permission, true); err != nil {
					return err
				}
			}
		}
		return nil
	}, nil)
}

// RolesWith tells which roles have each of the permissions, without the administrator.
func (s *Service) RolesWith(permissions []string) map[string][]string {
	r := s.rights.Load()
	with := make(map[string][]string)
	for _, role := range r.roles {
		for _, p := range permissions {
			if r.granted[role.ID][p] {
				with[p] = append(with[p], role.ID)
			}
		}
	}
	return with
}

// ForgetPermissions takes permissions from all roles, when their module is removed.
func (s *Service) ForgetPermissions(ctx context.Context, permissions []string) error {
	if len(permissions) == 0 {
		return nil
	}
	return s.changeRights(ctx, func(tx *gorm.DB) error {
		if err := tx.Where("permission IN ?", permissions).Delete(&permissionRow{}).Error; err != nil {
			return fmt.Errorf("forget permissions: %w", err)
		}
		return nil
	}, nil)
}
