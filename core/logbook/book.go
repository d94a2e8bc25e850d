package logbook

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"mortise/core/store"
)

// Options say where and how much is logged. The zero value is good.
type Options struct {
	Stderr  io.Writer        // os.Stderr when nil
	JSON    bool             // stderr as JSON lines instead of text
	Level   slog.Leveler     // least severity; info when nil
	MaxRows int              // lines kept in the store; 200,000 when 0
	MaxAge  time.Duration    // how long they are kept; 30 days when 0
	Buffer  int              // lines that may wait for the store; 4096 when 0
	Now     func() time.Time // the clock when nil
}

// Book is the site's log. It is safe for concurrent use.
type Book struct {
	o      Options
	level  slog.Leveler
	stderr slog.Handler

	lines   chan logRow
	flush   chan chan struct{}
	attach  chan *store.Store
	stop    chan struct{}
	stopped chan struct{}
	once    sync.Once

	written atomic.Uint64
	dropped atomic.Uint64
	tails   tails

	reported uint64 // of dropped; the writing goroutine's own
	store    atomic.Pointer[store.Store]
}

type logRow struct {
	ID        int64 `gorm:"primaryKey"`
	Time      time.Time
	Severity  int
	Source    string
	Message   string
	Attrs     string
	RequestID string

	attrs map[string]any `gorm:"-"`
}

func (logRow) TableName() string { return "core_log" }

// New makes a log that writes to stderr at once, and keeps what comes for the store until Attach.
func New(o Options) *Book {
	if o.Stderr == nil {
		o.Stderr = os.Stderr
	}
	if o.Level == nil {
		o.Level = slog.LevelInfo
	}
	if o.MaxRows <= 0 {
		o.MaxRows = 200_000
	}
	if o.MaxAge <= 0 {
		o.MaxAge = 30 * 24 * time.Hour
	}
	if o.Buffer <= 0 {
		o.Buffer = 4096
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	b := &Book{
		o: o, level: o.Level, lines: make(chan logRow, o.Buffer), flush: make(chan chan struct{}), attach: make(chan *store.Store, 1),
		stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	all := &slog.HandlerOptions{Level: slog.Level(-1 << 20)} // filtered by Level already
	if b.stderr = slog.Handler(slog.NewTextHandler(o.Stderr, all)); o.JSON {
		b.stderr = slog.NewJSONHandler(o.Stderr, all)
	}
	go b.write()
	return b
}

// take cleans a line, writes it to stderr, and puts it into the buffer. Attrs are clean already.
func (b *Book) take(line Line) {
	if line.Time.IsZero() {
		line.Time = b.o.Now()
	}
	if line.RequestID == "" {
		if id, ok := line.Attrs["request_id"].(string); ok {
			line.RequestID = id
		}
	}
	delete(line.Attrs, "request_id")
	row := logRow{
		Time: line.Time.UTC(), Severity: int(line.Severity), Source: clean(line.Source, 64), Message: clean(line.Message, maxMessage),
		RequestID: clean(line.RequestID, 64), attrs: line.Attrs,
	}
	b.toStderr(row)
	if len(row.attrs) > 0 {
		text, err := json.Marshal(row.attrs)
		if err != nil || len(text) > maxAttrs {
			row.attrs = map[string]any{"left_out": "the attributes were too long"}
			text, _ = json.Marshal(row.attrs) // a string always encodes
		}
		row.Attrs = string(text)
	}
	b.tails.send(row)
	select {
	case b.lines <- row:
	default:
		b.dropped.Add(1)
	}
}

func (b *Book) toStderr(row logRow) {
	r := slog.NewRecord(row.Time, slog.Level(row.Severity), row.Message, 0)
	r.AddAttrs(slog.String("source", row.Source))
	if row.RequestID != "" {
		r.AddAttrs(slog.String("request_id", row.RequestID))
	}
	for _, key := range sorted(row.attrs) {
		r.AddAttrs(slog.Any(key, row.attrs[key]))
	}
	_ = b.stderr.Handle(context.Background(), r) // where should its failure be told?
}

// Attach has the log written to the store from now on, beginning with what waits. Call it once.
func (b *Book) Attach(st *store.Store) {
	b.store.Store(st)
	b.attach <- st
}

// Close writes what waits, within ctx, and ends. Lines that come later go to stderr alone.
func (b *Book) Close(ctx context.Context) error {
	b.once.Do(func() { close(b.stop) })
	select {
	case <-b.stopped:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Flush waits until what was logged before is in the store. Without a store it waits for one.
func (b *Book) Flush(ctx context.Context) error {
	done := make(chan struct{})
	select {
	case b.flush <- done:
	case <-b.stopped:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Stats are numbers for the metrics.
type Stats struct {
	Written uint64 // lines in the store since the start
	Dropped uint64 // lines that did not get there
	Waiting int
}

// Stats gives the present numbers.
func (b *Book) Stats() Stats {
	return Stats{Written: b.written.Load(), Dropped: b.dropped.Load(), Waiting: len(b.lines)}
}
