package web

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"mortise/core/fault"
	"mortise/core/identity"
	"mortise/core/sdk"
	"mortise/core/theme"
)

// peoplePerPage is how many people one page of the list shows.
const peoplePerPage = 25

// peopleData is the data of the page admin_people.
type peopleData struct {
	People  []identity.User   `json:"people"`
	Total   int64             `json:"total"`
	Page    int               `json:"page"`
	PerPage int               `json:"per_page"`
	Q       string            `json:"q"`
	Role    string            `json:"role"`
	State   string            `json:"state"`
	Sort    string            `json:"sort"`
	Roles   []choice          `json:"roles"`
	States  []choice          `json:"states"`
	Titles  map[string]string `json:"titles"` // of the roles, by id
}

var peopleCrumb = sdk.Link{Title: "People", Path: "/admin/people"}

func (s *Server) peopleList(v *visit) error {
	data := peopleData{Q: clip(v.query("q"), 100), Role: v.query("role"), State: v.query("state"), Sort: v.query("sort"), PerPage: peoplePerPage, Page: 1,
		States: []choice{{"", "Any state"}, {"active", "Active"}, {"blocked", "Blocked"}}}
	if n, ok := numberOf(v.query("page")); ok && n > 0 && n < 1_000_000 {
		data.Page = int(n)
	}
	query := identity.UserQuery{Search: data.Q, Role: data.Role, Limit: peoplePerPage, Offset: (data.Page - 1) * peoplePerPage}
	query.Sort, query.Desc = sortOf(data.Sort)
	if data.State == "active" || data.State == "blocked" {
		blocked := data.State == "blocked"
		query.Blocked = &blocked
	}
	found, err := s.o.People.List(v.ctx(), query)
	if err != nil {
		return err
	}
	if data.People, data.Total = found.Users, found.Total; data.People == nil {
		data.People = []identity.User{}
	}
	roles, err := s.o.People.Roles(v.ctx())
	if err != nil {
		return err
	}
	data.Roles, data.Titles = append([]choice{{"", "Any role"}}, roleChoices(roles)...), map[string]string{}
	for _, r := range roles {
		data.Titles[r.ID] = r.Title
	}
	return v.render(theme.Page{Template: "admin_people", Title: "People", Data: data})
}

// sortOf reads "?sort=-created".
func sortOf(text string) (column string, desc bool) {
	if len(text) > 1 && text[0] == '-' {
		text, desc = text[1:], true
	}
	if slices.Contains([]string{"name", "email", "created", "seen"}, text) {
		return text, desc
	}
	return "name", false
}

func roleChoices(roles []identity.Role) []choice {
	var list []choice
	for _, r := range roles {
		list = append(list, choice{Value: r.ID, Label: r.Title})
	}
	return list
}

// personData is the data of the pages admin_person and admin_person_new.
type personData struct {
	Person   identity.User      `json:"person"`
	Name     string             `json:"name"`  // of the form: what was typed, when it comes back
	Email    string             `json:"email"` // likewise
	Roles    []roleTick         `json:"roles"`
	Sessions []identity.Session `json:"sessions"`
	Self     bool               `json:"self"` // the visitor's own account
	Rights   []rightData        `json:"rights"`
	Confirm  bool               `json:"confirm"` // the form needs the visitor's password
}

// roleTick is one box of the form.
type roleTick struct {
	ID          string `json:"id"`
	Title       string `json:"title"`
	Description string `json:"description"`
	On          bool   `json:"on"`
}

// rightData says what the person may do and which roles give it.
type rightData struct {
	Title string   `json:"title"`
	By    []string `json:"by"` // titles of roles
}

// personOf finds the person of the path.
func (s *Server) personOf(v *visit) (identity.User, error) {
	id, ok := numberOf(v.param("id"))
	if !ok {
		return identity.User{}, errNotFound
	}
	return s.o.People.User(v.ctx(), id)
}

