package people

import (
	"time"

	"gorm.io/gorm"
)

// The states of a customer, the most telling first.
const (
	StateBlocked    = "blocked"    // may not sign in
	StateDevices    = "devices"    // has devices
	StateLinked     = "linked"     // has linked a Particle account that works
	StateRegistered = "registered" // has a password
	StateInvited    = "invited"    // was sent an invitation
	StateCreated    = "created"    // made by hand, and not invited yet
)

// states lists them in the order in which pages count them.
var states = []string{StateDevices, StateLinked, StateRegistered, StateInvited, StateCreated, StateBlocked}

// Person is a customer as the other parts see one.
type Person struct {
	ID         int64      `json:"id"` // the site's number of the account
	Name       string     `json:"name"`
	Email      string     `json:"email"`
	Blocked    bool       `json:"blocked"`
	Registered bool       `json:"registered"`   // has chosen a password
	InvitedAt  *time.Time `json:"invited_at"`   // the last invitation; nil: none that is known
	LastSeenAt *time.Time `json:"last_seen_at"` // nil: never signed in
	CreatedAt  time.Time  `json:"created_at"`
	Linked     int        `json:"linked"`  // linked Particle accounts that work
	Devices    int        `json:"devices"` // attached devices
	State      string     `json:"state"`   // one of the State constants
	Version    int64      `json:"version"` // counts changes that a form must not overwrite unseen
}

// row is a customer in the store. The indexes are those that the list is sorted by.
type row struct {
	UserID     int64  `gorm:"primaryKey;autoIncrement:false"`
	Name       string `gorm:"not null"`
	SortName   string `gorm:"not null;index:customers_people_name,priority:1"` // folded, see fold
	Email      string `gorm:"not null;index:customers_people_email,priority:1"`
	SearchText string `gorm:"not null"` // name and address, folded
	Blocked    bool   `gorm:"not null"`
	Registered bool   `gorm:"not null"`
	InvitedAt  *time.Time
	LastSeenAt *time.Time `gorm:"index:customers_people_seen,priority:1"`
	CreatedAt  time.Time  `gorm:"not null;index:customers_people_created,priority:1"`
	Accounts   string     `gorm:"not null"` // JSON list of the numbers of linked accounts that work
	Linked     int        `gorm:"not null"` // how many these are
	Devices    int        `gorm:"not null;index:customers_people_devices,priority:1"`
	Version    int64      `gorm:"not null"`
	ReadAt     int64      `gorm:"not null"` // when the site was asked, see Directory.tick
	// State is computed by the store from the other columns, so that the two can never differ.
	State string `gorm:"->;index:customers_people_state;type:text GENERATED ALWAYS AS (CASE WHEN blocked THEN 'blocked' WHEN devices > 0 THEN 'devices' WHEN linked > 0 THEN 'linked' WHEN registered THEN 'registered' WHEN invited_at IS NOT NULL THEN 'invited' ELSE 'created' END) STORED"`
}

// TableName is fixed, whatever the naming of the connection.
func (row) TableName() string { return "customers_people" }

func (r *row) person() Person {
	return Person{ID: r.UserID, Name: r.Name, Email: r.Email, Blocked: r.Blocked, Registered: r.Registered, InvitedAt: r.InvitedAt,
		LastSeenAt: r.LastSeenAt, CreatedAt: r.CreatedAt, Linked: r.Linked, Devices: r.Devices, State: r.State, Version: r.Version}
}

// note is what the staff wrote about a customer.
type note struct {
	ID        int64  `gorm:"primaryKey"`
	UserID    int64  `gorm:"not null;index:customers_notes_person"` // the customer
	Text      string `gorm:"not null"`
	ByID      int64  `gorm:"not null"` // who wrote it
	ByName    string `gorm:"not null"`
	At        time.Time
	ChangedBy string `gorm:"not null"` // who changed it last; "" while nobody has
	ChangedAt *time.Time
	Version   int64  `gorm:"not null"`
	Once      string `gorm:"not null;uniqueIndex:customers_notes_once"`
}

// TableName is fixed, whatever the naming of the connection.
func (note) TableName() string { return "customers_notes" }

// The states of an import.
const (
	importRunning = "running"
	importStopped = "stopped" // by a person; can go on
	importDone    = "done"
)

// upload is one import of customers.
type upload struct {
	ID      int64  `gorm:"primaryKey"`
	Once    string `gorm:"not null;uniqueIndex:customers_imports_once"` // from the form: a form sent twice imports once
	File    string `gorm:"not null"`                                    // its name; "" for text that was typed in
	Lines   int    `gorm:"not null"`
	State   string `gorm:"not null;index:customers_imports_state"`
	Waiting string `gorm:"not null"` // why it does not go on at the moment; "" when it does
	ByID    int64  `gorm:"not null"`
	ByName  string `gorm:"not null"`
	At      time.Time
	EndedAt *time.Time
}

// TableName is fixed, whatever the naming of the connection.
func (upload) TableName() string { return "customers_imports" }

// The results of a line.
const (
	lineWaiting   = ""          // not tried yet
	lineMail      = "mail"      // not tried yet: too many mails were sent
	lineCreated   = "created"   // there was nobody with the address
	lineInvited   = "invited"   // an invitation was mailed
	linePresent   = "present"   // already there, and has a password or was not to be invited
	lineBlocked   = "blocked"   // already there, and blocked
	lineStaff     = "staff"     // the address is of somebody who is more than a customer
	lineInvalid   = "invalid"   // not an address, or something else in the line cannot be read
	lineDuplicate = "duplicate" // of an earlier line
	lineFailed    = "failed"    // the site answered something unexpected
)

// importLine is one line of an import.
type importLine struct {
	ID       int64      `gorm:"primaryKey"`
	ImportID int64      `gorm:"not null;index:customers_import_lines_result,priority:1;uniqueIndex:customers_import_lines_number,priority:1"`
	Number   int        `gorm:"not null;uniqueIndex:customers_import_lines_number,priority:2"` // in the file, from 1
	Result   string     `gorm:"not null;index:customers_import_lines_result,priority:2"`
	UserID   int64      `gorm:"not null;index:customers_import_lines_person"` // the customer; 0 while not known
	Email    string     `gorm:"not null"`
	Name     string     `gorm:"not null"`
	Invite   bool       `gorm:"not null"`
	Note     string     `gorm:"not null"`
	Sentence string     `gorm:"not null"` // what became of it
	AskedAt  *time.Time // when the site was asked; without a result it is asked again
}

// TableName is fixed, whatever the naming of the connection.
func (importLine) TableName() string { return "customers_import_lines" }

// Migrate creates the tables. It belongs to step 1 of the module and is never changed.
func Migrate(tx *gorm.DB) error {
	return tx.Migrator().CreateTable(&row{}, &note{}, &upload{}, &importLine{})
}
