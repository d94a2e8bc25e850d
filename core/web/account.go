package web

import (
	"time"

	"mortise/core/identity"
	"mortise/core/sdk"
	"mortise/core/theme"
)

// sessionData is one line of the list of sessions.
type sessionData struct {
	ID         string    `json:"id"`
	Agent      string    `json:"agent"`
	Browser    string    `json:"browser"` // agent in words, "" when it says nothing known
	Address    string    `json:"address"`
	CreatedAt  time.Time `json:"created_at"`
	LastSeenAt time.Time `json:"last_seen_at"`
	Current    bool      `json:"current"`
}

// accountData is the data of the page account.
type accountData struct {
	User      identity.User `json:"user"`
	Sessions  []sessionData `json:"sessions"`
	TimeZones []string      `json:"time_zones"` // suggestions; every IANA name is accepted
	Locales   []choice      `json:"locales"`
	CanDelete bool          `json:"can_delete"`
}

// choice is one value of a select field.
type choice struct {
	Value string `json:"value"`
	Label string `json:"label"`
}

func (s *Server) accountPage(v *visit) theme.Page {
	data := accountData{
		User: v.who.User, Sessions: []sessionData{}, TimeZones: timeZones(v.who.User.TimeZone),
		Locales: []choice{{"en", "English"}}, CanDelete: !v.who.User.Administrator(),
	}
	for _, one := range s.o.People.Sessions(v.who.User.ID) {
		data.Sessions = append(data.Sessions, sessionData{
			ID: one.ID, Agent: one.Agent, Browser: browserName(one.Agent), Address: one.Address, CreatedAt: one.CreatedAt, LastSeenAt: one.LastSeenAt, Current: one.ID == v.who.Session.ID,
		})
	}
	return theme.Page{Template: "account", Title: "Account", Data: data}
}

// account shows the visitor's own account.
func (s *Server) account(v *visit) error { return v.render(s.accountPage(v)) }

// change runs one change of the own account and answers its form.
func (s *Server) change(v *visit, done string, change func(form) error) error {
	f, err := v.form()
	if err != nil {
		return err
	}
	if err := change(f); err != nil {
		return v.again(s.accountPage(v), err)
	}
	return v.redirect("/account", sdk.Message{Tone: sdk.Good, Text: done})
}

// accountSave changes name, locale and time zone. What is not sent stays.
func (s *Server) accountSave(v *visit) error {
	return s.change(v, "Saved.", func(f form) error {
		p := identity.Profile{Name: v.who.User.Name, Locale: v.who.User.Locale, TimeZone: v.who.User.TimeZone}
		for name, field := range map[string]*string{"name": &p.Name, "locale": &p.Locale, "time_zone": &p.TimeZone} {
			if f.has(name) {
				*field = f.text(name)
			}
		}
		return s.o.People.ChangeProfile(v.ctx(), v.who.User.ID, p)
	})
}

// accountEmail changes the address to sign in with.
func (s *Server) accountEmail(v *visit) error {
	return s.change(v, "Your e-mail address is changed.", func(f form) error {
		return s.o.People.ChangeEmail(v.ctx(), v.who.Session.ID, f.text("current_password"), f.text("email"), v.caller())
	})
}

// accountPassword changes the password. The other sessions end.
func (s *Server) accountPassword(v *visit) error {
	return s.change(v, "Your password is changed. Your other sessions have ended.", func(f form) error {
		in, err := s.o.People.ChangePassword(v.ctx(), v.who.Session.ID, f.text("current_password"), f.text("password"), v.caller())
		if err == nil {
			v.welcome(in)
		}
		return err
	})
}

// sessionsEnd ends all other sessions.
func (s *Server) sessionsEnd(v *visit) error {
	return s.change(v, "Your other sessions have ended.", func(form) error {
		_, err := s.o.People.EndSessions(v.ctx(), v.who.User.ID, v.who.Session.ID)
		return err
	})
}

// sessionEnd ends one of the visitor's own sessions.
func (s *Server) sessionEnd(v *visit) error {
	return s.change(v, "The session has ended.", func(form) error {
		return s.o.People.EndSession(v.ctx(), v.who.User.ID, v.param("id"))
	})
}

func accountDeletePage() theme.Page {
	return theme.Page{Template: "account_delete", Title: "Delete your account", Data: map[string]any{},
		Breadcrumbs: []sdk.Link{{Title: "Account", Path: "/account"}}}
}

// accountDeleteForm says what deleting the own account means.
func (s *Server) accountDeleteForm(v *visit) error { return v.render(accountDeletePage()) }

// accountDelete deletes the own account, after the password once more. Modules may refuse; their reason is shown.
func (s *Server) accountDelete(v *visit) error {
	f, err := v.form()
	if err != nil {
		return err
	}
	in, err := s.o.People.Confirm(v.ctx(), v.who.Session.ID, f.text("current_password"), v.caller())
	if err == nil {
		v.welcome(in)
		err = s.o.People.Delete(v.ctx(), v.actor(), v.who.User.ID)
	}
	if err != nil {
		return v.again(accountDeletePage(), err)
	}
	v.farewell()
	return v.redirect("/", sdk.Message{Tone: sdk.Info, Text: "Your account is deleted."})
}