// personPage shows a person. f is a form that comes back with what was typed, or nil.
func (s *Server) personPage(v *visit, u identity.User, f form) (theme.Page, error) {
	roles, err := s.o.People.Roles(v.ctx())
	if err != nil {
		return theme.Page{}, err
	}
	data := personData{Person: u, Name: u.Name, Email: u.Email, Sessions: s.o.People.Sessions(u.ID), Self: u.ID == v.who.User.ID, Rights: s.rightsOf(u)}
	on := u.Roles
	if f != nil {
		data.Name, data.Email, on = f.text("name"), f.text("email"), f.list("roles")
		data.Confirm = v.stale() && s.empowers(u.Roles, on)
	}
	for _, r := range roles {
		data.Roles = append(data.Roles, roleTick{r.ID, r.Title, r.Description, slices.Contains(on, r.ID)})
	}
	if data.Sessions == nil {
		data.Sessions = []identity.Session{}
	}
	return theme.Page{Template: "admin_person", Title: u.Name, Data: data, Breadcrumbs: crumbs(peopleCrumb)}, nil
}

// rightsOf answers "what may this person do, and why".
func (s *Server) rightsOf(u identity.User) []rightData {
	list := []rightData{}
	if u.Administrator() {
		return append(list, rightData{Title: "Everything", By: []string{"Administrator"}})
	}
	matrix := s.o.People.Matrix()
	for _, group := range s.permissionGroups() {
		for _, p := range group.Permissions {
			var by []string
			for _, role := range matrix.Roles {
				if slices.Contains(u.Roles, role.ID) && matrix.Granted[role.ID][p.ID] {
					by = append(by, role.Title)
				}
			}
			if len(by) > 0 {
				list = append(list, rightData{Title: p.Title, By: by})
			}
		}
	}
	return list
}

func (s *Server) person(v *visit) error {
	u, err := s.personOf(v)
	if err != nil {
		return err
	}
	page, err := s.personPage(v, u, nil)
	if err != nil {
		return err
	}
	return v.render(page)
}

// personSave changes name, address and roles.
func (s *Server) personSave(v *visit) error {
	f, err := v.form()
	if err != nil {
		return err
	}
	u, err := s.personOf(v)
	if err != nil {
		return err
	}
	change := identity.UserChange{}
	for name, field := range map[string]**string{"name": &change.Name, "email": &change.Email} {
		if f.has(name) {
			text := f.text(name)
			*field = &text
		}
	}
	ctx := v.ctx()
	if s.empowers(u.Roles, f.list("roles")) {
		err = v.confirm(f)
	}
	if err == nil {
		err = s.o.People.UpdateUser(ctx, v.actor(), u.ID, change)
	}
	if err == nil && (f.has("_roles") || f.has("roles")) { // a browser sends nothing for boxes that are all empty
		_, err = s.o.People.SetRoles(ctx, v.actor(), u.ID, f.list("roles"))
	}
	if err != nil {
		page, pageErr := s.personPage(v, u, f)
		if pageErr != nil {
			return errors.Join(err, pageErr)
		}
		return v.again(page, err)
	}
	return v.redirect(personPath(u.ID), sdk.Message{Tone: sdk.Good, Text: "The changes are saved."})
}

// empowers tells whether roles that somebody gets beside those they have bring something with power over the site.
func (s *Server) empowers(has, gets []string) bool {
	granted, restricted := s.o.People.Matrix().Granted, s.restricted()
	return slices.ContainsFunc(gets, func(role string) bool {
		if slices.Contains(has, role) {
			return false
		}
		for permission, given := range granted[role] {
			if given && restricted[permission] {
				return true
			}
		}
		return role == identity.RoleAdministrator
	})
}

func personPath(id int64) string { return "/admin/people/" + strconv.FormatInt(id, 10) }

func (s *Server) newPersonPage(v *visit, f form) (theme.Page, error) {
	roles, err := s.o.People.Roles(v.ctx())
	if err != nil {
		return theme.Page{}, err
	}
	data := personData{Name: f.text("name"), Email: f.text("email"), Sessions: []identity.Session{}, Rights: []rightData{}}
	chosen := f.list("roles")
	data.Confirm = f != nil && v.stale() && s.empowers(nil, chosen)
	if f == nil {
		chosen = []string{identity.RoleCustomer}
	}
	for _, r := range roles {
		data.Roles = append(data.Roles, roleTick{r.ID, r.Title, r.Description, slices.Contains(chosen, r.ID)})
	}
	return theme.Page{Template: "admin_person_new", Title: "Add a person", Data: data, Breadcrumbs: crumbs(peopleCrumb)}, nil
}

