package ownership

import (
	"time"

	"gorm.io/gorm"

	"mortise/plugins/internal/attachapi"
)

// Way is how the devices of a product are owned: attachapi.Product, the default, attachapi.Account or attachapi.Shadow.
type Way = attachapi.Way

func knownWay(w Way) bool {
	return w == attachapi.Product || w == attachapi.Account || w == attachapi.Shadow
}

// productRow is what the maker chose for a product. A product without a row has the way attachapi.Product. The OAuth client's secret is
// sealed under the secret "client".
type productRow struct {
	ID            int64      `gorm:"primaryKey"`
	WorkspaceID   int64      `gorm:"not null;uniqueIndex:customers_products_number,priority:1"`
	ProductID     string     `gorm:"not null;uniqueIndex:customers_products_number,priority:2"` // Particle's number
	Name          string     `gorm:"not null"`
	Way           Way        `gorm:"not null"`
	Version       int64      `gorm:"not null"` // counts changes, so that two administrators do not overwrite each other
	ClientID      string     `gorm:"not null"` // of the OAuth client that makes shadow customers; "" for none
	ClientBaseURL string     `gorm:"not null"` // the cloud that it was made at
	ClientProblem string     `gorm:"not null"` // why Particle does not accept it, as it last said; "" when all is well
	ClientAt      *time.Time // when it was handed over
	ChangedAt     time.Time
	ChangedBy     string `gorm:"not null"`
}

// TableName is fixed, whatever the naming of the connection.
func (productRow) TableName() string { return "customers_products" }

// attachment is one device and whose it is. A device that was detached keeps its row, so that this can be undone, until it is
// attached to somebody else or the person is forgotten.
type attachment struct {
	DeviceID    string     `gorm:"primaryKey;index:customers_attachments_list,priority:2"` // 24 hex digits, lower case
	UserID      int64      `gorm:"not null;index:customers_attachments_person,priority:1"`
	WorkspaceID int64      `gorm:"not null;index:customers_attachments_product,priority:1"`
	ProductID   string     `gorm:"not null;index:customers_attachments_product,priority:2"`
	Product     string     `gorm:"not null"` // its name when the device was attached
	Name        string     `gorm:"not null"` // the device's name, as Particle or the person who attached it had it; may be ""
	Given       bool       `gorm:"not null"` // Name was chosen for the customer
	Way         Way        `gorm:"not null"`
	Version     int64      `gorm:"not null"` // counts changes
	AttachedAt  time.Time  `gorm:"index:customers_attachments_list,priority:1,sort:desc,where:detached_at IS NULL"`
	DetachedAt  *time.Time `gorm:"index:customers_attachments_person,priority:2"` // nil: it is attached
}

// TableName is fixed, whatever the naming of the connection.
func (attachment) TableName() string { return "customers_attachments" }

// grant is a whole product that belongs to one customer: every device in it, also those that come later.
type grant struct {
	ID          int64  `gorm:"primaryKey"`
	UserID      int64  `gorm:"not null;index:customers_grants_person"`
	WorkspaceID int64  `gorm:"not null;uniqueIndex:customers_grants_product,priority:1"`
	ProductID   string `gorm:"not null;uniqueIndex:customers_grants_product,priority:2"`
	Product     string `gorm:"not null"`
	AttachedAt  time.Time
}

// TableName is fixed, whatever the naming of the connection.
func (grant) TableName() string { return "customers_grants" }

// The states of a shadow customer.
const (
	shadowWanted   = "wanted"   // to be made, or to be given a new token: an operation sees to it
	shadowReady    = "ready"    // exists at Particle, and its token is sealed here
	shadowRevoking = "revoking" // its token is not used any more and is about to end at Particle
	shadowRevoked  = "revoked"  // exists at Particle, without a token here; one is made when it is needed
)

