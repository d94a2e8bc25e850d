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

// of narrows a query to what a person has through a source.
func (s *records) of(ctx context.Context, userID int64, source string) *gorm.DB {
	return s.db.WithContext(ctx).Where("user_id = ? AND source = ?", userID, source)
}

const rowsAtOnce = 50 // of one INSERT

// saveList keeps what the cloud said of a source's devices, and forgets devices that are not among them any more.
func (s *records) saveList(ctx context.Context, userID int64, source string, list []particle.Device, now time.Time) error {
	ids := make([]string, 0, len(list))
	for _, d := range list {
		ids = append(ids, d.ID)
	}
	return s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		gone := tx.Where("user_id = ? AND source = ?", userID, source)
		if len(ids) > 0 {
			gone = gone.Where("device_id NOT IN ?", ids)
		}
		if err := gone.Delete(&seen{}).Error; err != nil {
			return err
		}
		return saveSeen(tx, rowsOf(userID, source, list, now))
	})
}

// saveStates keeps how devices are. What their programs offer, which is not said then, stays as it was.
func (s *records) saveStates(ctx context.Context, userID int64, source string, list []particle.Device, now time.Time) error {
	rows := rowsOf(userID, source, list, now)
	if len(rows) == 0 {
		return nil
	}
	return s.db.WithContext(ctx).Clauses(upsertSeen("name", "platform_id", "online", "last_heard", "seen_at")).CreateInBatches(rows, rowsAtOnce).Error
}

// saveDevices keeps everything about devices.
func (s *records) saveDevices(ctx context.Context, userID int64, source string, list []particle.Device, now time.Time) error {
	return saveSeen(s.db.WithContext(ctx), rowsOf(userID, source, list, now))
}

func saveSeen(tx *gorm.DB, rows []seen) error {
	if len(rows) == 0 {
		return nil
	}
	return tx.Clauses(upsertSeen("name", "platform_id", "online", "last_heard", "functions", "variables", "seen_at")).CreateInBatches(rows, rowsAtOnce).Error
}

func upsertSeen(columns ...string) clause.OnConflict {
	return clause.OnConflict{Columns: []clause.Column{{Name: "user_id"}, {Name: "source"}, {Name: "device_id"}}, DoUpdates: clause.AssignmentColumns(columns)}
}

func rowsOf(userID int64, source string, list []particle.Device, now time.Time) []seen {
	rows := make([]seen, 0, len(list))
	for _, d := range list {
		row := seen{UserID: userID, Source: source, DeviceID: d.ID, Name: d.Name, PlatformID: d.PlatformID, Online: d.Online, LastHeard: momentOf(d.LastHeard), SeenAt: now}
		if d.Functions != nil {
			text, _ := json.Marshal(d.Functions) // strings always encode
			row.Functions = string(text)
		}
		if d.Variables != nil {
			text, _ := json.Marshal(d.Variables)
			row.Variables = string(text)
		}
		rows = append(rows, row)
	}
	return rows
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

// lastSeen lists what was known of a source's devices. userID guards against an account id that is not the person's.
func (s *records) lastSeen(ctx context.Context, userID int64, source string) ([]seen, error) {
	var rows []seen
	err := s.of(ctx, userID, source).Order("name, device_id").Limit(maxGiven).Find(&rows).Error
	return rows, err
}

// fleetNames gives the names by which a source's devices were known last.
func (s *records) fleetNames(ctx context.Context, userID int64, source string) (map[string]string, error) {
	var rows []struct{ DeviceID, Name string }
	err := s.of(ctx, userID, source).Model(&seen{}).Select("device_id", "name").Limit(maxGiven).Scan(&rows).Error
	names := make(map[string]string, len(rows))
	for _, r := range rows {
		names[r.DeviceID] = r.Name
	}
	return names, err
}

// saveValues keeps values that were read.
func (s *records) saveValues(ctx context.Context, rows []value) error {
	if len(rows) == 0 {
		return nil
	}
	return s.db.WithContext(ctx).Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "user_id"}, {Name: "source"}, {Name: "device_id"}, {Name: "name"}},
		DoUpdates: clause.AssignmentColumns([]string{"value", "read_at"}),
	}).Create(&rows).Error
}

