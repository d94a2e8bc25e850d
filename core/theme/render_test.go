package theme_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/core/theme"
	"mortise/themes"
)

func TestCheck_FindsNothingWrongWithTheShippedThemes(t *testing.T) {
	t.Parallel()
	for _, p := range theme.Check(theme.CheckOptions{Themes: []fs.FS{themes.FS}}) {
		t.Error(p)
	}
}

func TestRender_DrawsASignInPageWithItsMistake(t *testing.T) {
	t.Parallel()
	html := render(t, shipped(t), theme.Page{
		Surface: theme.SurfaceSite, Template: "login", Title: "Sign in", Data: map[string]any{"email": "ann@example.com", "registration": true},
		CSRF: "token-1", Nonce: "nonce-1", FieldErrors: sdk.Fields{"password": "this is not the password"}, Site: theme.Site{Name: "Acme"},
	})
	contains(t, html, `name="_csrf" value="token-1"`, `nonce="nonce-1"`, "<title>Sign in · Acme</title>", `value="ann@example.com"`,
		`href="#field-password">Password: this is not the password`, `aria-invalid="true"`, `href="/register"`)
	for _, never := range []string{" style=", "onclick", "<script>"} {
		if strings.Contains(html, never) {
			t.Errorf("the page contains %q, which the content security policy forbids", never)
		}
	}
}

func TestRender_LooksInTheThemeThenItsBaseThenTheModule(t *testing.T) {
	t.Parallel()
	files := small(map[string]string{
		"shop/theme.yaml":                     "{id: shop, name: Shop, version: 1.0.0, surface: site, base: customer}",
		"shop/templates/devices/one.html":     "shop one, {{template \"partials/note\" .}}",
		"customer/templates/devices/one.html": "customer one",
		"customer/templates/devices/two.html": "customer two",
		"customer/partials/note.html":         "base note",
		"shop/partials/note.html":             "shop note",
	})
	own := templates(map[string]string{"one.html": "own one", "two.html": "own two", "three.html": "own three, {{template \"partials/note\" .}}"})
	r := newRenderer(t, theme.Options{Themes: []fs.FS{files}, Config: theme.Config{Site: "shop", Modules: []theme.Module{{ID: "devices", Templates: own}}}})
	for name, want := range map[string]string{"one": "shop one, shop note", "two": "customer two", "three": "own three, shop note"} {
		contains(t, render(t, r, theme.Page{Surface: theme.SurfaceSite, Module: "devices", Template: name}), want)
	}
	if _, err := r.Update(func(c *theme.Config) { c.Site = "customer" }); err != nil {
		t.Fatal(err)
	}
	contains(t, render(t, r, theme.Page{Surface: theme.SurfaceSite, Module: "devices", Template: "one"}), "customer one")
}

func TestRender_KeepsTheDefinesOfModulesApart(t *testing.T) {
	t.Parallel()
	module := func(id string) theme.Module {
		return theme.Module{ID: id, Templates: templates(map[string]string{"x.html": `{{define "row"}}row of ` + id + `{{end}}{{template "row"}}`})}
	}
	r := newRenderer(t, theme.Options{Themes: []fs.FS{small(nil)}, Config: theme.Config{Modules: []theme.Module{module("a"), module("b")}}})
	for _, id := range []string{"a", "b"} {
		contains(t, render(t, r, theme.Page{Surface: theme.SurfaceSite, Module: id, Template: "x"}), "row of "+id)
	}
}

