package identity

import (
	"context"
	"time"

	"gorm.io/gorm"

	"mortise/core/fault"
)

var errBlockedPerson = fault.New(fault.Conflict, "This person is blocked.")

// Invite mails a link to choose the first password, and returns its token for the administrator to hand over where mail does not work.
func (s *Service) Invite(ctx context.Context, by Actor, userID int64) (token string, expires time.Time, err error) {
	if err := s.mayTouch(ctx, by, userID); err != nil {
		return "", time.Time{}, err
	}
	var u User
	token, expires, err = s.linkFor(ctx, PurposeReset, userID, s.limits.InviteLink, func(tx *gorm.DB, found User) error {
		if u = found; by.reaches(u.Roles) != nil { // a role may have been given since the look above
			return by.reaches(u.Roles)
		}
		return s.publish(ctx, tx, "user.invited", userID)
	})
	if err != nil {
		return "", time.Time{}, err
	}
	s.mailInvitation(ctx, by, u, token, expires)
	return token, expires, nil
}

// Invited is what became of an invitation by address.
type Invited struct {
	User    User
	Created bool // there was nobody with the address
	Mailed  bool // false for somebody who has chosen a password already
}

// InviteByEmail invites whoever has the address, making the person first if there is nobody: the person, the link and the facts
// user.registered and user.invited count together. Errors: fault.Invalid with the fields name and email; fault.Conflict for people whom
// the actor does not reach, and for blocked ones.
func (s *Service) InviteByEmail(ctx context.Context, by Actor, n NewUser) (Invited, error) {
	found, err := s.UserByEmail(ctx, n.Email)
	if err == nil {
		return s.inviteAgain(ctx, by, found)
	}
	if !fault.Is(err, fault.NotFound) {
		return Invited{}, err
	}
	n.Password = ""
	var token string
	var expires time.Time
	u, err := s.create(ctx, by, n, func(tx *gorm.DB, u User) (err error) {
		if token, expires, err = s.newLink(tx, PurposeReset, &u.ID, s.limits.InviteLink); err != nil {
			return err
		}
		return s.publish(ctx, tx, "user.invited", u.ID)
	})
	if err != nil {
		return Invited{}, err
	}
	s.mailInvitation(ctx, by, u, token, expires)
	return Invited{User: u, Created: true, Mailed: true}, nil
}

func (s *Service) inviteAgain(ctx context.Context, by Actor, u User) (Invited, error) {
	switch {
	case by.reaches(u.Roles) != nil:
		return Invited{}, fault.New(fault.Conflict, "This address belongs to somebody who is more than a customer.")
	case u.Blocked:
		return Invited{}, errBlockedPerson
	case u.HasPassword:
		return Invited{User: u}, nil
	}
	_, _, err := s.Invite(ctx, by, u.ID)
	return Invited{User: u, Mailed: err == nil}, err
}

func (s *Service) mailInvitation(ctx context.Context, by Actor, u User, token string, expires time.Time) {
	s.log.InfoContext(ctx, "invited", "user_id", u.ID, "by", by.UserID)
	queued := s.later(func(ctx context.Context) {
		s.notify(ctx, Notice{Kind: NoticeInvite, User: u, To: u.Email, Token: token, ExpiresAt: expires})
	})
	if !queued {
		s.log.WarnContext(ctx, "too many mails at once; an invitation was dropped", "user_id", u.ID)
	}
}
