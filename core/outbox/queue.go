package outbox

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"mortise/core/fault"
)

// Counts is what waits for one module.
type Counts struct {
	Waiting int64     `json:"waiting"`
	Dead    int64     `json:"dead"`
	Oldest  time.Time `json:"oldest,omitzero"` // of those waiting
}

// Counts tells what waits for a module ("" for all).
func (o *Outbox) Counts(ctx context.Context, module string) (Counts, error) {
	var c Counts
	var rows []struct {
		State string
		N     int64
	}
	query := o.o.Store.Read(ctx).Table("core_deliveries")
	if module != "" {
		query = query.Where("module = ?", module)
	}
	if err := query.Session(&gorm.Session{}).Select("state, count(*) AS n").Group("state").Scan(&rows).Error; err != nil {
		return c, fmt.Errorf("count deliveries: %w", err)
	}
	for _, r := range rows {
		if r.State == "dead" {
			c.Dead = r.N
		} else {
			c.Waiting = r.N
		}
	}
	var oldest []time.Time
	err := query.Session(&gorm.Session{}).Where("state = 'waiting'").Order("id").Limit(1).Pluck("created_at", &oldest).Error
	if err != nil {
		return c, fmt.Errorf("find the oldest delivery: %w", err)
	}
	if len(oldest) > 0 {
		c.Oldest = oldest[0].UTC()
	}
	return c, nil
}

// DeadLetter is a delivery that was given up, or that fails at present.
type DeadLetter struct {
	ID        int64     `json:"id"`
	Module    string    `json:"module"`
	Event     string    `json:"event"`
	Subject   string    `json:"subject"`
	Source    string    `json:"source"`
	Time      time.Time `json:"time"`
	Attempts  int       `json:"attempts"`
	LastError string    `json:"last_error"`
	Dead      bool      `json:"dead"`
}

// Failing lists deliveries that fail, those given up first, at most limit (up to 200).
func (o *Outbox) Failing(ctx context.Context, limit int) ([]DeadLetter, error) {
	var list []DeadLetter
	err := o.o.Store.Read(ctx).Raw(`SELECT d.id, d.module, e.name AS event, e.subject, e.source, e.time, d.attempts, d.last_error, d.state = 'dead' AS dead
		FROM core_deliveries d JOIN core_outbox e ON e.id = d.event_id WHERE d.state = 'dead' OR d.attempts > 0
		ORDER BY d.state = 'dead' DESC, d.id LIMIT ?`, min(max(limit, 1), 200)).Scan(&list).Error
	if err != nil {
		return nil, fmt.Errorf("list failing deliveries: %w", err)
	}
	return list, nil
}

// TryAgain puts a delivery that fails or was given up back to the head of its queue. fault.NotFound when there is none.
func (o *Outbox) TryAgain(ctx context.Context, id int64) error {
	err := o.change(ctx, id, `UPDATE core_deliveries SET state = 'waiting', attempts = 0, failing_since = NULL, next_attempt = ? WHERE id = ?`, o.now(), id)
	if err == nil {
		o.Wake()
	}
	return err
}

// Drop forgets a delivery: the module will never hear of that event. fault.NotFound when there is none.
func (o *Outbox) Drop(ctx context.Context, id int64) error {
	err := o.change(ctx, id, `DELETE FROM core_deliveries WHERE id = ?`, id)
	if err == nil {
		o.Wake() // later ones about the subject may go now
	}
	return err
}

func (o *Outbox) change(ctx context.Context, id int64, query string, args ...any) error {
	return o.o.Store.Write(ctx, func(tx *gorm.DB) error {
		result := tx.Exec(query, args...)
		if result.Error != nil {
			return fmt.Errorf("change the delivery %d: %w", id, result.Error)
		}
		if result.RowsAffected == 0 {
			return fault.New(fault.NotFound, "there is no such delivery any more")
		}
		return nil
	})
}

// Forget drops everything that waits for a module that is removed.
func (o *Outbox) Forget(ctx context.Context, module string) error {
	return o.o.Store.Write(ctx, func(tx *gorm.DB) error {
		if err := tx.Exec(`DELETE FROM core_deliveries WHERE module = ?`, module).Error; err != nil {
			return fmt.Errorf("forget the deliveries of %s: %w", module, err)
		}
		return nil
	})
}

const trimAtOnce = 1000 // so that nobody waits long for the writer

// Trim removes facts that everybody has got and that are older than the retention.
func (o *Outbox) Trim(ctx context.Context) error {
	for {
		var gone int64
		err := o.o.Store.Write(ctx, func(tx *gorm.DB) error {
			result := tx.Exec(`DELETE FROM core_outbox WHERE id IN (SELECT id FROM core_outbox e WHERE e.time < ?
				AND NOT EXISTS (SELECT 1 FROM core_deliveries d WHERE d.event_id = e.id) LIMIT ?)`, o.now().Add(-o.o.Retention), trimAtOnce)
			gone = result.RowsAffected
			return result.Error
		})
		if err != nil {
			return fmt.Errorf("trim the outbox: %w", err)
		}
		if gone < trimAtOnce {
			return nil
		}
	}
}
