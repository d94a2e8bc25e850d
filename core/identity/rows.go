package identity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"

	"mortise/core/fault"
)

type userRow struct {
	ID                int64 `gorm:"primaryKey"`
	Name              string
	NameKey           string
	Email             string
	Password          string
	Locale            string
	TimeZone          string
	Blocked           bool
	CreatedAt         time.Time
	LastSeenAt        *time.Time
	PasswordChangedAt *time.Time
}

func (userRow) TableName() string { return "core_users" }

type roleRow struct {
	ID          string `gorm:"primaryKey"`
	Title       string
	Description string
	BuiltIn     bool
	CreatedAt   time.Time
}

func (roleRow) TableName() string { return "core_roles" }

type userRoleRow struct {
	UserID int64  `gorm:"primaryKey;autoIncrement:false"`
	Role   string `gorm:"primaryKey"`
}

func (userRoleRow) TableName() string { return "core_user_roles" }

type permissionRow struct {
	Role       string `gorm:"primaryKey"`
	Permission string `gorm:"primaryKey"`
}

func (permissionRow) TableName() string { return "core_role_permissions" }

type sessionRow struct {
	ID          string `gorm:"primaryKey"`
	UserID      int64
	CreatedAt   time.Time
	LastSeenAt  time.Time
	ConfirmedAt time.Time
	Address     string
	Agent       string
}

func (sessionRow) TableName() string { return "core_sessions" }

type linkRow struct {
	ID        string `gorm:"primaryKey"`
	Purpose   string
	UserID    *int64
	CreatedAt time.Time
	ExpiresAt time.Time
}

func (linkRow) TableName() string { return "core_one_time_links" }

var errNoUser = fault.New(fault.NotFound, "There is no such person.")

func (r userRow) user(roles []string) User {
	u := User{
		ID: r.ID, Name: r.Name, Email: r.Email, Roles: roles, Blocked: r.Blocked, Locale: r.Locale, TimeZone: r.TimeZone,
		CreatedAt: r.CreatedAt.UTC(), HasPassword: r.Password != "",
	}
	if r.LastSeenAt != nil {
		seen := r.LastSeenAt.UTC()
		u.LastSeenAt = &seen
	}
	if loc, err := time.LoadLocation(r.TimeZone); err == nil {
		u.location = loc
	}
	return u
}

// rowOf reads one person; fault.NotFound when there is none.
func rowOf(db *gorm.DB, id int64) (userRow, error) {
	var row userRow
	err := db.Where("id = ?", id).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return row, errNoUser
	}
	if err != nil {
		return row, fmt.Errorf("read user %d: %w", id, err)
	}
	return row, nil
}

// rowByEmail reads the person with a normalised address; found is false when there is none.
func rowByEmail(db *gorm.DB, email string) (row userRow, found bool, err error) {
	err = db.Where("email = ?", email).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return row, false, nil
	}
	if err != nil {
		return row, false, fmt.Errorf("read a user by address: %w", err)
	}
	return row, true, nil
}

// rolesOf reads the roles of some people, sorted.
func rolesOf(db *gorm.DB, ids ...int64) (map[int64][]string, error) {
	var rows []userRoleRow
	if err := db.Where("user_id IN ?", ids).Order("role").Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("read roles of users: %w", err)
	}
	roles := make(map[int64][]string, len(ids))
	for _, r := range rows {
		roles[r.UserID] = append(roles[r.UserID], r.Role)
	}
	return roles, nil
}

// userOf reads one person with roles.
func userOf(db *gorm.DB, id int64) (User, error) {
	row, err := rowOf(db, id)
	if err != nil {
		return User{}, err
	}
	roles, err := rolesOf(db, id)
	if err != nil {
		return User{}, err
	}
	return row.user(roles[id]), nil
}

// setRoles replaces a person's roles; each must exist. It tells whether anything changed.
func setRoles(tx *gorm.DB, id int64, want []string) (before []string, changed bool, err error) {
	want = slices.Compact(slices.Sorted(slices.Values(want)))
	have, err := rolesOf(tx, id)
	if err != nil {
		return nil, false, err
	}
	before = have[id]
	if slices.Equal(before, want) {
		return before, false, nil
	}
	if err := knownRoles(tx, want); err != nil {
		return before, false, err
	}
	if err := tx.Where("user_id = ?", id).Delete(&userRoleRow{}).Error; err != nil {
		return before, false, fmt.Errorf("take roles from user %d: %w", id, err)
	}
	for _, role := range want {
		if err := tx.Create(&userRoleRow{UserID: id, Role: role}).Error; err != nil {
			return before, false, fmt.Errorf("give a role to user %d: %w", id, err)
		}
	}
	return before, true, nil
}

func knownRoles(tx *gorm.DB, roles []string) error {
	var n int64
	if err := tx.Model(&roleRow{}).Where("id IN ?", roles).Count(&n).Error; err != nil {
		return fmt.Errorf("look for roles: %w", err)
	}
	if int(n) != len(roles) {
		return fault.InvalidFields("Please correct what is marked.", map[string]string{"roles": "One of these roles does not exist."})
	}
	return nil
}

// newUser inserts a person with roles.
func newUser(ctx context.Context, tx *gorm.DB, row *userRow, roles []string) error {
	if _, taken, err := rowByEmail(tx, row.Email); err != nil {
		return err
	} else if taken {
		return fault.InvalidFields("Please correct what is marked.", map[string]string{"email": takenEmail})
	}
	if err := tx.WithContext(ctx).Create(row).Error; err != nil {
		return fmt.Errorf("create a user: %w", err)
	}
	_, _, err := setRoles(tx, row.ID, roles)
	return err
}
