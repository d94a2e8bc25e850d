package theme

import (
	"io"
	"io/fs"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"mortise/core/sdk"
)

// CheckOptions say what to check.
type CheckOptions struct {
	Themes  []fs.FS // as in Options
	Modules []Module
	Only    string // a theme's id; "" checks all
}

// checkTime is the clock of a check, so that two checks give the same.
var checkTime = time.Date(2026, time.March, 14, 15, 9, 26, 0, time.UTC)

// Check draws every template of every theme with sample data and tells what does not work: a theme.yaml that cannot be read, a
// template that does not parse, one that fails while it is drawn, colours that are too close.
//
// The sample of a template is the JSON file x.sample.json beside x.html (the view's data); a theme's own sample counts before
// the module's. A template without one is drawn with no data.
func Check(o CheckOptions) []Problem {
	sources, broken, err := readSources(o.Themes)
	if err != nil {
		return []Problem{{Message: err.Error()}}
	}
	var problems []Problem
	for _, id := range slices.Sorted(maps.Keys(broken)) {
		problems = append(problems, Problem{Theme: id, Template: "themes/" + id + "/theme.yaml", Message: broken[id].Error()})
	}
	for _, id := range slices.Sorted(maps.Keys(sources)) {
		if sources[id].Surface == "base" || (o.Only != "" && o.Only != id) {
			continue // a base theme has no frame of its own; it is checked in those that build on it
		}
		problems = append(problems, checkTheme(sources, broken, id, o.Modules)...)
	}
	return problems
}

func checkTheme(sources map[string]*source, broken map[string]error, id string, modules []Module) []Problem {
	r := &Renderer{options: Options{MaxPage: 8 << 20, MaxTime: 5 * time.Second, Clock: func() time.Time { return checkTime }}, sources: sources, broken: broken}
	s, err := r.buildSurface(sources[id].Surface, id, Config{Modules: modules}, nil)
	if err != nil {
		if p, ok := err.(Problem); ok {
			return []Problem{p}
		}
		return []Problem{{Theme: id, Template: "themes/" + id + "/theme.yaml", Message: err.Error()}}
	}
	var problems []Problem
	tokens, _ := tokensOf(s.chain, nil)
	for _, low := range CheckContrast(tokens) {
		problems = append(problems, Problem{Theme: id, Template: "themes/" + id + "/theme.yaml", Message: low.Error()})
	}
	r.active.Store(&snapshot{surfaces: map[string]*surface{s.info.Surface: s}})
	problems = append(problems, r.checkSet(s, s.host, samplesOf(s.chain, "pages/"))...)
	for _, m := range modules {
		set := s.modules[m.ID]
		if set.problem != nil {
			problems = append(problems, *set.problem)
			continue
		}
		samples := map[string][]byte{}
		if m.Templates != nil {
			own := source{templates: map[string]text{}, samples: samples}
			_ = readFiles(m.Templates, func(name string, body []byte) { own.addTemplate("", name, body) }) // read once already
		}
		maps.Copy(samples, samplesOf(s.chain, "templates/"+m.ID+"/"))
		problems = append(problems, r.checkSet(s, set, samples)...)
	}
	return problems
}

func samplesOf(chain []*source, prefix string) map[string][]byte {
	samples := map[string][]byte{}
	for _, theme := range chain {
		for name, body := range theme.samples {
			if at, ok := strings.CutPrefix(name, prefix); ok {
				samples[at] = body
			}
		}
	}
	return samples
}

// checkSet draws every page of a set.
func (r *Renderer) checkSet(s *surface, set *set, samples map[string][]byte) []Problem {
	var problems []Problem
	for _, name := range slices.Sorted(maps.Keys(set.files)) {
		base := name[strings.LastIndexByte(name, '/')+1:]
		if strings.HasPrefix(name, "partials/") || strings.HasPrefix(name, "layouts/") || strings.HasPrefix(base, "_") {
			continue
		}
		page := samplePage(s.info.Surface, set.module, name)
		if sample, ok := samples[name]; ok {
			data, err := Decode(sample)
			if err != nil {
				problems = append(problems, Problem{Theme: s.info.ID, Module: set.module, Template: name + ".sample.json", Message: err.Error()})
				continue
			}
			page.Data = data
		}
		if err := r.Render(io.Discard, page); err != nil {
			problems = append(problems, found(s.info.ID, set, name, err))
		}
	}
	return problems
}

func found(theme string, set *set, name string, err error) Problem {
	if p, ok := problemIn(err); ok {
		return p
	}
	return Problem{Theme: theme, Module: set.module, Template: set.files[name].shown(), Message: err.Error()}
}

// samplePage is a page of a signed-in person who may do everything, with one of everything that a frame shows.
func samplePage(surface, module, template string) *Page {
	return &Page{
		Surface: surface, Module: module, Template: template, Title: "Sample",
		Message:     &sdk.Message{Tone: sdk.Good, Text: "Sample message."},
		Breadcrumbs: []sdk.Link{{Title: "Top", Path: "/"}},
		FieldErrors: sdk.Fields{"name": "this is needed"},
		Refresh:     5,
		Visitor:     Visitor{UserID: 1, Name: "Ann Sample", Locale: "en", Location: time.UTC, Can: func(string) bool { return true }},
		Site:        Site{Name: "Sample site", PublicURL: "https://example.com", Demo: true, Registration: true},
		Menus: map[string][]MenuItem{
			"main":    {{Title: "Devices", Path: "/devices", Icon: "device", Active: true}},
			"account": {{Title: "Linked accounts", Path: "/linking", Icon: "link"}},
			"admin":   {{Title: "Overview", Path: "/admin", Icon: "dashboard"}, {Title: "Modules", Path: "/admin/modules", Icon: "puzzle", Group: "Modules"}},
		},
		CSRF: "sample", Nonce: "sample", Path: "/sample", RequestID: "7f3a9100", Query: url.Values{"sort": {"name"}, "q": {"lamp"}},
		Now: checkTime, Attention: 2,
	}
}
