package web

import (
	"time"

	"mortise/core/fault"
)

// confirmWithin is how long a password that was given counts for things with power over the whole site; after it the form asks
// for it again (ASVS 5.0, 7.5.3).
const confirmWithin = 30 * time.Minute

// passwordField is the field with the password, in the form that needs it.
const passwordField = "current_password"

// stale tells whether the visitor gave the password too long ago. The page then has a field for it.
func (v *visit) stale() bool { return !v.who.Session.ConfirmedWithin(v.s.o.Now(), confirmWithin) }

// confirm sees to it that the visitor gave the password not long ago: at the sign-in, or in this very form. The session then goes on
// under a new token.
func (v *visit) confirm(f form) error {
	if !v.stale() {
		return nil
	}
	if f.text(passwordField) == "" {
		return &fault.Error{Kind: fault.Denied, Message: "This needs your password once more.", Fields: map[string]string{
			passwordField: "You gave it more than half an hour ago. Enter it and send the form again.",
		}}
	}
	in, err := v.s.o.People.Confirm(v.ctx(), v.who.Session.ID, f.text(passwordField), v.caller())
	if err != nil {
		return err
	}
	v.welcome(in)
	return nil
}
