package wire

import (
	"io"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestFormFromJSON_GivesAProgramsObjectAsFormValuesAndKeepsTheBody(t *testing.T) {
	t.Parallel()
	const body = `{"arg":"on","count":12345678901234567890,"private":true,"roles":["a","b"],"deep":{"x":1},"none":null}`
	r := httptest.NewRequest("POST", "/x?arg=query", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	formFromJSON(r)
	if got := r.PostFormValue("arg"); got != "on" {
		t.Errorf("arg = %q", got)
	}
	if got := r.FormValue("count"); got != "12345678901234567890" {
		t.Errorf("count = %q: digits were lost", got)
	}
	if got := r.PostForm["roles"]; len(got) != 2 || r.PostFormValue("private") != "true" || r.PostForm.Has("deep") || r.PostForm.Has("none") {
		t.Errorf("form = %v", r.PostForm)
	}
	if again, err := io.ReadAll(r.Body); err != nil || string(again) != body {
		t.Errorf("the body is %q, %v", again, err)
	}
}

func TestFormFromJSON_LeavesOtherBodiesAlone(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, kind, body string }{
		{"a form", "application/x-www-form-urlencoded", "arg=on"},
		{"a list", "application/json", `["arg"]`},
		{"broken JSON", "application/json", `{"arg":`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/x", strings.NewReader(tc.body))
			r.Header.Set("Content-Type", tc.kind)
			formFromJSON(r)
			if again, err := io.ReadAll(r.Body); err != nil || string(again) != tc.body {
				t.Errorf("the body is %q, %v", again, err)
			}
		})
	}
}

func FuzzParseJSONForm(f *testing.F) {
	f.Add([]byte(`{"a":1,"b":["x",true,null]}`))
	f.Add([]byte(`[`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if values, ok := parseJSONForm(body); ok != (values != nil) {
			t.Errorf("values %v, ok %v", values, ok)
		}
	})
}
