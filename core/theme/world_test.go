package theme_test

import (
	"bytes"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"mortise/core/theme"
	"mortise/themes"
)

var noon = time.Date(2026, time.March, 14, 12, 0, 0, 0, time.UTC)

// shipped gives a renderer of the shipped themes.
func shipped(t testing.TB, modules ...theme.Module) *theme.Renderer {
	t.Helper()
	return newRenderer(t, theme.Options{Themes: []fs.FS{themes.FS}, Config: theme.Config{Modules: modules}})
}

func newRenderer(t testing.TB, o theme.Options) *theme.Renderer {
	t.Helper()
	o.Clock = func() time.Time { return noon }
	r, err := theme.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// small gives the folders of a plain site theme "customer", an admin theme, and extra files.
func small(extra map[string]string) fs.FS {
	files := fstest.MapFS{}
	add := func(name, body string) { files[name] = &fstest.MapFile{Data: []byte(body)} }
	for id, surface := range map[string]string{"customer": "site", "admin": "admin"} {
		add(id+"/theme.yaml", "{id: "+id+", name: "+id+", version: 1.0.0, surface: "+surface+"}")
		add(id+"/layouts/main.html", "<html><h1>{{.Title}}</h1>{{.Content}}</html>")
		add(id+"/pages/error.html", "error")
		add(id+"/assets/icons.svg", `<svg><symbol id="device"></symbol></svg>`)
	}
	for name, body := range extra {
		add(name, body)
	}
	return files
}

func templates(files map[string]string) fs.FS {
	all := fstest.MapFS{}
	for name, body := range files {
		all[name] = &fstest.MapFile{Data: []byte(body)}
	}
	return all
}

// draw renders a template text as a page of a module.
func draw(t testing.TB, text string, page theme.Page) (string, error) {
	t.Helper()
	r := newRenderer(t, theme.Options{
		Themes: []fs.FS{small(nil)},
		Config: theme.Config{Modules: []theme.Module{{ID: "m", Templates: templates(map[string]string{"x.html": text})}}},
	})
	page.Surface, page.Module, page.Template = theme.SurfaceSite, "m", "x"
	var b bytes.Buffer
	err := r.RenderBody(&b, &page)
	return b.String(), err
}

func render(t testing.TB, r *theme.Renderer, p theme.Page) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.Render(&b, &p); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// contains fails the test when one of the texts is missing.
func contains(t testing.TB, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q in:\n%s", want, text)
		}
	}
}
