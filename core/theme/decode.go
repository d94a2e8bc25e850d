package theme

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
)

// Decode reads JSON for a template: objects become map[string]any, lists []any, whole numbers int64, other numbers float64. A
// number that neither holds exactly stays a json.Number, so that no id loses a digit. (Decoding into any alone makes every number
// a float64, which prints a Unix time as 1.7e+09.)
func Decode(body []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("decode a view's data: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("decode a view's data: something follows the JSON value")
	}
	return typed(v), nil
}

// Data gives a typed value the shape that Decode gives, so that a template uses the names of the JSON keys.
func Data(v any) (any, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode a page's data: %w", err)
	}
	return Decode(body)
}

func typed(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, one := range v {
			v[k] = typed(one)
		}
	case []any:
		for i, one := range v {
			v[i] = typed(one)
		}
	case json.Number:
		return number(v)
	}
	return v
}

func number(n json.Number) any {
	if i, err := n.Int64(); err == nil {
		return i
	}
	f, err := n.Float64()
	if err != nil {
		return n
	}
	if again := strconv.FormatFloat(f, 'f', -1, 64); again == n.String() {
		return f
	}
	if isShort(n.String()) { // 1.50, 2e3: another spelling of a number that a float64 holds
		return f
	}
	return n
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
