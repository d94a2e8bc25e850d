package privacy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/customers/site"
)

// subject reads {person} and finds the customer. With gone, the account is no more, but an erasure of it is on record.
func (p *Privacy) subject(r *http.Request) (c customer, gone *erasure, err error) {
	if err := allowed(r); err != nil {
		return c, nil, err
	}
	id, err := site.ID(r, "person")
	if err != nil {
		return c, nil, err
	}
	c, err = p.customer(r.Context(), id)
	if !fault.Is(err, fault.NotFound) {
		return c, nil, err
	}
	last, failed := p.records.lastOf(r.Context(), id)
	if failed != nil {
		return c, nil, failed
	}
	if last == nil || last.DeletedAt == nil {
		return c, nil, err
	}
	return c, last, nil
}

// show is all that the site keeps about a customer. That somebody looked is written down, unless their data are being erased: then
// the entry would be one more thing to erase.
func (p *Privacy) show(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	c, gone, err := p.subject(r)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	if gone != nil {
		p.render(w, r, "privacy_gone", fmt.Sprintf("Customer no. %d", gone.UserID), map[string]any{"erasure": p.erasureView(ctx, gone)})
		return
	}
	last, err := p.records.lastOf(ctx, c.ID)
	if err == nil && !p.fresh(ctx, last) {
		err = p.records.note(ctx, c.ID, "data_shown", "Looked at the personal data.")
	}
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	report, err := p.ask(ctx, c.ID)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	if last, err = p.seen(ctx, last, report); err != nil {
		sdk.Fail(w, r, err)
		return
	}
	head, err := p.head(ctx, c.ID)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	data := map[string]any{"person": head, "tab": "privacy", "account": report.Account, "modules": report.view(), "path": privacyOf(c.ID), "erasure": nil, "once": site.Once()}
	if last != nil {
		data["erasure"] = p.erasureView(ctx, last)
	}
	sdk.Render(w, r, sdk.View{Template: "privacy_show", Title: c.Name, Data: data, Breadcrumbs: []sdk.Link{topCrumb, {Title: c.Name, Path: pathOf(c.ID)}}})
}

// fresh tells whether data are being erased, or have just been by the person who looks and is led here.
func (p *Privacy) fresh(ctx context.Context, e *erasure) bool {
	if e == nil || e.open() {
		return e != nil
	}
	return e.State == stateDone && e.ByID == sdk.UserFrom(ctx).UserID && p.Now().Sub(*e.EndedAt) < time.Minute
}

func (p *Privacy) render(w http.ResponseWriter, r *http.Request, template, title string, data map[string]any) {
	sdk.Render(w, r, sdk.View{Template: template, Title: title, Data: data, Breadcrumbs: []sdk.Link{topCrumb}})
}

// erasureView is an erasure as pages and programs see it.
type erasureView struct {
	ID            int64      `json:"id"`
	UserID        int64      `json:"user_id"`
	State         string     `json:"state"`
	Sentence      string     `json:"sentence"`
	By            string     `json:"by"`
	DeleteAccount bool       `json:"delete_account"`
	Open          bool       `json:"open"`
	StartedAt     time.Time  `json:"started_at"`
	EndedAt       *time.Time `json:"ended_at"`
	Steps         []stepView `json:"steps"`
	Kept          []kept     `json:"kept"`
	Left          []left     `json:"left"`
	Path          string     `json:"path"`
}

type stepView struct {
	Title string     `json:"title"`
	At    *time.Time `json:"at"`
	State string     `json:"state"` // done, current, waiting
}

func (p *Privacy) erasureView(ctx context.Context, e *erasure) erasureView {
	v := erasureView{ID: e.ID, UserID: e.UserID, State: e.State, Sentence: e.Sentence, DeleteAccount: e.DeleteAccount, Open: e.open(), StartedAt: e.StartedAt, EndedAt: e.EndedAt,
		Kept: decode[kept](e.Kept), Left: decode[left](e.Remaining), Path: privacyOf(e.UserID), By: "the customer"}
	if !e.own() {
		v.By = fmt.Sprintf("person no. %d, who is not here any more", e.ByID)
		if u, err := p.Host.Users().Get(ctx, e.ByID); err == nil {
			v.By = u.Name
		}
	}
	v.Steps = []stepView{{Title: "Every module was told", At: e.AskedAt}, {Title: "Devices are detached, tokens are erased, and Particle is told", At: e.ParticleAt}}
	if e.ModulesAt != nil || !e.DeleteAccount {
		v.Steps = append(v.Steps, stepView{Title: "No module has anything left that need not stay", At: e.ModulesAt})
	}
	if e.DeleteAccount {
		v.Steps = append(v.Steps, stepView{Title: "The account is deleted", At: e.DeletedAt})
	}
	for i := range v.Steps {
		switch s := &v.Steps[i]; {
		case s.At != nil:
			s.State = "done"
		case v.Open:
			s.State = "current"
		default:
			s.State = "waiting"
		}
	}
	return v
}

// list shows which accounts were erased when and by whom: ?page=.
func (p *Privacy) list(w http.ResponseWriter, r *http.Request) {
	if err := allowed(r); err != nil {
		sdk.Fail(w, r, err)
		return
	}
	page, size := site.Page(r, 50)
	found, total, err := p.records.page(r.Context(), page, size)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	names := map[int64]string{}
	var ids []int64
	for _, e := range found {
		ids = append(ids, e.ByID)
	}
	if len(ids) > 0 {
		people, err := p.Host.Users().List(r.Context(), ids...)
		if err != nil {
			sdk.Fail(w, r, err)
			return
		}
		for _, u := range people {
			names[u.ID] = u.Name
		}
	}
	lines := make([]map[string]any, 0, len(found))
	for i := range found {
		e := &found[i]
		by := "the customer"
		if !e.own() {
			if by = names[e.ByID]; by == "" {
				by = fmt.Sprintf("person no. %d", e.ByID)
			}
		}
		lines = append(lines, map[string]any{"user_id": e.UserID, "state": e.State, "sentence": e.Sentence, "by": by, "delete_account": e.DeleteAccount,
			"started_at": e.StartedAt, "ended_at": e.EndedAt, "path": privacyOf(e.UserID)})
	}
	p.render(w, r, "privacy_erasures", "Erasures", map[string]any{"erasures": lines, "total": total, "page": page, "per_page": size})
}

// export hands out all that the site keeps about a customer.
func (p *Privacy) export(w http.ResponseWriter, r *http.Request) {
	c, gone, err := p.subject(r)
	if err == nil && gone != nil {
		err = site.ErrNotFound
	}
	if err == nil {
		err = p.records.note(r.Context(), c.ID, "data_exported", "Downloaded the personal data.")
	}
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	p.file(w, r, c.ID)
}

// file answers what the site keeps about a person as a JSON file, whose name says nothing about them.
func (p *Privacy) file(w http.ResponseWriter, r *http.Request, userID int64) {
	var raw json.RawMessage
	if err := p.Host.Call(r.Context(), "host.privacy", "report", userIn{userID}, &raw); err != nil {
		sdk.Fail(w, r, err)
		return
	}
	body, err := json.Marshal(map[string]any{
		"site": p.Host.Site().PublicURL, "exported_at": p.Now(), "report": raw,
		"note": "Each table has its first 200 rows at most, and total says how many there are. Columns under hidden hold what opens doors, such as tokens, and are never read out.",
	})
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, body, "", "  "); err != nil {
		sdk.Fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="personal-data-%s.json"`, p.Now().Format("2006-01-02")))
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(pretty.Bytes()) // a visitor who left needs no answer
}
