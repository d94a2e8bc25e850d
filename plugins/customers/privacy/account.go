package privacy

import (
	"context"
	"net/http"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/customers/site"
	"mortise/plugins/internal/tokenapi"
)

// ownRoot is the customer's own page.
const ownRoot = "/customers"

// errStaff is why somebody who is more than a customer cannot delete their account here.
var errStaff = fault.New(fault.Denied, "Your account belongs to the staff of this site. An administrator takes the roles from it first; then you can delete it.")

// me is who asks, as the site knows them. staff: they are more than a customer, and host.people does not reach them.
func (p *Privacy) me(ctx context.Context) (c customer, staff bool, err error) {
	id := sdk.UserFrom(ctx).UserID
	if id == 0 {
		return c, false, fault.New(fault.SignedOut, "Please sign in first.")
	}
	err = p.Host.Call(ctx, "host.people", "get", idIn{id}, &c)
	if !fault.Is(err, fault.Denied) {
		return c, false, err
	}
	u, err := p.Host.Users().Get(ctx, id)
	return customer{ID: u.ID, Name: u.Name, Email: u.Email, Blocked: u.Blocked, CreatedAt: u.CreatedAt}, true, err
}

// links is how many Particle accounts a person has linked. ok is false where nothing can be linked.
type links struct {
	There bool `json:"there"` // linking is a module of this site and runs
	Count int  `json:"count"`
	Ended int  `json:"ended"` // have to be linked again
}

func (p *Privacy) links(ctx context.Context) (links, error) {
	var found struct { // without the tokens, which this page has no use for
		Accounts []struct {
			State tokenapi.State `json:"state"`
		} `json:"accounts"`
	}
	err := p.Host.Call(ctx, tokenapi.Service, tokenapi.Get, struct{}{}, &found)
	if fault.Is(err, fault.Unavailable) || fault.Is(err, fault.Denied) || fault.Is(err, fault.NotFound) {
		return links{}, nil
	}
	l := links{There: err == nil, Count: len(found.Accounts)}
	for _, a := range found.Accounts {
		if a.State == tokenapi.Dead {
			l.Ended++
		}
	}
	return l, err
}

// own is the customer's own page: what the site knows about them and where they change it.
func (p *Privacy) own(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	c, staff, err := p.me(ctx)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	sessions := []session{}
	if !staff {
		if err := p.Host.Call(ctx, "host.people", "sessions", idIn{c.ID}, &sessions); err != nil {
			sdk.Fail(w, r, err)
			return
		}
		named(sessions)
	}
	linked, err := p.links(ctx)
	if err != nil { // the rest of the page is worth showing
		p.Host.Log().WarnContext(ctx, "linked accounts cannot be counted", "error", err)
	}
	devices, err := p.devices(ctx, c.ID)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	const shown = 20
	sdk.Render(w, r, sdk.View{Template: "account_own", Title: "My account and data", Data: map[string]any{"account": c, "staff": staff, "sessions": sessions, "links": linked,
		"devices": devices[:min(len(devices), shown)], "device_total": len(devices), "devices_path": p.DevicesPath(ctx, "")}})
}

// endSession signs the customer out of one of their sessions.
func (p *Privacy) endSession(w http.ResponseWriter, r *http.Request) {
	id, named := sdk.UserFrom(r.Context()).UserID, r.PathValue("session")
	if id == 0 || named == "" || len(named) > 100 {
		sdk.Fail(w, r, site.ErrNotFound)
		return
	}
	err := p.Host.Call(r.Context(), "host.people", "end_session", map[string]any{"id": id, "session": named}, nil)
	switch {
	case fault.Is(err, fault.NotFound):
		sdk.Redirect(w, r, ownRoot, sdk.Message{Tone: sdk.Info, Text: "This session is over already."})
	case fault.Is(err, fault.Denied):
		sdk.Fail(w, r, fault.New(fault.Denied, "Your account belongs to the staff of this site. End its sessions on the page Account."))
	case err != nil:
		sdk.Fail(w, r, err)
	default:
		sdk.Redirect(w, r, ownRoot, sdk.Message{Tone: sdk.Good, Text: "The session has ended."})
	}
}

// download hands customers all that the site keeps about them.
func (p *Privacy) download(w http.ResponseWriter, r *http.Request) {
	id := sdk.UserFrom(r.Context()).UserID
	if id == 0 {
		sdk.Fail(w, r, fault.New(fault.SignedOut, "Please sign in first."))
		return
	}
	if err := p.records.noteDownload(r.Context(), id); err != nil {
		sdk.Fail(w, r, err)
		return
	}
	p.file(w, r, id)
}

// confirmLeave says what deleting the own account means.
func (p *Privacy) confirmLeave(w http.ResponseWriter, r *http.Request) {
	c, staff, err := p.me(r.Context())
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	p.leavePage(w, r, c, staff, "", nil)
}

func (p *Privacy) leavePage(w http.ResponseWriter, r *http.Request, c customer, staff bool, typed string, wrong error) {
	ctx := r.Context()
	report, err := p.ask(ctx, c.ID)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	devices, err := p.devices(ctx, c.ID)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	view := sdk.View{Template: "account_delete", Title: "Delete my account", Breadcrumbs: []sdk.Link{{Title: "My account and data", Path: ownRoot}},
		Data: map[string]any{"email": c.Email, "staff": staff, "plan": report.plan(), "device_total": len(devices), "confirm": typed, "once": site.Once()}}
	answerWrong(&view, wrong)
	sdk.Render(w, r, view)
}

// leave erases what there is about the customer and deletes the account. Their sessions are over then.
func (p *Privacy) leave(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	c, staff, err := p.me(ctx)
	if err == nil && staff { // before anybody is asked: host.privacy would erase the data of staff who ask for themselves
		err = errStaff
	}
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	typed := site.Readable(r.PostFormValue("confirm"), 254)
	if !c.confirms(typed) {
		p.leavePage(w, r, c, false, typed, fault.InvalidFields("Nothing was deleted.", map[string]string{"confirm": "Expected your e-mail address."}))
		return
	}
	e, repeated, err := p.begin(r, c.ID, true)
	if err == nil && !repeated {
		err = p.goOn(ctx, e)
		p.refused(ctx, e, err)
	}
	switch {
	case e == nil && fault.Is(err, fault.Conflict):
		sdk.Redirect(w, r, ownRoot, sdk.Message{Tone: sdk.Info, Text: "Your data are being erased already."})
	case e == nil:
		sdk.Fail(w, r, err)
	case e.State == stateRefused && !repeated: // nothing happened
		p.leavePage(w, r, c, false, typed, err)
	case e.DeletedAt != nil:
		said := "Your account is deleted and your data are erased. Goodbye, and thank you for having been here."
		if e.ParticleAt == nil {
			said = "Your account is deleted. What stood for you at Particle is ended as soon as Particle can be reached. Goodbye, and thank you for having been here."
		}
		sdk.Redirect(w, r, "/", sdk.Message{Tone: sdk.Info, Text: said})
	default:
		sdk.Redirect(w, r, ownRoot, p.outcome(ctx, e, err))
	}
}
