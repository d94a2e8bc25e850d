package main

import (
	"context"
	"strconv"
	"strings"
	"time"

	"gorm.io/gorm"
)

// attemptFilter says which attempts to list.
type attemptFilter struct {
	UserID  int64  // 0: everybody's
	Outcome string // "": all
	Query   string // part of a reference, a name or a Particle account, or a user's number
	Page    int    // from 1
	PerPage int
}

// attempts lists attempts, the newest first, and counts all that match.
func (s *records) attempts(ctx context.Context, f attemptFilter) (list []attempt, total int64, err error) {
	q := s.db.WithContext(ctx).Model(&attempt{})
	if f.UserID != 0 {
		q = q.Where("user_id = ?", f.UserID)
	}
	switch f.Outcome {
	case "":
	case attemptOpen:
		q = q.Where("outcome = ? AND deadline >= ?", attemptOpen, s.now())
	case attemptAbandoned: // also those that the retention job has not ended yet
		q = q.Where("(outcome = ? OR (outcome = ? AND deadline < ?))", attemptAbandoned, attemptOpen, s.now())
	default:
		q = q.Where("outcome = ?", f.Outcome)
	}
	if f.Query != "" {
		text := like(f.Query)
		number, _ := strconv.ParseInt(f.Query, 10, 64) // 0 when it is none, which matches nobody who is signed in
		q = q.Where("(reference LIKE ? ESCAPE '!' OR user_name LIKE ? ESCAPE '!' OR username LIKE ? ESCAPE '!' OR (user_id = ? AND user_id <> 0))",
			strings.ToUpper(text), text, text, number)
	}
	q = q.Session(&gorm.Session{})
	if err := q.Count(&total).Error; err != nil {
		return nil, 0, err
	}
	err = q.Order("id DESC").Limit(f.PerPage).Offset((f.Page - 1) * f.PerPage).Find(&list).Error
	return list, total, err
}

// attempt finds one by its reference, with its steps. userID 0 finds everybody's.
func (s *records) attempt(ctx context.Context, reference string, userID int64) (*attempt, []step, error) {
	var a attempt
	q := s.db.WithContext(ctx).Where("reference = ?", reference)
	if userID != 0 {
		q = q.Where("user_id = ?", userID)
	}
	if _, err := found(&a, q.Take(&a).Error, "There is no attempt with this reference."); err != nil {
		return nil, nil, err
	}
	var steps []step
	err := s.db.WithContext(ctx).Where("attempt_id = ?", a.ID).Order("id").Limit(maxSteps + 20).Find(&steps).Error
	return &a, steps, err
}

// maxStrange bounds the answers without an attempt that are filed for one person within stateLife.
const maxStrange = 10

// countStrange counts them.
func (s *records) countStrange(ctx context.Context, userID int64) (int64, error) {
	var n int64
	err := s.db.WithContext(ctx).Model(&attempt{}).
		Where("user_id = ? AND state_hash = '' AND started_at > ?", userID, s.now().Add(-stateLife)).Count(&n).Error
	return n, err
}

// lastSiteFailure finds the newest attempt since t that failed by the site's settings and after which nobody has linked.
// nil: there is none.
func (s *records) lastSiteFailure(ctx context.Context, since time.Time) (*attempt, error) {
	var list []attempt
	err := s.db.WithContext(ctx).Where("outcome IN ? AND started_at > ?", []string{attemptFailed, attemptLinked}, since).
		Where("site = ? OR outcome = ?", true, attemptLinked).Order("id DESC").Limit(1).Find(&list).Error
	if err != nil || len(list) == 0 || list[0].Outcome != attemptFailed {
		return nil, err
	}
	return &list[0], nil
}

// trim ends attempts whose person never came back, and forgets old ones with their steps, a bounded number at a time.
func (s *records) trim(ctx context.Context, keep time.Duration) error {
	now := s.now()
	err := s.db.WithContext(ctx).Model(&attempt{}).Where("outcome = ? AND deadline < ?", attemptOpen, now).
		Updates(map[string]any{"outcome": attemptAbandoned, "ended_at": now}).Error
	for err == nil {
		var ids []int64
		err = s.db.WithContext(ctx).Model(&attempt{}).Where("started_at < ?", now.Add(-keep)).Order("id").Limit(200).Pluck("id", &ids).Error
		if err != nil || len(ids) == 0 {
			return err
		}
		err = s.forget(ctx, ids)
	}
	return err
}

func (s *records) forget(ctx context.Context, ids []int64) error {
	return s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := tx.Where("attempt_id IN ?", ids).Delete(&step{}).Error; err != nil {
			return err
		}
		return tx.Where("id IN ?", ids).Delete(&attempt{}).Error
	})
}

// forgetPerson forgets every attempt of a person who is gone.
func (s *records) forgetPerson(ctx context.Context, userID int64) error {
	for {
		var ids []int64
		err := s.db.WithContext(ctx).Model(&attempt{}).Where("user_id = ?", userID).Limit(200).Pluck("id", &ids).Error
		if err != nil || len(ids) == 0 {
			return err
		}
		if err := s.forget(ctx, ids); err != nil {
			return err
		}
	}
}

// staleSaving lists accounts whose sealing never ended, because the program stopped in between.
func (s *records) staleSaving(ctx context.Context) ([]account, error) {
	var list []account
	err := s.db.WithContext(ctx).Where("state = ? AND linked_at < ?", accountSaving, s.now().Add(-time.Hour)).Limit(100).Find(&list).Error
	return list, err
}

// counts are the figures of the set-up page.
type counts struct {
	accounts, dead int64 // linked accounts, and those of them that are dead
	failed         int64 // attempts that failed in the last week
}

func (s *records) counts(ctx context.Context) (counts, error) {
	var c counts
	for _, q := range []struct {
		into  *int64
		model any
		where []any
	}{
		{&c.accounts, &account{}, []any{"state <> ?", accountSaving}},
		{&c.dead, &account{}, []any{"state = ?", accountDead}},
		{&c.failed, &attempt{}, []any{"outcome = ? AND started_at > ?", attemptFailed, s.now().Add(-findingLife)}},
	} {
		if err := s.db.WithContext(ctx).Model(q.model).Where(q.where[0], q.where[1:]...).Count(q.into).Error; err != nil {
			return counts{}, err
		}
	}
	return c, nil
}
