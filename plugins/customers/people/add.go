package people

import (
	"context"
	"net/http"
	"strings"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/customers/history"
	"mortise/plugins/customers/site"
)

const (
	mostName    = 100 // characters of a name, as the site takes it
	mostAddress = 254 // characters of an address
	mostNote    = 4000
)

// addForm is what a person enters for a new customer.
type addForm struct {
	Name   string `json:"name"`
	Email  string `json:"email"`
	Invite bool   `json:"invite"`
	Note   string `json:"note"`
	Once   string `json:"once"`
}

// taken is who has the address already.
type taken struct {
	Name    string `json:"name"`
	Path    string `json:"path"`
	Blocked bool   `json:"blocked"`
	MayJoin bool   `json:"may_join"`
}

// showAdd shows the form; ?name= and ?email= fill it in.
func (p *People) showAdd(w http.ResponseWriter, r *http.Request) {
	v := r.URL.Query()
	p.renderAdd(w, r, addForm{Name: site.Readable(v.Get("name"), mostName), Email: site.Readable(v.Get("email"), mostAddress), Invite: true, Once: site.Once()}, nil, nil)
}

func (p *People) renderAdd(w http.ResponseWriter, r *http.Request, f addForm, known *taken, err error) {
	v := sdk.View{Template: "people_new", Title: "Add a customer", Breadcrumbs: []sdk.Link{Top}}
	problem := ""
	if err != nil {
		message, visible := fault.Visible(err)
		fields := fault.FieldsOf(err)
		if !visible {
			sdk.Fail(w, r, err)
			return
		}
		v.Status, v.FieldErrors = fault.KindOf(err).Status(), fields
		if len(fields) == 0 {
			problem = message
		}
	} else if known != nil {
		v.Status = http.StatusConflict
	}
	v.Data = map[string]any{"form": f, "taken": known, "problem": problem}
	sdk.Render(w, r, v)
}

// add makes a customer, and invites them when that was wished.
func (p *People) add(w http.ResponseWriter, r *http.Request) {
	once, err := site.ReadOnce(r)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	f := addForm{Name: site.Readable(r.PostFormValue("name"), mostName+1), Email: strings.TrimSpace(site.Readable(r.PostFormValue("email"), 1000)),
		Invite: r.PostFormValue("invite") != "", Note: site.ReadableLines(r.PostFormValue("note"), mostNote), Once: once}
	if id, again := p.recent.get(once); again {
		sdk.Redirect(w, r, PathOf(id), sdk.Message{Tone: sdk.Info, Text: "This customer was added already; the form came twice."})
		return
	}
	ctx := r.Context()
	known, err := p.whoHas(ctx, f.Email)
	if err != nil || known != nil {
		p.renderAdd(w, r, f, known, err)
		return
	}
	person, created, err := p.Ensure(ctx, f.Name, f.Email, f.Invite)
	if err != nil {
		p.renderAdd(w, r, f, nil, err)
		return
	}
	p.recent.put(once, person.ID)
	if f.Note != "" {
		if err := p.store.addNote(ctx, note{UserID: person.ID, Text: f.Note, Once: once, At: p.site.Now()}, history.By(ctx)); err != nil {
			sdk.Fail(w, r, err)
			return
		}
	}
	text := person.Name + " was added. No mail was sent."
	switch {
	case f.Invite:
		text = person.Name + " was invited. The link in the mail is good for three days."
	case !created:
		text = person.Name + " was added by somebody else a moment ago."
	}
	sdk.Redirect(w, r, PathOf(person.ID), sdk.Message{Tone: sdk.Good, Text: text})
}

// whoHas finds the customer who has an address, so that nobody is mailed by mistake. ErrStaff when it is a person of the staff.
func (p *People) whoHas(ctx context.Context, email string) (*taken, error) {
	a, err := p.accounts.find(ctx, email)
	switch {
	case fault.Is(err, fault.NotFound), fault.Is(err, fault.Invalid):
		return nil, nil // nobody, or no address at all, which making the account will say
	case fault.Is(err, fault.Denied):
		return nil, ErrStaff
	case err != nil:
		return nil, err
	}
	if err := p.refresh(ctx, a.ID, change{}); err != nil {
		return nil, err
	}
	return &taken{Name: a.Name, Path: PathOf(a.ID), Blocked: a.Blocked, MayJoin: !a.HasPassword && !a.Blocked}, nil
}
