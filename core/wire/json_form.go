package wire

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
)

// maxJSONForm bounds a body that is looked into, in bytes. A larger one goes to the handler as it came.
const maxJSONForm = 1 << 20

// formFromJSON lets handlers read what a program sent the way they read a browser's form: the texts, numbers, booleans and lists
// of them in a JSON object are also form values. The body stays readable as it came.
func formFromJSON(r *http.Request) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" || r.ContentLength <= 0 || r.ContentLength > maxJSONForm {
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxJSONForm))
	rest := r.Body
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), rest), rest}
	if err != nil {
		return
	}
	if values, ok := parseJSONForm(body); ok {
		r.PostForm = values
	}
}

func parseJSONForm(body []byte) (url.Values, bool) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var object map[string]any
	if err := decoder.Decode(&object); err != nil || object == nil {
		return nil, false
	}
	values := url.Values{}
	for name, value := range object {
		if list, ok := value.([]any); ok {
			for _, one := range list {
				addScalar(values, name, one)
			}
			continue
		}
		addScalar(values, name, value)
	}
	return values, true
}

func addScalar(values url.Values, name string, value any) {
	switch v := value.(type) {
	case string:
		values.Add(name, v)
	case json.Number:
		values.Add(name, v.String())
	case bool:
		if v {
			values.Add(name, "true")
		} else {
			values.Add(name, "false")
		}
	}
}
