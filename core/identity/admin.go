package identity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm"

	"mortise/core/fault"
	"mortise/core/sdk"
)

// User reads one person; fault.NotFound when there is none.
func (s *Service) User(ctx context.Context, id int64) (User, error) {
	return userOf(s.store.Read(ctx), id)
}

// UserByEmail reads the person with an address; fault.NotFound when there is none.
func (s *Service) UserByEmail(ctx context.Context, email string) (User, error) {
	key, ok := NormaliseEmail(email)
	if !ok {
		return User{}, errNoUser
	}
	db := s.store.Read(ctx)
	row, found, err := rowByEmail(db, key)
	if err != nil {
		return User{}, err
	}
	if !found {
		return User{}, errNoUser
	}
	return userOf(db, row.ID)
}

// UsersByID reads those of at most 500 ids that exist, in no order.
func (s *Service) UsersByID(ctx context.Context, ids ...int64) ([]User, error) {
	if len(ids) > 500 {
		return nil, fault.New(fault.TooLarge, "At most 500 people can be asked for at once.")
	}
	var rows []userRow
	db := s.store.Read(ctx)
	if err := db.Where("id IN ?", ids).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("read users: %w", err)
	}
	return withRoles(db, rows)
}

func withRoles(db *gorm.DB, rows []userRow) ([]User, error) {
	ids := make([]int64, len(rows))
	for i, r := range rows {
		ids[i] = r.ID
	}
	roles, err := rolesOf(db, ids...)
	if err != nil {
		return nil, err
	}
	users := make([]User, len(rows))
	for i, r := range rows {
		users[i] = r.user(roles[r.ID])
	}
	return users, nil
}

// UserQuery says which people to list.
type UserQuery struct {
	Search  string   // part of the name or the address
	Role    string   // "": any
	Only    []string // people who have no other roles than these; nil: everybody
	Blocked *bool    // nil: both
	Sort    string   // name (default), email, created, seen
	Desc    bool
	Offset  int
	Limit   int // at most 200; 0: 50
}

// UserPage is a part of a list.
type UserPage struct {
	Users []User `json:"users"`
	Total int64  `json:"total"` // how many match in all
}

var sorts = map[string]string{"": "name_key", "name": "name_key", "email": "email", "created": "created_at", "seen": "last_seen_at"}

var likeEscape = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// List gives a page of people.
func (s *Service) List(ctx context.Context, q UserQuery) (UserPage, error) {
	column, ok := sorts[q.Sort]
	if !ok {
		return UserPage{}, fault.New(fault.Invalid, "People can be sorted by name, email, created and seen.")
	}
	if q.Limit <= 0 {
		q.Limit = 50
	}
	db := s.store.Read(ctx)
	query := db.Model(&userRow{})
	if search := strings.TrimSpace(q.Search); search != "" {
		like := "%" + likeEscape.Replace(nameKey(search)) + "%"
		query = query.Where(`(name_key LIKE ? ESCAPE '\' OR email LIKE ? ESCAPE '\')`, like, like)
	}
	if q.Role != "" {
		query = query.Where("id IN (SELECT user_id FROM core_user_roles WHERE role = ?)", q.Role)
	}
	if q.Only != nil {
		query = query.Where("id NOT IN (SELECT user_id FROM core_user_roles WHERE role NOT IN ?)", q.Only)
	}
	if q.Blocked != nil {
		query = query.Where("blocked = ?", *q.Blocked)
	}
	var page UserPage
	if err := query.Session(&gorm.Session{}).Count(&page.Total).Error; err != nil {
		return UserPage{}, fmt.Errorf("count users: %w", err)
	}
	direction := ""
	if q.Desc {
		direction = " DESC"
	}
	var rows []userRow
	err := query.Order(column + direction + ", id" + direction).Offset(max(q.Offset, 0)).Limit(min(q.Limit, 200)).Find(&rows).Error
	if err != nil {
		return UserPage{}, fmt.Errorf("list users: %w", err)
	}
	page.Users, err = withRoles(db, rows)
	return page, err
}

// mayTouch keeps people who manage people from growing above themselves: they may change those alone whose roles hold no more than
// their own. Everybody may change themselves, as far as the caller lets them.
func (s *Service) mayTouch(ctx context.Context, by Actor, id int64) error {
	if by.Only != nil {
		u, err := s.User(ctx, id)
		if err != nil {
			return err
		}
		if err := by.reaches(u.Roles); err != nil {
			return err
		}
	}
	if by.administrator() || by.UserID == id && id != 0 {
		return nil
	}
	u, err := s.User(ctx, id)
	if err != nil {
		return err
	}
	for _, role := range u.Roles {
		if !s.holdsAll(by, role) {
			return fault.New(fault.Denied, "This person may do more than you: only an administrator can do this.")
		}
	}
	return nil
}

