package main

import (
	"time"

	"gorm.io/gorm"

	"mortise/core/sdk"
	"mortise/core/sdk/sdkdb"
)

// seen is a device as the cloud described it last: what is shown, greyed, while the cloud does not answer.
type seen struct {
	ID         int64  `gorm:"primaryKey"`
	UserID     int64  `gorm:"not null;index:devices_seen_person"`
	AccountID  int64  `gorm:"not null;uniqueIndex:devices_seen_device,priority:1"`
	DeviceID   string `gorm:"not null;uniqueIndex:devices_seen_device,priority:2"`
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
	ID        int64     `gorm:"primaryKey"`
	UserID    int64     `gorm:"not null;index:devices_values_person"`
	AccountID int64     `gorm:"not null;uniqueIndex:devices_values_name,priority:1"`
	DeviceID  string    `gorm:"not null;uniqueIndex:devices_values_name,priority:2"`
	Name      string    `gorm:"not null;uniqueIndex:devices_values_name,priority:3"`
	Value     string    `gorm:"not null"` // JSON: a string, a number with every digit, a bool or null
	ReadAt    time.Time `gorm:"not null;index:devices_values_age"`
}

// TableName is fixed, whatever the naming of the connection.
func (value) TableName() string { return "devices_values" }

// Migrations gives every step since the first version. The structs above are those of step 1; a later step that changes a
// table brings its own.
func (m *Devices) Migrations() []sdk.Migration {
	return []sdk.Migration{
		sdkdb.Migration(1, "create seen and values", func(tx *gorm.DB) error {
			return tx.Migrator().CreateTable(&seen{}, &value{})
		}),
	}
}
