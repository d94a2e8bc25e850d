package theme

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Decode reads JSON for a template: objects become map[string]any, lists []any, whole numbers int64, other numbers float64. A
// number that neither holds exactly stays a json.Number, so that no id loses a digit. (Decoding into any alone makes every number
// a float64, which prints a Unix time as 1.7e+09.)
//
// It reads exactly what encoding/json reads, up to a depth of 500, but in one pass: a view's data is decoded for every page, and
// with encoding/json this took a quarter of what drawing the page takes.
func Decode(body []byte) (any, error) {
	d := decoder{text: string(body)} // one copy; strings without escapes are parts of it
	v, err := d.value(0)
	if err == nil {
		if d.space(); d.at < len(d.text) {
			err = d.wrong("something follows the JSON value")
		}
	}
	if err != nil {
		return nil, fmt.Errorf("decode a view's data: %w", err)
	}
	return v, nil
}

// Data gives a typed value the shape that Decode gives, so that a template uses the names of the JSON keys.
func Data(v any) (any, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode a page's data: %w", err)
	}
	return Decode(body)
}

// maxDepth is how far values may be nested.
const maxDepth = 500

// decoder reads one text.
type decoder struct {
	text  string
	at    int
	stack []any // items of the lists that are being read
}

func (d *decoder) wrong(what string) error {
	return fmt.Errorf("%s at byte %d", what, d.at)
}

func (d *decoder) space() {
	for d.at < len(d.text) {
		switch d.text[d.at] {
		case ' ', '\t', '\r', '\n':
			d.at++
		default:
			return
		}
	}
}

// next skips white space and gives the byte after it without taking it; 0 at the end.
func (d *decoder) next() byte {
	d.space()
	if d.at >= len(d.text) {
		return 0
	}
	return d.text[d.at]
}

func (d *decoder) value(depth int) (any, error) {
	if depth > maxDepth {
		return nil, d.wrong("too deeply nested")
	}
	switch c := d.next(); c {
	case '{':
		return d.object(depth)
	case '[':
		return d.list(depth)
	case '"':
		return d.string()
	case 't':
		return true, d.word("true")
	case 'f':
		return false, d.word("false")
	case 'n':
		return nil, d.word("null")
	default:
		return d.number()
	}
}

func (d *decoder) word(w string) error {
	if len(d.text)-d.at < len(w) || d.text[d.at:d.at+len(w)] != w {
		return d.wrong("not a JSON value")
	}
	d.at += len(w)
	return nil
}

func (d *decoder) object(depth int) (any, error) {
	d.at++
	object := make(map[string]any)
	if d.next() == '}' {
		d.at++
		return object, nil
	}
	for {
		if d.next() != '"' {
			return nil, d.wrong("expected a key")
		}
		key, err := d.string()
		if err != nil {
			return nil, err
		}
		if d.next() != ':' {
			return nil, d.wrong("expected a colon")
		}
		d.at++
		if object[key], err = d.value(depth + 1); err != nil {
			return nil, err
		}
		switch d.next() {
		case ',':
			d.at++
		case '}':
			d.at++
			return object, nil
		default:
			return nil, d.wrong("expected a comma or a brace")
		}
	}
}

func (d *decoder) list(depth int) (any, error) {
	d.at++
	if d.next() == ']' {
		d.at++
		return []any{}, nil
	}
	bottom := len(d.stack)
	for {
		v, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		d.stack = append(d.stack, v)
		switch d.next() {
		case ',':
			d.at++
		case ']':
			d.at++
			list := slices.Clone(d.stack[bottom:])
			d.stack = d.stack[:bottom]
			return list, nil
		default:
			return nil, d.wrong("expected a comma or a bracket")
		}
	}
}

