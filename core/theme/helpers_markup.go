package theme

import (
	"encoding/json"
	"fmt"
	"html/template"
	"strings"
	"sync"

	"github.com/microcosm-cc/bluemonday"
)

func (a assetSet) path(name string) (string, error) {
	path, ok := a.paths[name]
	if !ok {
		return "", fmt.Errorf("the theme has no asset %q", name)
	}
	return path, nil
}

// icon draws a reference into the sprite. A name that it does not have, as a module's manifest may ask for, gives a plain box.
func (a assetSet) icon(name any, size ...string) template.HTML {
	id, _ := toText(name)
	if !a.icons[id] {
		id = "box"
	}
	class := "icon"
	if len(size) > 0 && size[0] == "large" {
		class = "icon icon-large"
	}
	return template.HTML(`<svg class="` + class + `" width="20" height="20" aria-hidden="true"><use href="` + a.paths["icons.svg"] + "#" + id + `"></use></svg>`) //nolint:gosec // constants and checked ids
}

// pillIcons are the shapes of the states: a state is never told by its colour alone.
var pillIcons = map[string]string{"good": "circle-check", "warn": "alert", "bad": "circle-x", "off": "circle", "info": "info"}

func (a assetSet) pill(tone, word any) template.HTML {
	t, _ := toText(tone)
	if _, ok := pillIcons[t]; !ok {
		t = "off"
	}
	return template.HTML(`<span class="pill `+t+`">`) + a.icon(pillIcons[t]) + template.HTML(`<span>`+template.HTMLEscapeString(shown(word))+`</span></span>`) //nolint:gosec // escaped here
}

// sortLink sorts by a key, or the other way round when the page is sorted by it already.
func (a assetSet) sortLink(root any, key, title string) (template.HTML, error) {
	p := pageOf(root)
	if p == nil {
		return "", errNoPage("sortlink")
	}
	next, mark, spoken := key, template.HTML(""), ""
	switch p.Query.Get("sort") {
	case key:
		next, mark, spoken = "-"+key, a.icon("arrow-up"), " (sorted, smallest first)"
	case "-" + key:
		mark, spoken = a.icon("arrow-down"), " (sorted, greatest first)"
	}
	target, err := changeQuery(root, "sort", next, "page", "")
	if err != nil {
		return "", err
	}
	return template.HTML(`<a class="sort" href="`+template.HTMLEscapeString(target)+`">`+template.HTMLEscapeString(title)+ //nolint:gosec // escaped here
		`<span class="visually-hidden">`+spoken+`</span>`) + mark + `</a>`, nil
}

func errNoPage(helper string) error {
	return fmt.Errorf(`%s needs the page: write {{%s $ …}}, and pass "page" $ in the dict of a partial`, helper, helper)
}

func csrfField(root any) (template.HTML, error) {
	p := pageOf(root)
	if p == nil {
		return "", errNoPage("csrf")
	}
	return template.HTML(`<input type="hidden" name="_csrf" value="` + template.HTMLEscapeString(p.CSRF) + `">`), nil //nolint:gosec // escaped here
}

func can(root any, permission string) (bool, error) {
	p := pageOf(root)
	if p == nil {
		return false, errNoPage("can")
	}
	return p.Visitor.Can != nil && p.Visitor.Can(permission), nil
}

// policy allows text, lists, tables and links. Images are left out: they would tell a third party who reads the page.
var policy = sync.OnceValue(func() *bluemonday.Policy {
	p := bluemonday.NewPolicy()
	p.AllowStandardAttributes()
	p.AllowElements("h1", "h2", "h3", "h4", "h5", "h6", "p", "br", "hr", "div", "span", "blockquote", "pre", "code", "kbd", "samp", "em", "strong", "b", "i", "u", "s",
		"del", "ins", "sub", "sup", "small", "mark", "abbr", "dl", "dt", "dd", "figure", "figcaption")
	p.AllowLists()
	p.AllowTables()
	p.AllowStandardURLs() // http, https, mailto and paths of this site
	p.AllowAttrs("href").OnElements("a")
	return p
})

// maxForeign bounds the HTML that safeHTML reads, in bytes.
const maxForeign = 1 << 20

func safeHTML(v any) (template.HTML, error) {
	text, ok := toText(v)
	if !ok {
		return "", nil
	}
	if len(text) > maxForeign {
		return "", fmt.Errorf("safeHTML: %d bytes, at most %d are allowed", len(text), maxForeign)
	}
	return template.HTML(policy().Sanitize(text)), nil //nolint:gosec // sanitized
}

// prettyJSON indents a value. A text that holds JSON is indented too.
func prettyJSON(v any) string {
	if fits(maxPretty, false, v) != nil {
		return "… (more than can be shown here)"
	}
	if text, ok := toText(v); ok {
		decoded, err := Decode([]byte(text))
		if err != nil {
			return text
		}
		v = decoded
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // html/template escapes; twice would show \u003c
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return shown(v)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// reference shortens a request id to two groups of four and two, as a person reads it out: "7F3A-91".
func reference(v any) string {
	id := strings.ToUpper(strings.ReplaceAll(shown(v), "-", ""))
	if len(id) < 6 {
		return id
	}
	return id[:4] + "-" + id[4:6]
}
