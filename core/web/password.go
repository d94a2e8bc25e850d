package web

import (
	"github.com/gofiber/fiber/v2"

	"mortise/core/fault"
	"mortise/core/identity"
	"mortise/core/sdk"
	"mortise/core/theme"
)

// forgotData is the data of the page password_forgot.
type forgotData struct {
	Email string `json:"email"`
	Sent  bool   `json:"sent"` // the answer is the same whether there is such an account or not
}

func forgotPage(data forgotData) theme.Page {
	return theme.Page{Template: "password_forgot", Title: "Forgotten password", Data: data}
}

// forgotForm asks for the address to mail a link to.
func (s *Server) forgotForm(v *visit) error { return v.render(forgotPage(forgotData{})) }

// forgot has a link mailed.
func (s *Server) forgot(v *visit) error {
	f, err := v.form()
	if err != nil {
		return err
	}
	email := clip(f.text("email"), 254)
	if err := s.o.People.RequestReset(v.ctx(), email, v.caller()); err != nil {
		return v.again(forgotPage(forgotData{Email: email}), err)
	}
	page := forgotPage(forgotData{Email: email, Sent: true})
	page.Message = &sdk.Message{Tone: sdk.Info, Text: "If there is an account with this address, a mail with a link is on its way."}
	return v.render(page)
}

// resetData is the data of the page password_reset.
type resetData struct {
	Valid bool   `json:"valid"`
	Name  string `json:"name"` // whose password it is
}

func (s *Server) resetPage(v *visit) theme.Page {
	link, err := s.o.People.PeekLink(v.ctx(), identity.PurposeReset, v.param("token"))
	return theme.Page{Template: "password_reset", Title: "Choose a password", Data: resetData{Valid: err == nil, Name: link.Name}}
}

// resetForm asks for the new password.
func (s *Server) resetForm(v *visit) error { return v.render(s.resetPage(v)) }

// reset sets the new password. All sessions of the account end.
func (s *Server) reset(v *visit) error {
	f, err := v.form()
	if err != nil {
		return err
	}
	if _, err := s.o.People.ResetPassword(v.ctx(), v.param("token"), f.text("password"), v.caller()); err != nil {
		return v.expired(s.resetPage(v), err)
	}
	return v.redirect("/login", sdk.Message{Tone: sdk.Good, Text: "Your new password is set. Sign in with it."})
}

// expired answers a one-time link that does not work: the page itself says so, and a form keeps what was put in.
func (v *visit) expired(page theme.Page, err error) error {
	if fault.Is(err, fault.NotFound) && !v.json {
		page.Status = fiber.StatusNotFound
		return v.html(&page)
	}
	return v.again(page, err)
}
