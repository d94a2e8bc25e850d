package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"gorm.io/gorm"

	"mortise/core/fault"
	"mortise/core/sdk/sdkdb"
)

// records holds every query of the module. No call to the host, and none to Particle, is made inside a transaction: the
// host's own writes wait for the same writer.
type records struct {
	db  *gorm.DB
	now func() time.Time
}

const (
	stateLife       = 10 * time.Minute
	maxOpenAttempts = 10 // of one person within stateLife
	maxSteps        = 40 // of one attempt: somebody who reloads the callback for ever fills nothing
)

// open writes a new attempt with its first step. The reference is chosen here, anew when it is taken.
func (s *records) open(ctx context.Context, a *attempt, first step) error {
	for range 5 {
		a.ID, a.Reference = 0, newReference()
		err := s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
			if err := tx.Create(a).Error; err != nil {
				return err
			}
			first.ID, first.AttemptID, first.At = 0, a.ID, s.now()
			return tx.Create(&first).Error
		})
		if !errors.Is(err, gorm.ErrDuplicatedKey) {
			return err
		}
	}
	return errors.New("no free reference found")
}

// countOpen counts the attempts that a person has begun and not ended lately.
func (s *records) countOpen(ctx context.Context, userID int64) (int64, error) {
	var n int64
	err := s.db.WithContext(ctx).Model(&attempt{}).
		Where("user_id = ? AND outcome = ? AND started_at > ?", userID, attemptOpen, s.now().Add(-stateLife)).Count(&n).Error
	return n, err
}

// byState finds the attempt of a state by its hash. NotFound when there is none.
func (s *records) byState(ctx context.Context, hash string) (*attempt, error) {
	var a attempt
	err := s.db.WithContext(ctx).Where("state_hash = ?", hash).Take(&a).Error
	return found(&a, err, "no such attempt")
}

// newestOpen finds the attempt that a person is probably on: the last one that is still open. NotFound when there is none.
func (s *records) newestOpen(ctx context.Context, userID int64) (*attempt, error) {
	var a attempt
	err := s.db.WithContext(ctx).Where("user_id = ? AND outcome = ? AND deadline > ?", userID, attemptOpen, s.now()).
		Order("id DESC").Limit(1).Take(&a).Error
	return found(&a, err, "no such attempt")
}

// use takes the state of an attempt; false when it has been taken before. Only one caller ever gets true.
func (s *records) use(ctx context.Context, id int64) (bool, error) {
	now := s.now()
	res := s.db.WithContext(ctx).Model(&attempt{}).Where("id = ? AND used_at IS NULL", id).Update("used_at", now)
	return res.RowsAffected == 1, res.Error
}

// note adds a step to an attempt, unless it has too many.
func (s *records) note(ctx context.Context, attemptID int64, st step) error {
	var n int64
	if err := s.db.WithContext(ctx).Model(&step{}).Where("attempt_id = ?", attemptID).Count(&n).Error; err != nil || n >= maxSteps {
		return err
	}
	st.AttemptID, st.At = attemptID, s.now()
	return s.db.WithContext(ctx).Create(&st).Error
}

// failed is the payload of linking.attempt_failed.
type failedEvent struct {
	UserID    int64  `json:"user_id"`
	Reference string `json:"reference"`
	Reason    string `json:"reason"`
	Site      bool   `json:"site"`
}

// fail ends an attempt with its last step, and says so to the other modules, in one transaction.
func (s *records) fail(ctx context.Context, a *attempt, f failure, last step) error {
	now := s.now()
	a.Outcome, a.Reason, a.Site, a.EndedAt = attemptFailed, f.id, f.site, &now
	return s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		last.AttemptID, last.At = a.ID, now
		if err := tx.Create(&last).Error; err != nil {
			return err
		}
		err := tx.Model(&attempt{}).Where("id = ?", a.ID).
			Updates(map[string]any{"outcome": a.Outcome, "reason": a.Reason, "site": a.Site, "ended_at": now}).Error
		if err != nil {
			return err
		}
		return sdkdb.Publish(tx, "linking.attempt_failed", userSubject(a.UserID),
			failedEvent{UserID: a.UserID, Reference: a.Reference, Reason: f.id, Site: f.site})
	})
}