func TestRender_EscapesHostileDataWhereverItStands(t *testing.T) {
	t.Parallel()
	evil := `"><script>alert(1)</script>'`
	html, err := draw(t, `<a href="{{.Data.link}}" title="{{.Data.text}}">{{.Data.text}}</a>{{pill .Data.text .Data.text}}{{icon .Data.text}}<a href="{{url "/d" .Data.text}}">x</a>`+
		`<a href="{{query $ "q" .Data.text}}">y</a>{{sortlink $ .Data.text .Data.text}}<pre>{{json .Data.text}}</pre>{{ago $ .Data.text}}{{safeHTML .Data.html}}{{csrf $}}`,
		theme.Page{CSRF: evil, Data: map[string]any{"text": evil, "link": "javascript:alert(1)", "html": "<p onclick=x>fine<script>alert(1)</script><img src=//e.example/x></p>"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"<script", "javascript:", "onclick", "<img", `"">`} {
		if strings.Contains(html, bad) {
			t.Errorf("%q got through:\n%s", bad, html)
		}
	}
	contains(t, html, "<p>fine</p>", "#ZgotmplZ")
}

func TestRender_WritesNothingWhenATemplateFailsHalfWay(t *testing.T) {
	t.Parallel()
	r := newRenderer(t, theme.Options{
		Themes: []fs.FS{small(nil)},
		Config: theme.Config{Modules: []theme.Module{{ID: "m", Templates: templates(map[string]string{"x.html": "<p>first half</p>\n\n{{index .Data.list 7}}"})}}},
	})
	var b bytes.Buffer
	err := r.Render(&b, &theme.Page{Surface: theme.SurfaceSite, Module: "m", Template: "x", Data: map[string]any{"list": []any{}}})
	if b.Len() != 0 {
		t.Errorf("half a page was written: %q", b.String())
	}
	var p theme.Problem
	if !errors.As(err, &p) || p.Theme != "customer" || p.Template != "plugins/m/templates/x.html" || p.Line != 3 || !fault.Is(err, fault.Internal) {
		t.Errorf("err = %v, want a problem at plugins/m/templates/x.html:3", err)
	}
	if err := r.Render(&b, &theme.Page{Surface: theme.SurfaceSite, Module: "m", Template: "gone"}); !errors.As(err, &p) {
		t.Errorf("a missing template: err = %v", err)
	}
	if err := r.Render(&b, &theme.Page{Surface: theme.SurfaceSite, Module: "nobody", Template: "x"}); !errors.As(err, &p) {
		t.Errorf("an unknown module: err = %v", err)
	}
}

func TestRender_RefusesAPageBeyondTheLimit(t *testing.T) {
	t.Parallel()
	r := newRenderer(t, theme.Options{
		MaxPage: 1000, Themes: []fs.FS{small(nil)},
		Config: theme.Config{Modules: []theme.Module{{ID: "m", Templates: templates(map[string]string{"x.html": "{{range seq 1000}}0123456789{{end}}"})}}},
	})
	var b bytes.Buffer
	err := r.Render(&b, &theme.Page{Surface: theme.SurfaceSite, Module: "m", Template: "x"})
	if err == nil || !strings.Contains(err.Error(), "longer than the site allows") || b.Len() > 0 {
		t.Errorf("err = %v with %d bytes written", err, b.Len())
	}
}

func TestUpdate_NamesBrokenModulesAndKeepsTheRest(t *testing.T) {
	t.Parallel()
	r := newRenderer(t, theme.Options{Themes: []fs.FS{small(nil)}})
	problems, err := r.Update(func(c *theme.Config) {
		c.Modules = []theme.Module{
			{ID: "bad", Templates: templates(map[string]string{"x.html": "line one\n{{nothing .}}"})},
			{ID: "unclosed", Templates: templates(map[string]string{"x.html": "<a href='{{.Data.x}}>"})},
			{ID: "good", Templates: templates(map[string]string{"x.html": "works"})},
		}
	})
	if err != nil || len(problems) != 4 { // on both surfaces
		t.Fatalf("problems = %v, err = %v", problems, err)
	}
	if p := problems[0]; p.Template != "plugins/bad/templates/x.html" || p.Line != 2 || p.Module != "bad" {
		t.Errorf("problem = %+v", p)
	}
	contains(t, render(t, r, theme.Page{Surface: theme.SurfaceSite, Module: "good", Template: "x"}), "works")
	if r.HasTemplate(theme.SurfaceSite, "bad", "x") || !r.HasTemplate(theme.SurfaceSite, "good", "x") {
		t.Error("HasTemplate does not tell which module can be drawn")
	}
}

func TestUpdate_KeepsTheOldSnapshotWhenAThemeCannotBeUsed(t *testing.T) {
	t.Parallel()
	r := newRenderer(t, theme.Options{Themes: []fs.FS{small(map[string]string{
		"broken/theme.yaml":        "{id: broken, name: B, version: 1.0.0, surface: site, base: customer}",
		"broken/layouts/main.html": "{{if}}",
		"circle/theme.yaml":        "{id: circle, name: C, version: 1.0.0, surface: site, base: circle2}",
		"circle2/theme.yaml":       "{id: circle2, name: C, version: 1.0.0, surface: site, base: circle}",
		"typo/theme.yaml":          "{id: typo, name: T, version: 1.0.0, surface: site, tokenz: {}}",
	})}})
	for id, want := range map[string]string{
		"broken": "themes/broken/layouts/main.html:1", "circle": "go in a circle", "typo": "tokenz", "admin": "not for the surface", "gone": "there is no theme gone",
	} {
		_, err := r.Update(func(c *theme.Config) { c.Site = id })
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("theme %s: err = %v, want %q", id, err, want)
		}
		if got := r.Config().Site; got != "customer" {
			t.Fatalf("after the refused theme %s the active one is %s", id, got)
		}
	}
	found := 0
	for _, info := range r.Themes() {
		if info.Problem != "" {
			found++
		}
	}
	if found != 3 { // circle, circle2, typo; the mistake of "broken" shows when it is parsed
		t.Errorf("%d themes are listed with a problem, want 3", found)
	}
}

func TestUpdate_SwapsWhilePagesAreDrawn(t *testing.T) {
	t.Parallel()
	version := func(n int) theme.Module {
		return theme.Module{ID: "m", Digest: fmt.Sprint(n), Templates: templates(map[string]string{"x.html": fmt.Sprintf("<i>%d</i>{{range seq 50}}{{num . \"V\"}}{{end}}<b>%d</b>", n, n)})}
	}
	r := newRenderer(t, theme.Options{Themes: []fs.FS{small(nil)}, Config: theme.Config{Modules: []theme.Module{version(0)}}})
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				var b bytes.Buffer
				if err := r.Render(&b, &theme.Page{Surface: theme.SurfaceSite, Module: "m", Template: "x"}); err != nil {
					t.Error(err)
					return
				}
				_, rest, _ := strings.Cut(b.String(), "<i>")
				first, _, _ := strings.Cut(rest, "</i>")
				if !strings.Contains(b.String(), "<b>"+first+"</b>") {
					t.Errorf("a page mixes two snapshots: %s", b.String())
					return
				}
			}
		})
	}
	for n := 1; n <= 40; n++ {
		if _, err := r.Update(func(c *theme.Config) { c.Modules = []theme.Module{version(n)} }); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	readers.Wait()
	contains(t, render(t, r, theme.Page{Surface: theme.SurfaceSite, Module: "m", Template: "x"}), "<i>40</i>")
}

