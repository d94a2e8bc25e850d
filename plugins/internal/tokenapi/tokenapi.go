// Package tokenapi is the contract of the service particle.token, which the module linking provides: how another module
// gets the Particle access tokens of the person for whom it acts. The JSON Schemas of the same shapes stand in linking's
// module.yaml.
//
//	var answer tokenapi.Accounts
//	err := host.Call(ctx, tokenapi.Service, tokenapi.Get, struct{}{}, &answer)
//
// Both methods act for the user whom the host vouches for: without one they are refused, and there is no way to name
// another one.
package tokenapi

import "time"

// The service and its methods.
const (
	Service    = "particle.token"
	Get        = "get"         // in: {} out: Accounts
	ReportDead = "report_dead" // in: Report out: Verdict
)

// The service linking.people: how many accounts people have linked, as numbers and nothing else. It acts for modules that keep a list of
// customers; whoever shows the numbers has checked that they may be seen.
const (
	PeopleService = "linking.people"
	Count         = "count" // in: People out: Counts
	MaxPeople     = 500     // of one question
)

// People are some people, by the site's numbers.
type People struct {
	UserIDs []int64 `json:"user_ids"` // at most MaxPeople
}

// Counts says for each person who has any how many linked accounts work.
type Counts struct {
	Counts map[int64]int `json:"counts"` // in JSON the numbers are texts: {"12": 1}
}

// State says whether an account can be used.
type State string

// The states.
const (
	Active State = "active"
	Dead   State = "dead" // Particle does not accept the link any more: the person must link again
)

// Accounts is the answer of Get: every Particle account that the person linked, the oldest first.
type Accounts struct {
	Accounts []Account `json:"accounts"`
}

// Account is one linked Particle account. It prints without its token.
type Account struct {
	ID          int64      `json:"account_id"`
	Label       string     `json:"label"` // the Particle user name
	State       State      `json:"state"`
	BaseURL     string     `json:"base_url"`
	AccessToken string     `json:"access_token,omitempty"` // "" when State is Dead
	ExpiresAt   *time.Time `json:"expires_at,omitempty"`   // nil: never
	Generation  int64      `json:"generation"`             // another number whenever the token is another one
}

// String hides the token.
func (a Account) String() string { return "tokenapi.Account(" + string(a.State) + ")" }

// GoString hides the token.
func (a Account) GoString() string { return a.String() }

// Report tells that Particle refused a token as unknown or expired.
type Report struct {
	ID         int64 `json:"account_id"`
	Generation int64 `json:"generation"` // of the token that was refused; a report about an older one changes nothing
}

// Verdict is what came of a report: Active when the account has a working token by now (get it again), Dead otherwise.
type Verdict struct {
	State State `json:"state"`
}
