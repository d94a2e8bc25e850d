package handover

import (
	"context"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// liveKeys finds the keys of records that nobody has used yet, by record.
func (s *records) liveKeys(ctx context.Context, recordIDs []int64) (map[int64]*keyRow, error) {
	var list []keyRow
	err := s.db.WithContext(ctx).Where("record_id IN ? AND state = ?", recordIDs, keyLive).Find(&list).Error
	byRecord := make(map[int64]*keyRow, len(list))
	for i := range list {
		byRecord[list[i].RecordID] = &list[i]
	}
	return byRecord, err
}

// keyOf finds a key of any state with its record by the key's hash. Both are nil when there is none.
func (s *records) keyOf(tx *gorm.DB, hash string) (*keyRow, *record, error) {
	var keys []keyRow
	if err := tx.Where("hash = ?", hash).Limit(1).Find(&keys).Error; err != nil || len(keys) == 0 {
		return nil, nil, err
	}
	var list []record
	if err := tx.Where("id = ?", keys[0].RecordID).Limit(1).Find(&list).Error; err != nil || len(list) == 0 {
		return nil, nil, err
	}
	return &keys[0], &list[0], nil
}

// addKeys writes new keys that are not in force yet; their numbers are filled in.
func (s *records) addKeys(ctx context.Context, list []keyRow) error {
	return s.db.WithContext(ctx).CreateInBatches(list, 200).Error
}

// enforce puts keys into force.
func (s *records) enforce(tx *gorm.DB, keyIDs []int64) error {
	return tx.Model(&keyRow{}).Where("id IN ?", keyIDs).Updates(map[string]any{"state": keyLive, "ended_at": nil}).Error
}

// endKeys ends the keys of records that are in force.
func (s *records) endKeys(tx *gorm.DB, recordIDs []int64, state string, now time.Time) error {
	return tx.Model(&keyRow{}).Where("record_id IN ? AND state = ?", recordIDs, keyLive).Updates(map[string]any{"state": state, "ended_at": now}).Error
}

// useKey uses a key up. ok is false when it was not in force any more.
func (s *records) useKey(tx *gorm.DB, hash string, now time.Time) (ok bool, err error) {
	done := tx.Model(&keyRow{}).Where("hash = ? AND state = ? AND (expires_at IS NULL OR expires_at > ?)", hash, keyLive, now).
		Updates(map[string]any{"state": keyUsed, "ended_at": now})
	return done.RowsAffected == 1, done.Error
}

// sealedInVain lists up to n keys that have ended but may still be sealed. Those that never came into force count as ended when
// they are older than before: somebody may be about to bring them into force.
func (s *records) sealedInVain(ctx context.Context, before time.Time, n int) (ids []int64, err error) {
	return ids, s.db.WithContext(ctx).Model(&keyRow{}).Where("sealed = ? AND (state IN ? OR state = ? AND ended_at < ?)", true, []string{keyUsed, keyRevoked}, keyMaking, before).
		Order("id").Limit(n).Pluck("id", &ids).Error
}

// unsealed notes that the sealed copies of keys are erased; keys of records that are deleted go altogether.
func (s *records) unsealed(ctx context.Context, keyIDs []int64) error {
	db := s.db.WithContext(ctx)
	if err := db.Model(&keyRow{}).Where("id IN ?", keyIDs).Update("sealed", false).Error; err != nil {
		return err
	}
	return db.Where("id IN ? AND NOT EXISTS (SELECT 1 FROM customers_records r WHERE r.id = customers_keys.record_id)", keyIDs).Delete(&keyRow{}).Error
}

// ended lists the keys of a record that have ended but may still be sealed.
func (s *records) ended(ctx context.Context, recordID int64) (ids []int64, err error) {
	return ids, s.db.WithContext(ctx).Model(&keyRow{}).Where("record_id = ? AND sealed = ? AND state IN ?", recordID, true, []string{keyUsed, keyRevoked}).Pluck("id", &ids).Error
}

// tries counts what a person, or for 0 anybody, has tried since a time.
func (s *records) tries(tx *gorm.DB, userID int64, kind string, since time.Time) (n int64, err error) {
	q := tx.Model(&try{}).Where("kind = ? AND at > ?", kind, since)
	if userID != 0 {
		q = q.Where("user_id = ?", userID)
	}
	return n, q.Count(&n).Error
}

// oldest tells when the oldest of a person's tries since a time was.
func (s *records) oldest(tx *gorm.DB, userID int64, kind string, since time.Time) (at time.Time, err error) {
	var list []try
	err = tx.Where("user_id = ? AND kind = ? AND at > ?", userID, kind, since).Order("at").Limit(1).Find(&list).Error
	if err != nil || len(list) == 0 {
		return at, err
	}
	return list[0].At, nil
}

// note counts a try. The same hash of the same person counts once.
func (s *records) note(tx *gorm.DB, t try) error {
	return tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&t).Error
}

// forgetTries forgets tries that count no more.
func (s *records) forgetTries(ctx context.Context, before time.Time) error {
	return s.db.WithContext(ctx).Where("at < ?", before).Delete(&try{}).Error
}

// claimed gives a record that is ready to a person.
func (s *records) claimed(tx *gorm.DB, recordID, userID int64, now time.Time) (ok bool, err error) {
	done := tx.Model(&record{}).Where("id = ? AND state = ?", recordID, stateReady).
		Updates(map[string]any{"state": stateClaimed, "user_id": userID, "claimed_at": now, "version": gorm.Expr("version + 1")})
	return done.RowsAffected == 1, done.Error
}
