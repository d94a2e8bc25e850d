package outbox

import (
	"context"
	"fmt"
	"sync"
	"time"

	"gorm.io/gorm"

	"mortise/core/fault"
	"mortise/core/sdk"
)

const (
	batchSize = 64
	batchTime = 2 * time.Second  // after so long a batch is acknowledged, whatever is left of it
	pollEvery = 15 * time.Second // a net under Wake
	holdDown  = time.Second      // before a module that was just found not running is tried again
	holdError = 5 * time.Second  // after the store failed
)

// Run delivers facts until ctx ends, then waits for the deliveries under way. It returns nil.
func (o *Outbox) Run(ctx context.Context) error {
	d := dispatcher{Outbox: o, busy: map[string]bool{}, holds: map[string]time.Time{}, done: make(chan finished)}
	trim := time.NewTicker(o.o.TrimEvery)
	defer trim.Stop()
	for {
		timer := time.NewTimer(d.start(ctx))
		select {
		case <-ctx.Done():
			timer.Stop()
			d.finish()
			return nil
		case <-o.wake:
		case <-timer.C:
		case f := <-d.done:
			d.settle(f)
		case <-trim.C:
			if err := o.Trim(ctx); err != nil && ctx.Err() == nil {
				o.o.Log.ErrorContext(ctx, "old events could not be removed", "error", err)
			}
		}
		timer.Stop()
	}
}

// dispatcher belongs to the goroutine of Run.
type dispatcher struct {
	*Outbox
	workers sync.WaitGroup
	busy    map[string]bool
	holds   map[string]time.Time // not before
	done    chan finished
}

type finished struct {
	module string
	hold   time.Duration
}

