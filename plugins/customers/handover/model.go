package handover

import (
	"time"

	"gorm.io/gorm"
)

// The states of a record.
const (
	stateBench       = "bench"
	stateReady       = "ready"
	stateClaimed     = "claimed"
	stateTransferred = "transferred"
	stateRevoked     = "revoked"
)

// states in the order in which the list counts them.
var states = [...]string{stateBench, stateReady, stateClaimed, stateTransferred, stateRevoked}

// record is one device on its way to a customer.
type record struct {
	ID          int64      `gorm:"primaryKey"`
	DeviceID    string     `gorm:"not null;uniqueIndex:customers_records_device"` // 24 hex digits, lower case
	WorkspaceID int64      `gorm:"not null;index:customers_records_product,priority:1"`
	ProductID   string     `gorm:"not null;index:customers_records_product,priority:2"` // Particle's number
	Product     string     `gorm:"not null"`                                            // its name when the record was made
	Name        string     `gorm:"not null"`                                            // what the customer reads
	Serial      string     `gorm:"not null"`
	Note        string     `gorm:"not null"`                                   // for the staff
	Job         string     `gorm:"not null;index:customers_records_job"`       // an order, an address; "" for none
	AssignedTo  int64      `gorm:"not null;index:customers_records_installer"` // whose job it is; 0 for nobody's
	State       string     `gorm:"not null;index:customers_records_state"`     //
	UserID      int64      `gorm:"not null;index:customers_records_person"`    // who has the device; 0 for nobody
	ClaimedAt   *time.Time //
	Once        string     `gorm:"not null;index:customers_records_once"` // of the form that made it: records of one batch have the same
	Version     int64      `gorm:"not null"`                              // counts changes that a form must not overwrite unseen
	CreatedAt   time.Time  `gorm:"not null"`
}

// TableName is fixed, whatever the naming of the connection.
func (record) TableName() string { return "customers_records" }

// The states of a key.
const (
	keyMaking  = "making" // not in force yet: about to be sealed
	keyLive    = "live"
	keyUsed    = "used"
	keyRevoked = "revoked"
)

// keyRow is one claim key. A record has at most one that is live. Those that have ended stay, so that whoever comes with an old
// label reads what became of it.
type keyRow struct {
	ID        int64      `gorm:"primaryKey"`
	RecordID  int64      `gorm:"not null;index:customers_keys_record;uniqueIndex:customers_keys_live,where:state = 'live'"`
	Hash      string     `gorm:"not null;uniqueIndex:customers_keys_hash"` // SHA-256 of the key, in hex
	State     string     `gorm:"not null;index:customers_keys_sealed,priority:2"`
	Sealed    bool       `gorm:"not null;index:customers_keys_sealed,priority:1"` // the key itself may be sealed under this row's number
	ExpiresAt *time.Time // nil: never
	MadeAt    time.Time  `gorm:"not null"`
	EndedAt   *time.Time
}

// TableName is fixed, whatever the naming of the connection.
func (keyRow) TableName() string { return "customers_keys" }

func (k *keyRow) expired(now time.Time) bool { return k.ExpiresAt != nil && !now.Before(*k.ExpiresAt) }

// The kinds of tries that are counted.
const (
	tryGuess = "guess" // a key that there is not
	tryCode  = "code"  // a claim code asked for
	tryMail  = "mail"  // a claim link mailed
)

// try is one of the things that a person may not do too often.
type try struct {
	ID     int64     `gorm:"primaryKey"`
	UserID int64     `gorm:"not null;uniqueIndex:customers_guesses_once,priority:1;index:customers_guesses_person,priority:1"`
	Kind   string    `gorm:"not null;index:customers_guesses_person,priority:2;index:customers_guesses_site,priority:1"`
	Hash   string    `gorm:"not null;uniqueIndex:customers_guesses_once,priority:2"` // of the wrong key: a page opened again is no new guess
	At     time.Time `gorm:"not null;index:customers_guesses_person,priority:3;index:customers_guesses_site,priority:2"`
}

// TableName is fixed, whatever the naming of the connection.
func (try) TableName() string { return "customers_guesses" }

// installer is somebody of the staff who has opened the records: whom jobs can be assigned to.
type installer struct {
	UserID int64     `gorm:"primaryKey;autoIncrement:false"`
	SeenAt time.Time `gorm:"not null"`
}

// TableName is fixed, whatever the naming of the connection.
func (installer) TableName() string { return "customers_installers" }

// Migrate creates the tables. It belongs to step 1 of the module and is never changed.
func Migrate(tx *gorm.DB) error {
	return tx.Migrator().CreateTable(&record{}, &keyRow{}, &try{}, &installer{})
}
