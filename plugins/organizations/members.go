package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/mail"
	"net/url"
	"slices"
	"strings"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/internal/particle"
)

// crew is the team of a product or of an organization.
type crew struct {
	*place
	org  *organization // nil: of a product
	of   particle.TeamOf
	name string
	path string // of the page that lists it
}

// pathTo is an address below the workspace's team that names whose team is meant.
func (c *crew) pathTo(action string, more map[string]string) string {
	query := url.Values{}
	if c.org != nil {
		query.Set("organization", c.of.Organization)
	} else {
		query.Set("product", c.of.Product)
	}
	for key, value := range more {
		query.Set(key, value)
	}
	return "/admin/organizations/workspaces/" + keyOf(c.w.ID) + "/team/" + action + "?" + query.Encode()
}

func crewOfProduct(p *place) *crew {
	return &crew{place: p, of: particle.TeamOf{Product: p.owner.ProductID}, name: p.owner.Name, path: teamPath(p)}
}

// crewOfOrganization finds one by Particle's id. It must be one that Particle has named: a made-up one leads to no call.
func (m *Organizations) crewOfOrganization(ctx context.Context, ws *workspace, orgID string) (*crew, error) {
	if len(orgID) > 60 {
		return nil, fault.New(fault.NotFound, "The workspace has no such organization.")
	}
	o, err := m.records.organization(ctx, ws.ID, orgID)
	if err != nil {
		return nil, err
	}
	return &crew{place: &place{w: ws}, org: o, of: particle.TeamOf{Organization: o.OrgID}, name: o.Name, path: organizationPath(ws.ID, o.OrgID)}, nil
}

// crewOf finds whose team a request is about: ?organization=, else ?product= as for every page of the team. It has answered
// when ok is false.
func (m *Organizations) crewOf(w http.ResponseWriter, r *http.Request) (c *crew, ok bool) {
	if orgID := r.FormValue("organization"); orgID != "" {
		ws, ok := m.workspaceOf(w, r)
		if !ok {
			return nil, false
		}
		c, err := m.crewOfOrganization(r.Context(), ws, orgID)
		if err != nil {
			sdk.Fail(w, r, err)
		}
		return c, err == nil
	}
	p, ok := m.teamOf(w, r)
	if !ok {
		return nil, false
	}
	if p.owner == nil {
		sdk.Fail(w, r, fault.New(fault.NotFound, "The workspace has no product whose team could be changed."))
		return nil, false
	}
	return crewOfProduct(p), true
}

// members asks Particle for a team, by name.
func (m *Organizations) members(ctx context.Context, c *crew) ([]particle.TeamMember, *trouble) {
	a, t := m.access(ctx, c.w)
	if t != nil {
		return nil, t
	}
	list, err := a.cloud.TeamMembers(ctx, a.token, c.of)
	if err != nil {
		return nil, m.troubleIn(ctx, c.w, err, "teams.users:list")
	}
	slices.SortStableFunc(list, func(x, y particle.TeamMember) int {
		return strings.Compare(strings.ToLower(x.Username), strings.ToLower(y.Username))
	})
	return list, nil
}

// inviteForm is what a person enters to invite another one.
type inviteForm struct {
	Username string `json:"username"` // an e-mail address
	Role     string `json:"role"`     // "": as Particle gives it
	Once     string `json:"once"`
}

// roles are those of Particle's teams that may be given.
var roles = []option{{"", "As Particle gives it"}, {"Administrator", "Administrator"}, {"Developer", "Developer"}, {"Support", "Support"}, {"View-only", "View-only"}}

func (f inviteForm) wrong() sdk.Fields {
	wrong := sdk.Fields{}
	if a, err := mail.ParseAddress(f.Username); err != nil || a.Address != f.Username || len(f.Username) > 200 {
		wrong["username"] = "enter the e-mail address of the person's Particle account, such as bob@example.com"
	}
	if !slices.ContainsFunc(roles, func(o option) bool { return o.Value == f.Role }) {
		wrong["role"] = "choose one of the roles"
	}
	return wrong
}

func (m *Organizations) newMember(w http.ResponseWriter, r *http.Request) {
	if c, ok := m.crewOf(w, r); ok {
		m.renderInvite(w, r, c, inviteForm{Once: newOnce()}, nil)
	}
}

func (m *Organizations) renderInvite(w http.ResponseWriter, r *http.Request, c *crew, f inviteForm, wrong sdk.Fields) {
	v := sdk.View{Template: "member_invite", Title: "Invite into the team", FieldErrors: wrong, Breadcrumbs: crumbsOf(c.w, sdk.Link{Title: "Team of " + c.name, Path: c.path}),
		Data: map[string]any{"workspace": m.viewOf(c.w), "form": f, "roles": roles, "team": c.name, "product": c.of.Product, "organization": c.of.Organization, "team_path": c.path}}
	if len(wrong) > 0 {
		v.Status = http.StatusUnprocessableEntity
	}
	sdk.Render(w, r, v)
}

// memberInput is what the operations member_invite and member_remove do.
type memberInput struct {
	Organization string `json:"organization"` // "" for the team of a product
	Team         string `json:"team"`         // its name at that time
	Username     string `json:"username"`
	Role         string `json:"role"`
}

func (in memberInput) of(op *operation) particle.TeamOf {
	if in.Organization != "" {
		return particle.TeamOf{Organization: in.Organization}
	}
	return particle.TeamOf{Product: op.ProductID}
}