// start begins a worker for each module that has something due, and tells how long until the next look.
func (d *dispatcher) start(ctx context.Context) time.Duration {
	now := d.now()
	next := now.Add(pollEvery)
	for _, s := range d.o.Subscribers() {
		if s.Paused || d.busy[s.Module] || len(s.Events.Subscribes) == 0 || !d.o.Running(s.Module) {
			continue
		}
		if hold := d.holds[s.Module]; hold.After(now) {
			next = earlier(next, hold)
			continue
		}
		delete(d.holds, s.Module)
		due, err := d.nextDue(ctx, s.Module)
		switch {
		case err != nil:
			if ctx.Err() == nil {
				d.o.Log.ErrorContext(ctx, "the queue of events cannot be read", "module", s.Module, "error", err)
			}
			next = earlier(next, now.Add(holdError))
		case due.IsZero():
		case due.After(now):
			next = earlier(next, due)
		default:
			d.busy[s.Module] = true
			d.workers.Go(func() { d.done <- finished{s.Module, d.drain(ctx, s.Module)} })
		}
	}
	return max(next.Sub(now), time.Millisecond)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func (d *dispatcher) settle(f finished) {
	delete(d.busy, f.module)
	if f.hold > 0 {
		d.holds[f.module] = d.now().Add(f.hold)
	}
}

func (d *dispatcher) finish() {
	go func() { d.workers.Wait(); close(d.done) }()
	for range d.done { // each worker hands in its result
		continue
	}
}

// A delivery cannot go out while an earlier one about its subject waits for its retry.
const ready = `d.module = ? AND d.state = 'waiting' AND NOT EXISTS (
	SELECT 1 FROM core_deliveries h WHERE h.module = d.module AND h.subject = d.subject AND h.state = 'waiting'
	AND h.attempts > 0 AND h.next_attempt > ? AND h.id < d.id)`

// nextDue tells when the module's next delivery is due; zero when it has none.
func (o *Outbox) nextDue(ctx context.Context, module string) (time.Time, error) {
	var at []time.Time
	now := o.now()
	err := o.o.Store.Read(ctx).Raw(`SELECT d.next_attempt FROM core_deliveries d WHERE `+ready+` AND d.next_attempt <= ? LIMIT 1`,
		module, now, now).Scan(&at).Error
	if err == nil && len(at) == 0 {
		err = o.o.Store.Read(ctx).Raw(`SELECT next_attempt FROM core_deliveries WHERE module = ? AND state = 'waiting' AND attempts > 0
			AND next_attempt > ? ORDER BY next_attempt LIMIT 1`, module, now).Scan(&at).Error
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read the queue: %w", err)
	}
	if len(at) == 0 {
		return time.Time{}, nil
	}
	return at[0], nil
}

// delivery is a row of the queue with its event.
type delivery struct {
	ID           int64
	EventID      int64
	Attempts     int
	FailingSince *time.Time
	Key          string
	Name         string
	Subject      string
	Source       string
	Time         time.Time
	Payload      []byte
	err          error
}

func (o *Outbox) due(ctx context.Context, module string) (batch []*delivery, err error) {
	now := o.now()
	err = o.o.Store.Read(ctx).Raw(`SELECT d.id, d.event_id, d.attempts, d.failing_since, e.key, e.name, e.subject, e.source, e.time, e.payload
		FROM core_deliveries d JOIN core_outbox e ON e.id = d.event_id
		WHERE `+ready+` AND d.next_attempt <= ? ORDER BY d.id LIMIT ?`, module, now, now, batchSize).Scan(&batch).Error
	if err != nil {
		return nil, fmt.Errorf("read the queue: %w", err)
	}
	return batch, nil
}

// drain delivers until nothing is due, and tells how long to leave the module alone.
func (o *Outbox) drain(ctx context.Context, module string) time.Duration {
	for ctx.Err() == nil && o.o.Running(module) {
		batch, err := o.due(ctx, module)
		if err != nil {
			if ctx.Err() == nil {
				o.o.Log.ErrorContext(ctx, "the queue of events cannot be read", "module", module, "error", err)
			}
			return holdError
		}
		if len(batch) == 0 {
			return 0
		}
		done, failed, stopped := o.deliverBatch(ctx, module, batch)
		if err := o.record(ctx, module, done, failed); err != nil {
			o.o.Log.ErrorContext(ctx, "the result of deliveries could not be kept", "module", module, "error", err)
			return holdError
		}
		if stopped {
			return holdDown
		}
	}
	return 0
}

// deliverBatch hands over a batch in order. stopped means that the module does not run any more.
func (o *Outbox) deliverBatch(ctx context.Context, module string, batch []*delivery) (done, failed []*delivery, stopped bool) {
	began := time.Now()
	held := map[string]bool{}
	for _, d := range batch {
		if time.Since(began) > batchTime {
			return done, failed, false
		}
		if held[d.Subject] {
			continue
		}
		switch err := o.deliverOne(ctx, module, d); {
		case err == nil:
			done = append(done, d)
		case ctx.Err() != nil || fault.Is(err, fault.Unavailable) && !o.o.Running(module):
			return done, failed, true // the module is not to blame: the attempt does not count
		default:
			d.err = err
			held[d.Subject] = true
			failed = append(failed, d)
		}
	}
	return done, failed, false
}

func (o *Outbox) deliverOne(ctx context.Context, module string, d *delivery) error {
	ctx, cancel := context.WithTimeout(ctx, o.o.DeliverTimeout)
	defer cancel()
	return o.o.Deliver(ctx, module, sdk.Event{Name: d.Name, Subject: d.Subject, Key: d.Key, Time: d.Time.UTC(), Source: d.Source, Payload: d.Payload})
}

// record keeps the results of a batch in one transaction; at shutdown too, so that what was taken is not delivered again.
func (o *Outbox) record(ctx context.Context, module string, done, failed []*delivery) error {
	if len(done)+len(failed) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return o.o.Store.Write(ctx, func(tx *gorm.DB) error {
		if ids := idsOf(done); len(ids) > 0 {
			if err := tx.Exec(`DELETE FROM core_deliveries WHERE id IN ?`, ids).Error; err != nil {
				return err
			}
		}
		for _, d := range failed {
			if err := o.recordFailure(tx, module, d); err != nil {
				return err
			}
		}
		return nil
	})
}

func (o *Outbox) recordFailure(tx *gorm.DB, module string, d *delivery) error {
	now := o.now()
	since := now
	if d.FailingSince != nil {
		since = *d.FailingSince
	}
	state := "waiting"
	if now.Sub(since) >= o.o.GiveUp {
		state = "dead"
		o.o.Log.Error("an event was given up after days of failing", "module", module, "event", d.Name, "delivery", d.ID, "error", d.err)
	} else if d.Attempts == 0 {
		o.o.Log.Warn("an event was not taken and will be delivered again", "module", module, "event", d.Name, "delivery", d.ID, "error", d.err)
	}
	return tx.Exec(`UPDATE core_deliveries SET state = ?, attempts = attempts + 1, failing_since = ?, next_attempt = ?, last_error = ? WHERE id = ?`,
		state, since.UTC(), now.Add(o.o.Retry(d.Attempts+1)), shorten(d.err.Error()), d.ID).Error
}

func idsOf(list []*delivery) []int64 {
	ids := make([]int64, len(list))
	for i, d := range list {
		ids[i] = d.ID
	}
	return ids
}

const maxError = 500

func shorten(text string) string {
	if len(text) <= maxError {
		return text
	}
	cut := maxError
	for cut > 0 && text[cut]&0xC0 == 0x80 { // not inside a character
		cut--
	}
	return text[:cut] + "…"
}