// mayGive tells whether an actor may give or take the roles.
func (s *Service) mayGive(by Actor, roles []string) error {
	for _, role := range roles {
		if !s.holdsAll(by, role) {
			return fault.New(fault.Denied, "You cannot give or take a role that may do more than you.")
		}
	}
	return nil
}

// administrators counts those who are not blocked, without one.
func administrators(db *gorm.DB, without int64) (n int64, err error) {
	err = db.Model(&userRow{}).
		Where("blocked = ? AND id <> ? AND id IN (SELECT user_id FROM core_user_roles WHERE role = ?)", false, without, RoleAdministrator).
		Count(&n).Error
	if err != nil {
		return 0, fmt.Errorf("count administrators: %w", err)
	}
	return n, nil
}

// keepOne fails when the site would be left without an administrator who can sign in.
func keepOne(tx *gorm.DB, u User) error {
	if !u.Administrator() || u.Blocked {
		return nil
	}
	n, err := administrators(tx, u.ID)
	if err == nil && n == 0 {
		err = fault.New(fault.Conflict, "This is the last administrator. Make somebody else one first.")
	}
	return err
}

// NewUser is a person made by an administrator.
type NewUser struct {
	Name, Email      string
	Password         string // "": none yet; see Invite
	Locale, TimeZone string
	Roles            []string
}

// CreateUser makes a person. Fields of fault.Invalid: name, email, password, locale, time_zone, roles.
func (s *Service) CreateUser(ctx context.Context, by Actor, n NewUser) (User, error) {
	u, err := s.create(ctx, by, n, nil)
	if err == nil {
		s.log.InfoContext(ctx, "user created", "user_id", u.ID, "roles", u.Roles, "by", by.UserID)
	}
	return u, err
}

// create makes a person; also (may be nil) runs in the same transaction.
func (s *Service) create(ctx context.Context, by Actor, n NewUser, also func(tx *gorm.DB, u User) error) (User, error) {
	if err := s.mayGive(by, n.Roles); err != nil {
		return User{}, err
	}
	if err := by.reaches(n.Roles); err != nil {
		return User{}, err
	}
	wrong := fields{}
	row := Registration{Name: n.Name, Email: n.Email, Locale: n.Locale, TimeZone: n.TimeZone}.row(wrong)
	if n.Password != "" {
		wrong.add("password", checkPassword(n.Password, n.Name, n.Email))
	}
	if err := wrong.err(); err != nil {
		return User{}, err
	}
	row.CreatedAt = s.now()
	if n.Password != "" {
		hash, err := s.hasher.hash(ctx, n.Password)
		if err != nil {
			return User{}, err
		}
		row.Password, row.PasswordChangedAt = hash, &row.CreatedAt
	}
	var u User
	err := s.change(ctx, func(tx *gorm.DB) (err error) {
		if err := newUser(ctx, tx, &row, n.Roles); err != nil {
			return err
		}
		if u, err = userOf(tx, row.ID); err != nil {
			return err
		}
		if err := s.publish(ctx, tx, "user.registered", row.ID); err != nil || also == nil {
			return err
		}
		return also(tx, u)
	}, func() {
		if u.Administrator() {
			s.someone.Store(true)
		}
	})
	if err != nil {
		return User{}, err
	}
	return u, nil
}

// UpdateUser changes somebody's name or address. Fields of fault.Invalid: name, email. One's own address is for ChangeEmail, which
// takes the password: a browser that was left alone must not be enough to take an account over.
func (s *Service) UpdateUser(ctx context.Context, by Actor, id int64, c UserChange) error {
	if err := s.mayTouch(ctx, by, id); err != nil {
		return err
	}
	if c.Email != nil && by.UserID == id && id != 0 {
		u, err := s.User(ctx, id)
		if err != nil {
			return err
		}
		if email, ok := NormaliseEmail(*c.Email); ok && email != u.Email {
			return fields{"email": "Change your own e-mail address on your account page, with your password."}.err()
		}
	}
	return s.setDetails(ctx, id, c)
}

