package web

import (
	"mortise/core/config"
	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/core/theme"
)

// siteData is the data of the page admin_settings.
type siteData struct {
	Name             string `json:"name"`
	RegistrationOpen bool   `json:"registration_open"`
	MailFrom         string `json:"mail_from"`
	PublicURL        string `json:"public_url"`
}

func (s *Server) sitePage(data siteData) theme.Page {
	data.PublicURL = s.o.PublicURL
	return theme.Page{Template: "admin_settings", Title: "Settings", Data: data}
}

func (s *Server) siteSettings(v *visit) error {
	return v.render(s.sitePage(siteData{
		Name: s.o.Site.Get(config.SiteName), RegistrationOpen: s.o.Site.Bool(config.RegistrationOpen), MailFrom: s.o.Site.Get(config.MailSender),
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
	err = s.o.Site.Set(v.ctx(), map[string]string{config.SiteName: data.Name, config.RegistrationOpen: open, config.MailSender: data.MailFrom})
	if err != nil {
		return v.again(s.sitePage(data), formFields(err, map[string]string{config.SiteName: "name", config.MailSender: "mail_from"}))
	}
	return v.redirect("/admin/settings", sdk.Message{Tone: sdk.Good, Text: "Saved."})
}

// formFields names the fields of an Invalid fault as the form does.
func formFields(err error, names map[string]string) error {
	fields := map[string]string{}
	for key, message := range fault.FieldsOf(err) {
		if name, ok := names[key]; ok {
			key = name
		}
		fields[key] = message
	}
	if message, ok := fault.Visible(err); ok && len(fields) > 0 {
		return fault.InvalidFields(message, fields)
	}
	return err
}
