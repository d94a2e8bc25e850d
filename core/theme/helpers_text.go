package theme

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// narrow is the space between a number and its unit and between groups of three digits: narrow, and no place to break a line.
const narrow = "\u202f"

// shown is any value as text; nothing for null.
func shown(v any) string {
	if text, ok := toText(v); ok {
		return text
	}
	if isNil(v) {
		return ""
	}
	if f, ok := v.(float64); ok {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

// num draws a number with as many digits as are of use, and its unit after a narrow space. Text passes as it is, with the unit.
func num(v any, unit ...any) string {
	text := shown(v)
	if i, ok := toInt(v); ok {
		text = grouped(strconv.FormatInt(i, 10))
	} else if f, ok := toFloat(v); ok {
		text = sensible(f)
	}
	if text == "" {
		return "—"
	}
	if len(unit) > 0 {
		if u := shown(unit[0]); u != "" {
			return text + narrow + u
		}
	}
	return text
}

// sensible rounds to about three significant digits after the point's sense: 1234.5, 21.4, 0.0123.
func sensible(f float64) string {
	abs := math.Abs(f)
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return "—"
	}
	if abs >= 1e15 || (abs < 1e-4 && abs > 0) {
		return strconv.FormatFloat(f, 'g', 4, 64)
	}
	digits := 0
	switch {
	case abs >= 1000:
		digits = 1
	case abs >= 1:
		digits = 2
	default:
		digits = 4
	}
	text := strconv.FormatFloat(f, 'f', digits, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	if text == "-0" {
		text = "0"
	}
	return grouped(text)
}

// grouped sets narrow spaces between groups of three digits, from five digits on.
func grouped(text string) string {
	sign, whole, fraction := "", text, ""
	if strings.HasPrefix(whole, "-") {
		sign, whole = "−", whole[1:]
	}
	if i := strings.IndexByte(whole, '.'); i >= 0 {
		whole, fraction = whole[:i], whole[i:]
	}
	if len(whole) < 5 {
		return sign + whole + fraction
	}
	var b strings.Builder
	for i, c := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 {
			b.WriteString(narrow)
		}
		b.WriteRune(c)
	}
	return sign + b.String() + fraction
}

func size(v any) string {
	f, ok := toFloat(v)
	if !ok {
		return num(v)
	}
	units := []string{"B", "kB", "MB", "GB", "TB"}
	i := 0
	for math.Abs(f) >= 1000 && i < len(units)-1 {
		f /= 1000
		i++
	}
	if f >= 10 || i == 0 {
		return num(int64(math.Round(f)), units[i])
	}
	return num(math.Round(f*10)/10, units[i])
}

func percent(v any) string {
	f, ok := toFloat(v)
	if !ok {
		return num(v)
	}
	return num(math.Round(f*1000)/10, "%")
}

func plural(n any, one, many string) string {
	if i, ok := toInt(n); ok && i == 1 {
		return "1 " + one
	}
	if isNil(n) {
		n = int64(0)
	}
	return num(n) + " " + many
}

func textFunc(f func(string) string) func(any) string {
	return func(v any) string { return f(shown(v)) }
}

func capitalised(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return s
	}
	return string(unicode.ToUpper(r)) + s[n:]
}

func words(s string) string {
	return capitalised(strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == '_' || r == '.' || r == '-' {
			return ' '
		}
		return r
	}, s)))
}

func truncate(max int, v any) string {
	runes := []rune(shown(v))
	if max < 1 || len(runes) <= max {
		return string(runes)
	}
	return strings.TrimRight(string(runes[:max-1]), " ") + "…"
}

func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, errors.New("dict: expected a value for every key")
	}
	if err := fits(maxBuilt, false, pairs...); err != nil {
		return nil, fmt.Errorf("dict: %w", err)
	}
	m := make(map[string]any, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		key, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict: key %v is not a text", pairs[i])
		}
		m[key] = pairs[i+1]
		if p := pageOf(pairs[i+1]); key == "page" && p != nil {
			m[key] = p // in a partial of a partial $ is a dict itself
		}
	}
	return m, nil
}

func isText(v any) bool {
	_, ok := toText(v)
	return ok
}

func secretHint(set any) string {
	if set == true {
		return "unchanged"
	}
	return ""
}

func list(items ...any) ([]any, error) { return items, fits(maxBuilt, false, items...) }

func orDefault(fallback, v any) any {
	if isNil(v) || v == "" || v == false || equal(v, 0) || count(v) == 0 && isCollection(v) {
		return fallback
	}
	return v
}

func isCollection(v any) bool {
	kind := reflect.ValueOf(v).Kind()
	return kind == reflect.Slice || kind == reflect.Map
}

func elements(v any) []any {
	if l, ok := v.([]any); ok {
		return l
	}
	rv := reflect.ValueOf(v)
	if !rv.IsValid() || rv.Kind() != reflect.Slice {
		return nil
	}
	l := make([]any, rv.Len())
	for i := range l {
		l[i] = rv.Index(i).Interface()
	}
	return l
}

func join(separator string, v any) (string, error) {
	all := elements(v)
	if err := fits(maxText-len(separator)*len(all), true, v); err != nil {
		return "", fmt.Errorf("join: %w", err)
	}
	words := make([]string, len(all))
	for i, one := range all {
		words[i] = shown(one)
	}
	return strings.Join(words, separator), nil
}

func contains(in, what any) bool {
	if text, ok := toText(in); ok {
		return strings.Contains(text, shown(what))
	}
	return slices.ContainsFunc(elements(in), func(one any) bool { return equal(one, what) })
}

func count(v any) int {
	switch rv := reflect.ValueOf(v); rv.Kind() {
	case reflect.Slice, reflect.Map, reflect.Array:
		return rv.Len()
	case reflect.String:
		return utf8.RuneCountInString(rv.String())
	}
	return 0
}

func first(v any) any {
	if l := elements(v); len(l) > 0 {
		return l[0]
	}
	return nil
}

func keys(v any) []string {
	m, _ := v.(map[string]any)
	return slices.Sorted(maps.Keys(m))
}

func add(a, b any) any { return arithmetic(a, b, 1) }
func sub(a, b any) any { return arithmetic(a, b, -1) }

func arithmetic(a, b any, sign int64) any {
	x, whole := toInt(a)
	y, alsoWhole := toInt(b)
	if whole && alsoWhole {
		return x + sign*y
	}
	f, _ := toFloat(a)
	g, _ := toFloat(b)
	return f + float64(sign)*g
}

func seq(v any) []int64 {
	n, _ := toInt(v)
	n = min(max(n, 0), 1000)
	out := make([]int64, n)
	for i := range out {
		out[i] = int64(i) + 1
	}
	return out
}

func compareText(a, b string) int { return strings.Compare(a, b) }
