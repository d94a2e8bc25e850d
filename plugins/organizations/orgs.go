package main

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/internal/particle"
)

// organizationView is an organization as pages and programs see it.
type organizationView struct {
	ID       string        `json:"id"` // Particle's
	Slug     string        `json:"slug"`
	Name     string        `json:"name"`
	Products []productView `json:"products"`
	SeenAt   time.Time     `json:"seen_at"`
	Path     string        `json:"path"`
}

func organizationPath(workspaceID int64, orgID string) string {
	return "/admin/organizations/workspaces/" + keyOf(workspaceID) + "/organizations/" + pathEscape(orgID)
}

// viewOfOrganization takes its products from those of the workspace.
func viewOfOrganization(w *workspace, o *organization, products []product) (organizationView, error) {
	v := organizationView{ID: o.OrgID, Slug: o.Slug, Name: o.Name, Products: []productView{}, SeenAt: o.SeenAt, Path: organizationPath(w.ID, o.OrgID)}
	var numbers []string
	if err := json.Unmarshal([]byte(o.Products), &numbers); err != nil {
		return v, err
	}
	for i := range products {
		if slices.Contains(numbers, products[i].ProductID) {
			v.Products = append(v.Products, viewOfProduct(w, &products[i]))
		}
	}
	return v, nil
}

// listOrganizations lists what Particle said last. A list that is old is fetched anew, with the products.
func (m *Organizations) listOrganizations(w http.ResponseWriter, r *http.Request) {
	ws, ok := m.workspaceOf(w, r)
	if !ok {
		return
	}
	var t *trouble
	if ws.ProductsAt == nil || m.now().Sub(*ws.ProductsAt) > productsKept {
		if t = m.refresh(r.Context(), ws); t == nil {
			if ws, ok = m.workspaceOf(w, r); !ok {
				return
			}
		}
	}
	list, err := m.records.organizations(r.Context(), ws.ID)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	products, err := m.records.everyProduct(r.Context(), ws.ID)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	views := make([]organizationView, 0, len(list))
	for i := range list {
		v, err := viewOfOrganization(ws, &list[i], products)
		if err != nil {
			sdk.Fail(w, r, err)
			return
		}
		views = append(views, v)
	}
	sdk.Render(w, r, sdk.View{Template: "orgs", Title: "Organizations", Breadcrumbs: crumbsOf(ws), Data: map[string]any{"workspace": m.viewOf(ws), "organizations": views,
		"trouble": t, "may_manage": canManage(r)}})
}

// showOrganization shows an organization with its team: ?q= part of a name, ?page=.
func (m *Organizations) showOrganization(w http.ResponseWriter, r *http.Request) {
	ws, ok := m.workspaceOf(w, r)
	if !ok {
		return
	}
	c, err := m.crewOfOrganization(r.Context(), ws, r.PathValue("organization"))
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	products, err := m.records.everyProduct(r.Context(), ws.ID)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	v, err := viewOfOrganization(ws, c.org, products)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	data := map[string]any{"workspace": m.viewOf(ws), "organization": v, "may_manage": canManage(r), "invite_path": c.pathTo("invite", nil)}
	m.addMembers(r, c, data)
	sdk.Render(w, r, sdk.View{Template: "org", Title: c.org.Name, Breadcrumbs: crumbsOf(ws, sdk.Link{Title: "Organizations", Path: m.viewOf(ws).Path + "/organizations"}), Data: data})
}

// addMembers puts a page of a team into a view's data: members, q, total, page, per_page and trouble.
func (m *Organizations) addMembers(r *http.Request, c *crew, data map[string]any) {
	query, page := readable(r.URL.Query().Get("q"), 100), pageOf(r)
	views, total := []memberView{}, 0
	list, t := m.members(r.Context(), c)
	for _, v := range viewsOfTeam(c.w, list) {
		if strings.Contains(strings.ToLower(v.Username+" "+v.Name+" "+v.Role), strings.ToLower(query)) {
			v.RemovePath = c.pathTo("remove", map[string]string{"username": v.Username})
			views = append(views, v)
		}
	}
	total = len(views)
	from := min((page-1)*perPage, total)
	data["members"], data["q"], data["total"], data["page"], data["per_page"], data["trouble"] = views[from:min(from+perPage, total)], query, total, page, perPage, t
}

// fetchProducts asks Particle for the products that a credential reaches, on its own and through organizations, and for these.
// A cloud that knows no organizations has none.
func (m *Organizations) fetchProducts(ctx context.Context, a *access) ([]particle.Product, []organization, *trouble) {
	list, err := a.cloud.AllProducts(ctx, a.token)
	if particle.Is(err, particle.NotParticle) || refused(err) {
		list, err = a.cloud.Products(ctx, a.token)
	}
	if err != nil {
		return nil, nil, m.troubleIn(ctx, a.workspace, err, "products:list")
	}
	orgs, err := a.cloud.Organizations(ctx, a.token)
	switch {
	case err == nil, refused(err), fault.Is(err, fault.NotFound), particle.Is(err, particle.NotParticle):
	default:
		return nil, nil, m.troubleIn(ctx, a.workspace, err, "organization:get")
	}
	rows := make([]organization, 0, len(orgs))
	for _, o := range orgs[:min(len(orgs), maxOrganizations)] {
		numbers := []string{}
		for _, p := range list {
			if p.OrganizationID == o.ID {
				numbers = append(numbers, p.ID)
			}
		}
		text, err := json.Marshal(numbers)
		if err != nil {
			return nil, nil, explain(err, "")
		}
		rows = append(rows, organization{WorkspaceID: a.ID, OrgID: o.ID, Slug: o.Slug, Name: o.Name, Products: string(text), SeenAt: m.now()})
	}
	return list, rows, nil
}
