package web

import (
	"errors"

	"mortise/core/identity"
	"mortise/core/sdk"
	"mortise/core/theme"
)

// rolesData is the data of the page admin_roles.
type rolesData struct {
	Roles []identity.Role `json:"roles"`
	New   newRole         `json:"new"` // what was typed, when it comes back
}

type newRole struct {
	ID          string `json:"id"`
	Title       string `json:"title"`
	Description string `json:"description"`
}

func (s *Server) rolesPage(v *visit, typed newRole) (theme.Page, error) {
	roles, err := s.o.People.Roles(v.ctx())
	if err != nil {
		return theme.Page{}, err
	}
	return theme.Page{Template: "admin_roles", Title: "Roles", Data: rolesData{Roles: roles, New: typed}}, nil
}

func (s *Server) roleList(v *visit) error {
	page, err := s.rolesPage(v, newRole{})
	if err != nil {
		return err
	}
	return v.render(page)
}

// roleChange runs one change of a role and goes back to the list.
func (s *Server) roleChange(v *visit, did string, change func(form) error) error {
	f, err := v.form()
	if err != nil {
		return err
	}
	if err := change(f); err != nil {
		page, pageErr := s.rolesPage(v, newRole{f.text("id"), f.text("title"), f.text("description")})
		if pageErr != nil {
			return errors.Join(err, pageErr)
		}
		return v.again(page, err)
	}
	return v.redirect("/admin/roles", sdk.Message{Tone: sdk.Good, Text: did})
}

func (s *Server) roleCreate(v *visit) error {
	return s.roleChange(v, "The role is made. Say what it may do under Permissions.", func(f form) error {
		return s.o.People.CreateRole(v.ctx(), v.actor(), f.text("id"), f.text("title"), f.text("description"))
	})
}

func (s *Server) roleSave(v *visit) error {
	return s.roleChange(v, "Saved.", func(f form) error {
		return s.o.People.UpdateRole(v.ctx(), v.actor(), v.param("id"), f.text("title"), f.text("description"))
	})
}

func (s *Server) roleDelete(v *visit) error {
	return s.roleChange(v, "The role is deleted.", func(form) error {
		return s.o.People.DeleteRole(v.ctx(), v.actor(), v.param("id"))
	})
}
