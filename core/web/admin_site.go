package web

import (
	"mortise/core/sdk"
	"mortise/core/theme"
)

// siteKeys are the settings of the site that the form shows.
var siteKeys = []string{"site.name", "registration.open", "mail.from"}

// siteData is the data of the page admin_settings.
type siteData struct {
	Name             string `json:"name"`
	RegistrationOpen bool   `json:"registration_open"`
	MailFrom         string `json:"mail_from"`
	PublicURL        string `json:"public_url"`
}

func (s *Server) sitePage(data siteData) theme.Page {
	data.PublicURL = s.o.PublicURL
	return theme.Page{Template: "admin_settings", Title: "Settings", Data: data, Breadcrumbs: crumbs()}
}

func (s *Server) siteSettings(v *visit) error {
	return v.render(s.sitePage(siteData{
		Name: s.o.Site.Get(siteKeys[0]), RegistrationOpen: s.o.Site.Bool(siteKeys[1]), MailFrom: s.o.Site.Get(siteKeys[2]),
	}))
}

func (s *Server) siteSettingsSave(v *visit) error {
	f, err := v.form()
	if err != nil {
		return err
	}
	data := siteData{Name: f.text("name"), RegistrationOpen: f.on("registration_open"), MailFrom: f.text("mail_from")}
	open := "false"
	if data.RegistrationOpen {
		open = "true"
	}
	err = s.o.Site.Set(v.c.Context(), map[string]string{siteKeys[0]: data.Name, siteKeys[1]: open, siteKeys[2]: data.MailFrom})
	if err != nil {
		return v.again(s.sitePage(data), err)
	}
	return v.redirect("/admin/settings", sdk.Message{Tone: sdk.Good, Text: "Saved."})
}
