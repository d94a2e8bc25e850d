package particle

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"mortise/core/fault"
)

// Kind says what sort of thing went wrong at or on the way to the cloud. Decide on kinds, never on texts.
type Kind string

// Kinds that mean that the cloud could not be asked.
const (
	Unreachable Kind = "unreachable"  // no connection: wrong address, no network, refused, TLS failure
	NoAnswer    Kind = "no_answer"    // connected, but no answer within our time limit
	NotParticle Kind = "not_particle" // something answered that does not speak this API (HTML, redirect, other JSON)
	Upstream    Kind = "upstream"     // the cloud reports a fault of its own (5xx)
	RateLimited Kind = "rate_limited" // 429: wait at least a minute
	Cancelled   Kind = "cancelled"    // our caller gave up; nothing is known about the cloud
)

// Kinds of linking and of tokens.
const (
	BadClient      Kind = "bad_client"       // the OAuth client id or its secret is wrong
	BadClientType  Kind = "bad_client_type"  // the client exists but may not use this grant; linking needs type "web"
	BadRedirectURI Kind = "bad_redirect_uri" // the redirect URI is not the registered one, character for character
	BadCode        Kind = "bad_code"         // the one-time code was used before, belongs to another client or never existed
	ExpiredCode    Kind = "expired_code"     // the one-time code is too old
	Refused        Kind = "refused"          // the person refused consent
	BadRefresh     Kind = "bad_refresh"      // the refresh token is used up, expired or foreign: link again
	BadCredentials Kind = "bad_credentials"  // user name or password is wrong (password grant)
	MFARequired    Kind = "mfa_required"     // the account asks for a one-time password; Error.MFAToken continues
	SSORequired    Kind = "sso_required"     // the account signs in through its company
	DeadToken      Kind = "dead_token"       // the access token is missing, unknown, revoked or expired: link again
	BadScope       Kind = "bad_scope"        // scope unknown, or the customer named in it does not exist
	MissingScope   Kind = "missing_scope"    // the token lacks a scope, which Error.Scope names
)

// Kinds of devices and of other things.
const (
	UnknownDevice Kind = "unknown_device" // the account does not own a device with that id or name
	Offline       Kind = "offline"        // the cloud knows that the device is not connected
	DeviceTimeout Kind = "device_timeout" // the device did not answer the cloud in time; a function may have run
	OwnedByOther  Kind = "owned_by_other" // claim: the device belongs to someone else
	NotFound      Kind = "not_found"      // no such function, variable, product, client, route
	Denied        Kind = "denied"         // the token may not do this
	Duplicate     Kind = "duplicate"      // what was to be made exists: a customer, a member of the team
	Invalid       Kind = "invalid"        // the cloud did not accept what was sent
)

// Error is every failure of this package.
type Error struct {
	Kind    Kind
	Message string // one sentence for a person: what happened; no secrets
	Hint    string // one sentence: what to do about it

	Field       string        // from the checks: the setting to correct: "base_url", "client_id", "client_secret", "redirect_uri", "token", "product"; else ""
	Scope       string        // the scope that an API user needs: it is what lacks (MissingScope) or may be (Denied); else ""
	Op          string        // what was tried, such as "call function"
	Status      int           // HTTP status of the answer; 0 when there was none
	Code        string        // the answer's "error" when it is a machine word such as "invalid_grant"; else ""
	Description string        // the cloud's own text, shortened, control characters and secrets removed
	Elapsed     time.Duration // from sending to the answer
	RetryAfter  time.Duration // from the answer's Retry-After; 0 when absent
	MFAToken    string        // only for MFARequired: a secret; never printed
	Cause       error         // for the log: network and decoding errors; no secrets
}

// Error gives operation, kind, status and the cloud's words: for the log, not for a visitor.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("particle: ")
	b.WriteString(e.Op)
	b.WriteString(": ")
	b.WriteString(string(e.Kind))
	if e.Status != 0 {
		b.WriteString(" (HTTP ")
		b.WriteString(strconv.Itoa(e.Status))
		b.WriteString(")")
	}
	if e.Description != "" {
		b.WriteString(": ")
		b.WriteString(e.Description)
	}
	if e.Cause != nil {
		b.WriteString(": ")
		b.WriteString(e.Cause.Error())
	}
	return b.String()
}

// Unwrap gives the failure as a fault, so that fault.KindOf and fault.Visible work on it; below that is the cause.
func (e *Error) Unwrap() error {
	message := e.Message
	if e.Hint != "" {
		message += " " + e.Hint
	}
	return &fault.Error{Kind: faultKind(e.Kind), Message: message, Cause: e.Cause}
}