// blocking is a value whose rendering waits until another render is under way too. If renders excluded each other, neither
// could go on.
type blocking struct{ both *sync.WaitGroup }

func (b blocking) Meet() string {
	b.both.Done()
	b.both.Wait()
	return "met"
}

func TestRender_DoesNotWaitForAnotherRender(t *testing.T) {
	t.Parallel()
	r := newRenderer(t, theme.Options{Themes: []fs.FS{small(map[string]string{"customer/layouts/main.html": "{{.Content}}{{can . \"x\"}}"})},
		Config: theme.Config{Modules: []theme.Module{{ID: "m", Templates: templates(map[string]string{"x.html": "page"})}}}})
	var inLayout sync.WaitGroup
	inLayout.Add(2)
	var done sync.WaitGroup
	for range 2 {
		done.Go(func() {
			page := &theme.Page{Surface: theme.SurfaceSite, Module: "m", Template: "x"}
			page.Visitor.Can = func(string) bool { blocking{&inLayout}.Meet(); return true }
			var b bytes.Buffer
			if err := r.Render(&b, page); err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait() // never comes when a lock is held while the layout is drawn
}

func BenchmarkRender_Parallel(b *testing.B) {
	r := shipped(b, theme.Module{ID: "m", Templates: templates(map[string]string{"x.html": `<ul class="rows">{{range .Data.devices}}<li class="row"><a class="row-title" href="{{url "/devices" .id}}">{{.name}}</a>{{pill "good" .state}}{{ago $ .at}}</li>{{end}}</ul>`})})
	var devices []any
	for i := range 25 {
		devices = append(devices, map[string]any{"id": int64(i), "name": fmt.Sprintf("Lamp %d", i), "state": "Online", "at": "2026-03-14T11:58:00Z"})
	}
	page := theme.Page{Surface: theme.SurfaceSite, Module: "m", Template: "x", Title: "Devices", Data: map[string]any{"devices": devices}}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		var out bytes.Buffer
		for pb.Next() {
			out.Reset()
			if err := r.Render(&out, &page); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
