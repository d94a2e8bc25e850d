package web

import "mortise/core/theme"

// menuCard is one way to go on from the home page.
type menuCard struct {
	Title string `json:"title"`
	Path  string `json:"path"`
	Icon  string `json:"icon"`
}

// homeData is the data of the page home.
type homeData struct {
	SiteName     string     `json:"site_name"`
	SignedIn     bool       `json:"signed_in"`
	Name         string     `json:"name,omitempty"`
	Registration bool       `json:"registration"`
	SetupNeeded  bool       `json:"setup_needed"` // the site has no administrator yet; the host has printed a link
	Admin        bool       `json:"admin"`        // the visitor may open the admin pages
	Menu         []menuCard `json:"menu"`
}

// home is the front page: an invitation to who is not signed in, and the site's pages to who is.
func (s *Server) home(v *visit) error {
	data := homeData{
		SiteName: s.o.Site.Get("site.name"), SignedIn: v.signedIn, Name: v.who.User.Name,
		Registration: s.o.People.RegistrationOpen(), SetupNeeded: s.o.People.SetupNeeded(),
		Admin: v.can("admin.access"), Menu: []menuCard{},
	}
	for _, menu := range []string{"main", "account"} {
		for _, item := range s.o.Routes().Menu(menu, v.can) {
			data.Menu = append(data.Menu, menuCard{Title: item.Title, Path: item.Path, Icon: item.Icon})
		}
	}
	title := data.SiteName
	if v.signedIn {
		title = "Welcome, " + v.who.User.Name
	}
	return v.render(theme.Page{Template: "home", Title: title, Data: data})
}
