package main

import (
	"testing"
	"time"

	"gorm.io/gorm"

	"mortise/core/sdk"
	"mortise/core/sdk/sdkdb"
	"mortise/plugins/internal/moduletest"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/tokenapi"
)

// grown is the module on a site that had its first version.
type grown struct{ *Devices }

// Migrations puts rows of the first version between the steps.
func (g grown) Migrations() []sdk.Migration {
	steps := g.Devices.Migrations()
	return []sdk.Migration{steps[0],
		sdkdb.Migration(2, "rows of the first version", func(tx *gorm.DB) error {
			now := time.Now().UTC()
			if err := tx.Create(&firstSeen{UserID: 2, AccountID: 7, DeviceID: lamp, Name: "Porch lamp", PlatformID: 6, SeenAt: now}).Error; err != nil {
				return err
			}
			return tx.Create(&firstValue{UserID: 2, AccountID: 7, DeviceID: lamp, Name: "led", Value: `"on"`, ReadAt: now}).Error
		}),
		sdkdb.Migration(3, "keep attached devices too", keepAttached)}
}

func TestMigration_KeepsWhatWasKnownOfLinkedAccounts(t *testing.T) {
	t.Parallel()
	m := New()
	moduletest.Start(t, grown{m}, manifest, moduletest.Options{})
	rows, err := m.records.lastSeen(t.Context(), 2, accountKey(7))
	if err != nil || len(rows) != 1 || rows[0].Name != "Porch lamp" {
		t.Errorf("%+v, %v", rows, err)
	}
	values, err := m.records.values(t.Context(), 2, accountKey(7), lamp)
	if err != nil || values["led"].Value != `"on"` {
		t.Errorf("%+v, %v", values, err)
	}
	if at, err := m.records.answeredAt(t.Context(), tokenapi.Service); err != nil || at.IsZero() {
		t.Errorf("linking counts as unused: %v, %v", at, err)
	}
	for _, user := range []int64{2, 3} { // two people may have the same device
		if err := m.records.saveDevices(t.Context(), user, pumps, []particle.Device{rows[0].device()}, time.Now()); err != nil {
			t.Error(err)
		}
	}
}

func TestMigration_ANewSiteKnowsOfNoLinking(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if at, err := b.module.records.answeredAt(t.Context(), tokenapi.Service); err != nil || !at.IsZero() {
		t.Errorf("%v, %v", at, err)
	}
}
