package identity

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"gorm.io/gorm"

	"mortise/core/fault"
)

var errLink = fault.New(fault.NotFound, "This link has been used already, or it is too old. Please ask for a new one.")

func parseAddress(s string) netip.Addr {
	a, _ := netip.ParseAddr(s) // the zero address stands for an unknown one
	return a
}

// newLink writes a one-time link; earlier ones for the same end are void.
func (s *Service) newLink(tx *gorm.DB, purpose Purpose, user *int64, lives time.Duration) (token string, expires time.Time, err error) {
	if err := dropLinks(tx, user, purpose); err != nil {
		return "", time.Time{}, err
	}
	token, id := newToken()
	now := s.now()
	row := linkRow{ID: id, Purpose: string(purpose), UserID: user, CreatedAt: now, ExpiresAt: now.Add(lives)}
	if err := tx.Create(&row).Error; err != nil {
		return "", time.Time{}, fmt.Errorf("create a one-time link: %w", err)
	}
	return token, row.ExpiresAt, nil
}

func dropLinks(tx *gorm.DB, user *int64, purposes ...Purpose) error {
	query := tx.Where("purpose IN ?", purposes)
	if user == nil {
		query = query.Where("user_id IS NULL")
	} else {
		query = query.Where("user_id = ?", *user)
	}
	if err := query.Delete(&linkRow{}).Error; err != nil {
		return fmt.Errorf("remove one-time links: %w", err)
	}
	return nil
}

func (s *Service) findLink(db *gorm.DB, purpose Purpose, token string) (linkRow, error) {
	var row linkRow
	id := tokenID(token)
	if id == "" {
		return row, errLink
	}
	err := db.Where("id = ? AND purpose = ? AND expires_at > ?", id, string(purpose), s.now()).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return row, errLink
	}
	if err != nil {
		return row, fmt.Errorf("read a one-time link: %w", err)
	}
	return row, nil
}

// useLink takes a link out of the store. There is one writer, so of two who come at the same time one finds it gone.
func (s *Service) useLink(tx *gorm.DB, purpose Purpose, token string) (linkRow, error) {
	row, err := s.findLink(tx, purpose, token)
	if err != nil {
		return row, err
	}
	done := tx.Where("id = ?", row.ID).Delete(&linkRow{})
	if done.Error != nil {
		return row, fmt.Errorf("use a one-time link: %w", done.Error)
	}
	if done.RowsAffected != 1 {
		return row, errLink
	}
	return row, nil
}

// PeekLink tells what a link is for without using it; fault.NotFound when it is unknown, used or too old. A page that is opened by GET
// only peeks: mail programs open links on their own.
func (s *Service) PeekLink(ctx context.Context, purpose Purpose, token string) (Link, error) {
	db := s.store.Read(ctx)
	row, err := s.findLink(db, purpose, token)
	if err != nil {
		return Link{}, err
	}
	link := Link{Purpose: purpose, ExpiresAt: row.ExpiresAt.UTC()}
	if row.UserID != nil {
		u, err := rowOf(db, *row.UserID)
		if err != nil {
			return Link{}, errLink
		}
		link.UserID, link.Name = u.ID, u.Name
	}
	return link, nil
}

// SetupNeeded tells whether the site has no administrator yet.
func (s *Service) SetupNeeded() bool { return !s.someone.Load() }

// SetupToken makes the link token by which the first administrator is made; an earlier one is void. needed is false, and nothing
// happens, when there is an administrator.
func (s *Service) SetupToken(ctx context.Context) (token string, needed bool, err error) {
	err = s.change(ctx, func(tx *gorm.DB) error {
		n, err := administrators(tx, 0)
		if err != nil || n > 0 {
			return err
		}
		needed = true
		token, _, err = s.newLink(tx, PurposeSetup, nil, s.limits.SetupLink)
		return err
	}, nil)
	if err != nil {
		return "", false, err
	}
	return token, needed, nil
}

