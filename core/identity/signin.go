package identity

import (
	"context"
	"fmt"
	"strings"

	"gorm.io/gorm"

	"mortise/core/fault"
)

var (
	errWrong   = fault.New(fault.Invalid, "The e-mail address or the password is wrong.")
	errBlocked = fault.New(fault.Denied, "This account is blocked. Please write to the people who run this site.")
	errOver    = fault.New(fault.SignedOut, "Please sign in again.")
	errCurrent = fault.InvalidFields("Please correct what is marked.", map[string]string{"current_password": "The current password is wrong."})
)

// SignIn begins a session. An unknown address and a wrong password get the same answer, fault.Invalid, after the same work; only
// who knows the password learns that the account is blocked (fault.Denied). fault.TooMany after too many attempts.
func (s *Service) SignIn(ctx context.Context, email, password string, c Client) (SignedIn, error) {
	key, ok := NormaliseEmail(email)
	if !ok {
		key = strings.ToLower(email)
	}
	row, found, err := rowByEmail(s.store.Read(ctx), key)
	if err != nil {
		return SignedIn{}, err
	}
	claims := s.flood.signInClaims(key, c.Address, found && s.familiar(row.ID, c))
	if err := s.verify(ctx, claims, row, password, c); err != nil {
		return SignedIn{}, err
	}
	if row.Blocked {
		s.log.InfoContext(ctx, "sign-in of a blocked user refused", "user_id", row.ID, "address", c.address())
		return SignedIn{}, errBlocked
	}
	return s.start(ctx, row, password, c, "signed in")
}

// verify checks a password under the claims; errWrong when it is not the one.
func (s *Service) verify(ctx context.Context, claims []claim, row userRow, password string, c Client) error {
	if wait, ok := s.flood.take(claims...); !ok {
		s.refused.Add(1)
		s.log.WarnContext(ctx, "too many attempts to sign in", "user_id", row.ID, "address", c.address())
		return tooMany(wait)
	}
	stored := row.Password
	if len(password) > 4*PasswordMax { // cannot be right; nobody shall have megabytes hashed
		stored, password = "", ""
	}
	ok, _, err := s.hasher.verify(ctx, stored, password)
	if err != nil {
		s.flood.giveBack(claims...)
		return err
	}
	if !ok {
		s.log.InfoContext(ctx, "sign-in refused", "user_id", row.ID, "address", c.address())
		return errWrong
	}
	s.flood.giveBack(claims...)
	s.flood.forget(claims[0].key)
	return nil
}

// familiar tells whether a person is signed in from the client's network already.
func (s *Service) familiar(user int64, c Client) bool {
	here, _ := networks(c.Address)
	for _, v := range s.sessions.of(user) {
		if there, _ := networks(parseAddress(v.address)); there == here {
			return true
		}
	}
	return false
}

// start begins the session of somebody whose password was right a moment ago; it fails when that changed meanwhile.
func (s *Service) start(ctx context.Context, verified userRow, password string, c Client, what string) (SignedIn, error) {
	renewed := ""
	if e, err := parseHash(verified.Password); err == nil && (e.params != current || len(e.key) != keyBytes) {
		if renewed, err = s.hasher.hash(ctx, password); err != nil {
			return SignedIn{}, err
		}
	}
	var token string
	var v *session
	var dropped []string
	err := s.change(ctx, func(tx *gorm.DB) error {
		row, err := rowOf(tx, verified.ID)
		if err != nil || row.Password != verified.Password || row.Blocked {
			return errWrong
		}
		if renewed != "" {
			if err := tx.Exec("UPDATE core_users SET password = ? WHERE id = ?", renewed, row.ID).Error; err != nil {
				return fmt.Errorf("renew a password hash: %w", err)
			}
		}
		token, v, dropped, err = s.begin(tx, row.ID, c)
		return err
	}, func() { s.admit(v, dropped) })
	if err != nil {
		return SignedIn{}, err
	}
	s.log.InfoContext(ctx, what, "user_id", verified.ID, "address", c.address())
	return s.signedIn(token, v)
}

// Registration is the form by which a person makes an account.
type Registration struct {
	Name, Email, Password string
	Locale, TimeZone      string // "" takes the default
}

// row checks a form; the error names the fields name, email, password, locale, time_zone.
func (r Registration) row(wrong fields) userRow {
	var row userRow
	var ok bool
	if row.Name, ok = cleanName(r.Name); !ok {
		wrong.add("name", wrongName)
	}
	if row.Email, ok = NormaliseEmail(r.Email); !ok {
		wrong.add("email", wrongEmail)
	}
	if row.Locale, ok = cleanLocale(r.Locale); !ok {
		wrong.add("locale", wrongLocale)
	}
	if row.TimeZone, ok = cleanZone(r.TimeZone); !ok {
		wrong.add("time_zone", wrongZone)
	}
	row.NameKey = nameKey(row.Name)
	return row
}

// RegistrationOpen tells whether visitors may make an account.
func (s *Service) RegistrationOpen() bool {
	return s.someone.Load() && (s.o.RegistrationOpen == nil || s.o.RegistrationOpen())
}

// Register makes an account with the role customer and signs in. Errors: fault.Denied when registration is closed (also before the
// site has an administrator), fault.Invalid with fields, fault.TooMany.
func (s *Service) Register(ctx context.Context, r Registration, c Client) (SignedIn, error) {
	if !s.RegistrationOpen() {
		return SignedIn{}, fault.New(fault.Denied, "This site does not take registrations.")
	}
	if wait, ok := s.flood.take(addressClaims("register", c.Address, 20, 4*window)...); !ok {
		s.refused.Add(1)
		return SignedIn{}, tooMany(wait)
	}
	return s.enrol(ctx, r, RoleCustomer, c, nil)
}

// enrol makes a person with one role and a session. also runs first in the same transaction; it may be nil.
func (s *Service) enrol(ctx context.Context, r Registration, role string, c Client, also func(tx *gorm.DB) error) (SignedIn, error) {
	wrong := fields{}
	row := r.row(wrong)
	wrong.add("password", checkPassword(r.Password, r.Name, r.Email))
	if wrong["email"] == "" {
		if _, taken, err := rowByEmail(s.store.Read(ctx), row.Email); err != nil {
			return SignedIn{}, err
		} else if taken {
			wrong.add("email", takenEmail)
		}
	}
	if err := wrong.err(); err != nil {
		return SignedIn{}, err
	}
	hash, err := s.hasher.hash(ctx, r.Password)
	if err != nil {
		return SignedIn{}, err
	}
	now := s.now()
	row.Password, row.CreatedAt, row.PasswordChangedAt = hash, now, &now
	var token string
	var v *session
	err = s.change(ctx, func(tx *gorm.DB) error {
		if also != nil {
			if err := also(tx); err != nil {
				return err
			}
		}
		if err := newUser(ctx, tx, &row, []string{role}); err != nil {
			return err
		}
		if err := s.publish(ctx, tx, "user.registered", row.ID); err != nil {
			return err
		}
		token, v, _, err = s.begin(tx, row.ID, c)
		return err
	}, func() {
		s.admit(v, nil)
		if role == RoleAdministrator {
			s.someone.Store(true)
		}
	})
	if err != nil {
		return SignedIn{}, err
	}
	s.log.InfoContext(ctx, "registered", "user_id", row.ID, "role", role, "address", c.address())
	return s.signedIn(token, v)
}
