package main

import "time"

// The states of an import.
const (
	importRunning    = "running"    // goes on by itself, now or at NextAt
	importStopped    = "stopped"    // waits for a person: the credential, a scope, or too many failures
	importCancelling = "cancelling" // what is not sent stays so; what was sent is still looked up
	importCancelled  = "cancelled"
	importDone       = "done"
)

// What became of a line. Waiting and asked lines are looked at again while the import runs.
const (
	lineWaiting   = "waiting"   // not tried yet
	lineAsked     = "asked"     // sent, and the answer is not known
	lineAdded     = "added"     // in the product now
	lineExisting  = "existing"  // was in the product before
	lineForeign   = "foreign"   // owned by somebody outside of the team
	lineNotID     = "not_id"    // never sent
	lineDuplicate = "duplicate" // stands in the same text before; never sent
	lineRefused   = "refused"   // by Particle
)

// badLines are the results that somebody has to do something about.
var badLines = []string{lineForeign, lineNotID, lineDuplicate, lineRefused}

// lineResults are all of them, in the order in which pages list them.
var lineResults = []string{lineAdded, lineExisting, lineForeign, lineNotID, lineDuplicate, lineRefused, lineWaiting, lineAsked}

// Whether name, groups and notes of a line are written.
const (
	detailsNone    = ""
	detailsWaiting = "waiting"
	detailsDone    = "done"
	detailsRefused = "refused"
)

// deviceImport is an import of devices into a product. The operation of the same word "once" stands for it among the changes.
type deviceImport struct {
	ID          int64  `gorm:"primaryKey"`
	Once        string `gorm:"not null;uniqueIndex:organizations_imports_once"`
	WorkspaceID int64  `gorm:"not null;index:organizations_imports_workspace"`
	ProductID   string `gorm:"not null"`
	Product     string `gorm:"not null"` // its name at that time
	FileName    string `gorm:"not null"` // "" for text that was typed in
	Overwrite   bool   `gorm:"not null"` // name, groups and notes also of devices that were in the product before
	Ignored     string `gorm:"not null"` // columns that are not used, parted by commas
	Lines       int    `gorm:"not null"`
	State       string `gorm:"not null;index:organizations_imports_state"`
	Sentence    string `gorm:"not null"` // why it waits, was stopped or ended
	Remedy      string `gorm:"not null"`
	Scope       string `gorm:"not null"` // that the credential lacks; "" when that is not the reason
	UserID      int64  `gorm:"not null"`
	UserName    string `gorm:"not null"`
	Tries       int    `gorm:"not null"` // in a row that failed
	NextAt      time.Time
	StartedAt   time.Time
	EndedAt     *time.Time
}

// TableName is fixed, whatever the naming of the connection.
func (deviceImport) TableName() string { return "organizations_imports" }

// importLine is one line of an import.
type importLine struct {
	ID       int64  `gorm:"primaryKey"`
	ImportID int64  `gorm:"not null;uniqueIndex:organizations_import_lines_number,priority:1;index:organizations_import_lines_result,priority:1"`
	Number   int    `gorm:"not null;uniqueIndex:organizations_import_lines_number,priority:2"` // in the text, from 1
	Read     string `gorm:"not null"`
	DeviceID string `gorm:"not null"` // "" when it is none
	Name     string `gorm:"not null"`
	Groups   string `gorm:"not null"` // parted by commas
	Notes    string `gorm:"not null"`
	Result   string `gorm:"not null;index:organizations_import_lines_result,priority:2"`
	Sentence string `gorm:"not null"`
	Asked    int    `gorm:"not null"` // how often Particle was asked
	Details  string `gorm:"not null"` // whether name, groups and notes are written
}

// TableName is fixed, whatever the naming of the connection.
func (importLine) TableName() string { return "organizations_import_lines" }

// organization stands above products at Particle, for accounts whose plan has it.
type organization struct {
	ID          int64  `gorm:"primaryKey"`
	WorkspaceID int64  `gorm:"not null;uniqueIndex:organizations_orgs_number,priority:1"`
	OrgID       string `gorm:"not null;uniqueIndex:organizations_orgs_number,priority:2"` // Particle's, 24 hex digits
	Slug        string `gorm:"not null"`
	Name        string `gorm:"not null"`
	Products    string `gorm:"not null"` // JSON list of the numbers of its products
	SeenAt      time.Time
}

// TableName is fixed, whatever the naming of the connection.
func (organization) TableName() string { return "organizations_orgs" }
