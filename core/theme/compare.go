package theme

import (
	"encoding/json"
	"reflect"
	"strings"
)

// The comparisons of text/template fail on a float beside an integer, on a missing value and on json.Number. Data of modules
// has all three, so templates get these: numbers compare by value, texts as texts, and what cannot be compared is not equal
// and not less.

func equal(a any, others ...any) bool {
	for _, b := range others {
		if order, ok := compare(a, b); ok && order == 0 {
			return true
		} else if !ok && sameValue(a, b) {
			return true
		}
	}
	return false
}

func sameValue(a, b any) bool {
	if isNil(a) || isNil(b) {
		return isNil(a) && isNil(b)
	}
	return reflect.DeepEqual(a, b)
}

func isNil(v any) bool {
	if v == nil {
		return true
	}
	switch rv := reflect.ValueOf(v); rv.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Interface, reflect.Func:
		return rv.IsNil()
	}
	return false
}

// compare orders two numbers or two texts; ok is false for anything else.
func compare(a, b any) (order int, ok bool) {
	if x, isInt := toInt(a); isInt {
		if y, isInt := toInt(b); isInt {
			return sign(x < y, x > y), true
		}
	}
	if x, isNumber := toFloat(a); isNumber {
		y, isNumber := toFloat(b)
		return sign(x < y, x > y), isNumber
	}
	x, isText := toText(a)
	y, alsoText := toText(b)
	return strings.Compare(x, y), isText && alsoText
}

func sign(less, more bool) int {
	switch {
	case less:
		return -1
	case more:
		return 1
	}
	return 0
}

func toInt(v any) (int64, bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case int:
		return int64(v), true
	case json.Number:
		i, err := v.Int64()
		return i, err == nil
	case nil, string, bool, float64:
		return 0, false
	}
	rv := reflect.ValueOf(v)
	switch {
	case rv.CanInt():
		return rv.Int(), true
	case rv.CanUint() && rv.Uint() < 1<<63:
		return int64(rv.Uint()), true
	}
	return 0, false
}

func toFloat(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case json.Number:
		f, err := v.Float64()
		return f, err == nil
	}
	if i, ok := toInt(v); ok {
		return float64(i), true
	}
	if rv := reflect.ValueOf(v); rv.IsValid() && rv.CanFloat() {
		return rv.Float(), true
	}
	return 0, false
}

func toText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return "", false
	}
	if rv := reflect.ValueOf(v); rv.IsValid() && rv.Kind() == reflect.String {
		return rv.String(), true
	}
	return "", false
}

func less(a, b any) bool    { o, ok := compare(a, b); return ok && o < 0 }
func more(a, b any) bool    { o, ok := compare(a, b); return ok && o > 0 }
func atMost(a, b any) bool  { o, ok := compare(a, b); return ok && o <= 0 }
func atLeast(a, b any) bool { o, ok := compare(a, b); return ok && o >= 0 }
func notEqual(a any, b any) bool {
	return !equal(a, b)
}
