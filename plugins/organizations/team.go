package main

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/internal/particle"
)

// memberView is a person or an API user of a product's team.
type memberView struct {
	Username string   `json:"username"`
	Name     string   `json:"name"` // an API user's own
	Role     string   `json:"role"`
	Program  bool     `json:"program"` // an API user
	Invited  bool     `json:"invited"`
	Scopes   []string `json:"scopes"`  // of an API user, when Particle tells
	Current  bool     `json:"current"` // the workspace's credential is this API user's token

	RemovePath string `json:"remove_path"`
}

func viewsOfTeam(w *workspace, list []particle.TeamMember) []memberView {
	views := make([]memberView, 0, len(list))
	for _, one := range list {
		v := memberView{Username: one.Username, Name: one.Name, Role: one.Role, Program: one.Programmer, Invited: one.Invited, Scopes: one.Scopes}
		v.Current = one.Programmer && w.APIUser != "" && strings.EqualFold(one.Username, w.APIUser)
		views = append(views, v)
	}
	return views
}

// teamOf finds whose team is meant: the product of the request, else the default one, else the only one. It has answered when
// ok is false; the owner is nil when there is nothing to choose yet.
func (m *Organizations) teamOf(w http.ResponseWriter, r *http.Request) (*place, bool) {
	p, ok := m.placeOf(w, r)
	if !ok {
		return nil, false
	}
	for i := range p.products {
		if p.owner == nil && (p.products[i].ProductID == p.w.DefaultProduct || p.w.DefaultProduct == "") {
			p.owner = &p.products[i]
		}
	}
	return p, true
}

// teams are the choices of whose team to see.
func (p *place) teams() []option {
	return p.owners()[1:]
}

func teamPath(p *place) string {
	path := "/admin/organizations/workspaces/" + keyOf(p.w.ID) + "/team"
	if p.owner != nil {
		path += "?product=" + p.owner.ProductID
	}
	return path
}

// listTeam asks Particle for a product's team: ?product=, ?q= part of a name, ?page=.
func (m *Organizations) listTeam(w http.ResponseWriter, r *http.Request) {
	p, ok := m.teamOf(w, r)
	if !ok {
		return
	}
	data := map[string]any{"workspace": m.viewOf(p.w), "members": []memberView{}, "product": productID(p.owner), "owner": p.ownerName(), "owners": p.teams(), "q": "",
		"total": 0, "page": 1, "per_page": perPage, "trouble": nil, "may_manage": canManage(r), "invite_path": ""}
	if p.owner != nil {
		c := crewOfProduct(p)
		data["invite_path"] = c.pathTo("invite", nil)
		m.addMembers(r, c, data)
	}
	sdk.Render(w, r, sdk.View{Template: "team", Title: "Team and API users", Breadcrumbs: crumbsOf(p.w), Data: data})
}

// userForm is what a person enters for a new API user.
type userForm struct {
	Name   string   `json:"name"`
	Scopes []string `json:"scopes"`
	Use    bool     `json:"use"` // its token becomes the workspace's credential, and the API user before is removed
	Once   string   `json:"once"`
}

// scopeChoice is one line of the checklist.
type scopeChoice struct {
	Name      string `json:"name"`
	Group     string `json:"group"`
	Purpose   string `json:"purpose"`
	Suggested bool   `json:"suggested"`
	Chosen    bool   `json:"chosen"`
}

func (f *userForm) wrong() sdk.Fields {
	wrong := sdk.Fields{}
	if f.Name == "" {
		wrong["name"] = "give the API user a name that says what it is for, such as the name of this site"
	}
	if len(f.Scopes) == 0 {
		wrong["scopes"] = "tick at least one scope"
	}
	for _, s := range f.Scopes {
		if !slices.ContainsFunc(particle.Scopes(), func(known particle.ScopeInfo) bool { return known.Name == s }) {
			wrong["scopes"] = "tick scopes of the list only"
		}
	}
	return wrong
}

