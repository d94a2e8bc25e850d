package theme_test

import (
	"bytes"
	"io/fs"
	"strings"
	"testing"
	"time"

	"mortise/core/sdk"
	"mortise/core/theme"
	"mortise/themes"
)

// shipped gives a renderer of the shipped themes.
func shipped(t testing.TB) *theme.Renderer {
	t.Helper()
	r, err := theme.New(theme.Options{Themes: []fs.FS{themes.FS}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func render(t testing.TB, r *theme.Renderer, p *theme.Page) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.Render(&b, p); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestRenderer_DrawsEveryShippedHostPage(t *testing.T) {
	t.Parallel()
	if problems := theme.Check(theme.CheckOptions{Themes: []fs.FS{themes.FS}}); len(problems) > 0 {
		for _, p := range problems {
			t.Error(p)
		}
	}
	page := &theme.Page{
		Surface: theme.SurfaceSite, Template: "login", Title: "Sign in", Data: map[string]any{"email": "ann@example.com", "registration": true},
		CSRF: "token-1", Nonce: "nonce-1", FieldErrors: sdk.Fields{"password": "this is not the password"}, Site: theme.Site{Name: "Acme"},
		Now: time.Unix(1700000000, 0),
	}
	html := render(t, shipped(t), page)
	for _, want := range []string{`name="_csrf" value="token-1"`, `nonce="nonce-1"`, "<title>Sign in · Acme</title>", `value="ann@example.com"`, "This is not the password", `href="#field-password"`} {
		if !strings.Contains(html, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}