// shadow is the customer at Particle that stands for a person in one product. Its token is sealed under the secret "shadow".
type shadow struct {
	ID          int64      `gorm:"primaryKey"`
	UserID      int64      `gorm:"not null;uniqueIndex:customers_shadows_person,priority:1"`
	WorkspaceID int64      `gorm:"not null;uniqueIndex:customers_shadows_person,priority:2"`
	ProductID   string     `gorm:"not null;uniqueIndex:customers_shadows_person,priority:3"`
	Username    string     `gorm:"not null;uniqueIndex:customers_shadows_username"` // "<uuid>@<host of the site>", lower case
	State       string     `gorm:"not null;index:customers_shadows_state"`
	Problem     string     `gorm:"not null"` // what Particle said last against it, for people; "" when all is well
	TokenAt     *time.Time // when the token was given
	ExpiresAt   *time.Time `gorm:"index:customers_shadows_end"` // nil: never, or there is no token
	CreatedAt   time.Time
}

// TableName is fixed, whatever the naming of the connection.
func (shadow) TableName() string { return "customers_shadows" }

// reset lets a person choose a new password for a customer at Particle. The key itself is only in the mail.
type reset struct {
	ID          int64  `gorm:"primaryKey"`
	Hash        string `gorm:"not null;uniqueIndex:customers_resets_hash"` // SHA-256 of the key, in hex
	WorkspaceID int64  `gorm:"not null"`
	ProductID   string `gorm:"not null"`
	Product     string `gorm:"not null"`
	Username    string `gorm:"not null;index:customers_resets_username"`
	Tries       int    `gorm:"not null"` // at Particle
	CreatedAt   time.Time
	ExpiresAt   time.Time  `gorm:"index:customers_resets_end"`
	UsedAt      *time.Time // it works once
}

// TableName is fixed, whatever the naming of the connection.
func (reset) TableName() string { return "customers_resets" }

// The states of an operation.
const (
	opRunning = "running"   // begun; after a crash: to be resumed
	opDone    = "done"      //
	opFailed  = "failed"    // Particle refused; nothing was changed there
	opUndone  = "undone"    // was not needed any more
	opUnclear = "attention" // nobody knows after many tries whether it happened
)

// The kinds of operations.
const (
	opShadowCreate   = "shadow_create"
	opShadowRevoke   = "shadow_revoke"
	opShadowDelete   = "shadow_delete"
	opDeviceRelease  = "device_release"
	opCustomerDelete = "customer_delete"
)

// operation is one change at Particle. It is written in the transaction of what it belongs to, before Particle is called.
type operation struct {
	ID          int64     `gorm:"primaryKey"`
	Once        string    `gorm:"not null;uniqueIndex:customers_operations_once"` // from the form, or made up: a form sent twice acts once
	Kind        string    `gorm:"not null;index:customers_operations_subject,priority:2"`
	WorkspaceID int64     `gorm:"not null;index:customers_operations_product,priority:1"`
	ProductID   string    `gorm:"not null;index:customers_operations_product,priority:2"`
	Product     string    `gorm:"not null"`                                               // its name at that time
	Subject     string    `gorm:"not null;index:customers_operations_subject,priority:1"` // the user name at Particle, or the device's id
	Owner       string    `gorm:"not null"`                                               // device_release: the shadow customer from whom it is taken
	CustomerID  int64     `gorm:"not null;index:customers_operations_customer"`           // whom it is about; 0: nobody, or forgotten since
	State       string    `gorm:"not null;index:customers_operations_state,priority:1"`
	Sentence    string    `gorm:"not null"` // what became of it
	ByID        int64     `gorm:"not null"` // who began it; 0 for the site itself
	ByName      string    `gorm:"not null"`
	Tries       int       `gorm:"not null"`
	NextAt      time.Time `gorm:"index:customers_operations_state,priority:2"`
	StartedAt   time.Time
	EndedAt     *time.Time
}

// TableName is fixed, whatever the naming of the connection.
func (operation) TableName() string { return "customers_operations" }

// Migrate creates the tables. It belongs to step 1 of the module and is never changed.
func Migrate(tx *gorm.DB) error {
	return tx.Migrator().CreateTable(&productRow{}, &attachment{}, &grant{}, &shadow{}, &reset{}, &operation{})
}
