package services

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Answers of services are long lists of which a schema says little more than that their elements are objects. To check a thousand of these
// by reading each field into a value costs more than to make them. So a message is read only as deep as its schema looks.

// wholly is the depth of a schema of which nobody can tell how far it looks.
const wholly = -1

// depthOf tells how many levels of objects and lists within each other a schema looks into: 0 for one that only wants to know what kind of
// value it is, wholly when it has a keyword that is not listed here.
func depthOf(schema any) int {
	words, ok := schema.(map[string]any)
	if !ok {
		if _, ok := schema.(bool); ok {
			return 0
		}
		return wholly
	}
	deepest := 0
	for word, value := range words {
		depth := wholly
		switch word {
		case "type", "title", "description", "format", "pattern", "minLength", "maxLength", "minimum", "maximum":
			depth = 0
		case "required", "minItems", "maxItems", "minProperties", "maxProperties":
			depth = 1
		case "items", "additionalProperties":
			depth = within(value)
		case "properties":
			named, ok := value.(map[string]any)
			if !ok {
				return wholly
			}
			depth = 1
			for _, property := range named {
				inner := within(property)
				if inner == wholly {
					return wholly
				}
				depth = max(depth, inner)
			}
		}
		if depth == wholly {
			return wholly
		}
		deepest = max(deepest, depth)
	}
	return deepest
}

func within(schema any) int {
	if depth := depthOf(schema); depth != wholly {
		return depth + 1
	}
	return wholly
}

// read gives a message in the kinds of values that the library checks. Objects and lists that are deeper than depth are empty.
func read(message []byte, depth int) (any, error) {
	if depth == wholly {
		return jsonschema.UnmarshalJSON(bytes.NewReader(message))
	}
	if !json.Valid(message) {
		return nil, errors.New("not JSON")
	}
	s := skimmer{text: message}
	return s.value(depth), nil
}

// skimmer reads text that is known to be JSON.
type skimmer struct {
	text []byte
	at   int
}

// next is the first byte that is no blank; it is not taken.
func (s *skimmer) next() byte {
	for {
		switch c := s.text[s.at]; c {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return c
		}
	}
}

func (s *skimmer) value(depth int) any {
	switch c := s.next(); c {
	case '{':
		object := map[string]any{}
		if depth == 0 {
			s.skip()
			return object
		}
		for s.at++; s.next() != '}'; s.comma() {
			name := s.word()
			s.next()
			s.at++ // the colon
			object[name] = s.value(depth - 1)
		}
		s.at++
		return object
	case '[':
		list := []any{}
		if depth == 0 {
			s.skip()
			return list
		}
		for s.at++; s.next() != ']'; s.comma() {
			list = append(list, s.value(depth-1))
		}
		s.at++
		return list
	case '"':
		return s.word()
	case 't':
		s.at += len("true")
		return true
	case 'f':
		s.at += len("false")
		return false
	case 'n':
		s.at += len("null")
		return nil
	}
	from := s.at
	for s.at < len(s.text) && bytes.IndexByte([]byte("+-.eE0123456789"), s.text[s.at]) >= 0 {
		s.at++
	}
	return json.Number(s.text[from:s.at])
}

func (s *skimmer) comma() {
	if s.next() == ',' {
		s.at++
	}
}

// word reads a text.
func (s *skimmer) word() string {
	from := s.at
	plain := s.pass()
	if inner := s.text[from+1 : s.at-1]; plain && utf8.Valid(inner) {
		return string(inner)
	}
	var word string
	_ = json.Unmarshal(s.text[from:s.at], &word) // it is JSON
	return word
}

// pass goes behind a text. plain tells that it has no escapes.
func (s *skimmer) pass() (plain bool) {
	plain = true
	for s.at++; s.text[s.at] != '"'; s.at++ {
		if s.text[s.at] == '\\' {
			plain = false
			s.at++
		}
	}
	s.at++
	return plain
}

// skip goes behind an object or a list.
func (s *skimmer) skip() {
	for open := 0; ; {
		switch s.text[s.at] {
		case '{', '[':
			open++
		case '}', ']':
			open--
		case '"':
			s.pass()
			continue
		}
		s.at++
		if open == 0 {
			return
		}
	}
}
