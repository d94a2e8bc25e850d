package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/internal/particle"
)

// changeInput is what the operation client_change does; repeating it does no harm.
type changeInput struct {
	Name  string `json:"name"`
	Scope string `json:"scope"` // as Particle wants to hear it; "" leaves it
}

func (m *Organizations) changeClient(w http.ResponseWriter, r *http.Request) {
	p, c, ok := m.clientOf(w, r)
	if !ok {
		return
	}
	form := clientForm{Name: readable(r.PostFormValue("name"), 80), Scope: r.PostFormValue("scope"), Once: r.PostFormValue("once")}
	wrong := sdk.Fields{}
	if form.Name == "" {
		wrong["name"] = "give the client a name"
	}
	now := c.Scope
	if now == scopeFull || now == "*:*" {
		now = ""
	}
	in := changeInput{Name: form.Name}
	switch {
	case form.Scope != "" && form.Scope != scopeCustomers:
		wrong["scope"] = "choose one of the scopes"
	case form.Scope == now:
	case form.Scope == "" && r.PostFormValue("widen") == "":
		wrong["widen"] = "confirm that the client is to have full rights"
	case form.Scope == "":
		in.Scope = scopeFull
	default:
		in.Scope = form.Scope
	}
	if len(wrong) > 0 {
		m.renderClient(w, r, p, c, form, wrong, nil)
		return
	}
	op := &operation{Kind: opClientChange, WorkspaceID: p.w.ID, Workspace: p.w.Name, ProductID: productID(p.owner), Subject: c.ID, Name: form.Name}
	m.carryOut(w, r, p, op, in, m.doChange, m.clientsPath(p))
}

// doChange carries out client_change, the first time and after a crash.
func (m *Organizations) doChange(ctx context.Context, a *access, op *operation) error {
	var in changeInput
	if err := json.Unmarshal([]byte(op.Input), &in); err != nil {
		return err
	}
	err := a.in(op.ProductID).UpdateClient(ctx, a.token, op.Subject, in.Name, in.Scope)
	switch {
	case err == nil && in.Scope == scopeFull:
		return m.end(ctx, op, opDone, "The client "+op.Subject+" is called "+in.Name+" and has full rights.")
	case err == nil && in.Scope != "":
		return m.end(ctx, op, opDone, "The client "+op.Subject+" is called "+in.Name+" and has the scope "+in.Scope+".")
	case err == nil:
		return m.end(ctx, op, opDone, "The client "+op.Subject+" is called "+in.Name+".")
	}
	return m.refusedOrUnknown(ctx, a, op, err, "clients:update")
}

func (m *Organizations) deleteClient(w http.ResponseWriter, r *http.Request) {
	p, c, ok := m.clientOf(w, r)
	if !ok {
		return
	}
	if strings.TrimSpace(r.PostFormValue("confirm")) != c.ID {
		m.renderDelete(w, r, p, c, sdk.Fields{"confirm": "type the client's id exactly as it is shown"}, nil)
		return
	}
	op := &operation{Kind: opClientDelete, WorkspaceID: p.w.ID, Workspace: p.w.Name, ProductID: productID(p.owner), Subject: c.ID, Name: c.Name}
	m.carryOut(w, r, p, op, struct{}{}, m.doDelete, m.clientsPath(p))
}

// doDelete carries out client_delete, the first time and after a crash. A client that is gone already is a success.
func (m *Organizations) doDelete(ctx context.Context, a *access, op *operation) error {
	err := a.in(op.ProductID).DeleteClient(ctx, a.token, op.Subject)
	if err == nil || particle.Is(err, particle.NotFound) {
		return m.end(ctx, op, opDone, "The client "+op.Subject+" is deleted at Particle. Tokens that it gave may live on until they expire.")
	}
	return m.refusedOrUnknown(ctx, a, op, err, "clients:remove")
}

// refusedOrUnknown ends an operation that Particle has refused, and keeps one of which nobody knows whether it happened.
func (m *Organizations) refusedOrUnknown(ctx context.Context, a *access, op *operation, err error, scope string) error {
	t := m.troubleIn(ctx, a.workspace, err, scope)
	if uncertain(err) {
		return m.leave(ctx, op, t.Sentence+" It is tried again by itself.")
	}
	return m.end(ctx, op, opFailed, t.Sentence+" "+t.Remedy)
}

