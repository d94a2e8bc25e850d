package main

import (
	"time"

	"gorm.io/gorm"

	"mortise/core/sdk"
	"mortise/core/sdk/sdkdb"
	"mortise/plugins/internal/tokenapi"
)

// seen is a device as the cloud described it last: what is shown, greyed, while the cloud does not answer. Two people may have the
// same device: each has a row of their own.
type seen struct {
	ID         int64  `gorm:"primaryKey"`
	UserID     int64  `gorm:"not null;uniqueIndex:devices_seen_device,priority:1"`
	Source     string `gorm:"not null;uniqueIndex:devices_seen_device,priority:2"` // key of the source, see source.go
	DeviceID   string `gorm:"not null;uniqueIndex:devices_seen_device,priority:3"`
	Name       string `gorm:"not null"`
	PlatformID int    `gorm:"not null"`
	Online     bool   `gorm:"not null"`
	LastHeard  *time.Time
	Functions  string    `gorm:"not null"` // JSON list of names; "" when the cloud did not say
	Variables  string    `gorm:"not null"` // JSON object of name to type; "" when the cloud did not say
	SeenAt     time.Time `gorm:"not null;index:devices_seen_age"`
}

// TableName is fixed, whatever the naming of the connection.
func (seen) TableName() string { return "devices_seen" }

// value is the last known value of a variable.
type value struct {
	ID       int64     `gorm:"primaryKey"`
	UserID   int64     `gorm:"not null;uniqueIndex:devices_values_name,priority:1"`
	Source   string    `gorm:"not null;uniqueIndex:devices_values_name,priority:2"`
	DeviceID string    `gorm:"not null;uniqueIndex:devices_values_name,priority:3"`
	Name     string    `gorm:"not null;uniqueIndex:devices_values_name,priority:4"`
	Value    string    `gorm:"not null"` // JSON: a string, a number with every digit, a bool or null
	ReadAt   time.Time `gorm:"not null;index:devices_values_age"`
}

// TableName is fixed, whatever the naming of the connection.
func (value) TableName() string { return "devices_values" }

// ownName is what a person calls a device of the maker's fleet, whose own name is not theirs to change.
type ownName struct {
	ID        int64     `gorm:"primaryKey"`
	UserID    int64     `gorm:"not null;uniqueIndex:devices_names_device,priority:1"`
	Source    string    `gorm:"not null;uniqueIndex:devices_names_device,priority:2"`
	DeviceID  string    `gorm:"not null;uniqueIndex:devices_names_device,priority:3"`
	Name      string    `gorm:"not null"`
	ChangedAt time.Time `gorm:"not null"`
}

// TableName is fixed, whatever the naming of the connection.
func (ownName) TableName() string { return "devices_names" }

// answered remembers when a service of another module answered last: whether its silence is a failure, or it is simply not used here.
type answered struct {
	Service    string    `gorm:"primaryKey"`
	AnsweredAt time.Time `gorm:"not null"`
}

// TableName is fixed, whatever the naming of the connection.
func (answered) TableName() string { return "devices_services" }

// Migrations gives every step since the first version.
func (m *Devices) Migrations() []sdk.Migration {
	return []sdk.Migration{
		sdkdb.Migration(1, "create seen and values", createFirst),
		sdkdb.Migration(2, "keep attached devices too", keepAttached),
	}
}

// The tables of step 1.
type firstSeen struct {
	ID         int64  `gorm:"primaryKey"`
	UserID     int64  `gorm:"not null;index:devices_seen_person"`
	AccountID  int64  `gorm:"not null;uniqueIndex:devices_seen_device,priority:1"`
	DeviceID   string `gorm:"not null;uniqueIndex:devices_seen_device,priority:2"`
	Name       string `gorm:"not null"`
	PlatformID int    `gorm:"not null"`
	Online     bool   `gorm:"not null"`
	LastHeard  *time.Time
	Functions  string    `gorm:"not null"`
	Variables  string    `gorm:"not null"`
	SeenAt     time.Time `gorm:"not null;index:devices_seen_age"`
}

// TableName is that of seen.
func (firstSeen) TableName() string { return "devices_seen" }

type firstValue struct {
	ID        int64     `gorm:"primaryKey"`
	UserID    int64     `gorm:"not null;index:devices_values_person"`
	AccountID int64     `gorm:"not null;uniqueIndex:devices_values_name,priority:1"`
	DeviceID  string    `gorm:"not null;uniqueIndex:devices_values_name,priority:2"`
	Name      string    `gorm:"not null;uniqueIndex:devices_values_name,priority:3"`
	Value     string    `gorm:"not null"`
	ReadAt    time.Time `gorm:"not null;index:devices_values_age"`
}

// TableName is that of value.
func (firstValue) TableName() string { return "devices_values" }

func createFirst(tx *gorm.DB) error { return tx.Migrator().CreateTable(&firstSeen{}, &firstValue{}) }

// keepAttached has rows name their source instead of an account, so that two people can have the same device.
func keepAttached(tx *gorm.DB) error {
	for _, statement := range []string{
		"ALTER TABLE devices_seen ADD COLUMN source TEXT NOT NULL DEFAULT ''",
		"UPDATE devices_seen SET source = 'account/' || account_id",
		"DROP INDEX devices_seen_device",
		"DROP INDEX devices_seen_person",
		"ALTER TABLE devices_seen DROP COLUMN account_id",
		"CREATE UNIQUE INDEX devices_seen_device ON devices_seen (user_id, source, device_id)",
		"ALTER TABLE devices_values ADD COLUMN source TEXT NOT NULL DEFAULT ''",
		"UPDATE devices_values SET source = 'account/' || account_id",
		"DROP INDEX devices_values_name",
		"DROP INDEX devices_values_person",
		"ALTER TABLE devices_values DROP COLUMN account_id",
		"CREATE UNIQUE INDEX devices_values_name ON devices_values (user_id, source, device_id, name)",
		"CREATE TABLE devices_names (id INTEGER PRIMARY KEY AUTOINCREMENT, user_id INTEGER NOT NULL, source TEXT NOT NULL, device_id TEXT NOT NULL, name TEXT NOT NULL, changed_at DATETIME NOT NULL)",
		"CREATE UNIQUE INDEX devices_names_device ON devices_names (user_id, source, device_id)",
		"CREATE TABLE devices_services (service TEXT PRIMARY KEY, answered_at DATETIME NOT NULL)",
	} {
		if err := tx.Exec(statement).Error; err != nil {
			return err
		}
	}
	// Who has rows from before has linking: it was needed then.
	return tx.Exec("INSERT INTO devices_services (service, answered_at) SELECT ?, max(seen_at) FROM devices_seen HAVING count(*) > 0", tokenapi.Service).Error
}
