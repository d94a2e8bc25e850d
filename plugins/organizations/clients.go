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

// clientView is an OAuth client as pages and programs see it.
type clientView struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	Type       string `json:"type"`
	Redirect   string `json:"redirect_uri"`
	Scope      string `json:"scope"`    // "" means full rights
	Unscoped   bool   `json:"unscoped"` // full rights without being of the type web: whoever has the secret can do everything
	UsedBy     string `json:"used_by"`  // who uses it here; "" when nobody is known to
	Note       string `json:"note"`
	Path       string `json:"path"`
	DeletePath string `json:"delete_path"`
}

func viewOfClient(w *workspace, owner *product, c particle.ClientInfo, linkingID string) clientView {
	base := "/admin/organizations/workspaces/" + keyOf(w.ID) + "/clients/" + pathEscape(c.ID)
	query := ""
	if owner != nil {
		query = "?product=" + owner.ProductID
	}
	scope := c.Scope
	if scope == scopeFull || scope == "*:*" {
		scope = ""
	}
	v := clientView{ID: c.ID, Name: c.Name, Type: c.Type, Redirect: c.RedirectURI, Scope: scope, Unscoped: scope == "" && c.Type != typeWeb,
		Path: base + query, DeletePath: base + "/delete" + query}
	if linkingID != "" && linkingID == c.ID {
		v.UsedBy = "Linking: people link their Particle accounts with it."
	}
	if c.RedirectURI != "" {
		_, v.Note = checkRedirect(c.RedirectURI)
	}
	return v
}

// linkingClient is what linking says of its client.
type linkingClient struct {
	ClientID    string `json:"client_id"`
	RedirectURI string `json:"redirect_uri"`
	Configured  bool   `json:"configured"`
}

const linkingService = "linking.client"

// linkingUses asks linking which client it uses; ok is false when it does not tell, as when it is not installed.
func (m *Organizations) linkingUses(ctx context.Context) (c linkingClient, ok bool) {
	if err := m.host.Call(ctx, linkingService, "get", struct{}{}, &c); err != nil {
		return linkingClient{}, false
	}
	return c, true
}

// ownRedirect is where Particle sends people back to when they link their account here.
func (m *Organizations) ownRedirect() string {
	return strings.TrimRight(m.host.Site().PublicURL, "/") + "/linking/particle/callback"
}

// place is a workspace with the owner of clients that a request is about.
type place struct {
	w        *workspace
	owner    *product // nil: the account
	products []product
}

func (m *Organizations) placeOf(w http.ResponseWriter, r *http.Request) (*place, bool) {
	ws, ok := m.workspaceOf(w, r)
	if !ok {
		return nil, false
	}
	owner, err := m.ownerOf(r, ws)
	if err != nil {
		sdk.Fail(w, r, err)
		return nil, false
	}
	list, err := m.records.everyProduct(r.Context(), ws.ID)
	if err != nil {
		sdk.Fail(w, r, err)
		return nil, false
	}
	p := &place{ws, owner, list}
	if r.Method == http.MethodGet && r.PathValue("client") == "" && !r.URL.Query().Has("product") {
		p.choose(ws.DefaultProduct)
	}
	return p, true
}

// choose takes the default product where the address names neither a product nor, by an empty one, the account: the token of an
// API user reaches its product only.
func (p *place) choose(number string) {
	for i := range p.products {
		if p.products[i].ProductID == number {
			p.owner = &p.products[i]
		}
	}
}

// option is a choice of a select.
type option struct {
	Value string `json:"value"`
	Label string `json:"label"`
}

// owners are the choices of whose clients to see.
func (p *place) owners() []option {
	list := []option{{"", "The account itself"}}
	for _, one := range p.products {
		list = append(list, option{one.ProductID, one.Name + " (" + one.ProductID + ", " + one.Slug + ")"})
	}
	return list
}

func (p *place) ownerName() string {
	if p.owner == nil {
		return "the account"
	}
	return p.owner.Name
}

func (m *Organizations) clientsPath(p *place) string {
	return "/admin/organizations/workspaces/" + keyOf(p.w.ID) + "/clients?product=" + productID(p.owner)
}

func (m *Organizations) clientCrumbs(p *place) []sdk.Link {
	return crumbsOf(p.w, sdk.Link{Title: "OAuth clients", Path: m.clientsPath(p)})
}

