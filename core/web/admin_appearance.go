package web

import (
	"fmt"
	"net/url"
	"strings"

	"mortise/core/fault"
	"mortise/core/manifest"
	"mortise/core/sdk"
	"mortise/core/theme"
)

// appearanceData is the data of the page admin_appearance.
type appearanceData struct {
	Site  []themeData `json:"site"`
	Admin []themeData `json:"admin"`
}

// themeData is one theme to choose.
type themeData struct {
	theme.Info
	Active  bool    `json:"active"`
	Preview preview `json:"preview"`
}

// preview is how a theme looks, small: its colours on light and on dark, by token.
type preview struct {
	Light map[string]string `json:"light"`
	Dark  map[string]string `json:"dark"`
}

// previewTokens are the colours that the small picture shows.
var previewTokens = []string{"paper", "raised", "ink", "ink-2", "line", "accent", "accent-ink"}

func (s *Server) previewOf(themeID string, values map[string]string) preview {
	p := preview{Light: map[string]string{}, Dark: map[string]string{}}
	tokens, err := s.o.Theme.Tokens(themeID, values)
	if err != nil {
		return p // a theme that cannot be used has no look
	}
	for _, name := range previewTokens {
		key := strings.ReplaceAll(name, "-", "_")
		p.Light[key], p.Dark[key] = tokens.Light[name], tokens.Dark[name]
	}
	return p
}

func (s *Server) themesOf(surface, active string) []themeData {
	list := []themeData{}
	for _, info := range s.o.Theme.Themes() {
		if info.Surface == surface {
			list = append(list, themeData{Info: info, Active: info.ID == active, Preview: s.previewOf(info.ID, s.o.Site.Theme(info.ID))})
		}
	}
	return list
}

func (s *Server) appearancePage() theme.Page {
	data := appearanceData{
		Site:  s.themesOf(theme.SurfaceSite, s.o.Site.Get("theme.site")),
		Admin: s.themesOf(theme.SurfaceAdmin, s.o.Site.Get("theme.admin")),
	}
	return theme.Page{Template: "admin_appearance", Title: "Appearance", Data: data}
}

func (s *Server) appearance(v *visit) error { return v.render(s.appearancePage()) }

// appearanceChoose switches a theme while the site runs.
func (s *Server) appearanceChoose(v *visit) error {
	f, err := v.form()
	if err != nil {
		return err
	}
	for _, info := range s.o.Theme.Themes() {
		if info.ID != f.text("theme") {
			continue
		}
		if info.Problem != "" {
			return v.again(s.appearancePage(), fault.New(fault.Conflict, "%s cannot be used: %s", info.Name, info.Problem))
		}
		if err := s.o.Site.Set(v.ctx(), map[string]string{"theme." + info.Surface: info.ID}); err != nil {
			return v.again(s.appearancePage(), err)
		}
		return v.redirect("/admin/appearance", sdk.Message{Tone: sdk.Good, Text: "Pages are now drawn with " + info.Name + "."})
	}
	return v.again(s.appearancePage(), fault.New(fault.NotFound, "There is no such theme."))
}

// themeFormData is the data of the page admin_theme.
type themeFormData struct {
	Theme   theme.Info  `json:"theme"`
	Fields  []fieldData `json:"fields"`
	Active  bool        `json:"active"`
	Changed bool        `json:"changed"` // something is not as the theme has it
	Preview preview     `json:"preview"`
}

func (s *Server) themeOf(v *visit) (theme.Info, error) {
	for _, info := range s.o.Theme.Themes() {
		if info.ID == v.param("theme") && (info.Surface == theme.SurfaceSite || info.Surface == theme.SurfaceAdmin) {
			return info, nil
		}
	}
	return theme.Info{}, errNotFound
}

func (s *Server) themePage(info theme.Info, values map[string]string) theme.Page {
	data := themeFormData{Theme: info, Fields: []fieldData{}, Active: info.ID == s.o.Site.Get("theme."+info.Surface),
		Changed: len(s.o.Site.Theme(info.ID)) > 0, Preview: s.previewOf(info.ID, values)}
	for _, setting := range info.Settings {
		value := shownSetting(setting, values, data.Preview)
		data.Fields = append(data.Fields, fieldData{Setting: setting, Value: value, Set: value != nil})
	}
	return theme.Page{Template: "admin_theme", Title: info.Name, Data: data, Breadcrumbs: crumbs(sdk.Link{Title: "Appearance", Path: "/admin/appearance"})}
}

// shownSetting is the value in the field. A colour field cannot be empty, so what the theme makes of the other values stands there.
func shownSetting(setting manifest.Setting, values map[string]string, look preview) any {
	if chosen, ok := values[setting.Key]; ok {
		return chosen
	}
	if made := look.Dark["accent"]; setting.Key == darkAccent && made != "" {
		return made
	}
	return setting.Default
}

// darkAccent is the setting that follows from the accent unless it is chosen.
const darkAccent = "accent_dark"

func (s *Server) appearanceTheme(v *visit) error {
	info, err := s.themeOf(v)
	if err != nil {
		return err
	}
	return v.render(s.themePage(info, s.o.Site.Theme(info.ID)))
}

// appearanceSave keeps a theme's settings. Colours without enough contrast are refused.
func (s *Server) appearanceSave(v *visit) error {
	f, err := v.form()
	if err != nil {
		return err
	}
	info, err := s.themeOf(v)
	if err != nil {
		return err
	}
	back := "/admin/appearance/" + url.PathEscape(info.ID)
	before := s.o.Site.Theme(info.ID)
	if f.on("reset") {
		if err := s.o.Site.SetTheme(v.ctx(), info.ID, map[string]string{}); err != nil {
			return v.again(s.themePage(info, before), err)
		}
		return v.redirect(back, sdk.Message{Tone: sdk.Good, Text: info.Name + " looks as it came."})
	}
	look := s.previewOf(info.ID, before)
	values := map[string]string{}
	for _, setting := range info.Settings {
		text := f.text(setting.Key)
		if _, chosen := before[setting.Key]; !chosen && text == fmt.Sprint(shownSetting(setting, before, look)) {
			continue // what the field showed by itself is no choice
		}
		if text != "" {
			values[setting.Key] = text
		}
	}
	wrong, err := s.o.Theme.CheckSettings(info.ID, values)
	if err != nil {
		return err
	}
	if len(wrong) > 0 {
		return v.again(s.themePage(info, values), fault.InvalidFields("These settings were not saved.", wrong))
	}
	if err := s.o.Site.SetTheme(v.ctx(), info.ID, values); err != nil {
		return v.again(s.themePage(info, values), err)
	}
	return v.redirect(back, sdk.Message{Tone: sdk.Good, Text: "Saved. Every page shows it now."})
}
