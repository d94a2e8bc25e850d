package main

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

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

// sealedClient is what is kept for handing over.
type sealedClient struct {
	ID      string `json:"id"`
	Secret  string `json:"secret"`
	BaseURL string `json:"base_url"`
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

// keepForHandOver seals the secret of a client that linking may take over. No other secret is kept at all.
func (m *Organizations) keepForHandOver(ctx context.Context, op *operation, f clientForm, s sealedClient) error {
	if f.Purpose != forLinking {
		return nil
	}
	until := m.now().Add(handOverTime)
	op.SecretUntil = &until
	if err := m.records.saveOperation(ctx, op); err != nil { // first, so that a stop leaves nothing that is not erased in time
		return err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return m.host.Secrets().Set(ctx, "handover", keyOf(op.ID), string(text))
}

func (m *Organizations) created(ctx context.Context, op *operation, id string) error {
	op.Subject = id
	return m.end(ctx, op, opDone, "The client "+id+" is created at Particle. Its secret was shown once.")
}

// mayHandOver tells whether the secret of an operation is still kept.
func (m *Organizations) mayHandOver(op *operation) bool {
	return op.Kind == opClientCreate && op.State == opDone && op.SecretUntil != nil && m.now().Before(*op.SecretUntil)
}

// handOver gives the new client to linking, on behalf of the person, who needs linking's permission for that.
func (m *Organizations) handOver(w http.ResponseWriter, r *http.Request) {
	source, ok := m.operationOf(w, r)
	if !ok {
		return
	}
	defer m.lock(source.WorkspaceID)()
	if source, ok = m.operationOf(w, r); !ok {
		return
	}
	back := "/admin/organizations/operations/" + keyOf(source.ID)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), opLimit)
	defer cancel()
	kept, err := m.host.Secrets().Get(ctx, "handover", keyOf(source.ID))
	if fault.Is(err, fault.NotFound) || !m.mayHandOver(source) {
		sdk.Redirect(w, r, back, sdk.Message{Tone: sdk.Warn, Text: "The secret is not kept any more: it was handed over already, or ten minutes have passed. Create a new client."})
		return
	}
	var s sealedClient
	if err == nil {
		err = json.Unmarshal([]byte(kept), &s)
	}
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	op := &operation{Kind: opHandOver, WorkspaceID: source.WorkspaceID, Workspace: source.Workspace, ProductID: source.ProductID, Subject: s.ID, Name: source.Name}
	again, err := m.begin(ctx, r, op, handOverInput{Source: source.ID})
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	if again != nil {
		sdk.Redirect(w, r, back, sdk.Message{Tone: sdk.Info, Text: again.Sentence})
		return
	}
	in := map[string]string{"client_id": s.ID, "client_secret": s.Secret, "base_url": s.BaseURL}
	if err := m.host.Call(ctx, linkingService, "set", in, nil); err != nil {
		m.handOverFailed(ctx, w, r, op, err, back)
		return
	}
	if err := m.handedOver(ctx, op, source); err != nil {
		sdk.Fail(w, r, err)
		return
	}
	sdk.Redirect(w, r, back, sdk.Message{Tone: sdk.Good, Text: op.Sentence})
}

type handOverInput struct {
	Source int64 `json:"source"` // the operation that made the client
}

func (m *Organizations) handedOver(ctx context.Context, op, source *operation) error {
	if source != nil {
		if err := m.eraseSecret(ctx, source); err != nil {
			return err
		}
	}
	return m.end(ctx, op, opDone, "Linking uses the client "+op.Subject+" now. Its secret is erased here.")
}

func (m *Organizations) handOverFailed(ctx context.Context, w http.ResponseWriter, r *http.Request, op *operation, cause error, back string) {
	message, visible := fault.Visible(cause)
	if !visible {
		message = "Linking did not take the client."
	}
	if fault.Is(cause, fault.Denied) {
		message = "You may not set up linking: that needs the permission to do so in Linking. Somebody who has it can hand the client over within ten minutes of its creation."
	}
	m.host.Log().Info("a client was not handed over", "operation", op.ID, "reason", fault.KindOf(cause).String())
	if err := m.end(ctx, op, opFailed, message); err != nil {
		sdk.Fail(w, r, err)
		return
	}
	sdk.Redirect(w, r, back, sdk.Message{Tone: sdk.Bad, Text: message})
}

// resumeHandOver finds out whether linking had taken the client before the crash. It cannot be repeated: it is done on behalf
// of a person, who is not here.
func (m *Organizations) resumeHandOver(ctx context.Context, op *operation) error {
	var in handOverInput
	if err := json.Unmarshal([]byte(op.Input), &in); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	using, ok := m.linkingUses(limited)
	if !ok {
		return m.leave(ctx, op, "Was cut short, and Linking does not answer.")
	}
	if using.ClientID != op.Subject {
		return m.end(ctx, op, opFailed, "Was cut short before Linking had the client. Hand it over again.")
	}
	source, err := m.records.operation(ctx, in.Source)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	return m.handedOver(ctx, op, source)
}
