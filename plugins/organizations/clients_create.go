package main

import (
	"context"
	"net/http"
	"strings"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/internal/particle"
)

func readClientForm(r *http.Request) clientForm {
	return clientForm{Purpose: r.FormValue("purpose"), Product: r.FormValue("product"), Name: readable(r.PostFormValue("name"), 80), Type: r.PostFormValue("type"),
		Redirect: strings.TrimSpace(r.PostFormValue("redirect_uri")), Vendor: strings.TrimSpace(r.PostFormValue("vendor_id")), Region: r.PostFormValue("region"),
		Scope: r.PostFormValue("scope"), Once: r.PostFormValue("once")}
}

func (m *Organizations) renderNewClient(w http.ResponseWriter, r *http.Request, p *place, f clientForm, wrong sdk.Fields, t *trouble) {
	if f.Once == "" {
		f.Once = newOnce()
	}
	chosen, _ := purposeOf(f.Purpose)
	regions := []option{}
	for _, a := range amazonURIs {
		regions = append(regions, option{a.Region, a.Region + ": " + a.Prefix + "…"})
	}
	_, note := checkRedirect(f.Redirect)
	v := sdk.View{Template: "client_new", Title: "Create an OAuth client", Breadcrumbs: m.clientCrumbs(p), FieldErrors: wrong,
		Data: map[string]any{"workspace": m.viewOf(p.w), "purposes": purposes, "purpose": chosen, "form": f, "owners": p.owners(), "own_redirect": m.ownRedirect(),
			"regions": regions, "note": note, "trouble": t, "product": f.Product}}
	switch {
	case t != nil:
		v.Status = t.fault.Status()
	case len(wrong) > 0:
		v.Status = http.StatusUnprocessableEntity
	}
	sdk.Render(w, r, v)
}

// newClient shows the purposes, or with ?purpose= the form for one.
func (m *Organizations) newClient(w http.ResponseWriter, r *http.Request) {
	p, ok := m.placeOf(w, r)
	if !ok {
		return
	}
	f := clientForm{Purpose: r.URL.Query().Get("purpose"), Product: productID(p.owner)}
	chosen, ok := purposeOf(f.Purpose)
	if !ok {
		f.Purpose = ""
	}
	if chosen.Product && f.Product == "" {
		f.Product = p.w.DefaultProduct
	}
	if f.Purpose == forLinking {
		f.Name, f.Redirect = readable(m.host.Site().Name, 80), m.ownRedirect()
	}
	m.renderNewClient(w, r, p, f, nil, nil)
}

func (m *Organizations) createClient(w http.ResponseWriter, r *http.Request) {
	p, ok := m.placeOf(w, r)
	if !ok {
		return
	}
	f := readClientForm(r)
	if wrong := f.settle(m.ownRedirect(), p.owner != nil); len(wrong) > 0 {
		m.renderNewClient(w, r, p, f, wrong, nil)
		return
	}
	// A person who closes the page does not leave a client whose secret nobody knows.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), opLimit)
	defer cancel()
	a, t := m.access(ctx, p.w)
	if t != nil {
		m.renderNewClient(w, r, p, f, nil, t)
		return
	}
	defer m.lock(p.w.ID)()
	op, secret, t, err := m.create(ctx, r, a, p, f)
	switch {
	case err != nil:
		sdk.Fail(w, r, err)
	case t != nil:
		f.Once = newOnce()
		m.renderNewClient(w, r, p, f, nil, t)
	case secret == "": // the form came twice; the secret was shown the first time
		sdk.Redirect(w, r, m.viewOfOperation(op).Path, sdk.Message{Tone: sdk.Info, Text: "This form was sent before. " + op.Sentence})
	default:
		view := m.viewOfOperation(op)
		sdk.Render(w, r, sdk.View{Template: "client_created", Title: "The client is created", Breadcrumbs: m.clientCrumbs(p), Status: http.StatusCreated,
			Data: map[string]any{"workspace": m.viewOf(p.w), "client_id": op.Subject, "secret": secret, "form": f, "operation": view, "once": newOnce(), "clients_path": m.clientsPath(p),
				"unscoped": f.Scope == "" && f.Type != typeWeb}})
	}
}

// create carries out client_create. The list before it tells after a crash what is new.
func (m *Organizations) create(ctx context.Context, r *http.Request, a *access, p *place, f clientForm) (*operation, string, *trouble, error) {
	cloud := a.in(productID(p.owner))
	before, err := cloud.Clients(ctx, a.token)
	if err != nil {
		return nil, "", m.troubleIn(ctx, p.w, err, "clients:list"), nil
	}
	in := createInput{Purpose: f.Purpose, Name: f.Name, Type: f.Type, Redirect: f.Redirect, Scope: f.Scope, Before: make([]string, 0, len(before))}
	for _, c := range before {
		in.Before = append(in.Before, c.ID)
	}
	op := &operation{Kind: opClientCreate, WorkspaceID: p.w.ID, Workspace: p.w.Name, ProductID: productID(p.owner), Name: f.Name}
	again, err := m.begin(ctx, r, op, in)
	if err != nil || again != nil {
		return again, "", nil, err
	}
	made, err := cloud.CreateClient(ctx, a.token, particle.ClientInfo{Name: f.Name, Type: f.Type, RedirectURI: f.Redirect, Scope: f.Scope})
	if err != nil {
		t := m.troubleIn(ctx, p.w, err, "clients:create")
		if !uncertain(err) {
			return op, "", t, m.end(ctx, op, opFailed, t.Sentence+" "+t.Remedy)
		}
		t.Remedy = "Particle may have made the client all the same. Its secret would be lost, so it is looked for and deleted again. " + t.Remedy
		return op, "", t, m.leave(ctx, op, t.Sentence+" What may have been made is looked for and deleted again.")
	}
	if made.Secret == "" {
		return op, "", &trouble{Kind: string(particle.NotParticle), Sentence: "Particle made a client and did not tell its secret.", Remedy: "It is deleted again.", fault: fault.Unavailable},
			m.leave(ctx, op, "Particle did not tell the secret of the new client.")
	}
	op.Subject = made.ID
	if err := m.keepForHandOver(ctx, op, f, sealedClient{made.ID, made.Secret, p.w.BaseURL}); err != nil {
		return nil, "", nil, err
	}
	return op, made.Secret, nil, m.created(ctx, op, made.ID)
}

func (m *Organizations) created(ctx context.Context, op *operation, id string) error {
	op.Subject = id
	return m.end(ctx, op, opDone, "The client "+id+" is created at Particle. Its secret was shown once.")
}
