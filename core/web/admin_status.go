package web

import (
	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/core/status"
	"mortise/core/theme"
)

// statusData is the data of the page admin_status.
type statusData struct {
	Lines []status.Line `json:"lines"`
	Email string        `json:"email"` // where a test mail goes
}

func (s *Server) statusPage(v *visit) theme.Page {
	data := statusData{Lines: s.o.Admin.Board.Lines(v.ctx()), Email: v.who.User.Email}
	return theme.Page{Template: "admin_status", Title: "Status", Data: data}
}

func (s *Server) status(v *visit) error { return v.render(s.statusPage(v)) }

// statusMail sends a test mail to the visitor and says what the mail server answered.
func (s *Server) statusMail(v *visit) error {
	ctx, cancel := patient(v)
	defer cancel()
	if err := s.o.Admin.Mail.Test(ctx, v.who.User.Email); err != nil {
		s.o.Log.Warn("test mail failed", "error", err.Error(), "request_id", v.id)
		return v.again(s.statusPage(v), fault.Wrap(fault.Conflict, err, "The test mail was not taken: %v", err))
	}
	text := "The test mail was taken. Look into your inbox."
	if s.o.Admin.Mail.Status().Mode == "folder" {
		text = "The test mail is a file in " + s.o.Admin.Mail.Status().Folder + ", because no mail server is set up."
	}
	return v.redirect("/admin/status", sdk.Message{Tone: sdk.Good, Text: text})
}
