package theme

import (
	"fmt"
	"html/template"
	"strings"
	"time"
)

// moment reads a time from a view's data: RFC 3339 text or seconds since 1970. ok is false for null and for the zero time;
// other is the text of a value that is no time at all.
func moment(v any) (at time.Time, other string, ok bool) {
	switch v := v.(type) {
	case nil:
		return at, "", false
	case time.Time:
		at = v
	case *time.Time:
		if v != nil {
			at = *v
		}
	default:
		if seconds, isNumber := toFloat(v); isNumber {
			if seconds <= 0 || seconds > 253402300799 { // the year 9999
				return at, "", false
			}
			at = time.UnixMilli(int64(seconds * 1000))
			break
		}
		text, _ := toText(v)
		if text == "" {
			return at, "", false
		}
		parsed, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return at, text, false
		}
		at = parsed
	}
	return at, "", !at.IsZero() && at.Year() > 1
}

func (p *Page) local(at time.Time) time.Time {
	if p.Visitor.Location == nil {
		return at.UTC()
	}
	return at.In(p.Visitor.Location)
}

// The formats. English is the only language so far; months are words because 3/4 means two things.
const (
	exactFormat = "2 Jan 2006, 15:04:05 MST"
	shortFormat = "2 Jan 2006, 15:04"
	dayFormat   = "2 Jan 2006"
	clockFormat = "15:04:05"
)

// timeElement draws a time with the exact one for machines and on hover.
func (p *Page) timeElement(at time.Time, words, class string) template.HTML {
	exact := p.local(at).Format(exactFormat)
	return template.HTML(`<time datetime="` + at.UTC().Format(time.RFC3339) + `" title="` + template.HTMLEscapeString(exact) + `"` + class + `>` + //nolint:gosec // escaped here
		template.HTMLEscapeString(words) + `</time>`)
}

func ago(root, v any) (template.HTML, error) {
	return drawTime("ago", root, v, "never", func(p *Page, at time.Time) template.HTML {
		return p.timeElement(at, p.agoWords(at), ` data-ago`)
	})
}

func exactTime(root, v any) (template.HTML, error) {
	return drawTime("time", root, v, "—", func(p *Page, at time.Time) template.HTML {
		return p.timeElement(at, p.local(at).Format(shortFormat), "")
	})
}

func date(root, v any) (template.HTML, error) {
	return drawTime("date", root, v, "—", func(p *Page, at time.Time) template.HTML {
		return p.timeElement(at, p.local(at).Format(dayFormat), "")
	})
}

func clock(root, v any) (template.HTML, error) {
	return drawTime("clock", root, v, "—", func(p *Page, at time.Time) template.HTML {
		return p.timeElement(at, p.local(at).Format(clockFormat), "")
	})
}

func drawTime(helper string, root, v any, none string, draw func(*Page, time.Time) template.HTML) (template.HTML, error) {
	p := pageOf(root)
	if p == nil {
		return "", errNoPage(helper)
	}
	at, other, ok := moment(v)
	if ok {
		return draw(p, at), nil
	}
	if other != "" {
		return template.HTML(template.HTMLEscapeString(other)), nil //nolint:gosec // escaped here
	}
	return template.HTML(none), nil //nolint:gosec // a constant
}

// agoWords says how long ago something was, roughly, as one would say it.
func (p *Page) agoWords(at time.Time) string {
	d := p.Now.Sub(at)
	if d < -5*time.Second {
		return "in " + roughly(-d)
	}
	switch {
	case d < 5*time.Second:
		return "just now"
	case d < 30*24*time.Hour:
		return roughly(d) + " ago"
	}
	return p.local(at).Format(dayFormat)
}

func roughly(d time.Duration) string {
	for _, unit := range []struct {
		below, one time.Duration
		name       string
	}{
		{time.Minute, time.Second, "second"},
		{time.Hour, time.Minute, "minute"},
		{24 * time.Hour, time.Hour, "hour"},
	} {
		if d < unit.below {
			return counted(int64(d/unit.one), unit.name)
		}
	}
	return counted(int64(d/(24*time.Hour)), "day")
}

func counted(n int64, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// span draws a number of seconds: "45 s", "1 min 30 s", "2 h 5 min", "3 d 4 h".
func span(v any) string {
	seconds, ok := toFloat(v)
	if !ok || seconds < 0 {
		return shown(v)
	}
	if seconds < 10 && seconds != float64(int64(seconds)) {
		return num(seconds, "s")
	}
	rest := int64(seconds + 0.5)
	var parts []string
	for _, unit := range []struct {
		seconds int64
		name    string
	}{{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}} {
		if n := rest / unit.seconds; n > 0 {
			parts = append(parts, num(n, unit.name))
			rest %= unit.seconds
		}
		if len(parts) == 2 {
			break
		}
	}
	if len(parts) == 0 {
		return num(int64(0), "s")
	}
	return strings.Join(parts, " ")
}
