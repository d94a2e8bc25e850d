package logbook

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"gorm.io/gorm"

	"mortise/core/store"
)

const (
	batchSize  = 256
	batchPause = 200 * time.Millisecond // how long a line may wait for others
	trimPause  = 10 * time.Minute
	trimChunk  = 2000 // rows a transaction; others wait for the writer meanwhile
	writeLimit = 10 * time.Second
)

// write is the one goroutine that talks to the store.
func (b *Book) write() {
	defer close(b.stopped)
	var st *store.Store
	select {
	case st = <-b.attach:
	case <-b.stop:
		return
	}
	trim := time.NewTicker(trimPause)
	defer trim.Stop()
	b.trim(st)
	for {
		select {
		case row := <-b.lines:
			b.save(st, b.gather(row, batchPause))
		case done := <-b.flush:
			b.drain(st)
			close(done)
		case <-trim.C:
			b.trim(st)
		case <-b.stop:
			b.drain(st)
			return
		}
	}
}

// gather waits a moment for more lines, so that one transaction takes many.
func (b *Book) gather(first logRow, pause time.Duration) []logRow {
	rows := append(make([]logRow, 0, batchSize), first)
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for len(rows) < batchSize {
		select {
		case row := <-b.lines:
			rows = append(rows, row)
		case <-timer.C:
			return rows
		case <-b.stop:
			return rows
		}
	}
	return rows
}

// drain writes all that waits.
func (b *Book) drain(st *store.Store) {
	var rows []logRow
	for {
		select {
		case row := <-b.lines:
			if rows = append(rows, row); len(rows) == batchSize {
				b.save(st, rows)
				rows = nil
			}
		default:
			if len(rows) > 0 {
				b.save(st, rows)
			}
			return
		}
	}
}

// save writes rows. What cannot be written is on stderr already; it is dropped and counted.
func (b *Book) save(st *store.Store, rows []logRow) {
	ctx, cancel := context.WithTimeout(context.Background(), writeLimit)
	defer cancel()
	if lost := b.dropped.Load(); lost > b.reported {
		rows = append(rows, logRow{
			Time: b.o.Now().UTC(), Severity: int(slog.LevelWarn), Source: hostSource, Message: "log lines were dropped",
			Attrs: fmt.Sprintf(`{"dropped":%d}`, lost-b.reported),
		})
		b.reported = lost
	}
	err := st.Write(ctx, func(tx *gorm.DB) error { return tx.CreateInBatches(&rows, 100).Error })
	if err != nil {
		b.dropped.Add(uint64(len(rows)))
		b.toStderr(logRow{
			Time: b.o.Now().UTC(), Severity: int(slog.LevelError), Source: hostSource, Message: "cannot write the log to the store",
			attrs: map[string]any{"error": clean(err.Error(), maxText), "lines": len(rows)},
		})
		return
	}
	b.written.Add(uint64(len(rows)))
}

// trim removes what is too old or too much.
func (b *Book) trim(st *store.Store) {
	for {
		removed, err := b.trimSome(st)
		if err != nil {
			b.toStderr(logRow{
				Time: b.o.Now().UTC(), Severity: int(slog.LevelWarn), Source: hostSource, Message: "cannot trim the log",
				attrs: map[string]any{"error": clean(err.Error(), maxText)},
			})
			return
		}
		if removed == 0 {
			return
		}
		select {
		case <-b.stop:
			return
		default:
		}
	}
}

func (b *Book) trimSome(st *store.Store) (removed int64, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), writeLimit)
	defer cancel()
	// Ids have no gaps but those of removed lines, which are the oldest: so the newest id says which are too many.
	var newest int64
	if err := st.Read(ctx).Raw("SELECT coalesce(max(id), 0) FROM core_log").Scan(&newest).Error; err != nil {
		return 0, err
	}
	var some int64
	oldest := b.o.Now().UTC().Add(-b.o.MaxAge)
	err = st.Read(ctx).Raw("SELECT count(*) FROM (SELECT 1 FROM core_log WHERE id <= ? OR time < ? LIMIT 1) AS old", newest-int64(b.o.MaxRows), oldest).Scan(&some).Error
	if err != nil || some == 0 {
		return 0, err
	}
	err = st.Write(ctx, func(tx *gorm.DB) error {
		done := tx.Exec("DELETE FROM core_log WHERE id IN (SELECT id FROM core_log WHERE id <= ? OR time < ? ORDER BY id LIMIT ?)", newest-int64(b.o.MaxRows), oldest, trimChunk)
		removed = done.RowsAffected
		return done.Error
	})
	return removed, err
}
