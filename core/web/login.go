package web

import (
	"mortise/core/identity"
	"mortise/core/sdk"
	"mortise/core/theme"
)

// loginData is the data of the page login.
type loginData struct {
	Email        string `json:"email"`
	Next         string `json:"next"` // where to go afterwards, a path of this site
	Registration bool   `json:"registration"`
}

func (s *Server) loginPage(email, next string) theme.Page {
	return theme.Page{Template: "login", Title: "Sign in", Data: loginData{Email: email, Next: next, Registration: s.o.People.RegistrationOpen()}}
}

// loginForm asks for e-mail address and password. Who is signed in goes on at once.
func (s *Server) loginForm(v *visit) error {
	next := localPath(v.query("next"))
	if v.signedIn && !v.json {
		return v.redirect(next)
	}
	return v.render(s.loginPage("", next))
}

// login starts a session.
func (s *Server) login(v *visit) error {
	f, err := v.form()
	if err != nil {
		return err
	}
	email, next := f.text("email"), localPath(f.text("next"))
	in, err := s.o.People.SignIn(v.ctx(), email, f.text("password"), v.caller())
	if err != nil {
		return v.again(s.loginPage(clip(email, 254), next), err)
	}
	return v.signIn(in, next)
}

// signIn sets the cookie of a new session, ends the one that the browser had, and goes on.
func (v *visit) signIn(in identity.SignedIn, next string, message ...sdk.Message) error {
	if v.signedIn {
		if err := v.s.o.People.SignOut(v.ctx(), v.who.Session.ID); err != nil {
			v.s.o.Log.Warn("the session before a sign-in could not be ended", "request_id", v.id, "error", err.Error())
		}
	}
	v.welcome(in)
	user := map[string]any{"id": in.User.ID, "name": in.User.Name, "roles": in.User.Roles}
	return v.redirectWith(next, map[string]any{"user": user}, message...)
}

// logout ends the session. It is no mistake to do it twice.
func (s *Server) logout(v *visit) error {
	if v.signedIn {
		if err := s.o.People.SignOut(v.ctx(), v.who.Session.ID); err != nil {
			return err
		}
		v.farewell()
	}
	return v.redirect("/", sdk.Message{Tone: sdk.Info, Text: "You are signed out."})
}

// linkData is the data of the page login_link.
type linkData struct {
	Valid bool   `json:"valid"`
	Name  string `json:"name"` // whose account the link opens
}

func (s *Server) linkPage(v *visit) theme.Page {
	link, err := s.o.People.PeekLink(v.ctx(), identity.PurposeLogin, v.param("token"))
	return theme.Page{Template: "login_link", Title: "Sign in", Data: linkData{Valid: err == nil, Name: link.Name}}
}

// linkForm shows whose account a one-time link opens. Programs that look at links in mails must not use it up, so the button does.
func (s *Server) linkForm(v *visit) error { return v.render(s.linkPage(v)) }

// link signs in by a one-time link.
func (s *Server) link(v *visit) error {
	in, err := s.o.People.SignInByLink(v.ctx(), v.param("token"), v.caller())
	if err != nil {
		return v.expired(s.linkPage(v), err)
	}
	return v.signIn(in, "/")
}
