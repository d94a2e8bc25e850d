package logbook

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"mortise/core/fault"
)

// Entry is one line of the log.
type Entry struct {
	ID        int64          `json:"id"` // 0 in a tail
	Time      time.Time      `json:"time"`
	Severity  int            `json:"severity"` // as in log/slog
	Level     string         `json:"level"`    // "debug", "info", "warning" or "error"
	Source    string         `json:"source"`
	Message   string         `json:"message"`
	Attrs     map[string]any `json:"attrs"`
	RequestID string         `json:"request_id"`
}

// Filter says which lines to read.
type Filter struct {
	Source      string      // "": all
	MinSeverity *slog.Level // nil: all
	Text        string      // part of the message or of the attributes
	RequestID   string      // whole, or its beginning as error pages show it: "7F3A-91"
	Before      int64       // only lines with a smaller id; 0: from the newest
	Limit       int         // at most 200; 0: 100
}

var likeEscape = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// shortReference is the beginning of a request's id, which has 16 hexadecimal digits.
var shortReference = regexp.MustCompile(`^[0-9a-f]{4,15}$`)

// Query reads lines, the newest first; fault.Unavailable before Attach.
func (b *Book) Query(ctx context.Context, f Filter) ([]Entry, error) {
	st := b.store.Load()
	if st == nil {
		return nil, errDetached
	}
	if f.Limit <= 0 {
		f.Limit = 100
	}
	q := st.Read(ctx).Order("id DESC").Limit(min(f.Limit, 200))
	if f.Source != "" {
		q = q.Where("source = ?", f.Source)
	}
	if f.MinSeverity != nil {
		q = q.Where("severity >= ?", int(*f.MinSeverity))
		if *f.MinSeverity >= slog.LevelWarn {
			q = q.Where("severity >= 4") // as written in the index of the few lines that matter
		}
	}
	if f.RequestID != "" {
		id := f.RequestID
		if short := strings.ToLower(strings.ReplaceAll(id, "-", "")); shortReference.MatchString(short) {
			q = q.Where("request_id >= ? AND request_id < ? AND request_id <> ''", short, short+"g") // g is the letter after the last digit
		} else {
			q = q.Where("request_id = ? AND request_id <> ''", id)
		}
	}
	if f.Before > 0 {
		q = q.Where("id < ?", f.Before)
	}
	if text := strings.TrimSpace(f.Text); text != "" {
		like := "%" + likeEscape.Replace(text) + "%"
		q = q.Where(`(message LIKE ? ESCAPE '\' OR attrs LIKE ? ESCAPE '\')`, like, like)
	}
	var rows []logRow
	if err := q.Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	entries := make([]Entry, len(rows))
	for i, r := range rows {
		if r.Attrs != "" {
			if err := json.Unmarshal([]byte(r.Attrs), &r.attrs); err != nil {
				r.attrs = map[string]any{"unreadable": r.Attrs}
			}
		}
		entries[i] = r.entry()
	}
	return entries, nil
}

var errDetached = fault.New(fault.Unavailable, "The log is not in the store yet.")

// Sources lists who has written to the log, sorted.
func (b *Book) Sources(ctx context.Context) ([]string, error) {
	st := b.store.Load()
	if st == nil {
		return nil, errDetached
	}
	// One step in the index for each source, instead of a walk over all lines.
	const steps = `WITH RECURSIVE s(source) AS (SELECT min(source) FROM core_log UNION ALL
		SELECT (SELECT min(source) FROM core_log WHERE source > s.source) FROM s WHERE s.source IS NOT NULL)
		SELECT source FROM s WHERE source IS NOT NULL`
	sources := []string{}
	if err := st.Read(ctx).Raw(steps).Scan(&sources).Error; err != nil {
		return nil, fmt.Errorf("read the sources of the log: %w", err)
	}
	return sources, nil
}

func (r logRow) entry() Entry {
	e := Entry{
		ID: r.ID, Time: r.Time.UTC(), Severity: r.Severity, Level: levelName(r.Severity), Source: r.Source, Message: r.Message,
		Attrs: r.attrs, RequestID: r.RequestID,
	}
	if e.Attrs == nil {
		e.Attrs = map[string]any{}
	}
	return e
}

func levelName(severity int) string {
	switch l := slog.Level(severity); {
	case l < slog.LevelInfo:
		return "debug"
	case l < slog.LevelWarn:
		return "info"
	case l < slog.LevelError:
		return "warning"
	}
	return "error"
}

func sorted(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }

// tails are those who watch.
type tails struct {
	mu    sync.Mutex
	chans map[chan Entry]struct{}
}

func (t *tails) send(row logRow) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.chans {
		select {
		case c <- row.entry():
		default: // whoever is too slow loses lines
		}
	}
}

// mostTails bounds the watchers.
const mostTails = 100

// Tail gives the lines as they come, until ctx ends; then the channel is closed. Whoever reads too slowly loses lines. When too many watch
// already the channel is closed at once.
func (b *Book) Tail(ctx context.Context) <-chan Entry {
	c := make(chan Entry, 256)
	b.tails.mu.Lock()
	defer b.tails.mu.Unlock()
	if b.tails.chans == nil {
		b.tails.chans = make(map[chan Entry]struct{})
	}
	if len(b.tails.chans) >= mostTails {
		close(c)
		return c
	}
	b.tails.chans[c] = struct{}{}
	context.AfterFunc(ctx, func() {
		b.tails.mu.Lock()
		defer b.tails.mu.Unlock()
		delete(b.tails.chans, c)
		close(c)
	})
	return c
}
