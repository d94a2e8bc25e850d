package identity

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"
)

// confirmCurrent checks the present password of whoever holds a session, under the same limits as signing in.
func (s *Service) confirmCurrent(ctx context.Context, sessionID, password string, c Client) (Principal, userRow, error) {
	p, ok := s.Check(sessionID)
	if !ok {
		return p, userRow{}, errOver
	}
	row, err := rowOf(s.store.Read(ctx), p.User.ID)
	if err != nil {
		return p, row, err
	}
	err = s.verify(ctx, s.flood.signInClaims(row.Email, c.Address, true), row, password, c)
	if errors.Is(err, errWrong) {
		err = errCurrent
	}
	return p, row, err
}

// Confirm takes the password again, before something with power over the site. The session goes on under a new token with a
// fresh ConfirmedAt; the old token is void. A wrong password is fault.Invalid with the field current_password.
func (s *Service) Confirm(ctx context.Context, sessionID, password string, c Client) (SignedIn, error) {
	p, row, err := s.confirmCurrent(ctx, sessionID, password, c)
	if err != nil {
		return SignedIn{}, err
	}
	return s.replace(ctx, p, row, c, "password confirmed", nil)
}

// replace ends a session and begins another for the same person, within a transaction in which also (may be nil) runs first.
func (s *Service) replace(ctx context.Context, p Principal, verified userRow, c Client, what string, also func(tx *gorm.DB) error) (SignedIn, error) {
	var token string
	var v *session
	var dropped []string
	err := s.change(ctx, func(tx *gorm.DB) error {
		row, err := rowOf(tx, verified.ID)
		if err != nil || row.Password != verified.Password || row.Blocked || s.sessions.get(p.Session.ID) == nil {
			return errOver
		}
		if also != nil {
			if err := also(tx); err != nil {
				return err
			}
		}
		if err := tx.Where("id = ?", p.Session.ID).Delete(&sessionRow{}).Error; err != nil {
			return fmt.Errorf("end a session: %w", err)
		}
		token, v, dropped, err = s.begin(tx, row.ID, c)
		return err
	}, func() {
		s.sessions.remove(p.Session.ID)
		if also != nil {
			s.sessions.removeUser(verified.ID, "")
		}
		s.admit(v, dropped)
	})
	if err != nil {
		return SignedIn{}, err
	}
	s.log.InfoContext(ctx, what, "user_id", verified.ID, "address", c.address())
	return s.signedIn(token, v)
}

// ChangePassword takes the present password and sets a new one. All sessions end; the person's own goes on under a new token.
// Fields of fault.Invalid: current_password, password.
func (s *Service) ChangePassword(ctx context.Context, sessionID, present, password string, c Client) (SignedIn, error) {
	p, row, err := s.confirmCurrent(ctx, sessionID, present, c)
	if err != nil {
		return SignedIn{}, err
	}
	wrong := fields{}
	wrong.add("password", checkPassword(password, row.Name, row.Email))
	if err := wrong.err(); err != nil {
		return SignedIn{}, err
	}
	hash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return SignedIn{}, err
	}
	in, err := s.replace(ctx, p, row, c, "password changed", func(tx *gorm.DB) error {
		return setPassword(tx, row.ID, hash, s.now(), "")
	})
	if err != nil {
		return SignedIn{}, err
	}
	s.later(func(ctx context.Context) {
		s.notify(ctx, Notice{Kind: NoticePasswordChanged, User: in.User, To: in.User.Email})
	})
	return in, nil
}

// ChangeEmail takes the present password and sets a new address; the old one gets a notice. Fields: current_password, email.
func (s *Service) ChangeEmail(ctx context.Context, sessionID, present, email string, c Client) error {
	_, row, err := s.confirmCurrent(ctx, sessionID, present, c)
	if err != nil {
		return err
	}
	return s.setDetails(ctx, row.ID, UserChange{Email: &email})
}

// Profile is what people change about themselves without a password.
type Profile struct {
	Name, Locale, TimeZone string // "" of the latter two takes the default
}

// ChangeProfile sets it. Fields: name, locale, time_zone.
func (s *Service) ChangeProfile(ctx context.Context, userID int64, p Profile) error {
	wrong := fields{}
	row := Registration{Name: p.Name, Email: "a@b", Locale: p.Locale, TimeZone: p.TimeZone}.row(wrong)
	if err := wrong.err(); err != nil {
		return err
	}
	return s.change(ctx, func(tx *gorm.DB) error {
		was, err := rowOf(tx, userID)
		if err != nil {
			return err
		}
		err = tx.Exec("UPDATE core_users SET name = ?, name_key = ?, locale = ?, time_zone = ? WHERE id = ?",
			row.Name, row.NameKey, row.Locale, row.TimeZone, userID).Error
		if err != nil {
			return fmt.Errorf("change user %d: %w", userID, err)
		}
		if was.Name == row.Name {
			return nil
		}
		return s.publish(ctx, tx, "user.changed", userID)
	}, func() { s.people.forget(userID) })
}

// UserChange are new details; nil leaves one as it is.
type UserChange struct {
	Name, Email *string
}

func (s *Service) setDetails(ctx context.Context, id int64, c UserChange) error {
	wrong := fields{}
	var name, email string
	var ok bool
	if c.Name != nil {
		if name, ok = cleanName(*c.Name); !ok {
			wrong.add("name", wrongName)
		}
	}
	if c.Email != nil {
		if email, ok = NormaliseEmail(*c.Email); !ok {
			wrong.add("email", wrongEmail)
		}
	}
	if err := wrong.err(); err != nil {
		return err
	}
	var old string
	err := s.change(ctx, func(tx *gorm.DB) error {
		row, err := rowOf(tx, id)
		if err != nil {
			return err
		}
		old = row.Email
		if c.Name != nil {
			if err := tx.Exec("UPDATE core_users SET name = ?, name_key = ? WHERE id = ?", name, nameKey(name), id).Error; err != nil {
				return fmt.Errorf("change user %d: %w", id, err)
			}
		}
		moved := c.Email != nil && email != old
		if moved {
			if err := moveEmail(tx, id, email); err != nil {
				return err
			}
		}
		if moved || c.Name != nil && name != row.Name {
			return s.publish(ctx, tx, "user.changed", id)
		}
		return nil
	}, func() { s.people.forget(id) })
	if err != nil || c.Email == nil || email == old {
		return err
	}
	s.log.InfoContext(ctx, "e-mail address changed", "user_id", id)
	s.later(func(ctx context.Context) {
		if u, err := s.User(ctx, id); err == nil {
			s.notify(ctx, Notice{Kind: NoticeEmailChanged, User: u, To: old})
		}
	})
	return nil
}

// moveEmail writes a new address and voids links that went to the old one.
func moveEmail(tx *gorm.DB, id int64, email string) error {
	if _, taken, err := rowByEmail(tx, email); err != nil {
		return err
	} else if taken {
		return fields{"email": takenEmail}.err()
	}
	if err := tx.Exec("UPDATE core_users SET email = ? WHERE id = ?", email, id).Error; err != nil {
		return fmt.Errorf("change user %d: %w", id, err)
	}
	return dropLinks(tx, &id, PurposeReset, PurposeLogin)
}