// SetRoles replaces somebody's roles; changed is false when they had just these.
func (s *Service) SetRoles(ctx context.Context, by Actor, id int64, roles []string) (changed bool, err error) {
	if err := s.mayTouch(ctx, by, id); err != nil {
		return false, err
	}
	err = s.change(ctx, func(tx *gorm.DB) error {
		u, err := userOf(tx, id)
		if err != nil {
			return err
		}
		if err := s.mayGive(by, append(extra(roles, u.Roles), extra(u.Roles, roles)...)); err != nil {
			return err
		}
		if !slices.Contains(roles, RoleAdministrator) {
			if err := keepOne(tx, u); err != nil {
				return err
			}
		}
		if _, changed, err = setRoles(tx, id, roles); err != nil || !changed {
			return err
		}
		return s.publish(ctx, tx, "user.changed", id)
	}, func() {
		s.people.forget(id)
		if slices.Contains(roles, RoleAdministrator) {
			s.someone.Store(true)
		}
	})
	if err == nil && changed {
		s.log.WarnContext(ctx, "roles changed", "user_id", id, "roles", roles, "by", by.UserID)
	}
	return changed && err == nil, err
}

// Block keeps somebody from signing in and ends their sessions at once. changed is false when they were blocked already.
func (s *Service) Block(ctx context.Context, by Actor, id int64) (changed bool, err error) {
	if by.UserID == id && id != 0 {
		return false, fault.New(fault.Conflict, "You cannot block yourself.")
	}
	return s.setBlocked(ctx, by, id, true)
}

// Unblock lets somebody sign in again.
func (s *Service) Unblock(ctx context.Context, by Actor, id int64) (changed bool, err error) {
	return s.setBlocked(ctx, by, id, false)
}

func (s *Service) setBlocked(ctx context.Context, by Actor, id int64, blocked bool) (changed bool, err error) {
	if err := s.mayTouch(ctx, by, id); err != nil {
		return false, err
	}
	event := "user.unblocked"
	if blocked {
		event = "user.blocked"
	}
	err = s.change(ctx, func(tx *gorm.DB) error {
		u, err := userOf(tx, id)
		if err == nil {
			err = by.reaches(u.Roles) // a role may have been given since the look above
		}
		if err != nil || u.Blocked == blocked {
			return err
		}
		changed = true
		if blocked {
			if err := keepOne(tx, u); err != nil {
				return err
			}
			if err := endSessions(tx, id, ""); err != nil {
				return err
			}
			if err := dropLinks(tx, &id, PurposeReset, PurposeLogin); err != nil {
				return err
			}
		}
		if err := tx.Exec("UPDATE core_users SET blocked = ? WHERE id = ?", blocked, id).Error; err != nil {
			return fmt.Errorf("block user %d: %w", id, err)
		}
		return s.publish(ctx, tx, event, id)
	}, func() {
		if changed && blocked {
			s.sessions.removeUser(id, "")
		}
		s.people.forget(id)
	})
	if err != nil {
		return false, err
	}
	if changed {
		s.log.WarnContext(ctx, "user blocked or unblocked", "user_id", id, "blocked", blocked, "by", by.UserID)
	}
	return changed, nil
}

// Delete removes a person for good, after the modules had their say. fault.Conflict with the reason when one refuses, and for the
// last administrator.
func (s *Service) Delete(ctx context.Context, by Actor, id int64) error {
	if err := s.mayTouch(ctx, by, id); err != nil {
		return err
	}
	u, err := s.User(ctx, id)
	if err != nil {
		return err
	}
	if err := keepOne(s.store.Read(ctx), u); err != nil {
		return err // before anybody is asked
	}
	if s.o.Ask != nil {
		if err := s.o.Ask(ctx, "user.will_be_deleted", subject(id), userPayload(id)); err != nil {
			return refusal(err)
		}
	}
	err = s.change(ctx, func(tx *gorm.DB) error {
		u, err := userOf(tx, id)
		if err == nil {
			err = by.reaches(u.Roles)
		}
		if err != nil {
			return err
		}
		if err := keepOne(tx, u); err != nil {
			return err
		}
		if err := s.publish(ctx, tx, "user.deleted", id); err != nil {
			return err
		}
		// Sessions, roles and links go with it, by their foreign keys.
		if err := tx.Where("id = ?", id).Delete(&userRow{}).Error; err != nil {
			return fmt.Errorf("delete user %d: %w", id, err)
		}
		return nil
	}, func() {
		s.sessions.removeUser(id, "")
		s.people.forget(id)
	})
	if err == nil {
		s.log.WarnContext(ctx, "user deleted", "user_id", id, "by", by.UserID)
	}
	return err
}

func refusal(err error) error {
	var refused *sdk.RefuseError
	if errors.As(err, &refused) {
		return fault.Wrap(fault.Conflict, err, "%s", refused.Reason)
	}
	if _, visible := fault.Visible(err); visible {
		return err
	}
	return fault.Wrap(fault.Unavailable, err, "A module could not be asked whether this person may be deleted. Please try again later.")
}
