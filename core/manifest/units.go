package manifest

import (
	"encoding/json"
	"fmt"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

func durationOr(text string, fallback time.Duration) time.Duration {
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return d
	}
	return fallback
}

var byteUnits = []struct {
	suffix string
	factor int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

func parseBytes(text string) (int64, error) {
	for _, u := range byteUnits {
		if digits, ok := strings.CutSuffix(text, u.suffix); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 40)
			if err != nil || n <= 0 {
				break
			}
			return n * u.factor, nil
		}
	}
	return 0, fmt.Errorf("%q: expected a size such as 64KiB or 16MiB", text)
}

func bytesOr(text string, fallback int64) int64 {
	if n, err := parseBytes(text); err == nil {
		return n
	}
	return fallback
}

// maxText bounds a text setting, in bytes; longtext gets sixteen times as much.
const maxText = 4 << 10

// Coerce turns a form value (string, []string) or a JSON value into the setting's type: string, bool, int64, float64 or
// []string. The error says, for the person at the form, what was expected.
func (s Setting) Coerce(value any) (any, error) {
	switch s.Type {
	case "bool":
		return coerceBool(value)
	case "number":
		return s.coerceNumber(value)
	case "multiselect":
		return s.coerceList(value)
	}
	text, ok := value.(string)
	if !ok {
		return nil, fmt.Errorf("expected text")
	}
	return s.coerceText(text)
}

func coerceBool(value any) (any, error) {
	switch v := value.(type) {
	case bool:
		return v, nil
	case string:
		switch v {
		case "on", "true", "1", "yes":
			return true, nil
		case "", "off", "false", "0", "no":
			return false, nil
		}
	}
	return nil, fmt.Errorf("expected yes or no")
}

func (s Setting) coerceNumber(value any) (any, error) {
	var text string
	switch v := value.(type) {
	case string:
		text = strings.TrimSpace(v)
	case json.Number:
		text = v.String()
	case float64:
		text = strconv.FormatFloat(v, 'f', -1, 64)
	case int64:
		text = strconv.FormatInt(v, 10)
	case int:
		text = strconv.Itoa(v)
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, fmt.Errorf("expected a number, such as 10")
	}
	if s.Min != nil && f < *s.Min {
		return nil, fmt.Errorf("expected at least %v", *s.Min)
	}
	if s.Max != nil && f > *s.Max {
		return nil, fmt.Errorf("expected at most %v", *s.Max)
	}
	if f == float64(int64(f)) {
		return int64(f), nil
	}
	return f, nil
}

func (s Setting) coerceList(value any) (any, error) {
	var list []string
	switch v := value.(type) {
	case string:
		if v != "" {
			list = []string{v}
		}
	case []string:
		list = v
	case []any:
		for _, one := range v {
			text, ok := one.(string)
			if !ok {
				return nil, fmt.Errorf("expected a list of texts")
			}
			list = append(list, text)
		}
	default:
		return nil, fmt.Errorf("expected a list of texts")
	}
	for _, one := range list {
		if !s.offers(one) {
			return nil, fmt.Errorf("%q is not one of the choices", one)
		}
	}
	return list, nil
}

func (s Setting) offers(value string) bool {
	return slices.ContainsFunc(s.Options, func(o Option) bool { return o.Value == value })
}

func (s Setting) coerceText(text string) (any, error) {
	if s.Type != "longtext" {
		text = strings.TrimSpace(text)
	}
	limit := maxText
	if s.Type == "longtext" {
		limit *= 16
	}
	if len(text) > limit {
		return nil, fmt.Errorf("expected at most %d bytes, got %d", limit, len(text))
	}
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return nil, fmt.Errorf("expected readable text")
	}
	if text == "" {
		if s.Required {
			return nil, fmt.Errorf("this is needed")
		}
		return "", nil
	}
	switch s.Type {
	case "url":
		if u, err := url.Parse(text); err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" {
			return nil, fmt.Errorf("expected an address that starts with https://")
		}
		text = strings.TrimRight(text, "/")
	case "email":
		if a, err := mail.ParseAddress(text); err != nil || a.Address != text {
			return nil, fmt.Errorf("expected an e-mail address, such as ann@example.com")
		}
	case "select":
		if !s.offers(text) {
			return nil, fmt.Errorf("%q is not one of the choices", text)
		}
	}
	if s.Pattern != "" {
		if re, err := regexp.Compile(`^(?:` + s.Pattern + `)$`); err == nil && !re.MatchString(text) {
			return nil, fmt.Errorf("expected something of the form %s", s.Pattern)
		}
	}
	return text, nil
}
