package web

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/gofiber/fiber/v2"

	"mortise/core/fault"
)

// form is what a visitor sent, from a browser's form or as a JSON object. Values of a browser's form are string, or []string
// when a name stands there more than once; those of JSON are as decoded, with numbers as json.Number.
type form map[string]any

// fieldLimit bounds how many values a form may have.
const fieldLimit = 5000

// form reads the body.
func (v *visit) form() (form, error) {
	kind := strings.ToLower(v.c.Get(fiber.HeaderContentType))
	switch {
	case strings.HasPrefix(kind, fiber.MIMEApplicationJSON):
		return readJSON(v.c.Body())
	case strings.HasPrefix(kind, fiber.MIMEMultipartForm):
		parts, err := v.c.MultipartForm()
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "The form cannot be read.")
		}
		f := form{}
		for name, values := range parts.Value {
			f[strings.Clone(name)] = one(values)
		}
		return f, nil
	}
	f, count := form{}, 0
	v.c.Context().PostArgs().VisitAll(func(key, value []byte) {
		if count++; count <= fieldLimit {
			f.add(string(key), string(value))
		}
	})
	if count > fieldLimit {
		return nil, fault.New(fault.TooLarge, "The form has too many fields.")
	}
	return f, nil
}

func readJSON(body []byte) (form, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return form{}, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var f form
	if err := decoder.Decode(&f); err != nil || decoder.More() || f == nil {
		return nil, fault.Wrap(fault.Invalid, err, "Expected a JSON object.")
	}
	return f, nil
}

func (f form) add(name, value string) {
	switch old := f[name].(type) {
	case nil:
		f[name] = value
	case string:
		f[name] = []string{old, value}
	case []string:
		f[name] = append(old, value)
	}
}

func one(values []string) any {
	if len(values) == 1 {
		return values[0]
	}
	return values
}

// text gives a value as text; the first one when there are several, "" when it is neither text nor a number nor yes or no.
func (f form) text(name string) string {
	switch value := f[name].(type) {
	case string:
		return value
	case []string:
		if len(value) > 0 {
			return value[0]
		}
	case json.Number:
		return value.String()
	case bool:
		if value {
			return "true"
		}
		return "false"
	}
	return ""
}

// list gives all texts of a name.
func (f form) list(name string) []string {
	switch value := f[name].(type) {
	case string:
		return []string{value}
	case []string:
		return value
	case []any:
		var texts []string
		for _, one := range value {
			if text, ok := one.(string); ok {
				texts = append(texts, text)
			}
		}
		return texts
	}
	return nil
}

// on tells whether a box is ticked, or the JSON value true.
func (f form) on(name string) bool {
	switch f.text(name) {
	case "on", "true", "1", "yes":
		return true
	}
	return false
}

// has tells whether the name was sent at all.
func (f form) has(name string) bool { _, ok := f[name]; return ok }

// field gives one value of a browser's form without reading the rest; the CSRF check uses it on bodies that go to a module.
func (v *visit) field(name string) string {
	kind := strings.ToLower(v.c.Get(fiber.HeaderContentType))
	switch {
	case strings.HasPrefix(kind, fiber.MIMEApplicationForm):
		return string(v.c.Context().PostArgs().Peek(name))
	case strings.HasPrefix(kind, fiber.MIMEMultipartForm):
		if parts, err := v.c.MultipartForm(); err == nil && len(parts.Value[name]) > 0 {
			return parts.Value[name][0]
		}
	}
	return ""
}