// values lists the last known values of a device.
func (s *records) values(ctx context.Context, userID int64, source, deviceID string) (map[string]value, error) {
	var rows []value
	err := s.of(ctx, userID, source).Where("device_id = ?", deviceID).Limit(200).Find(&rows).Error
	byName := make(map[string]value, len(rows))
	for _, r := range rows {
		byName[r.Name] = r
	}
	return byName, err
}

// deviceKey is a device as a source has it.
type deviceKey struct{ source, device string }

// valuesOfPerson lists the last known values of a person's devices: of some, or of all when none are named.
func (s *records) valuesOfPerson(ctx context.Context, userID int64, devices ...string) (map[deviceKey]map[string]value, error) {
	var rows []value
	wanted := s.db.WithContext(ctx).Where("user_id = ?", userID)
	if len(devices) > 0 {
		wanted = wanted.Where("device_id IN ?", devices)
	}
	err := wanted.Limit(maxDevices * maxListed).Find(&rows).Error
	known := map[deviceKey]map[string]value{}
	for _, r := range rows {
		key := deviceKey{r.Source, r.DeviceID}
		if known[key] == nil {
			known[key] = map[string]value{}
		}
		known[key][r.Name] = r
	}
	return known, err
}

// names lists what a person calls devices.
func (s *records) names(ctx context.Context, userID int64) (map[deviceKey]string, error) {
	var rows []ownName
	err := s.db.WithContext(ctx).Where("user_id = ?", userID).Limit(maxNames).Find(&rows).Error
	names := make(map[deviceKey]string, len(rows))
	for _, r := range rows {
		names[deviceKey{r.Source, r.DeviceID}] = r.Name
	}
	return names, err
}

const maxNames = 2000 // of one person; a device whose name is beyond shows the maker's

// saveName keeps what a person calls a device; "" forgets it.
func (s *records) saveName(ctx context.Context, row ownName) error {
	if row.Name == "" {
		return s.of(ctx, row.UserID, row.Source).Where("device_id = ?", row.DeviceID).Delete(&ownName{}).Error
	}
	return s.db.WithContext(ctx).Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "user_id"}, {Name: "source"}, {Name: "device_id"}},
		DoUpdates: clause.AssignmentColumns([]string{"name", "changed_at"}),
	}).Create(&row).Error
}

// forgetPerson erases what was kept of a person's devices.
func (s *records) forgetPerson(ctx context.Context, userID int64) error {
	return s.erase(ctx, "user_id = ?", userID)
}

// forgetDevice erases what a person had of one device through a source.
func (s *records) forgetDevice(ctx context.Context, userID int64, source, deviceID string) error {
	return s.erase(ctx, "user_id = ? AND source = ? AND device_id = ?", userID, source, deviceID)
}

// forgetSource erases what a person had through a source.
func (s *records) forgetSource(ctx context.Context, userID int64, source string) error {
	return s.erase(ctx, "user_id = ? AND source = ?", userID, source)
}

func (s *records) erase(ctx context.Context, where string, args ...any) error {
	return s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		for _, row := range []any{&seen{}, &value{}, &ownName{}} {
			if err := tx.Where(where, args...).Delete(row).Error; err != nil {
				return err
			}
		}
		return nil
	})
}

// trim erases what has not been seen or read since t. Names stay as long as their devices.
func (s *records) trim(ctx context.Context, t time.Time) error {
	if err := s.db.WithContext(ctx).Where("seen_at < ?", t).Delete(&seen{}).Error; err != nil {
		return err
	}
	return s.db.WithContext(ctx).Where("read_at < ?", t).Delete(&value{}).Error
}

// answeredAt tells when a service answered last; the zero time for never.
func (s *records) answeredAt(ctx context.Context, service string) (time.Time, error) {
	var rows []answered
	err := s.db.WithContext(ctx).Where("service = ?", service).Limit(1).Find(&rows).Error
	if err != nil || len(rows) == 0 {
		return time.Time{}, err
	}
	return rows[0].AnsweredAt, nil
}

// noteAnswer remembers that a service answered.
func (s *records) noteAnswer(ctx context.Context, service string, at time.Time) error {
	return s.db.WithContext(ctx).Clauses(clause.OnConflict{
		Columns: []clause.Column{{Name: "service"}}, DoUpdates: clause.AssignmentColumns([]string{"answered_at"}),
	}).Create(&answered{Service: service, AnsweredAt: at}).Error
}
