package main

import (
	"time"

	"gorm.io/gorm"

	"mortise/core/sdk"
	"mortise/core/sdk/sdkdb"
)

// The states of an account.
const (
	accountSaving = "saving" // its token is being sealed; not shown, and removed by the retention job when that never ended
	accountActive = "active"
	accountDead   = "dead" // Particle does not accept the token any more
)

// account is one Particle account that a person linked. Its tokens are sealed under the secret "token" with the id as key.
type account struct {
	ID         int64  `gorm:"primaryKey"`
	UserID     int64  `gorm:"not null;uniqueIndex:linking_accounts_person,priority:1"`
	Username   string `gorm:"not null;uniqueIndex:linking_accounts_person,priority:2"` // at Particle, lower case
	BaseURL    string `gorm:"not null"`                                                // of the cloud that gave the token: it is never sent to another one
	ClientID   string `gorm:"not null"`                                                // only the same client can renew
	State      string `gorm:"not null"`
	Generation int64  `gorm:"not null"` // another number, and a greater one, for each token that this account has had
	Renewable  bool   `gorm:"not null"` // Particle gave a refresh token
	LinkedAt   time.Time
	TokenAt    time.Time  // when the present token was given
	ExpiresAt  *time.Time `gorm:"index:linking_accounts_expiry"` // nil: never
	LastUsedAt *time.Time // to within a few minutes
	DeadAt     *time.Time
	RemindedAt *time.Time // when the person was told that the link ends soon
}

// TableName is fixed, whatever the naming of the connection.
func (account) TableName() string { return "linking_accounts" }

// The outcomes of an attempt.
const (
	attemptOpen      = "open"
	attemptLinked    = "linked"
	attemptFailed    = "failed"
	attemptAbandoned = "abandoned" // the person never came back
)

// attempt is one press of the button, with what became of it.
type attempt struct {
	ID        int64      `gorm:"primaryKey"`
	Reference string     `gorm:"not null;uniqueIndex:linking_attempts_reference"` // such as "7F3A-91", to quote
	UserID    int64      `gorm:"not null;index:linking_attempts_person"`          // 0: nobody was signed in
	UserName  string     `gorm:"not null"`                                        // the site's name of the person at that time
	StateHash string     `gorm:"not null;index:linking_attempts_state"`           // SHA-256 of the state, in hex; "" when it never had one
	Deadline  time.Time  // until when the state is good
	UsedAt    *time.Time // when the state came back; it counts once
	Outcome   string     `gorm:"not null;index:linking_attempts_outcome,priority:1"`
	Reason    string     `gorm:"not null"` // id of a failure; "" otherwise
	Site      bool       `gorm:"not null"` // the site's settings are to blame, not the person
	Username  string     `gorm:"not null"` // the Particle account that was linked
	StartedAt time.Time  `gorm:"index:linking_attempts_outcome,priority:2"`
	EndedAt   *time.Time
}

// TableName is fixed, whatever the naming of the connection.
func (attempt) TableName() string { return "linking_attempts" }

// The results of a step.
const (
	stepDone   = "done"
	stepFailed = "failed"
	stepNote   = "note" // worth knowing, without consequence
)

// step is one thing that happened during an attempt.
type step struct {
	ID        int64  `gorm:"primaryKey"`
	AttemptID int64  `gorm:"not null;index:linking_steps_attempt"`
	Name      string `gorm:"not null"` // start, consent, state, token, account, saved, devices, again
	Result    string `gorm:"not null"`
	Sentence  string `gorm:"not null"`
	Detail    string `gorm:"not null"` // Particle's own words and status, without secrets; for the staff
	At        time.Time
	Millis    int64 // how long it took; 0 when that says nothing
}

// TableName is fixed, whatever the naming of the connection.
func (step) TableName() string { return "linking_steps" }

// revocation is a token that has left this site but that Particle has not confirmed as revoked. The token itself is sealed
// under the secret "revocation" with Key.
type revocation struct {
	ID        int64  `gorm:"primaryKey"`
	Key       string `gorm:"column:secret_key;not null;uniqueIndex:linking_revocations_key"`
	UserID    int64  `gorm:"not null"`
	BaseURL   string `gorm:"not null"`
	Tries     int    `gorm:"not null"`
	NextAt    time.Time
	CreatedAt time.Time
}

// TableName is fixed, whatever the naming of the connection.
func (revocation) TableName() string { return "linking_revocations" }

// Migrations gives every step since the first version. The structs above are those of step 1; a later step that changes a
// table brings its own.
func (m *Linking) Migrations() []sdk.Migration {
	return []sdk.Migration{
		sdkdb.Migration(1, "create accounts, attempts, steps and revocations", func(tx *gorm.DB) error {
			return tx.Migrator().CreateTable(&account{}, &attempt{}, &step{}, &revocation{})
		}),
	}
}
