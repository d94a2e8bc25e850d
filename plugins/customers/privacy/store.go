package privacy

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"

	"mortise/core/fault"
	"mortise/plugins/customers/history"
	"mortise/plugins/customers/site"
)

// records holds every query of the package. Steps are written one by one, each with its own columns: a fact of the host may
// note a step while a page works on the next.
type records struct{ *site.Site }

var errUnderWay = fault.New(fault.Conflict, "An erasure for this customer is under way already.")

// begin records a wish. Conflict when another one for the person is open.
func (s records) begin(ctx context.Context, e *erasure) error {
	return s.DB.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := tx.Create(e).Error; err != nil {
			return err
		}
		var others int64
		err := tx.Model(&erasure{}).Where("user_id = ? AND id <> ? AND state IN ?", e.UserID, e.ID, []string{stateRunning, stateAttention}).Count(&others).Error
		if err == nil && others > 0 {
			err = errUnderWay
		}
		return err
	})
}

// of finds one by its number.
func (s records) of(ctx context.Context, id int64) (*erasure, error) {
	var e erasure
	err := s.DB.WithContext(ctx).Where("id = ?", id).Take(&e).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, site.ErrNotFound
	}
	return &e, err
}

// byOnce finds what a form has led to already; nil when there is none.
func (s records) byOnce(ctx context.Context, once string) (*erasure, error) {
	return s.one(s.DB.WithContext(ctx).Where("once = ?", once))
}

// lastOf finds the latest one of a person; nil when there is none.
func (s records) lastOf(ctx context.Context, userID int64) (*erasure, error) {
	return s.one(s.DB.WithContext(ctx).Where("user_id = ?", userID).Order("id DESC"))
}

// openOf finds the open one of a person; nil when there is none.
func (s records) openOf(ctx context.Context, userID int64) (*erasure, error) {
	return s.one(s.DB.WithContext(ctx).Where("user_id = ? AND state IN ?", userID, []string{stateRunning, stateAttention}))
}

func (records) one(q *gorm.DB) (*erasure, error) {
	var list []erasure
	if err := q.Limit(1).Find(&list).Error; err != nil || len(list) == 0 {
		return nil, err
	}
	return &list[0], nil
}

// page lists erasures, the newest first.
func (s records) page(ctx context.Context, page, size int) ([]erasure, int64, error) {
	var total int64
	if err := s.DB.WithContext(ctx).Model(&erasure{}).Count(&total).Error; err != nil {
		return nil, 0, err
	}
	var list []erasure
	err := s.DB.WithContext(ctx).Order("id DESC").Offset((page - 1) * size).Limit(size).Find(&list).Error
	return list, total, err
}

// write changes some columns of one that is open. It is no error when it has ended meanwhile.
func (s records) write(ctx context.Context, id int64, columns map[string]any) error {
	return s.DB.WithContext(ctx).Model(&erasure{}).Where("id = ? AND state IN ?", id, []string{stateRunning, stateAttention}).Updates(columns).Error
}

// take gives the job one that nobody works on, and keeps it from everybody else until then. false: somebody was faster.
func (s records) take(ctx context.Context, e *erasure, until time.Time) (bool, error) {
	done := s.DB.WithContext(ctx).Model(&erasure{}).Where("id = ? AND state = ? AND next_at = ?", e.ID, e.State, e.NextAt).Update("next_at", until)
	return done.RowsAffected == 1, done.Error
}

// due lists those that the job may go on with.
func (s records) due(ctx context.Context) ([]erasure, error) {
	var list []erasure
	err := s.DB.WithContext(ctx).Where("state = ? AND next_at <= ?", stateRunning, s.Now()).Order("id").Limit(50).Find(&list).Error
	return list, err
}

// release lets the job take everything that is open: nobody works on anything when a program has just started.
func (s records) release(ctx context.Context) error {
	return s.DB.WithContext(ctx).Model(&erasure{}).Where("state = ? AND next_at > ?", stateRunning, s.Now()).Update("next_at", s.Now()).Error
}

// unfinished lists what an administrator should know of: what waits for a person, and what has been open since before t.
func (s records) unfinished(ctx context.Context, t time.Time) ([]erasure, error) {
	var list []erasure
	err := s.DB.WithContext(ctx).Where("state = ? OR (state = ? AND started_at < ?)", stateAttention, stateRunning, t).Order("id").Limit(20).Find(&list).Error
	return list, err
}

// forget erases records that ended before t.
func (s records) forget(ctx context.Context, t time.Time) error {
	return s.DB.WithContext(ctx).Where("ended_at < ?", t).Delete(&erasure{}).Error
}

// note writes that somebody looked at, or took, what is kept about a customer.
func (s records) note(ctx context.Context, userID int64, kind, sentence string) error {
	return history.Add(s.DB.WithContext(ctx), history.Entry{UserID: userID, Kind: kind, Sentence: sentence, At: s.Now()}.With(history.By(ctx)))
}

// noteDownload is note for a download by the customer, of which there are at most a few in an hour. TooMany when there were.
func (s records) noteDownload(ctx context.Context, userID int64) error {
	return s.DB.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		entry := history.Entry{UserID: userID, Kind: kindDownload, Sentence: "Downloaded their own data.", At: s.Now()}.With(history.By(ctx))
		if err := history.Add(tx, entry); err != nil { // first, so that two at once count each other
			return err
		}
		var n int64
		err := tx.Model(&history.Entry{}).Where("user_id = ? AND kind = ? AND at > ?", userID, kindDownload, s.Now().Add(-time.Hour)).Count(&n).Error
		if err == nil && n > downloadsAnHour {
			err = fault.New(fault.TooMany, "You have downloaded your data %d times within an hour. Try again in an hour.", downloadsAnHour)
		}
		return err
	})
}