// GoString hides the MFA token from %#v.
func (e *Error) GoString() string { return "&particle.Error{" + e.Error() + "}" }

// KindOf is the kind of the first *Error in err's chain, or "" when there is none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return ""
}

// Is tells whether err is an *Error of the kind.
func Is(err error, kind Kind) bool { return err != nil && KindOf(err) == kind }

func faultKind(k Kind) fault.Kind {
	switch k {
	case BadClient, BadClientType, BadRedirectURI, BadCode, ExpiredCode, BadRefresh, BadScope, Invalid:
		return fault.Invalid
	case Refused, BadCredentials, MFARequired, SSORequired, DeadToken, Denied, MissingScope:
		return fault.Denied
	case UnknownDevice, NotFound:
		return fault.NotFound
	case OwnedByOther, Duplicate:
		return fault.Conflict
	case RateLimited:
		return fault.TooMany
	case NoAnswer, DeviceTimeout:
		return fault.Timeout
	case Unreachable, NotParticle, Upstream, Offline, Cancelled:
		return fault.Unavailable
	}
	return fault.Internal
}

// explanation is the sentence and the remedy of each kind. An op may have a better one, see Error's makers.
func explanation(k Kind) (message, hint string) {
	e := explanations[k]
	return e[0], e[1]
}

var explanations = map[Kind][2]string{
	Unreachable:    {"The Particle cloud could not be reached.", "Check the base URL and this server's network, then try again."},
	NoAnswer:       {"The Particle cloud did not answer in time.", "Try again in a moment; see status.particle.io if it stays so."},
	NotParticle:    {"The server at the base URL does not answer like the Particle cloud.", "Check the base URL; it is usually https://api.particle.io."},
	Upstream:       {"The Particle cloud reports a fault of its own.", "Try again in a few minutes."},
	RateLimited:    {"The Particle cloud asks to slow down.", "Wait a minute before trying again."},
	Cancelled:      {"The request was given up before the Particle cloud answered.", "Try again."},
	BadClient:      {"The Particle cloud does not accept this OAuth client.", "Check the client id and the client secret; a lost secret needs a new client."},
	BadClientType:  {"This OAuth client may not be used for this kind of sign-in.", "Linking needs a client of type \"web\"; the type of a client cannot be changed, so create a new one."},
	BadRedirectURI: {"The redirect URI is not the one that is registered with the OAuth client.", "Register the callback address exactly as shown here, character for character, in a new client."},
	BadCode:        {"Particle's one-time code was used before or belongs to another client.", "Start linking again, and do not reload the page on the way."},
	ExpiredCode:    {"Particle's one-time code was too old when it arrived.", "Start linking again."},
	Refused:        {"Access to the Particle account was refused.", "Start linking again and choose to allow access, if you want to use your devices here."},
	BadRefresh:     {"The link to Particle could not be renewed.", "Link the Particle account again."},
	BadCredentials: {"Particle does not know this user name and password.", "Check both; a customer of a product signs in elsewhere than a developer."},
	MFARequired:    {"The account asks for a second sign-in step.", "Enter the one-time password."},
	SSORequired:    {"The account signs in through a company's own sign-in page.", "Link the account through Particle's sign-in page instead."},
	DeadToken:      {"Particle no longer accepts this link to the account.", "Link the Particle account again."},
	BadScope:       {"The Particle cloud does not accept the scope that was asked for.", "Check the scope, or that the customer exists."},
	UnknownDevice:  {"This account does not own a device with that id.", "Check the id and which Particle account is linked; a device must be claimed first."},
	Offline:        {"The device is offline.", "Check its power and network, then try again."},
	DeviceTimeout:  {"The device did not answer in time.", "It may be offline or busy, and may have done what was asked; look before trying again."},
	OwnedByOther:   {"The device belongs to someone else.", "Ask its owner to release it, or request a transfer."},
	NotFound:       {"The Particle cloud does not know what was asked for.", "Check the name; upper and lower case count."},
	Denied:         {"The linked account may not do this.", "Use an account or a client with the right to it."},
	MissingScope:   {"The access token lacks a right.", "Give the API user the scope, which makes a new token, or use another token."},
	Duplicate:      {"Particle has this already.", "Use the one that exists, or choose another name."},
	Invalid:        {"The Particle cloud did not accept the request.", "Check what was entered."},
}