// listClients asks Particle: ?product= whose (none: the account's), ?q= part of a name or id, ?page=.
func (m *Organizations) listClients(w http.ResponseWriter, r *http.Request) {
	p, ok := m.placeOf(w, r)
	if !ok {
		return
	}
	query, page := readable(r.URL.Query().Get("q"), 100), pageOf(r)
	views := []clientView{}
	total := 0
	list, t := m.clients(r.Context(), p)
	if t == nil {
		using, _ := m.linkingUses(r.Context())
		for _, c := range list {
			if strings.Contains(strings.ToLower(c.Name+" "+c.ID), strings.ToLower(query)) {
				views = append(views, viewOfClient(p.w, p.owner, c, using.ClientID))
			}
		}
		total = len(views)
		from := min((page-1)*perPage, total)
		views = views[from:min(from+perPage, total)]
	}
	data := map[string]any{"workspace": m.viewOf(p.w), "clients": views, "product": productID(p.owner), "owner": p.ownerName(), "owners": p.owners(),
		"q": query, "total": total, "page": page, "per_page": perPage, "trouble": t, "may_manage": canManage(r)}
	sdk.Render(w, r, sdk.View{Template: "clients", Title: "OAuth clients", Breadcrumbs: crumbsOf(p.w), Data: data})
}

// clients lists the clients of an owner by name.
func (m *Organizations) clients(ctx context.Context, p *place) ([]particle.ClientInfo, *trouble) {
	a, t := m.access(ctx, p.w)
	if t != nil {
		return nil, t
	}
	list, err := a.in(productID(p.owner)).Clients(ctx, a.token)
	if err != nil {
		return nil, m.troubleIn(ctx, p.w, err, "clients:list")
	}
	slices.SortFunc(list, func(x, y particle.ClientInfo) int {
		return strings.Compare(strings.ToLower(x.Name), strings.ToLower(y.Name))
	})
	return list, nil
}

// clientOf finds the client of the path at Particle. It has answered when ok is false.
func (m *Organizations) clientOf(w http.ResponseWriter, r *http.Request) (p *place, c particle.ClientInfo, ok bool) {
	if p, ok = m.placeOf(w, r); !ok {
		return nil, c, false
	}
	list, t := m.clients(r.Context(), p)
	if t != nil {
		sdk.Fail(w, r, t.err())
		return nil, c, false
	}
	i := slices.IndexFunc(list, func(c particle.ClientInfo) bool { return c.ID == r.PathValue("client") })
	if i < 0 {
		sdk.Fail(w, r, fault.New(fault.NotFound, "%s has no such OAuth client at Particle.", upperFirst(p.ownerName())))
		return nil, c, false
	}
	return p, list[i], true
}

func (m *Organizations) renderClient(w http.ResponseWriter, r *http.Request, p *place, c particle.ClientInfo, form clientForm, wrong sdk.Fields, message *sdk.Message) {
	using, known := m.linkingUses(r.Context())
	v := sdk.View{Template: "client", Title: c.Name, Breadcrumbs: m.clientCrumbs(p), FieldErrors: wrong, Message: message,
		Data: map[string]any{"workspace": m.viewOf(p.w), "client": viewOfClient(p.w, p.owner, c, using.ClientID), "form": form, "owner": p.ownerName(),
			"linking_known": known, "product": productID(p.owner)}}
	if len(wrong) > 0 {
		v.Status = http.StatusUnprocessableEntity
	}
	sdk.Render(w, r, v)
}

func (m *Organizations) showClient(w http.ResponseWriter, r *http.Request) {
	p, c, ok := m.clientOf(w, r)
	if !ok {
		return
	}
	scope := c.Scope
	if scope != scopeCustomers {
		scope = ""
	}
	m.renderClient(w, r, p, c, clientForm{Name: c.Name, Scope: scope, Once: newOnce()}, nil, nil)
}

func (m *Organizations) confirmDelete(w http.ResponseWriter, r *http.Request) {
	if p, c, ok := m.clientOf(w, r); ok {
		m.renderDelete(w, r, p, c, nil, nil)
	}
}

func (m *Organizations) renderDelete(w http.ResponseWriter, r *http.Request, p *place, c particle.ClientInfo, wrong sdk.Fields, message *sdk.Message) {
	v := sdk.View{Template: "client_delete", Title: "Delete " + c.Name, Breadcrumbs: m.clientCrumbs(p), FieldErrors: wrong, Message: message,
		Data: map[string]any{"workspace": m.viewOf(p.w), "client": viewOfClient(p.w, p.owner, c, ""), "owner": p.ownerName(), "used": m.usesOfClient(r.Context(), p.w, c.ID),
			"product": productID(p.owner), "once": newOnce()}}
	if len(wrong) > 0 {
		v.Status = http.StatusUnprocessableEntity
	}
	sdk.Render(w, r, v)
}

func upperFirst(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}
