package web

import (
	"mortise/core/identity"
	"mortise/core/sdk"
	"mortise/core/theme"
)

// registerData is the data of the page register.
type registerData struct {
	Name  string `json:"name"`
	Email string `json:"email"`
	Next  string `json:"next"`
	Open  bool   `json:"open"` // visitors may register
}

func (s *Server) registerPage(name, email, next string) theme.Page {
	return theme.Page{Template: "register", Title: "Create an account",
		Data: registerData{Name: name, Email: email, Next: next, Open: s.o.People.RegistrationOpen()}}
}

// registerForm asks a new customer for name, e-mail address and password.
func (s *Server) registerForm(v *visit) error {
	next := localPath(v.query("next"))
	if v.signedIn && !v.json {
		return v.redirect(next)
	}
	return v.render(s.registerPage("", "", next))
}

// register makes a customer's account and signs in.
func (s *Server) register(v *visit) error {
	f, err := v.form()
	if err != nil {
		return err
	}
	next := localPath(f.text("next"))
	r := registration(f)
	in, err := s.o.People.Register(v.ctx(), r, v.caller())
	if err != nil {
		return v.again(s.registerPage(clip(r.Name, 200), clip(r.Email, 254), next), err)
	}
	return v.signIn(in, next, sdk.Message{Tone: sdk.Good, Text: "Your account is ready."})
}

func registration(f form) identity.Registration {
	return identity.Registration{
		Name: f.text("name"), Email: f.text("email"), Password: f.text("password"), Locale: f.text("locale"), TimeZone: f.text("time_zone"),
	}
}

// setupData is the data of the page setup.
type setupData struct {
	Valid    bool   `json:"valid"` // the link is the one that the host printed last, and nobody has used it
	SiteName string `json:"site_name"`
	Name     string `json:"name"`
	Email    string `json:"email"`
}

func (s *Server) setupPage(v *visit, data setupData) theme.Page {
	_, err := s.o.People.PeekLink(v.ctx(), identity.PurposeSetup, v.param("token"))
	data.Valid = err == nil
	return theme.Page{Template: "setup", Title: "Set up this site", Data: data}
}

// setupForm is the first page of a new site, opened by the link that the host prints.
func (s *Server) setupForm(v *visit) error {
	return v.render(s.setupPage(v, setupData{SiteName: s.o.Site.Get("site.name")}))
}

// setup makes the first administrator and names the site.
func (s *Server) setup(v *visit) error {
	f, err := v.form()
	if err != nil {
		return err
	}
	r, name := registration(f), clip(f.text("site_name"), 100)
	if r.Name == "" {
		r.Name = "Administrator"
	}
	page := s.setupPage(v, setupData{SiteName: name, Name: clip(r.Name, 200), Email: clip(r.Email, 254)})
	in, err := s.o.People.Setup(v.ctx(), v.param("token"), r, v.caller())
	if err != nil {
		return v.expired(page, err)
	}
	message := sdk.Message{Tone: sdk.Good, Text: "The site is yours. Enable the modules that you need."}
	if name != "" {
		if err := s.o.Site.Set(v.ctx(), map[string]string{"site.name": name}); err != nil {
			message = sdk.Message{Tone: sdk.Warn, Text: "The site is yours, but its name was not accepted; set it under Settings."}
			s.o.Log.Warn("the site's name was not accepted at set-up", "request_id", v.id, "error", err.Error())
		}
	}
	next := "/"
	if s.hasPage["/admin/modules"] {
		next = "/admin/modules"
	}
	return v.signIn(in, next, message)
}
