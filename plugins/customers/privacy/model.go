package privacy

import (
	"encoding/json"
	"time"

	"gorm.io/gorm"
)

// The states of an erasure.
const (
	stateRunning   = "running"   // goes on by itself
	stateAttention = "attention" // goes on when a person says so
	stateRefused   = "refused"   // a module said no before anything happened
	stateDone      = "done"
)

// erasure is one wish to have a customer's data erased, and how far it got. It holds no personal data but numbers of accounts.
type erasure struct {
	ID            int64      `gorm:"primaryKey"`
	Once          string     `gorm:"not null;uniqueIndex:customers_erasures_once"` // the form's word
	UserID        int64      `gorm:"not null;index:customers_erasures_person"`
	ByID          int64      `gorm:"not null"` // who wished it; UserID when it was the customer
	DeleteAccount bool       `gorm:"not null"`
	State         string     `gorm:"not null;index:customers_erasures_open,priority:1"`
	Sentence      string     `gorm:"not null"` // how it stands; written here, never by a module
	StartedAt     time.Time  `gorm:"not null"`
	AskedAt       *time.Time // every module was told
	ParticleAt    *time.Time // nothing at Particle stands for the person any more
	ModulesAt     *time.Time // somebody saw that no module has anything left that need not stay
	DeletedAt     *time.Time // the account is gone
	EndedAt       *time.Time
	Tries         int       `gorm:"not null"`                                          // at Particle and at the account, in vain
	NextAt        time.Time `gorm:"not null;index:customers_erasures_open,priority:2"` // the job leaves it alone until then
	Kept          string    `gorm:"not null"`                                          // JSON: []kept
	Remaining     string    `gorm:"not null"`                                          // JSON: []left, when it was looked at last
}

// TableName is fixed, whatever the naming of the connection.
func (erasure) TableName() string { return "customers_erasures" }

// Migrate creates the table. It belongs to step 1 of the module and is never changed.
func Migrate(tx *gorm.DB) error { return tx.Migrator().CreateTable(&erasure{}) }

func (e *erasure) open() bool { return e.State == stateRunning || e.State == stateAttention }

// own tells whether the customer asked for it.
func (e *erasure) own() bool { return e.ByID == e.UserID }

// kept is a table that stays, with the reason.
type kept struct {
	Module  string `json:"name"`
	Table   string `json:"table"`
	Purpose string `json:"purpose"`
	Keep    string `json:"keep"`
}

// left is what a module still has.
type left struct {
	Module  string `json:"module"`
	Table   string `json:"table"`
	Purpose string `json:"purpose"`
	Rows    int64  `json:"rows"`
}

// encode makes a list a column's text.
func encode[T any](list []T) string {
	if len(list) == 0 {
		return "[]"
	}
	text, err := json.Marshal(list)
	if err != nil { // texts and numbers always encode
		return "[]"
	}
	return string(text)
}

// decode reads a column of encode; what cannot be read is an empty list.
func decode[T any](text string) []T {
	list := []T{}
	if json.Unmarshal([]byte(text), &list) != nil {
		return []T{}
	}
	return list
}
