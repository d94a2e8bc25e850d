package services

import (
	"context"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/time/rate"

	"mortise/core/fault"
	"mortise/core/manifest"
	"mortise/core/sdk"
)

// Limits of what modules hand over.
const (
	maxSecret    = 64 << 10 // bytes
	maxSecretKey = 200
	maxUsers     = 500
	maxSubject   = 200
	maxText      = 64 << 10
)

func (s *Services) mayKeep(module, name, key string) error {
	m, err := s.manifest(module)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(m.Secrets, func(x manifest.Secret) bool { return x.Name == name }) {
		return fault.New(fault.Denied, "the manifest of %s does not list %q under secrets", module, name)
	}
	if len(key) > maxSecretKey || !utf8.ValidString(key) {
		return fault.New(fault.Invalid, "the key of a secret must be text of at most %d bytes", maxSecretKey)
	}
	return nil
}

// SecretGet gives a value that the module kept. fault.NotFound when there is none.
func (s *Services) SecretGet(ctx context.Context, module, name, key string) (string, error) {
	if err := s.mayKeep(module, name, key); err != nil {
		return "", err
	}
	return s.o.Secrets.Get(ctx, module, name, key)
}

// SecretSet keeps a value sealed, at most 64 KiB.
func (s *Services) SecretSet(ctx context.Context, module, name, key, value string) error {
	if err := s.mayKeep(module, name, key); err != nil {
		return err
	}
	if len(value) > maxSecret {
		return fault.New(fault.TooLarge, "the secret %s has %d bytes, at most %d are allowed", name, len(value), maxSecret)
	}
	if err := s.notWriting(ctx, module); err != nil {
		return err
	}
	return s.o.Secrets.Set(ctx, module, name, key, value)
}

// SecretDelete erases a value; nil when there was none.
func (s *Services) SecretDelete(ctx context.Context, module, name, key string) error {
	if err := s.mayKeep(module, name, key); err != nil {
		return err
	}
	if err := s.notWriting(ctx, module); err != nil {
		return err
	}
	return s.o.Secrets.Delete(ctx, module, name, key)
}

// UserGet gives a person of the site. fault.NotFound for an unknown id.
func (s *Services) UserGet(ctx context.Context, module string, id int64) (sdk.User, error) {
	if _, err := s.manifest(module); err != nil {
		return sdk.User{}, err
	}
	return s.o.People.User(ctx, id)
}

// UserList gives those of the ids that exist, at most 500.
func (s *Services) UserList(ctx context.Context, module string, ids []int64) ([]sdk.User, error) {
	if _, err := s.manifest(module); err != nil {
		return nil, err
	}
	if len(ids) > maxUsers {
		return nil, fault.New(fault.TooLarge, "at most %d people can be asked for at once, not %d", maxUsers, len(ids))
	}
	if len(ids) == 0 {
		return []sdk.User{}, nil
	}
	return s.o.People.Users(ctx, ids)
}

// SendMail queues one mail. fault.TooMany when the module has sent too many of late.
func (s *Services) SendMail(ctx context.Context, module string, mail sdk.Mail) error {
	if _, err := s.manifest(module); err != nil {
		return err
	}
	switch {
	case (mail.UserID != 0) == (mail.To != ""):
		return fault.New(fault.Invalid, "a mail needs either a user id or an address")
	case strings.TrimSpace(mail.Subject) == "" || len(mail.Subject) > maxSubject || strings.ContainsAny(mail.Subject, "\r\n"):
		return fault.New(fault.Invalid, "the subject of a mail must be one line of at most %d bytes", maxSubject)
	case len(mail.Text) > maxText:
		return fault.New(fault.TooLarge, "the mail has %d bytes, at most %d are allowed", len(mail.Text), maxText)
	}
	to, name := mail.To, ""
	if mail.UserID != 0 {
		user, err := s.o.People.User(ctx, mail.UserID)
		if err != nil {
			return err
		}
		if user.Blocked {
			return fault.New(fault.Denied, "this person is blocked and gets no mail")
		}
		to, name = user.Email, user.Name
	}
	if !s.mailer(module).Allow() {
		return fault.New(fault.TooMany, "the module %s has sent too many mails; it may send one every %s", module, s.o.MailEvery)
	}
	return s.o.QueueMail(ctx, to, name, mail.Subject, mail.Text)
}

func (s *Services) mailer(module string) *rate.Limiter {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.mailers[module]
	if l == nil {
		l = rate.NewLimiter(rate.Every(s.o.MailEvery), s.o.MailBurst)
		s.mailers[module] = l
	}
	return l
}