func (s *Server) personForm(v *visit) error {
	page, err := s.newPersonPage(v, nil)
	if err != nil {
		return err
	}
	return v.render(page)
}

// personCreate makes an account without a password and mails its owner a link to choose one.
func (s *Server) personCreate(v *visit) error {
	f, err := v.form()
	if err != nil {
		return err
	}
	ctx := v.ctx()
	var made identity.User
	if s.empowers(nil, f.list("roles")) {
		err = v.confirm(f)
	}
	if err == nil {
		made, err = s.o.People.CreateUser(ctx, v.actor(), identity.NewUser{Name: f.text("name"), Email: f.text("email"), Roles: f.list("roles")})
	}
	if err != nil {
		page, pageErr := s.newPersonPage(v, f)
		if pageErr != nil {
			return errors.Join(err, pageErr)
		}
		return v.again(page, err)
	}
	if _, _, err := s.o.People.Invite(ctx, v.actor(), made.ID); err != nil {
		return v.redirect(personPath(made.ID), sdk.Message{Tone: sdk.Warn, Text: "The account is made, but the invitation could not be sent. Send the link again from here."})
	}
	return v.redirectWith(personPath(made.ID), map[string]any{"id": made.ID}, sdk.Message{Tone: sdk.Good, Text: "The account is made, and an invitation is on its way."})
}

// personDo runs one action on a person and goes back to the page.
func (s *Server) personDo(v *visit, did, already string, act func(identity.User) (bool, error)) error {
	u, err := s.personOf(v)
	if err != nil {
		return err
	}
	changed, err := act(u)
	if err != nil {
		page, pageErr := s.personPage(v, u, nil)
		if pageErr != nil {
			return errors.Join(err, pageErr)
		}
		return v.again(page, err)
	}
	return v.done(personPath(u.ID), changed, fmt.Sprintf(did, u.Name), fmt.Sprintf(already, u.Name))
}

func (s *Server) personBlock(v *visit) error {
	return s.personDo(v, "%s is blocked and signed out everywhere.", "%s was blocked already.", func(u identity.User) (bool, error) {
		return s.o.People.Block(v.ctx(), v.actor(), u.ID)
	})
}

func (s *Server) personUnblock(v *visit) error {
	return s.personDo(v, "%s can sign in again.", "%s was not blocked.", func(u identity.User) (bool, error) {
		return s.o.People.Unblock(v.ctx(), v.actor(), u.ID)
	})
}

func (s *Server) personInvite(v *visit) error {
	return s.personDo(v, "A link to choose a password is on its way to %s.", "%s got no link.", func(u identity.User) (bool, error) {
		_, _, err := s.o.People.Invite(v.ctx(), v.actor(), u.ID)
		return true, err
	})
}

func deletePersonPage(u identity.User) theme.Page {
	return theme.Page{Template: "admin_person_delete", Title: "Delete " + u.Name, Data: personData{Person: u, Name: u.Name, Email: u.Email, Roles: []roleTick{}, Sessions: []identity.Session{}, Rights: []rightData{}},
		Breadcrumbs: crumbs(peopleCrumb, sdk.Link{Title: u.Name, Path: personPath(u.ID)})}
}

func (s *Server) personDeleteForm(v *visit) error {
	u, err := s.personOf(v)
	if err != nil {
		return err
	}
	return v.render(deletePersonPage(u))
}

// personDelete deletes an account; modules erase what they hold of it when they hear of it. The address is typed to confirm.
func (s *Server) personDelete(v *visit) error {
	f, err := v.form()
	if err != nil {
		return err
	}
	u, err := s.personOf(v)
	if err != nil {
		return err
	}
	if f.text("confirm") != u.Email {
		return v.again(deletePersonPage(u), fault.InvalidFields("The account was not deleted.", map[string]string{"confirm": "Type the person's e-mail address to confirm."}))
	}
	if err := s.o.People.Delete(v.ctx(), v.actor(), u.ID); err != nil {
		return v.again(deletePersonPage(u), err)
	}
	return v.redirect("/admin/people", sdk.Message{Tone: sdk.Good, Text: u.Name + " is deleted."})
}

// numberOf reads an id or a page from a path or a query.
func numberOf(text string) (int64, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && n > 0
}