// string reads a string. One without escapes costs no memory.
func (d *decoder) string() (string, error) {
	start := d.at
	plain, ascii := true, true
	for i := start + 1; i < len(d.text); i++ {
		switch c := d.text[i]; {
		case c == '"':
			raw := d.text[start+1 : i]
			d.at = i + 1
			if plain && (ascii || utf8.ValidString(raw)) {
				return raw, nil
			}
			return d.escaped(d.text[start:d.at])
		case c == '\\':
			plain = false
			i++ // whatever it is, it does not end the string
		case c < ' ':
			d.at = i
			return "", d.wrong("a control character in a string")
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return "", d.wrong("a string without end")
}

// escaped reads a quoted string with escapes. sdk.Render makes many of them: json.Marshal writes <, > and & as escapes. What is rare is
// left to encoding/json: surrogates, and bytes that are not UTF-8.
func (d *decoder) escaped(quoted string) (string, error) {
	out := make([]byte, 0, len(quoted))
	for i := 1; i < len(quoted)-1; i++ {
		c := quoted[i]
		if c != '\\' {
			out = append(out, c)
			continue
		}
		i++
		if quoted[i] != 'u' {
			c, ok := escape(quoted[i])
			if !ok {
				return "", d.wrong("a wrong escape in the string before")
			}
			out = append(out, c)
			continue
		}
		if i+4 >= len(quoted) {
			return "", d.wrong("a wrong escape in the string before")
		}
		r, err := strconv.ParseUint(quoted[i+1:i+5], 16, 16)
		if err != nil || utf16.IsSurrogate(rune(r)) {
			return d.rare(quoted)
		}
		out = utf8.AppendRune(out, rune(r))
		i += 4
	}
	if !utf8.Valid(out) {
		return d.rare(quoted)
	}
	return string(out), nil
}

// escape gives the byte that an escape of one letter stands for.
func escape(letter byte) (b byte, ok bool) {
	switch letter {
	case '"', '\\', '/':
		return letter, true
	case 'b':
		return '\b', true
	case 'f':
		return '\f', true
	case 'n':
		return '\n', true
	case 'r':
		return '\r', true
	case 't':
		return '\t', true
	}
	return 0, false
}

func (d *decoder) rare(quoted string) (text string, err error) {
	if json.Unmarshal([]byte(quoted), &text) != nil {
		return "", d.wrong("a wrong escape in the string before")
	}
	return text, nil
}

// number reads a number. The grammar is stricter than strconv's: no plus, no leading zero, digits on both sides of the point.
func (d *decoder) number() (any, error) {
	start := d.at
	if d.at < len(d.text) && d.text[d.at] == '-' {
		d.at++
	}
	first := d.at
	whole := d.digits()
	if whole == 0 || whole > 1 && d.text[first] == '0' {
		return nil, d.wrong("not a JSON value")
	}
	integer := true
	if d.at < len(d.text) && d.text[d.at] == '.' {
		integer = false
		d.at++
		if d.digits() == 0 {
			return nil, d.wrong("expected digits")
		}
	}
	if d.at < len(d.text) && (d.text[d.at] == 'e' || d.text[d.at] == 'E') {
		integer = false
		d.at++
		if d.at < len(d.text) && (d.text[d.at] == '+' || d.text[d.at] == '-') {
			d.at++
		}
		if d.digits() == 0 {
			return nil, d.wrong("expected digits")
		}
	}
	text := d.text[start:d.at]
	if integer {
		if i, err := strconv.ParseInt(text, 10, 64); err == nil {
			return i, nil
		}
	}
	return fraction(text), nil
}

func (d *decoder) digits() (n int) {
	for d.at < len(d.text) && d.text[d.at] >= '0' && d.text[d.at] <= '9' {
		d.at++
		n++
	}
	return n
}

// fraction gives a number that is no int64.
func fraction(text string) any {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil { // greater than any float64
		return json.Number(text)
	}
	if isShort(text) { // 1.50, 2e3: whatever the spelling, a float64 holds it
		return f
	}
	if again := strconv.FormatFloat(f, 'f', -1, 64); again == text {
		return f
	}
	return json.Number(text)
}

// isShort tells whether a number has at most fifteen digits, which a float64 always keeps.
func isShort(text string) bool {
	digits := 0
	for _, c := range text {
		if c == 'e' || c == 'E' {
			break
		}
		if c >= '0' && c <= '9' {
			digits++
		}
	}
	return digits <= 15
}