func (m *Organizations) renderNewUser(w http.ResponseWriter, r *http.Request, p *place, f userForm, wrong sdk.Fields, t *trouble) {
	if f.Once == "" {
		f.Once = newOnce()
	}
	var choices []scopeChoice
	for _, s := range particle.Scopes() {
		choices = append(choices, scopeChoice{s.Name, s.Group, s.Purpose, s.Suggested, slices.Contains(f.Scopes, s.Name)})
	}
	v := sdk.View{Template: "user_new", Title: "Create an API user", Breadcrumbs: crumbsOf(p.w, sdk.Link{Title: "Team and API users", Path: teamPath(p)}), FieldErrors: wrong,
		Data: map[string]any{"workspace": m.viewOf(p.w), "form": f, "choices": choices, "product": p.owner.ProductID, "owner": p.ownerName(), "current": p.w.APIUser, "trouble": t,
			"team_path": teamPath(p)}}
	switch {
	case t != nil:
		v.Status = t.fault.Status()
	case len(wrong) > 0:
		v.Status = http.StatusUnprocessableEntity
	}
	sdk.Render(w, r, v)
}

// placeOfUser is the place of a new API user, which belongs to a product. It has answered when ok is false.
func (m *Organizations) placeOfUser(w http.ResponseWriter, r *http.Request) (*place, bool) {
	p, ok := m.teamOf(w, r)
	if ok && p.owner == nil {
		sdk.Fail(w, r, fault.New(fault.NotFound, "The workspace has no product whose team an API user could join."))
		return nil, false
	}
	return p, ok
}

// newUser shows the form; with ?use=1 for rotating the workspace's token.
func (m *Organizations) newUser(w http.ResponseWriter, r *http.Request) {
	p, ok := m.placeOfUser(w, r)
	if !ok {
		return
	}
	f := userForm{Scopes: particle.SuggestedScopes(), Use: r.URL.Query().Get("use") != ""}
	if f.Use {
		f.Name = readable(m.host.Site().Name, 60)
		// The next rotation needs these as well.
		f.Scopes = append(f.Scopes, "teams.users:invite", "teams.users:remove")
	}
	m.renderNewUser(w, r, p, f, nil, nil)
}

func (m *Organizations) createUser(w http.ResponseWriter, r *http.Request) {
	p, ok := m.placeOfUser(w, r)
	if !ok {
		return
	}
	_ = r.PostFormValue("name") // reads the form
	f := userForm{Name: readable(r.PostFormValue("name"), 60), Scopes: r.PostForm["scopes"], Use: r.PostFormValue("use") != "", Once: r.PostFormValue("once")}
	if wrong := f.wrong(); len(wrong) > 0 {
		m.renderNewUser(w, r, p, f, wrong, nil)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), opLimit)
	defer cancel()
	defer m.lock(p.w.ID)()
	a, t := m.access(ctx, p.w)
	if t != nil {
		m.renderNewUser(w, r, p, f, nil, t)
		return
	}
	op, token, t, err := m.makeUser(ctx, r, a, p, f)
	switch {
	case err != nil:
		sdk.Fail(w, r, err)
	case t != nil:
		f.Once = newOnce()
		m.renderNewUser(w, r, p, f, nil, t)
	case token == "":
		sdk.Redirect(w, r, m.viewOfOperation(op).Path, sdk.Message{Tone: sdk.Info, Text: "This form was sent before. " + op.Sentence})
	case f.Use:
		m.endRotation(ctx, w, r, a, op)
	default:
		sdk.Render(w, r, sdk.View{Template: "user_created", Title: "The API user is created", Status: http.StatusCreated,
			Breadcrumbs: crumbsOf(p.w, sdk.Link{Title: "Team and API users", Path: teamPath(p)}),
			Data:        map[string]any{"workspace": m.viewOf(p.w), "username": op.Subject, "token": token, "form": f, "owner": p.ownerName(), "team_path": teamPath(p)}})
	}
}