// Setup makes the first administrator and signs in. Errors: fault.NotFound for a bad link, fault.Invalid with fields (the link stays
// valid), fault.TooMany.
func (s *Service) Setup(ctx context.Context, token string, r Registration, c Client) (SignedIn, error) {
	var in SignedIn
	err := s.guessing(ctx, c, func() (err error) {
		if _, err := s.findLink(s.store.Read(ctx), PurposeSetup, token); err != nil {
			return err
		}
		in, err = s.enrol(ctx, r, RoleAdministrator, c, func(tx *gorm.DB) error {
			if n, err := administrators(tx, 0); err != nil {
				return err
			} else if n > 0 {
				return errLink
			}
			_, err := s.useLink(tx, PurposeSetup, token)
			return err
		})
		return err
	})
	return in, err
}

// guessing limits how often an address may try wrong links: 256 bits cannot be guessed, but the attempts cost us.
func (s *Service) guessing(ctx context.Context, c Client, try func() error) error {
	claims := addressClaims("link", c.Address, 30, window)
	if wait, ok := s.flood.take(claims...); !ok {
		s.refused.Add(1)
		return tooMany(wait)
	}
	err := try()
	if !errors.Is(err, errLink) {
		s.flood.giveBack(claims...)
	} else {
		s.log.InfoContext(ctx, "one-time link refused", "address", c.address())
	}
	return err
}

// RequestReset mails a link to choose a new password, if the address belongs to somebody. The answer is nil and takes the same time
// either way, because the work is done afterwards. An account gets at most three mails an hour. fault.TooMany for an address that
// asks too often.
func (s *Service) RequestReset(ctx context.Context, email string, c Client) error {
	if wait, ok := s.flood.take(addressClaims("reset", c.Address, 10, 4*window)...); !ok {
		s.refused.Add(1)
		return tooMany(wait)
	}
	key, ok := NormaliseEmail(email)
	if !ok {
		return fault.InvalidFields("Please correct what is marked.", map[string]string{"email": wrongEmail})
	}
	if !s.later(func(ctx context.Context) { s.mailReset(ctx, key) }) {
		s.log.WarnContext(ctx, "too many password resets at once; one was dropped")
	}
	return nil
}

func (s *Service) mailReset(ctx context.Context, email string) {
	row, found, err := rowByEmail(s.store.Read(ctx), email)
	if err != nil {
		s.log.ErrorContext(ctx, "cannot prepare a password reset", "error", err)
		return
	}
	if !found || row.Blocked {
		return
	}
	if _, ok := s.flood.take(claim{"reset account " + accountKey(email), 3, 4 * window}); !ok {
		s.log.InfoContext(ctx, "password reset not mailed again so soon", "user_id", row.ID)
		return
	}
	if err := s.mailLink(ctx, NoticeReset, row.user(nil), s.limits.ResetLink); err != nil {
		s.log.ErrorContext(ctx, "cannot prepare a password reset", "user_id", row.ID, "error", err)
	}
}

func (s *Service) mailLink(ctx context.Context, kind NoticeKind, u User, lives time.Duration) error {
	token, expires, err := s.linkFor(ctx, PurposeReset, u.ID, lives, nil)
	if err != nil {
		return err
	}
	s.notify(ctx, Notice{Kind: kind, User: u, To: u.Email, Token: token, ExpiresAt: expires})
	s.log.InfoContext(ctx, "one-time link mailed", "kind", string(kind), "user_id", u.ID)
	return nil
}

func (s *Service) linkFor(ctx context.Context, purpose Purpose, user int64, lives time.Duration, also func(tx *gorm.DB, u User) error) (token string, expires time.Time, err error) {
	err = s.change(ctx, func(tx *gorm.DB) error {
		u, err := userOf(tx, user)
		if err != nil {
			return err
		}
		if u.Blocked {
			return errBlockedPerson
		}
		if token, expires, err = s.newLink(tx, purpose, &user, lives); err != nil || also == nil {
			return err
		}
		return also(tx, u)
	}, nil)
	return token, expires, err
}

