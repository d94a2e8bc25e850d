package theme_test

import (
	"bytes"
	"io/fs"
	"runtime"
	"strings"
	"testing"
	"time"

	"mortise/core/theme"
)

// boundless are templates that would never end, or fill the memory.
var boundless = map[string]string{
	"loops that write nothing": `{{range $a := .Data.list}}{{range $b := $.Data.list}}{{range $c := $.Data.list}}{{range $d := $.Data.list}}{{end}}{{end}}{{end}}{{end}}`,
	"a loop in an empty else":  `{{range seq 1000}}{{if false}}{{else}}{{range seq 1000}}{{range seq 1000}}{{range seq 1000}}{{with 0}}{{else}}{{end}}{{end}}{{end}}{{end}}{{end}}{{end}}`,
	"templates that call each": `{{define "twice"}}{{if .}}{{template "twice" (slice . 1)}}{{template "twice" (slice . 1)}}{{end}}{{end}}{{template "twice" "` + strings.Repeat("x", 60) + `"}}`,
	"steps that take long":     strings.Repeat(`{{$x := safeHTML .Data.large}}`, 500),
	"print":                    `{{$x := "0123456789"}}{{range seq 60}}{{$x = print $x $x}}{{end}}{{len $x}}`,
	"println":                  `{{$x := "0123456789"}}{{range seq 60}}{{$x = println $x $x}}{{end}}{{len $x}}`,
	"printf":                   `{{$x := "0123456789"}}{{range seq 60}}{{$x = printf "%s%[1]s" $x}}{{end}}{{len $x}}`,
	"printf with a width":      `{{printf "%999999d" 1}}`,
	"printf with a star":       `{{printf "%*d" 999999 1}}`,
	"printf of the page":       `{{printf "%v" $}}`,
	"js":                       `{{$x := "\\"}}{{range seq 60}}{{$x = js $x}}{{end}}{{len $x}}`,
	"join":                     `{{$x := "0123456789"}}{{range seq 60}}{{$x = join $x (list $x $x)}}{{end}}{{len $x}}`,
	"lists of lists":           `{{$x := list 1}}{{range seq 60}}{{$x = list $x $x}}{{end}}{{$x}}`,
	"maps of maps":             `{{$x := dict "a" 1}}{{range seq 60}}{{$x = dict "a" $x "b" $x}}{{end}}{{json $x}}`,
	"paths":                    `{{$x := "/a"}}{{range seq 60}}{{$x = url $x $x $x}}{{end}}{{len $x}}`,
}

func TestRender_EndsTemplatesThatKnowNoEnd(t *testing.T) {
	files := map[string]string{}
	names := map[string]string{}
	for name, text := range boundless {
		file := strings.ReplaceAll(name, " ", "_")
		names[name], files[file+".html"] = file, text
	}
	r := newRenderer(t, theme.Options{
		MaxTime: 200 * time.Millisecond, Themes: []fs.FS{small(nil)},
		Config: theme.Config{Modules: []theme.Module{{ID: "m", Templates: templates(files)}}},
	})
	large := strings.Repeat("<b>x</b>", 20_000)
	for name, file := range names {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		begun := time.Now()
		var b bytes.Buffer
		err := r.Render(&b, &theme.Page{Surface: theme.SurfaceSite, Module: "m", Template: file, Data: map[string]any{"list": make([]any, 1000), "large": large}})
		took := time.Since(begun)
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%s: the page was drawn", name)
		}
		if took > 5*time.Second {
			t.Errorf("%s: it took %s to end it", name, took)
		}
		if grown := (after.TotalAlloc - before.TotalAlloc) >> 20; grown > 1000 {
			t.Errorf("%s: it took %d MiB", name, grown)
		}
	}
}

func TestRender_DoesNotShowGiantValuesAsJSON(t *testing.T) {
	t.Parallel()
	var deep any = strings.Repeat("x", 1000)
	for range 400 {
		deep = []any{deep, 1}
	}
	page, err := draw(t, `{{json .Data.deep}}`, theme.Page{Data: map[string]any{"deep": deep}})
	if err != nil || len(page) > 4<<20 {
		t.Errorf("%d bytes, %v", len(page), err)
	}
	page, err = draw(t, `{{json .Data.wide}}`, theme.Page{Data: map[string]any{"wide": make([]any, 100_000)}})
	if err != nil || !strings.Contains(page, "more than can be shown") {
		t.Errorf("%d bytes, %v", len(page), err)
	}
}