// prepare finds or makes the account's row, so that there is an id to seal the token under.
func (s *records) prepare(ctx context.Context, userID int64, username, baseURL, clientID string) (*account, error) {
	var acc account
	err := s.db.WithContext(ctx).Where("user_id = ? AND username = ?", userID, username).Take(&acc).Error
	if err == nil || !errors.Is(err, gorm.ErrRecordNotFound) {
		return &acc, err
	}
	now := s.now()
	acc = account{UserID: userID, Username: username, BaseURL: baseURL, ClientID: clientID, State: accountSaving, LinkedAt: now, TokenAt: now}
	return &acc, s.db.WithContext(ctx).Create(&acc).Error
}

// accountEvent is the payload of linking.account_linked, _unlinked and _dead.
type accountEvent struct {
	UserID    int64 `json:"user_id"`
	AccountID int64 `json:"account_id"`
}

// linked makes the account active and ends the attempt, after the token has been sealed.
func (s *records) linked(ctx context.Context, acc *account, a *attempt, steps ...step) error {
	now := s.now()
	return s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		acc.State, acc.LinkedAt, acc.DeadAt, acc.RemindedAt = accountActive, now, nil, nil
		if err := tx.Save(acc).Error; err != nil {
			return err
		}
		for _, st := range steps {
			st.AttemptID, st.At = a.ID, now
			if err := tx.Create(&st).Error; err != nil {
				return err
			}
		}
		a.Outcome, a.Username, a.EndedAt = attemptLinked, acc.Username, &now
		err := tx.Model(&attempt{}).Where("id = ?", a.ID).
			Updates(map[string]any{"outcome": a.Outcome, "username": a.Username, "ended_at": now}).Error
		if err != nil {
			return err
		}
		return sdkdb.Publish(tx, "linking.account_linked", userSubject(acc.UserID), accountEvent{acc.UserID, acc.ID})
	})
}

// accounts lists a person's accounts, the oldest first.
func (s *records) accounts(ctx context.Context, userID int64) ([]account, error) {
	var list []account
	err := s.db.WithContext(ctx).Where("user_id = ? AND state <> ?", userID, accountSaving).Order("id").Limit(100).Find(&list).Error
	return list, err
}

// countOf tells how many accounts of a cloud that work each of at most tokenapi.MaxPeople people has; who has none is left out.
func (s *records) countOf(ctx context.Context, users []int64, baseURL string) (map[int64]int, error) {
	var rows []struct {
		UserID int64
		N      int
	}
	err := s.db.WithContext(ctx).Model(&account{}).Where("user_id IN ? AND state = ? AND base_url = ?", users, accountActive, baseURL).
		Select("user_id, count(*) AS n").Group("user_id").Scan(&rows).Error
	counts := make(map[int64]int, len(rows))
	for _, r := range rows {
		counts[r.UserID] = r.N
	}
	return counts, err
}

// everyAccount lists a person's accounts in whatever state.
func (s *records) everyAccount(ctx context.Context, userID int64) ([]account, error) {
	var list []account
	err := s.db.WithContext(ctx).Where("user_id = ?", userID).Order("id").Find(&list).Error
	return list, err
}

// account finds one of a person's own accounts. NotFound also when it is somebody else's.
func (s *records) account(ctx context.Context, userID, id int64) (*account, error) {
	var acc account
	err := s.db.WithContext(ctx).Where("id = ? AND user_id = ? AND state <> ?", id, userID, accountSaving).Take(&acc).Error
	return found(&acc, err, "You have no such linked account.")
}

// renewed writes what a renewal changed, unless the account got another token meanwhile.
func (s *records) renewed(ctx context.Context, acc *account, was int64) (bool, error) {
	res := s.db.WithContext(ctx).Model(&account{}).Where("id = ? AND generation = ?", acc.ID, was).Updates(map[string]any{
		"generation": acc.Generation, "renewable": acc.Renewable, "token_at": acc.TokenAt, "expires_at": acc.ExpiresAt,
		"state": accountActive, "dead_at": nil, "reminded_at": nil,
	})
	return res.RowsAffected == 1, res.Error
}

// touch remembers that the accounts were used.
func (s *records) touch(ctx context.Context, ids []int64) error {
	return s.db.WithContext(ctx).Model(&account{}).Where("id IN ?", ids).Update("last_used_at", s.now()).Error
}

