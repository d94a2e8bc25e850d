package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"sort"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds on one log line. What is longer is cut; what comes faster is counted and reported as one line.
const (
	maxLine      = 16 << 10 // bytes of one line that are kept
	maxAttrs     = 64
	linesASecond = 200 // sustained
	lineBurst    = 1000
)

// Line is one line that a module wrote to its log.
type Line struct {
	Time    time.Time   // when it was written, as the module says, if that is near the host's clock; else when it was read
	Level   slog.Level  // of a line that is not JSON: Info, or Error within a panic
	Message string      // one line without control characters, at most 16 KiB
	Attrs   []slog.Attr // strings (which may have several lines), numbers and bools; groups are joined with dots
	Raw     bool        // it was not JSON: a print, or a panic
	Stream  string      // "stderr" or "stdout"
	Cut     bool        // it was longer than the bound
	Dropped int         // on a line that the host wrote itself: how many lines were left out
}

// parseLine reads one line of a module's stderr or stdout. It never fails: what is not JSON of a known shape is text.
func parseLine(text []byte, now time.Time) Line {
	text = bytes.TrimRight(text, "\r\n")
	if len(text) > 1 && text[0] == '{' {
		if line, ok := parseJSONLine(text, now); ok {
			return line
		}
	}
	return Line{Time: now, Level: slog.LevelInfo, Message: cleanLine(string(text)), Raw: true}
}

func parseJSONLine(text []byte, now time.Time) (Line, bool) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var fields map[string]any
	if err := dec.Decode(&fields); err != nil || dec.More() {
		return Line{}, false
	}
	// slog writes time, level, msg; hclog, which go-plugin uses inside a module, writes the same with an @.
	line := Line{Time: now, Level: slog.LevelInfo}
	for _, key := range []string{"msg", "@message"} {
		if m, ok := fields[key].(string); ok {
			line.Message = cleanLine(m)
			delete(fields, key)
			break
		}
	}
	if line.Message == "" {
		return Line{}, false
	}
	for _, key := range []string{"level", "@level"} {
		if l, ok := fields[key].(string); ok {
			line.Level = parseLevel(l)
			delete(fields, key)
		}
	}
	for _, key := range []string{"time", "@timestamp"} {
		if t, ok := fields[key].(string); ok {
			if at, err := time.Parse(time.RFC3339Nano, t); err == nil && at.Sub(now).Abs() < time.Minute {
				line.Time = at
			}
			delete(fields, key)
		}
	}
	line.Attrs = attrsOf("", fields, nil)
	return line, true
}

func parseLevel(text string) slog.Level {
	var level slog.Level
	if err := level.UnmarshalText([]byte(text)); err == nil {
		return level
	}
	if strings.EqualFold(text, "trace") {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

func attrsOf(prefix string, fields map[string]any, attrs []slog.Attr) []slog.Attr {
	keys := make([]string, 0, len(fields))
	for k := range fields {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		if len(attrs) >= maxAttrs {
			return attrs
		}
		name := prefix + clean(k, 128)
		switch v := fields[k].(type) {
		case map[string]any:
			if len(prefix) < 512 {
				attrs = attrsOf(name+".", v, attrs)
			}
		case string:
			attrs = append(attrs, slog.String(name, clean(v, maxLine)))
		case bool:
			attrs = append(attrs, slog.Bool(name, v))
		case json.Number:
			attrs = append(attrs, numberAttr(name, v))
		case nil:
			attrs = append(attrs, slog.String(name, ""))
		default:
			text, err := json.Marshal(v)
			if err != nil {
				text = []byte(fmt.Sprint(v))
			}
			attrs = append(attrs, slog.String(name, clean(string(text), maxLine)))
		}
	}
	return attrs
}

func numberAttr(name string, n json.Number) slog.Attr {
	if i, err := n.Int64(); err == nil {
		return slog.Int64(name, i)
	}
	if f, err := n.Float64(); err == nil {
		return slog.Float64(name, f)
	}
	return slog.String(name, clean(n.String(), 64))
}

// cleanLine is clean for what must stay one line.
func cleanLine(text string) string {
	return strings.ReplaceAll(clean(text, maxLine), "\n", " ")
}

// clean bounds a text and takes out what could move a terminal's cursor or forge a second line.
func clean(text string, limit int) string {
	if len(text) > limit {
		text = text[:limit]
		for len(text) > 0 && !utf8.ValidString(text[len(text)-min(4, len(text)):]) && text[len(text)-1] >= utf8.RuneSelf {
			text = text[:len(text)-1]
		}
	}
	text = validUTF8(text)
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n':
			return r
		case r < 0x20 || r == 0x7f || (r >= 0x80 && r < 0xa0):
			return -1
		case r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069: // these reorder what is read
			return -1
		}
		return r
	}, text)
}
