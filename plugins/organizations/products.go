package main

import (
	"context"
	"net/http"
	"sync"
	"time"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/internal/particle"
)

const (
	perPage      = 25
	maxProducts  = 1000
	productsKept = 15 * time.Minute // an older list is fetched anew when somebody looks at it
	refreshLimit = 45 * time.Second // for a whole refresh
)

// productView is a product as pages and programs see it.
type productView struct {
	ID           string    `json:"id"`
	Slug         string    `json:"slug"`
	Name         string    `json:"name"`
	Description  string    `json:"description"`
	PlatformID   int       `json:"platform_id"`
	Platform     string    `json:"platform"`
	Organization string    `json:"organization"` // "" for a product of an account
	Devices      *int      `json:"devices"`      // null: not known
	Customers    *int      `json:"customers"`
	Default      bool      `json:"default"`
	SeenAt       time.Time `json:"seen_at"`
	DefaultPath  string    `json:"default_path"`
	ClientsPath  string    `json:"clients_path"`
}

func viewOfProduct(w *workspace, p *product) productView {
	base := "/admin/organizations/workspaces/" + keyOf(w.ID)
	return productView{ID: p.ProductID, Slug: p.Slug, Name: p.Name, Description: p.Description, PlatformID: p.PlatformID, Platform: particle.Device{PlatformID: p.PlatformID}.Platform(),
		Organization: p.Organization, Devices: p.Devices, Customers: p.Customers, Default: p.ProductID == w.DefaultProduct, SeenAt: p.SeenAt,
		DefaultPath: base + "/products/" + p.ProductID + "/default", ClientsPath: base + "/clients?product=" + p.ProductID}
}

// listProducts lists what Particle said last: ?q= part of a name, slug, number or organization, ?page= from 1. A list that is
// old is fetched anew; when that fails, the old one is shown with the reason.
func (m *Organizations) listProducts(w http.ResponseWriter, r *http.Request) {
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
	query, page := readable(r.URL.Query().Get("q"), 100), pageOf(r)
	list, total, err := m.records.products(r.Context(), ws.ID, query, page, perPage)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	views := make([]productView, 0, len(list))
	for i := range list {
		views = append(views, viewOfProduct(ws, &list[i]))
	}
	sdk.Render(w, r, sdk.View{Template: "products", Title: "Products", Breadcrumbs: crumbsOf(ws), Data: map[string]any{"workspace": m.viewOf(ws), "products": views,
		"q": query, "total": total, "page": page, "per_page": perPage, "trouble": t, "may_manage": canManage(r)}})
}

func (m *Organizations) refreshProducts(w http.ResponseWriter, r *http.Request) {
	ws, ok := m.workspaceOf(w, r)
	if !ok {
		return
	}
	message := sdk.Message{Tone: sdk.Good, Text: "The products are as Particle has them now."}
	if t := m.refresh(r.Context(), ws); t != nil {
		message = sdk.Message{Tone: sdk.Bad, Text: t.Sentence + " " + t.Remedy + " What is shown is what was known last."}
	}
	sdk.Redirect(w, r, m.viewOf(ws).Path+"/products", message)
}

// chooseDefault makes one of the listed products the default.
func (m *Organizations) chooseDefault(w http.ResponseWriter, r *http.Request) {
	ws, ok := m.workspaceOf(w, r)
	if !ok {
		return
	}
	p, err := m.records.product(r.Context(), ws.ID, r.PathValue("product"))
	if err == nil {
		err = m.records.note(r.Context(), ws.ID, map[string]any{"default_product": p.ProductID})
	}
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	sdk.Redirect(w, r, m.viewOf(ws).Path+"/products", sdk.Message{Tone: sdk.Good, Text: p.Name + " is the default product now."})
}

// refresh asks Particle for the products of a workspace and what they hold. The old list stays when it fails.
func (m *Organizations) refresh(ctx context.Context, w *workspace) *trouble {
	lock, _ := m.refreshing.LoadOrStore(w.ID, &sync.Mutex{})
	mu := lock.(*sync.Mutex)
	if !mu.TryLock() { // somebody else is just doing it: what they find will do
		return nil
	}
	defer mu.Unlock()
	a, t := m.access(ctx, w)
	if t != nil {
		return t
	}
	ctx, cancel := context.WithTimeout(ctx, refreshLimit)
	defer cancel()
	list, orgs, t := m.fetchProducts(ctx, a)
	if t != nil {
		return t
	}
	rows := m.count(ctx, a, list[:min(len(list), maxProducts)])
	preferred := w.DefaultProduct
	if preferred == "" && len(rows) == 1 { // with one product there is nothing to choose
		preferred = rows[0].ProductID
	}
	if err := m.records.replaceProducts(ctx, w.ID, rows, orgs, preferred); err != nil {
		return explain(err, "")
	}
	return nil
}

// count makes rows of products and asks how many devices and customers each has. What cannot be learnt stays unknown.
func (m *Organizations) count(ctx context.Context, a *access, list []particle.Product) []product {
	rows := make([]product, len(list))
	var asking sync.WaitGroup
	places := make(chan struct{}, 4)
	for i, p := range list {
		rows[i] = product{WorkspaceID: a.ID, ProductID: p.ID, Slug: p.Slug, Name: p.Name, Description: p.Description, PlatformID: p.PlatformID,
			Organization: p.Organization, SeenAt: m.now()}
		if i >= 100 { // 2 calls each; Particle allows 10,000 in five minutes to the whole address
			continue
		}
		asking.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			if devices, pages, err := a.cloud.ProductDevices(ctx, a.token, p.ID, particle.Page{Size: 1}); err == nil {
				rows[i].Devices = counted(len(devices), pages)
			}
			if customers, pages, err := a.cloud.Customers(ctx, a.token, p.ID, particle.Page{Size: 1}); err == nil {
				rows[i].Customers = counted(len(customers), pages)
			}
		})
	}
	asking.Wait()
	return rows
}

// counted reads a number of entries from the first page of size one; nil when the cloud did not keep to that size.
func counted(got, pages int) *int {
	switch {
	case got == 1:
		return &pages
	case pages == 1:
		return &got
	}
	return nil
}

// ownerOf reads ?product= or the form's product: whose clients are meant. "" is the account itself. The product must be one
// of the workspace's: a number that somebody made up leads to no call.
func (m *Organizations) ownerOf(r *http.Request, w *workspace) (*product, error) {
	number := r.FormValue("product")
	if number == "" {
		return nil, nil
	}
	if len(number) > 40 {
		return nil, fault.New(fault.NotFound, "The workspace has no such product.")
	}
	return m.records.product(r.Context(), w.ID, number)
}

func productID(p *product) string {
	if p == nil {
		return ""
	}
	return p.ProductID
}