// markDead marks an account whose token of that generation was refused. false: it was dead already or has another token.
func (s *records) markDead(ctx context.Context, acc *account) (bool, error) {
	changed := false
	err := s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		res := tx.Model(&account{}).Where("id = ? AND generation = ? AND state = ?", acc.ID, acc.Generation, accountActive).
			Updates(map[string]any{"state": accountDead, "dead_at": s.now()})
		if res.Error != nil || res.RowsAffected == 0 {
			return res.Error
		}
		changed = true
		return sdkdb.Publish(tx, "linking.account_dead", userSubject(acc.UserID), accountEvent{acc.UserID, acc.ID})
	})
	return changed, err
}

// remove takes an account away and keeps the key of the token that Particle has yet to be told about ("" for none).
func (s *records) remove(ctx context.Context, acc *account, revocationKey string) error {
	now := s.now()
	return s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		res := tx.Where("id = ?", acc.ID).Delete(&account{})
		if res.Error != nil || res.RowsAffected == 0 {
			return res.Error
		}
		if revocationKey != "" {
			if err := tx.Create(newRevocation(revocationKey, acc, now)).Error; err != nil {
				return err
			}
		}
		return sdkdb.Publish(tx, "linking.account_unlinked", userSubject(acc.UserID), accountEvent{acc.UserID, acc.ID})
	})
}

func newRevocation(key string, acc *account, now time.Time) *revocation {
	return &revocation{Key: key, UserID: acc.UserID, BaseURL: acc.BaseURL, NextAt: now, CreatedAt: now}
}

// queueRevocation keeps the key of a superseded token.
func (s *records) queueRevocation(ctx context.Context, acc *account, key string) error {
	return s.db.WithContext(ctx).Create(newRevocation(key, acc, s.now())).Error
}

// dueRevocations lists what may be tried now.
func (s *records) dueRevocations(ctx context.Context, limit int) ([]revocation, error) {
	var list []revocation
	err := s.db.WithContext(ctx).Where("next_at <= ?", s.now()).Order("next_at").Limit(limit).Find(&list).Error
	return list, err
}

// revocationOf finds one by its key. NotFound when it is done already.
func (s *records) revocationOf(ctx context.Context, key string) (*revocation, error) {
	var r revocation
	err := s.db.WithContext(ctx).Where("secret_key = ?", key).Take(&r).Error
	return found(&r, err, "no such revocation")
}

func (s *records) postpone(ctx context.Context, r *revocation, until time.Time) error {
	return s.db.WithContext(ctx).Model(&revocation{}).Where("id = ?", r.ID).Updates(map[string]any{"tries": r.Tries + 1, "next_at": until}).Error
}

func (s *records) dropRevocation(ctx context.Context, id int64) error {
	return s.db.WithContext(ctx).Where("id = ?", id).Delete(&revocation{}).Error
}

// countRevocations counts those that were tried in vain.
func (s *records) countRevocations(ctx context.Context) (int64, error) {
	var n int64
	err := s.db.WithContext(ctx).Model(&revocation{}).Where("tries > 3").Count(&n).Error
	return n, err
}

// endingBefore lists the active accounts whose token ends before t, those that end first at the head. after is the last one of
// the page before, nil for the first page. Accounts that got a token since began are left out, so that paging comes to an end.
func (s *records) endingBefore(ctx context.Context, t, began time.Time, after *account, limit int) ([]account, error) {
	var list []account
	q := s.db.WithContext(ctx).Where("state = ? AND expires_at IS NOT NULL AND expires_at < ? AND token_at < ?", accountActive, t, began)
	if after != nil {
		q = q.Where("(expires_at > ? OR (expires_at = ? AND id > ?))", after.ExpiresAt, after.ExpiresAt, after.ID)
	}
	err := q.Order("expires_at, id").Limit(limit).Find(&list).Error
	return list, err
}

func (s *records) reminded(ctx context.Context, id int64) error {
	return s.db.WithContext(ctx).Model(&account{}).Where("id = ?", id).Update("reminded_at", s.now()).Error
}

func found[T any](row *T, err error, message string) (*T, error) {
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, fault.New(fault.NotFound, "%s", message)
	}
	if err != nil {
		return nil, err
	}
	return row, nil
}

// like escapes what a person typed for use inside LIKE with the escape character "!".
func like(text string) string {
	return "%" + strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(text) + "%"
}