// ResetPassword sets a new password by a mailed link, ends all sessions, and voids the person's other links. It does not sign in.
// Errors: fault.NotFound for a bad link; fault.Invalid for a password that is not accepted, and the link stays valid.
func (s *Service) ResetPassword(ctx context.Context, token, password string, c Client) (User, error) {
	var u User
	err := s.guessing(ctx, c, func() (err error) {
		u, err = s.resetPassword(ctx, token, password)
		return err
	})
	if err != nil {
		return User{}, err
	}
	// Whoever forgot the password has probably used up the attempts.
	s.flood.forget(s.flood.signInClaims(u.Email, c.Address, true)[0].key)
	s.log.InfoContext(ctx, "password set by a link", "user_id", u.ID, "address", c.address())
	s.later(func(ctx context.Context) { s.notify(ctx, Notice{Kind: NoticePasswordChanged, User: u, To: u.Email}) })
	return u, nil
}

func (s *Service) resetPassword(ctx context.Context, token, password string) (User, error) {
	db := s.store.Read(ctx)
	link, err := s.findLink(db, PurposeReset, token)
	if err != nil {
		return User{}, err
	}
	row, err := rowOf(db, *link.UserID)
	if err != nil {
		return User{}, errLink
	}
	wrong := fields{}
	wrong.add("password", checkPassword(password, row.Name, row.Email))
	if err := wrong.err(); err != nil {
		return User{}, err
	}
	hash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return User{}, err
	}
	var u User
	err = s.change(ctx, func(tx *gorm.DB) error {
		link, err := s.useLink(tx, PurposeReset, token)
		if err != nil {
			return err
		}
		if u, err = userOf(tx, *link.UserID); err != nil {
			return errLink
		}
		if u.Blocked {
			return errBlocked
		}
		if err := setPassword(tx, u.ID, hash, s.now(), ""); err != nil || u.HasPassword {
			return err
		}
		return s.publish(ctx, tx, "user.changed", u.ID) // who was invited is here
	}, func() {
		s.sessions.removeUser(u.ID, "")
		s.people.forget(u.ID)
	})
	return u, err
}

// setPassword writes a hash, ends the sessions but one, and voids the links.
func setPassword(tx *gorm.DB, user int64, hash string, now time.Time, except string) error {
	if err := tx.Exec("UPDATE core_users SET password = ?, password_changed_at = ? WHERE id = ?", hash, now, user).Error; err != nil {
		return fmt.Errorf("set the password of user %d: %w", user, err)
	}
	if err := dropLinks(tx, &user, PurposeReset, PurposeLogin); err != nil {
		return err
	}
	return endSessions(tx, user, except)
}

// LoginLink makes a token that signs a person in once, for an operator to hand over.
func (s *Service) LoginLink(ctx context.Context, by Actor, userID int64) (token string, expires time.Time, err error) {
	if err := s.mayTouch(ctx, by, userID); err != nil {
		return "", time.Time{}, err
	}
	token, expires, err = s.linkFor(ctx, PurposeLogin, userID, s.limits.LoginLink, nil)
	if err == nil {
		s.log.WarnContext(ctx, "sign-in link made", "user_id", userID, "by", by.UserID)
	}
	return token, expires, err
}

// SignInByLink begins a session by a sign-in link.
func (s *Service) SignInByLink(ctx context.Context, token string, c Client) (SignedIn, error) {
	var bearer string
	var v *session
	var dropped []string
	err := s.guessing(ctx, c, func() error {
		return s.change(ctx, func(tx *gorm.DB) error {
			link, err := s.useLink(tx, PurposeLogin, token)
			if err != nil {
				return err
			}
			row, err := rowOf(tx, *link.UserID)
			if err != nil {
				return errLink
			}
			if row.Blocked {
				return errBlocked
			}
			bearer, v, dropped, err = s.begin(tx, row.ID, c)
			return err
		}, func() { s.admit(v, dropped) })
	})
	if err != nil {
		return SignedIn{}, err
	}
	s.log.InfoContext(ctx, "signed in by a link", "user_id", v.user, "address", c.address())
	return s.signedIn(bearer, v)
}
