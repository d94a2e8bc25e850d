package particle

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// text reads a string, a number or a bool as text; null and anything else is "".
type text string

func (t *text) UnmarshalJSON(raw []byte) error {
	*t = text(rawText(raw))
	if *t == "" && (string(raw) == "true" || string(raw) == "false") {
		*t = text(raw)
	}
	return nil
}

// number reads a number or a string that holds one; anything else is absent.
type number struct {
	value   int64
	present bool
}

func (n *number) UnmarshalJSON(raw []byte) error {
	s := strings.TrimSpace(rawText(raw))
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		*n = number{i, true}
	} else if f, err := strconv.ParseFloat(s, 64); err == nil && f > -1e15 && f < 1e15 {
		*n = number{int64(f), true}
	}
	return nil
}

// flag reads true, "true", 1 and "1" as true; present tells a missing field from false.
type flag struct {
	value   bool
	present bool
}

func (f *flag) UnmarshalJSON(raw []byte) error {
	switch strings.ToLower(strings.Trim(string(raw), `"`)) {
	case "true", "1":
		*f = flag{true, true}
	case "false", "0":
		*f = flag{false, true}
	}
	return nil
}

// moment reads an ISO 8601 date or date-time, or milliseconds since 1970; anything else is the zero time.
type moment struct{ time.Time }

func (m *moment) UnmarshalJSON(raw []byte) error {
	s := rawText(raw)
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			m.Time = t.UTC()
			return nil
		}
	}
	if ms, err := strconv.ParseInt(s, 10, 64); err == nil && ms > 1e11 && ms < 1e14 {
		m.Time = time.UnixMilli(ms).UTC()
	}
	return nil
}

// texts reads a list of strings, or one string as a list of one; null and anything else is nil.
type texts []string

func (t *texts) UnmarshalJSON(raw []byte) error {
	var list []text
	if json.Unmarshal(raw, &list) != nil {
		if s := rawText(raw); s != "" {
			*t = texts{s}
		}
		return nil
	}
	for _, s := range list {
		if s != "" {
			*t = append(*t, string(s))
		}
	}
	return nil
}

// typeMap reads an object of strings, such as a device's variables; null, a list and anything else is nil.
type typeMap map[string]string

func (m *typeMap) UnmarshalJSON(raw []byte) error {
	var object map[string]text
	if json.Unmarshal(raw, &object) != nil || object == nil {
		return nil
	}
	*m = make(typeMap, len(object))
	for k, v := range object {
		(*m)[k] = string(v)
	}
	return nil
}

// listIn finds a list in an answer that is the list itself or an object that holds it under one of the keys.
// ok is false when there is neither.
func listIn(body []byte, keys ...string) (list []json.RawMessage, ok bool) {
	body = bytes.TrimSpace(body)
	if len(body) > 0 && body[0] == '[' {
		return list, json.Unmarshal(body, &list) == nil
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(body, &object) != nil {
		return nil, false
	}
	for _, key := range keys {
		if raw, found := object[key]; found {
			if string(raw) == "null" {
				return nil, true
			}
			return list, json.Unmarshal(raw, &list) == nil
		}
	}
	return nil, false
}

// oneIn finds an object in an answer under key, where it may also be a list of one, or the answer itself.
func oneIn(body []byte, key string) json.RawMessage {
	var object map[string]json.RawMessage
	if json.Unmarshal(body, &object) != nil {
		return nil
	}
	raw, found := object[key]
	if !found {
		return body
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) == nil {
		if len(list) == 0 {
			return nil
		}
		return list[0]
	}
	return raw
}
