// Package theme turns data into pages. The host renders; a module hands over a view's data and never HTML.
//
// A theme is a folder of data, no code:
//
//	theme.yaml               what it is: surface, base theme, tokens, settings
//	layouts/main.html        the frame around every page
//	partials/*.html          pieces for all pages: {{template "partials/field" …}}
//	pages/*.html             the host's own pages
//	templates/<module>/*.html  what the theme draws otherwise than the module does
//	assets/**                style sheets, script, icons; served under a name that carries their hash
//
// Whatever a theme lacks it takes from its base theme; a module's template from the module in the end.
//
// A Renderer holds one immutable snapshot of everything that is active: the two themes, the maker's settings and one set of
// parsed templates per theme and module, so that the {{define}} names of one module are invisible to the next. Update builds
// the next snapshot beside it and swaps a pointer; a render takes no lock that another render waits for.
//
//	r, err := theme.New(theme.Options{Themes: []fs.FS{themes.FS}})
//	problems, err := r.Update(func(c *theme.Config) { c.Modules = modules })
//	err = r.Render(w, &theme.Page{Surface: "site", Module: "devices", Template: "list", Data: data})
//
// Render is a function of the snapshot, the template and the page. What helpers look at besides their arguments is declared in
// Helpers, so that a cache can tell which pages depend on the visitor or the clock.
package theme
