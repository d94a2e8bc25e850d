package main

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode"

	"mortise/core/sdk"
)

const (
	maxReads     = 32              // variables read at once, for everybody together
	maxFirstPass = 12              // variables of one device that a page reads by itself
	freshFor     = 5 * time.Second // a value read so lately is not read again by a page
	staleAfter   = time.Minute     // then a value is shown greyed
	maxName      = 64              // of functions, variables and events
)

// reading is what came of one read.
type reading struct {
	name  string
	value any
	at    time.Time
	err   error
}

// valueView is a variable as pages and programs see it.
type valueView struct {
	Name    string     `json:"name"`
	Type    string     `json:"type"` // int32, double, string, bool or ""
	Value   any        `json:"value"`
	Text    string     `json:"text"`
	ReadAt  *time.Time `json:"read_at"`
	State   string     `json:"state"`   // fresh, stale, unread, failed
	Message string     `json:"message"` // why the last read failed; "" otherwise
	Tile    string     `json:"tile"`    // id of its tile on the page
}

// variablesOf gives the device's variables: what is known, after a first pass that waits no longer than a page may.
func (m *Devices) variablesOf(ctx context.Context, t *target) ([]valueView, error) {
	known, err := m.records.values(ctx, sdk.UserFrom(ctx).UserID, t.key(), t.device.ID)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(t.device.Variables))
	for name := range t.device.Variables {
		names = append(names, name)
	}
	slices.Sort(names)
	readings := m.firstPass(ctx, t, names, known)
	views := make([]valueView, 0, len(names))
	for _, name := range names {
		view := m.viewOfKnown(t, name, known)
		if r, ok := readings[name]; ok {
			view = m.viewOfReading(t, r, view)
		}
		views = append(views, view)
	}
	return views, nil
}

// firstPass reads what is not fresh, when the device seems to be there. A device that is slow delays the page by the patience
// of a page, and its answers are kept and shown live when they arrive.
func (m *Devices) firstPass(ctx context.Context, t *target, names []string, known map[string]value) map[string]reading {
	if !t.device.Online || t.stale || t.refusal != nil {
		return nil
	}
	var wanted []string
	for _, name := range names {
		if v, ok := known[name]; !ok || m.now().Sub(v.ReadAt) > freshFor {
			wanted = append(wanted, name)
		}
	}
	if len(wanted) > maxFirstPass {
		wanted = wanted[:maxFirstPass]
	}
	return m.readAll(ctx, t, wanted, m.patience.values)
}

// readAll reads variables in parallel and gives what has arrived within wait. The rest is kept, and told to open pages, when it arrives.
func (m *Devices) readAll(ctx context.Context, t *target, names []string, wait time.Duration) map[string]reading {
	if len(names) == 0 {
		return nil
	}
	userID := sdk.UserFrom(ctx).UserID
	answers := make(chan reading, len(names))
	for _, name := range names {
		go func() { answers <- m.readOne(m.host.Context(), t, name) }()
	}
	got := make(map[string]reading, len(names))
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for len(got) < len(names) {
		select {
		case r := <-answers:
			got[r.name] = r
		case <-timer.C:
			missing := len(names) - len(got)
			go m.keepLate(userID, t, answers, missing)
			m.keep(m.host.Context(), userID, t, got, "value")
			return got
		}
	}
	m.keep(m.host.Context(), userID, t, got, "value")
	return got
}

func (m *Devices) keepLate(userID int64, t *target, answers <-chan reading, missing int) {
	for range missing {
		r := <-answers // each read ends by its own time limit
		m.keep(m.host.Context(), userID, t, map[string]reading{r.name: r}, "late")
	}
}

// readOne reads one variable when it is its turn.
func (m *Devices) readOne(ctx context.Context, t *target, name string) reading {
	select {
	case m.reads <- struct{}{}:
		defer func() { <-m.reads }()
	case <-ctx.Done():
		return reading{name: name, err: ctx.Err()}
	}
	v, err := t.variable(ctx, t.device.ID, name)
	return reading{name: name, value: v, at: m.now(), err: err}
}

// keep writes values that were read, and tells open pages: by "value", or by "late" when pages show the old ones as stale.
func (m *Devices) keep(ctx context.Context, userID int64, t *target, got map[string]reading, name string) {
	var rows []value
	told := map[string]valueView{}
	for variable, r := range got {
		if r.err != nil {
			continue
		}
		text, err := json.Marshal(r.value)
		if err != nil || len(text) > 16<<10 {
			continue
		}
		rows = append(rows, value{UserID: userID, Source: t.key(), DeviceID: t.device.ID, Name: variable, Value: string(text), ReadAt: r.at})
		told[variable] = m.viewOfReading(t, r, valueView{Name: variable, Type: t.device.Variables[variable], Tile: tileOf("var", variable)})
	}
	if len(rows) == 0 || m.gone.has(userID, t.key(), t.device.ID) {
		return
	}
	if err := m.records.saveValues(ctx, rows); err != nil {
		m.host.Log().Warn("values could not be kept", "error", err)
	}
	m.live.tell(&t.holding, 0, t.device.ID, name, map[string]any{"values": told})
}

func (m *Devices) viewOfKnown(t *target, name string, known map[string]value) valueView {
	view := valueView{Name: name, Type: t.device.Variables[name], State: "unread", Tile: tileOf("var", name)}
	row, ok := known[name]
	if !ok {
		return view
	}
	decoder := json.NewDecoder(strings.NewReader(row.Value))
	decoder.UseNumber()
	if decoder.Decode(&view.Value) != nil {
		return view
	}
	view.Text, view.ReadAt, view.State = textOf(view.Value), &row.ReadAt, "fresh"
	if !t.device.Online || t.stale || m.now().Sub(row.ReadAt) > staleAfter {
		view.State = "stale"
	}
	return view
}

// viewOfReading puts what was just read over what was known. After a failure the old value stays, with the reason.
func (m *Devices) viewOfReading(t *target, r reading, view valueView) valueView {
	if r.err != nil {
		if view.State != "fresh" {
			view.State = "failed"
			view.Message = t.words(r.err, t.name()).Message
		}
		return view
	}
	at := r.at
	view.Value, view.Text, view.ReadAt, view.State, view.Message = r.value, textOf(r.value), &at, "fresh", ""
	return view
}

// textOf is a value as a person reads it.
func textOf(v any) string {
	if text, ok := v.(string); ok {
		return text
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if v == nil || encoder.Encode(v) != nil {
		return ""
	}
	return strings.TrimSpace(b.String())
}

// tileOf is the id of the tile of a function or variable: letters, digits, "-" and "_", since it is also used as a selector.
func tileOf(kind, name string) string {
	return kind + "-" + strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			return r
		}
		return '_'
	}, name)
}

// isName tells whether s can be the name of a function or a variable: no blanks, no control characters, no slash.
func isName(s string) bool {
	return s != "" && len(s) <= maxName && strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '/' || r == '\\' }) < 0
}