// uncertain tells whether what was asked for may have happened all the same.
func uncertain(err error) bool {
	switch particle.KindOf(err) {
	case particle.NoAnswer, particle.Upstream, particle.Unreachable, particle.NotParticle, particle.Cancelled, particle.RateLimited:
		return true
	}
	return false
}

// carryOut records an operation, does it, and shows the list with what became of it.
func (m *Organizations) carryOut(w http.ResponseWriter, r *http.Request, p *place, op *operation, in any, do func(context.Context, *access, *operation) error, then string) {
	// A person who closes the page does not leave half an operation.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), opLimit)
	defer cancel()
	a, t := m.access(ctx, p.w)
	if t != nil {
		sdk.Fail(w, r, t.err())
		return
	}
	defer m.lock(p.w.ID)()
	again, err := m.begin(ctx, r, op, in)
	switch {
	case err != nil:
	case again != nil:
		op = again
	default:
		err = do(ctx, a, op)
	}
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	tone := map[string]sdk.Tone{opDone: sdk.Good, opRunning: sdk.Warn}[op.State]
	if tone == "" {
		tone = sdk.Bad
	}
	sdk.Redirect(w, r, then, sdk.Message{Tone: tone, Text: op.Sentence})
}

// pathEscape makes a client's id one segment of a path.
func pathEscape(id string) string { return url.PathEscape(id) }

// createInput is what the operation client_create does, and the clients that were there before.
type createInput struct {
	Purpose  string   `json:"purpose"`
	Name     string   `json:"name"`
	Type     string   `json:"type"`
	Redirect string   `json:"redirect_uri"`
	Scope    string   `json:"scope"`
	Before   []string `json:"before"`
}

// resumeCreate cleans up after a creation that was cut short: Particle said the secret once, and nobody has heard it. What is
// new since the record, not made by another operation, and the same in every field, is what the operation has made.
func (m *Organizations) resumeCreate(ctx context.Context, a *access, op *operation) error {
	var in createInput
	if err := json.Unmarshal([]byte(op.Input), &in); err != nil {
		return err
	}
	if kept, err := m.host.Secrets().Get(ctx, "handover", keyOf(op.ID)); err == nil { // it had come to sealing the secret
		var s sealedClient
		if err := json.Unmarshal([]byte(kept), &s); err != nil {
			return err
		}
		return m.created(ctx, op, s.ID)
	} else if !fault.Is(err, fault.NotFound) {
		return err
	}
	list, err := a.in(op.ProductID).Clients(ctx, a.token)
	if err != nil {
		return m.leave(ctx, op, "Was cut short. "+m.troubleIn(ctx, a.workspace, err, "clients:list").Sentence)
	}
	made, err := m.records.made(ctx, op.WorkspaceID, opClientCreate)
	if err != nil {
		return err
	}
	var orphans []string
	for _, c := range list {
		if c.Name == in.Name && c.Type == in.Type && c.RedirectURI == in.Redirect && !slices.Contains(in.Before, c.ID) && !made[c.ID] {
			orphans = append(orphans, c.ID)
		}
	}
	switch len(orphans) {
	case 0:
		return m.end(ctx, op, opUndone, "Was cut short before Particle made the client. Nothing is left over; create it again.")
	case 1:
	default:
		return m.end(ctx, op, opUnclear, "Was cut short. One of these clients was made and its secret is lost; delete it: "+strings.Join(orphans, ", ")+".")
	}
	op.Subject = orphans[0]
	if err := a.in(op.ProductID).DeleteClient(ctx, a.token, op.Subject); err != nil && !particle.Is(err, particle.NotFound) {
		t := m.troubleIn(ctx, a.workspace, err, "clients:remove")
		if uncertain(err) {
			return m.leave(ctx, op, "Was cut short. "+t.Sentence)
		}
		return m.end(ctx, op, opUnclear, "Was cut short. The client "+op.Subject+" was made and its secret is lost; delete it at Particle. "+t.Sentence)
	}
	return m.end(ctx, op, opUndone, "Was cut short when Particle had made the client "+op.Subject+" and nobody had its secret yet, so the client is deleted again. Create it anew.")
}