func (m *Organizations) inviteMember(w http.ResponseWriter, r *http.Request) {
	c, ok := m.crewOf(w, r)
	if !ok {
		return
	}
	f := inviteForm{Username: strings.ToLower(strings.TrimSpace(r.PostFormValue("username"))), Role: r.PostFormValue("role"), Once: r.PostFormValue("once")}
	if wrong := f.wrong(); len(wrong) > 0 {
		m.renderInvite(w, r, c, f, wrong)
		return
	}
	op := &operation{Kind: opMemberInvite, WorkspaceID: c.w.ID, Workspace: c.w.Name, ProductID: c.of.Product, Name: f.Username}
	in := memberInput{Organization: c.of.Organization, Team: c.name, Username: f.Username, Role: f.Role}
	m.carryOut(w, r, c.place, op, in, func(ctx context.Context, a *access, op *operation) error { return m.doInvite(ctx, a, op, false) }, c.path)
}

// doInvite carries out member_invite. again tells that it may have happened before: that the person is asked already is a
// success then.
func (m *Organizations) doInvite(ctx context.Context, a *access, op *operation, again bool) error {
	var in memberInput
	if err := json.Unmarshal([]byte(op.Input), &in); err != nil {
		return err
	}
	err := a.cloud.InviteMember(ctx, a.token, in.of(op), in.Username, in.Role)
	switch {
	case err == nil, again && particle.Is(err, particle.Duplicate):
		return m.end(ctx, op, opDone, in.Username+" is invited into the team of "+in.Team+". Particle sends the mail.")
	case particle.Is(err, particle.Duplicate):
		return m.end(ctx, op, opFailed, in.Username+" is in the team of "+in.Team+" or was invited already.")
	case particle.Is(err, particle.NotFound):
		return m.end(ctx, op, opFailed, "Particle knows no account with the address "+in.Username+". The person has to sign up at particle.io first.")
	}
	return m.refusedOrUnknown(ctx, a, op, err, "teams.users:invite")
}

// memberOf finds the member of the request in the team as Particle has it now. It has answered when ok is false.
func (m *Organizations) memberOf(w http.ResponseWriter, r *http.Request) (c *crew, one memberView, ok bool) {
	if c, ok = m.crewOf(w, r); !ok {
		return nil, one, false
	}
	list, t := m.members(r.Context(), c)
	if t != nil {
		sdk.Fail(w, r, t.err())
		return nil, one, false
	}
	for _, v := range viewsOfTeam(c.w, list) {
		if strings.EqualFold(v.Username, r.FormValue("username")) {
			return c, v, true
		}
	}
	sdk.Fail(w, r, fault.New(fault.NotFound, "Nobody of this name is in the team."))
	return nil, one, false
}

func (m *Organizations) confirmRemoveMember(w http.ResponseWriter, r *http.Request) {
	if c, one, ok := m.memberOf(w, r); ok {
		m.renderRemoveMember(w, r, c, one, nil)
	}
}

func (m *Organizations) renderRemoveMember(w http.ResponseWriter, r *http.Request, c *crew, one memberView, wrong sdk.Fields) {
	used, err := m.usesOfMember(r.Context(), c, one)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	v := sdk.View{Template: "member_remove", Title: "Remove " + one.Username, FieldErrors: wrong, Breadcrumbs: crumbsOf(c.w, sdk.Link{Title: "Team of " + c.name, Path: c.path}),
		Data: map[string]any{"workspace": m.viewOf(c.w), "member": one, "used": used, "team": c.name, "product": c.of.Product, "organization": c.of.Organization,
			"team_path": c.path, "once": newOnce()}}
	if len(wrong) > 0 {
		v.Status = http.StatusUnprocessableEntity
	}
	sdk.Render(w, r, v)
}

func (m *Organizations) removeMember(w http.ResponseWriter, r *http.Request) {
	c, one, ok := m.memberOf(w, r)
	if !ok {
		return
	}
	if !strings.EqualFold(strings.TrimSpace(r.PostFormValue("confirm")), one.Username) {
		m.renderRemoveMember(w, r, c, one, sdk.Fields{"confirm": "type the user name exactly as it is shown"})
		return
	}
	op := &operation{Kind: opMemberRemove, WorkspaceID: c.w.ID, Workspace: c.w.Name, ProductID: c.of.Product, Name: one.Username}
	in := memberInput{Organization: c.of.Organization, Team: c.name, Username: one.Username}
	m.carryOut(w, r, c.place, op, in, m.doRemoveMember, c.path)
}

// doRemoveMember carries out member_remove, the first time and after a crash. Somebody who is gone already is a success.
func (m *Organizations) doRemoveMember(ctx context.Context, a *access, op *operation) error {
	var in memberInput
	if err := json.Unmarshal([]byte(op.Input), &in); err != nil {
		return err
	}
	err := a.cloud.RemoveMember(ctx, a.token, in.of(op), in.Username)
	switch {
	case err == nil, particle.Is(err, particle.NotFound):
		return m.end(ctx, op, opDone, in.Username+" is not in the team of "+in.Team+" any more.")
	case particle.Is(err, particle.Denied):
		t := m.troubleIn(ctx, a.workspace, err, "teams.users:remove")
		return m.end(ctx, op, opFailed, t.Sentence+" The owner of a team cannot be removed at all.")
	}
	return m.refusedOrUnknown(ctx, a, op, err, "teams.users:remove")
}
