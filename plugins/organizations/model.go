package main

import (
	"time"

	"gorm.io/gorm"

	"mortise/core/sdk"
	"mortise/core/sdk/sdkdb"
)

// The health of a workspace.
const (
	healthUnknown = "unknown" // never tested
	healthGood    = "good"
	healthWarn    = "warn" // works, but ends soon or lacks a scope
	healthBad     = "bad"
)

// workspace is an account or organization at a Particle cloud. Its token is sealed under the secret "credential" with the id
// as key.
type workspace struct {
	ID             int64  `gorm:"primaryKey"`
	Name           string `gorm:"not null;uniqueIndex:organizations_workspaces_name"`
	BaseURL        string `gorm:"not null"`                 // of the cloud the token was entered for: it is never sent to another one
	Username       string `gorm:"not null"`                 // whose token it is, as Particle says; "" when it does not
	APIUser        string `gorm:"column:api_user;not null"` // whose token it is, when this module made the API user
	DefaultProduct string `gorm:"not null"`                 // a product's number; "" for none
	Version        int64  `gorm:"not null"`                 // counts changes, so that two administrators do not overwrite each other
	CredentialAt   *time.Time
	Health         string `gorm:"not null"`
	Problem        string `gorm:"not null"` // machine word of what is wrong; "" when all is well
	Sentence       string `gorm:"not null"` // the same for people
	Remedy         string `gorm:"not null"`
	Checks         string `gorm:"not null"` // JSON list of check
	CheckedAt      *time.Time
	ExpiresAt      *time.Time // of the token; nil: never, or not known
	ProductsAt     *time.Time // when Particle was last asked for the products
	CreatedAt      time.Time
}

// TableName is fixed, whatever the naming of the connection.
func (workspace) TableName() string { return "organizations_workspaces" }

// product is what Particle last said of a product.
type product struct {
	ID           int64  `gorm:"primaryKey"`
	WorkspaceID  int64  `gorm:"not null;uniqueIndex:organizations_products_number,priority:1"`
	ProductID    string `gorm:"not null;uniqueIndex:organizations_products_number,priority:2"` // Particle's number
	Slug         string `gorm:"not null"`
	Name         string `gorm:"not null"`
	Description  string `gorm:"not null"`
	PlatformID   int    `gorm:"not null"`
	Organization string `gorm:"not null"` // "" for products of an account
	Devices      *int   // nil: not known, as when the token may not list them
	Customers    *int
	SeenAt       time.Time
}

// TableName is fixed, whatever the naming of the connection.
func (product) TableName() string { return "organizations_products" }

// The states of an operation.
const (
	opRunning = "running" // begun; after a crash: to be resumed or undone
	opDone    = "done"
	opFailed  = "failed"    // Particle refused; nothing was changed
	opUndone  = "undone"    // was cut short, and what had happened at Particle was taken back
	opUnclear = "attention" // was cut short, and only a person can tell what belongs to it
)

// The kinds of operations.
const (
	opClientCreate = "client_create"
	opClientChange = "client_change"
	opClientDelete = "client_delete"
	opHandOver     = "hand_over"
	opUserCreate   = "user_create"
	opUserRotate   = "user_rotate"
	opDeviceChange = "device_change"
	opDeviceRemove = "device_remove"
	opDeviceImport = "device_import" // stands for an import, which goes on by itself
	opMemberInvite = "member_invite"
	opMemberRemove = "member_remove"
)

// operation is one change at Particle and here. It is written before Particle is called.
type operation struct {
	ID          int64  `gorm:"primaryKey"`
	Once        string `gorm:"not null;uniqueIndex:organizations_operations_once"` // from the form: a form sent twice acts once
	Kind        string `gorm:"not null"`
	WorkspaceID int64  `gorm:"not null;index:organizations_operations_workspace"`
	Workspace   string `gorm:"not null"` // its name at that time
	ProductID   string `gorm:"not null"` // "" for what belongs to the account
	Subject     string `gorm:"not null"` // the client's id, once it is known
	Name        string `gorm:"not null"` // the client's name
	Input       string `gorm:"not null"` // JSON, without secrets: what to do, and what was there before
	State       string `gorm:"not null;index:organizations_operations_state"`
	Sentence    string `gorm:"not null"` // what became of it
	UserID      int64  `gorm:"not null"`
	UserName    string `gorm:"not null"`
	Tries       int    `gorm:"not null"` // of resuming
	NextAt      time.Time
	StartedAt   time.Time
	EndedAt     *time.Time
	SecretUntil *time.Time // until when the secret may be handed over; nil: there is none
}

// TableName is fixed, whatever the naming of the connection.
func (operation) TableName() string { return "organizations_operations" }

// Migrations gives every step since the first version. The structs above are those of step 1; a later step that changes a
// table brings its own.
func (m *Organizations) Migrations() []sdk.Migration {
	return []sdk.Migration{
		sdkdb.Migration(1, "create workspaces, products and operations", func(tx *gorm.DB) error {
			return tx.Migrator().CreateTable(&workspace{}, &product{}, &operation{})
		}),
		sdkdb.Migration(2, "create imports and organizations", func(tx *gorm.DB) error {
			return tx.Migrator().CreateTable(&deviceImport{}, &importLine{}, &organization{})
		}),
	}
}
