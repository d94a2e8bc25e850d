package main

import (
	"context"
	"encoding/json"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"mortise/plugins/internal/particle"
)

// records holds every query of the module.
type records struct {
	db *gorm.DB
}

// saveList keeps what the cloud said of an account's devices, and forgets devices that are not among them any more.
func (s *records) saveList(ctx context.Context, userID, accountID int64, list []particle.Device, now time.Time) error {
	rows, ids := make([]seen, 0, len(list)), make([]string, 0, len(list))
	for _, d := range list {
		rows, ids = append(rows, rowOf(userID, accountID, d, now)), append(ids, d.ID)
	}
	return s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		gone := tx.Where("account_id = ?", accountID)
		if len(ids) > 0 {
			gone = gone.Where("device_id NOT IN ?", ids)
		}
		if err := gone.Delete(&seen{}).Error; err != nil || len(rows) == 0 {
			return err
		}
		return tx.Clauses(clause.OnConflict{
			Columns:   []clause.Column{{Name: "account_id"}, {Name: "device_id"}},
			DoUpdates: clause.AssignmentColumns([]string{"user_id", "name", "platform_id", "online", "last_heard", "functions", "variables", "seen_at"}),
		}).CreateInBatches(rows, 50).Error
	})
}

func rowOf(userID, accountID int64, d particle.Device, now time.Time) seen {
	row := seen{UserID: userID, AccountID: accountID, DeviceID: d.ID, Name: d.Name, PlatformID: d.PlatformID, Online: d.Online, SeenAt: now}
	if !d.LastHeard.IsZero() {
		heard := d.LastHeard
		row.LastHeard = &heard
	}
	if d.Functions != nil {
		text, _ := json.Marshal(d.Functions) // strings always encode
		row.Functions = string(text)
	}
	if d.Variables != nil {
		text, _ := json.Marshal(d.Variables)
		row.Variables = string(text)
	}
	return row
}

func (r seen) device() particle.Device {
	d := particle.Device{ID: r.DeviceID, Name: r.Name, PlatformID: r.PlatformID, Online: r.Online}
	if r.LastHeard != nil {
		d.LastHeard = *r.LastHeard
	}
	if r.Functions != "" {
		_ = json.Unmarshal([]byte(r.Functions), &d.Functions) // what cannot be read is unknown
	}
	if r.Variables != "" {
		_ = json.Unmarshal([]byte(r.Variables), &d.Variables)
	}
	return d
}

// lastSeen lists what was known of an account's devices. userID guards against an account id that is not the person's.
func (s *records) lastSeen(ctx context.Context, userID, accountID int64) ([]seen, error) {
	var rows []seen
	err := s.db.WithContext(ctx).Where("user_id = ? AND account_id = ?", userID, accountID).Order("name, device_id").Limit(maxDevices).Find(&rows).Error
	return rows, err
}

// saveValues keeps values that were read.
func (s *records) saveValues(ctx context.Context, rows []value) error {
	if len(rows) == 0 {
		return nil
	}
	return s.db.WithContext(ctx).Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "account_id"}, {Name: "device_id"}, {Name: "name"}},
		DoUpdates: clause.AssignmentColumns([]string{"user_id", "value", "read_at"}),
	}).Create(&rows).Error
}

// values lists the last known values of a device.
func (s *records) values(ctx context.Context, userID, accountID int64, deviceID string) (map[string]value, error) {
	var rows []value
	err := s.db.WithContext(ctx).Where("user_id = ? AND account_id = ? AND device_id = ?", userID, accountID, deviceID).Limit(200).Find(&rows).Error
	byName := make(map[string]value, len(rows))
	for _, r := range rows {
		byName[r.Name] = r
	}
	return byName, err
}

// deviceKey is a device as a linked account has it: two people may have linked the same one.
type deviceKey struct {
	account int64
	device  string
}

// valuesOfPerson lists the last known values of all devices of a person.
func (s *records) valuesOfPerson(ctx context.Context, userID int64) (map[deviceKey]map[string]value, error) {
	var rows []value
	err := s.db.WithContext(ctx).Where("user_id = ?", userID).Limit(maxDevices * maxListed).Find(&rows).Error
	known := map[deviceKey]map[string]value{}
	for _, r := range rows {
		key := deviceKey{r.AccountID, r.DeviceID}
		if known[key] == nil {
			known[key] = map[string]value{}
		}
		known[key][r.Name] = r
	}
	return known, err
}

// forgetAccount erases what was kept of an account.
func (s *records) forgetAccount(ctx context.Context, accountID int64) error {
	return s.erase(ctx, "account_id = ?", accountID)
}

// forgetPerson erases what was kept of a person's devices.
func (s *records) forgetPerson(ctx context.Context, userID int64) error {
	return s.erase(ctx, "user_id = ?", userID)
}

func (s *records) erase(ctx context.Context, where string, arg any) error {
	return s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := tx.Where(where, arg).Delete(&seen{}).Error; err != nil {
			return err
		}
		return tx.Where(where, arg).Delete(&value{}).Error
	})
}

// trim erases what has not been seen or read since t.
func (s *records) trim(ctx context.Context, t time.Time) error {
	if err := s.db.WithContext(ctx).Where("seen_at < ?", t).Delete(&seen{}).Error; err != nil {
		return err
	}
	return s.db.WithContext(ctx).Where("read_at < ?", t).Delete(&value{}).Error
}
