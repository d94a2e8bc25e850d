package history

import (
	"context"
	"time"

	"gorm.io/gorm"

	"mortise/core/sdk"
)

// Entry is one thing that happened.
type Entry struct {
	ID       int64     `json:"id" gorm:"primaryKey"`
	UserID   int64     `json:"user_id" gorm:"not null;index:customers_history_person,priority:1"`   // the customer; 0 for none
	DeviceID string    `json:"device_id" gorm:"not null;index:customers_history_device,priority:1"` // "" for none
	RecordID int64     `json:"record_id" gorm:"not null;index:customers_history_record,priority:1"` // the device record; 0 for none
	Kind     string    `json:"kind" gorm:"not null"`                                                // machine word, such as attached
	Sentence string    `json:"sentence" gorm:"not null"`                                            // for people, at most 500 characters
	ByID     int64     `json:"by_id" gorm:"not null"`                                               // who did it; 0 for the site itself
	ByName   string    `json:"by_name" gorm:"not null"`                                             // their name at that time
	At       time.Time `json:"at" gorm:"not null;index:customers_history_age"`
}

// TableName is fixed, whatever the naming of the connection.
func (Entry) TableName() string { return "customers_history" }

// Migrate creates the table. It belongs to step 1 of the module and is never changed.
func Migrate(tx *gorm.DB) error { return tx.Migrator().CreateTable(&Entry{}) }

// Actor is who does something.
type Actor struct {
	ID   int64
	Name string // "" for the site itself
}

// By tells whom ctx speaks for.
func By(ctx context.Context) Actor {
	user := sdk.UserFrom(ctx)
	return Actor{ID: user.UserID, Name: user.Name}
}

// With fills in who did it.
func (e Entry) With(a Actor) Entry {
	e.ByID, e.ByName = a.ID, a.Name
	return e
}

// Add writes entries. Without a time they are of now.
func Add(tx *gorm.DB, entries ...Entry) error {
	if len(entries) == 0 {
		return nil
	}
	now := time.Now().UTC()
	for i := range entries {
		e := &entries[i]
		if e.At.IsZero() {
			e.At = now
		}
		if runes := []rune(e.Sentence); len(runes) > 500 {
			e.Sentence = string(runes[:500])
		}
	}
	return tx.CreateInBatches(entries, 200).Error
}

// Filter says which entries are wanted. Of UserID, DeviceID and RecordID those that are set must all match; at least one must be.
type Filter struct {
	UserID   int64
	DeviceID string
	RecordID int64
	Before   int64 // only entries with a smaller id; 0 for the newest
	Limit    int   // 1 to 200, else 50
}

// List gives entries, the newest first. more tells that there are older ones.
func List(ctx context.Context, db *gorm.DB, f Filter) (list []Entry, more bool, err error) {
	if f.Limit < 1 || f.Limit > 200 {
		f.Limit = 50
	}
	q := db.WithContext(ctx).Order("id DESC").Limit(f.Limit + 1)
	if f.UserID == 0 && f.DeviceID == "" && f.RecordID == 0 {
		return []Entry{}, false, nil
	}
	if f.UserID != 0 {
		q = q.Where("user_id = ?", f.UserID)
	}
	if f.DeviceID != "" {
		q = q.Where("device_id = ?", f.DeviceID)
	}
	if f.RecordID != 0 {
		q = q.Where("record_id = ?", f.RecordID)
	}
	if f.Before > 0 {
		q = q.Where("id < ?", f.Before)
	}
	list = []Entry{}
	if err := q.Find(&list).Error; err != nil {
		return nil, false, err
	}
	if len(list) > f.Limit {
		return list[:f.Limit], true, nil
	}
	return list, false, nil
}

// Forget takes a person out: entries about them go, and of what they did themselves only the name goes.
func Forget(ctx context.Context, db *gorm.DB, userID int64) error {
	return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := tx.Where("user_id = ?", userID).Delete(&Entry{}).Error; err != nil {
			return err
		}
		return tx.Model(&Entry{}).Where("by_id = ?", userID).Updates(map[string]any{"by_id": 0, "by_name": "a former customer"}).Error
	})
}

// Trim erases entries that are older than t.
func Trim(ctx context.Context, db *gorm.DB, t time.Time) error {
	return db.WithContext(ctx).Where("at < ?", t).Delete(&Entry{}).Error
}
