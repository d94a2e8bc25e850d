package web

import (
	"mortise/core/help"
	"mortise/core/manifest"
	"mortise/core/sdk"
	"mortise/core/theme"
)

func (s *Server) helpIndex(v *visit) error { return s.showHelp(v, "index") }

func (s *Server) helpPage(v *visit) error { return s.showHelp(v, v.param("page")) }

// helpModule is the page that a module brings.
func (s *Server) helpModule(v *visit) error { return s.showHelp(v, "module/"+v.param("id")) }

// helpSchema is the published schema of module.yaml, for editors.
func (s *Server) helpSchema(v *visit) error { return v.dataBytes(0, manifest.Schema()) }

// helpData is the data of the page admin_help.
type helpData struct {
	Page    help.Page  `json:"page"`
	Pages   []helpLink `json:"pages"`
	Modules bool       `json:"modules"` // some of the pages are modules'
	Q       string     `json:"q"`
	Results []help.Hit `json:"results"`
}

// helpLink is one page in the list.
type helpLink struct {
	ID     string `json:"id"`
	Module string `json:"module"` // whose page it is; "" for the host's
	Title  string `json:"title"`
	Path   string `json:"path"`
}

var helpCrumb = sdk.Link{Title: "Help", Path: "/admin/help"}

func (s *Server) showHelp(v *visit, id string) error {
	page, ok := s.o.Admin.Help.Page(id)
	if !ok {
		return errNotFound
	}
	data := helpData{Page: page, Pages: []helpLink{}, Q: clip(v.query("q"), 100), Results: []help.Hit{}}
	for _, p := range s.o.Admin.Help.Pages() {
		data.Modules = data.Modules || p.Module != ""
		data.Pages = append(data.Pages, helpLink{ID: p.ID, Module: p.Module, Title: p.Title, Path: s.o.Admin.Help.Path(p.ID)})
	}
	if data.Q != "" {
		data.Results = s.o.Admin.Help.Search(data.Q, 50)
	}
	links := crumbs()
	if id != "index" {
		links = crumbs(helpCrumb)
	}
	return v.render(theme.Page{Template: "admin_help", Title: page.Title, Data: data, Breadcrumbs: links})
}
