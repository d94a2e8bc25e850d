package web

import (
	"net/url"

	"mortise/core/catalogue"
	"mortise/core/modules"
	"mortise/core/sdk"
	"mortise/core/supervisor"
	"mortise/core/theme"
)

// settingsData is the data of the page admin_module_settings.
type settingsData struct {
	modulePage
	Fields   []fieldData   `json:"fields"`
	CanTest  bool          `json:"can_test"`
	Tested   bool          `json:"tested"` // the values were tried just now
	Problems []sdk.Problem `json:"problems"`
	General  []sdk.Problem `json:"general"` // those of the problems that no single field is to blame for
	Retype   []string      `json:"retype"`  // labels of secrets that were typed: a browser does not get them back
}

// fieldData is one field of a settings form.
type fieldData struct {
	Setting any  `json:"setting"` // a manifest.Setting
	Value   any  `json:"value"`   // nil for a secret
	Set     bool `json:"set"`
}

func (s *Server) settingsPage(v *visit, sent form) (modules.Entry, settingsData, error) {
	e, frame, err := s.moduleFrame(v, "settings")
	if err != nil {
		return e, settingsData{}, err
	}
	if len(e.Manifest.Settings) == 0 {
		return e, settingsData{}, errNotFound
	}
	fields, err := s.o.Admin.Modules.Catalogue().SettingsForm(v.ctx(), e.Manifest.ID)
	if err != nil {
		return e, settingsData{}, err
	}
	data := settingsData{modulePage: frame, Fields: []fieldData{}, CanTest: e.Status.State == supervisor.Running, Problems: []sdk.Problem{}, General: []sdk.Problem{}, Retype: []string{}}
	for _, f := range fields {
		data.Fields = append(data.Fields, fieldData{Setting: f.Setting, Value: shownValue(f, sent), Set: f.Set})
		if f.Setting.Secret() && sent.text(f.Key) != "" {
			data.Retype = append(data.Retype, f.Label)
		}
	}
	return e, data, nil
}

// shownValue keeps what was typed when a form comes back, except for secrets: those are never sent to a browser.
func shownValue(f catalogue.Field, sent form) any {
	if f.Setting.Secret() {
		return nil
	}
	if sent == nil {
		return f.Value
	}
	if f.Type == "bool" {
		return sent.on(f.Key)
	}
	if f.Type == "multiselect" {
		return sent.list(f.Key)
	}
	if !sent.has(f.Key) {
		return f.Value
	}
	return sent.text(f.Key)
}

func settingsView(e modules.Entry, data settingsData) theme.Page {
	return theme.Page{Template: "admin_module_settings", Title: "Settings", Data: data, Breadcrumbs: moduleCrumbs(e, "Settings")}
}

func (s *Server) moduleSettings(v *visit) error {
	e, data, err := s.settingsPage(v, nil)
	if err != nil {
		return err
	}
	return v.render(settingsView(e, data))
}

func (s *Server) moduleSettingsSave(v *visit) error {
	f, err := v.form()
	if err != nil {
		return err
	}
	e, data, err := s.settingsPage(v, f)
	if err != nil {
		return err
	}
	ctx, cancel := patient(v)
	defer cancel()
	changed, err := s.o.Admin.Modules.SaveSettings(ctx, e.Manifest.ID, f.settings(), v.actorName())
	if err != nil && len(changed) == 0 {
		return v.again(settingsView(e, data), err)
	}
	if err != nil { // saved, but the module did not take them
		return v.redirect("/admin/modules/"+url.PathEscape(e.Manifest.ID), sdk.Message{Tone: sdk.Warn, Text: "The settings are saved, but " + e.Manifest.Name + " did not start with them. Its log says why."})
	}
	return v.done("/admin/modules/"+url.PathEscape(e.Manifest.ID)+"/settings", len(changed) > 0, "The settings are saved.", "These were the settings already. Nothing changed.")
}

// moduleSettingsTest has the module try the values of the form, which are not saved, and says which one is wrong.
func (s *Server) moduleSettingsTest(v *visit) error {
	f, err := v.form()
	if err != nil {
		return err
	}
	e, data, err := s.settingsPage(v, f)
	if err != nil {
		return err
	}
	ctx, cancel := patient(v)
	defer cancel()
	problems, err := s.o.Admin.Modules.TestSettings(ctx, e.Manifest.ID, f.settings())
	if err != nil {
		return v.again(settingsView(e, data), err)
	}
	data.Tested, data.Problems = true, problems
	page := settingsView(e, data)
	page.Message = &sdk.Message{Tone: sdk.Good, Text: "These values work. They are not saved yet."}
	if len(problems) > 0 {
		page.Message = &sdk.Message{Tone: sdk.Bad, Text: "These values do not work. Nothing was saved."}
		page.FieldErrors = sdk.Fields{}
		for _, p := range problems {
			if p.Key != "" {
				page.FieldErrors[p.Key] = p.Message
			} else {
				data.General = append(data.General, p)
			}
		}
		page.Data = data
	}
	return v.render(page)
}

// settings is the form as the catalogue reads it: without the token.
func (f form) settings() map[string]any {
	values := map[string]any{}
	for name, value := range f {
		if name != csrfField {
			values[name] = value
		}
	}
	return values
}
