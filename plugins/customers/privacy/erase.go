package privacy

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"gorm.io/gorm"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/customers/site"
)

// What a person may wish.
const (
	wishData    = "data"
	wishAccount = "account"
)

// plan says what an erasure takes away and what stays, from what there is now.
type plan struct {
	Goes  []planned `json:"goes"`
	Stays []planned `json:"stays"`
}

type planned struct {
	Module  string `json:"module"`
	Purpose string `json:"purpose"`
	Keep    string `json:"keep"`
	Rows    int64  `json:"rows"`
}

func (r report) plan() plan {
	found := plan{Goes: []planned{}, Stays: []planned{}}
	for _, m := range r.Modules {
		for _, t := range m.Tables {
			one := planned{Module: m.Name, Purpose: t.Purpose, Keep: t.Keep, Rows: t.Total}
			if t.Keep == "" {
				found.Goes = append(found.Goes, one)
			} else {
				found.Stays = append(found.Stays, one)
			}
		}
	}
	return found
}

// devices gives what is attached to a person; an empty list without the part that knows.
func (p *Privacy) devices(ctx context.Context, userID int64) ([]Device, error) {
	if p.deps.Devices == nil {
		return []Device{}, nil
	}
	list, err := p.deps.Devices(ctx, userID)
	if list == nil {
		list = []Device{}
	}
	return list, err
}

// confirms tells whether what was typed is the person's e-mail address or number.
func (c customer) confirms(typed string) bool {
	typed = strings.TrimSpace(typed)
	return typed != "" && (strings.EqualFold(typed, c.Email) || typed == strconv.FormatInt(c.ID, 10))
}

// confirmErase says what an erasure would take away.
func (p *Privacy) confirmErase(w http.ResponseWriter, r *http.Request) {
	c, gone, err := p.subject(r)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	if gone != nil {
		sdk.Redirect(w, r, privacyOf(gone.UserID))
		return
	}
	p.erasePage(w, r, c, wishData, "", nil)
}

// erasePage draws the form, with what was entered and what was wrong with it.
func (p *Privacy) erasePage(w http.ResponseWriter, r *http.Request, c customer, wish, typed string, wrong error) {
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
	open, err := p.records.openOf(ctx, c.ID)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	view := sdk.View{Template: "privacy_erase", Title: "Erase the data of " + c.Name,
		Breadcrumbs: []sdk.Link{topCrumb, {Title: c.Name, Path: pathOf(c.ID)}, {Title: "Privacy", Path: privacyOf(c.ID)}},
		Data: map[string]any{"person_id": c.ID, "name": c.Name, "email": c.Email, "plan": report.plan(), "devices": devices, "wish": wish, "confirm": typed,
			"under_way": open != nil, "path": privacyOf(c.ID), "once": site.Once()}}
	answerWrong(&view, wrong)
	sdk.Render(w, r, view)
}

// answerWrong puts an error into a page that is shown again: beside its fields, or as the line at the top.
func answerWrong(view *sdk.View, wrong error) {
	if wrong == nil {
		return
	}
	view.Status = fault.KindOf(wrong).Status()
	if fields := fault.FieldsOf(wrong); len(fields) > 0 {
		view.FieldErrors = fields
		return
	}
	text, visible := fault.Visible(wrong)
	if !visible {
		text = "Something went wrong."
	}
	view.Message = &sdk.Message{Tone: sdk.Bad, Text: text}
}

// eraseNow begins an erasure, or goes on with the one whose number is in the form.
func (p *Privacy) eraseNow(w http.ResponseWriter, r *http.Request) {
	c, gone, err := p.subject(r)
	if err == nil && gone != nil {
		err = site.ErrNotFound
	}
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	if number := r.PostFormValue("go_on"); number != "" {
		p.again(w, r, c, number)
		return
	}
	wish, typed := r.PostFormValue("wish"), site.Readable(r.PostFormValue("confirm"), 254)
	if wish != wishAccount {
		wish = wishData
	}
	if !c.confirms(typed) {
		p.erasePage(w, r, c, wish, typed, fault.InvalidFields("Nothing was erased.", map[string]string{"confirm": "Expected the customer's e-mail address, or their number here."}))
		return
	}
	e, repeated, err := p.begin(r, c.ID, wish == wishAccount)
	if err == nil && !repeated {
		err = p.goOn(r.Context(), e)
		p.refused(r.Context(), e, err)
	}
	switch {
	case fault.Is(err, fault.Conflict) && e == nil:
		sdk.Redirect(w, r, privacyOf(c.ID), sdk.Message{Tone: sdk.Warn, Text: "An erasure for this customer is under way already."})
	case e != nil && e.State == stateRefused && !repeated: // nothing happened
		p.erasePage(w, r, c, wish, typed, err)
	case e == nil:
		sdk.Fail(w, r, err)
	default:
		sdk.Redirect(w, r, privacyOf(c.ID), p.outcome(r.Context(), e, err))
	}
}

// begin records a wish before anything happens. The same form once more gives the record that exists.
func (p *Privacy) begin(r *http.Request, userID int64, account bool) (e *erasure, repeated bool, err error) {
	once, err := site.ReadOnce(r)
	if err != nil {
		return nil, false, err
	}
	if e, err = p.records.byOnce(r.Context(), once); err != nil || e != nil {
		if e != nil && e.UserID != userID {
			return nil, false, site.ErrNotFound
		}
		return e, true, err
	}
	now := p.Now()
	e = &erasure{Once: once, UserID: userID, ByID: sdk.UserFrom(r.Context()).UserID, DeleteAccount: account, State: stateRunning, Sentence: saidBegun,
		StartedAt: now, NextAt: now.Add(lease), Kept: "[]", Remaining: "[]"}
	err = p.records.begin(r.Context(), e)
	if errors.Is(err, gorm.ErrDuplicatedKey) { // the same form at the same moment was faster
		if e, err = p.records.byOnce(r.Context(), once); err == nil && (e == nil || e.UserID != userID) {
			e, err = nil, site.ErrNotFound
		}
		return e, true, err
	}
	if err != nil {
		return nil, false, err
	}
	return e, false, nil
}

// again goes on with an erasure that waits for a person, or that they do not want to wait for.
func (p *Privacy) again(w http.ResponseWriter, r *http.Request, c customer, number string) {
	ctx := r.Context()
	id, _ := strconv.ParseInt(number, 10, 64)
	e, err := p.records.of(ctx, id)
	if err == nil && e.UserID != c.ID {
		err = site.ErrNotFound
	}
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	mine := false
	if e.open() && e.Sentence != saidBegun { // nobody works on it just now
		mine, err = p.records.take(ctx, e, p.Now().Add(lease))
	}
	if err == nil && mine {
		e.State, e.Sentence = stateRunning, saidBegun
		if err = p.records.write(ctx, e.ID, map[string]any{"state": e.State, "sentence": e.Sentence}); err == nil {
			err = p.goOn(ctx, e)
			p.refused(ctx, e, err)
		}
	}
	sdk.Redirect(w, r, privacyOf(c.ID), p.outcome(ctx, e, err))
}

// refused writes into the customer's history that a module said no before anything was erased.
func (p *Privacy) refused(ctx context.Context, e *erasure, err error) {
	if err == nil || e.AskedAt != nil || !fault.Is(err, fault.Conflict) {
		return
	}
	reason, _ := fault.Visible(err)
	if err := p.records.note(context.WithoutCancel(ctx), e.UserID, "erasure_refused", "Asked to erase the personal data; a module refused: "+reason); err != nil {
		p.Host.Log().WarnContext(ctx, "a refused erasure is not in the history", "user_id", e.UserID, "error", err)
	}
}

// outcome says in a line how an erasure stands; err is what kept it from going on.
func (p *Privacy) outcome(ctx context.Context, e *erasure, err error) sdk.Message {
	if now, failed := p.records.of(ctx, e.ID); failed == nil {
		e = now
	}
	if text, visible := fault.Visible(err); err != nil && visible {
		return sdk.Message{Tone: sdk.Warn, Text: e.Sentence + " " + text}
	}
	switch e.State {
	case stateDone:
		return sdk.Message{Tone: sdk.Good, Text: e.Sentence}
	case stateRefused, stateAttention:
		return sdk.Message{Tone: sdk.Warn, Text: e.Sentence}
	}
	return sdk.Message{Tone: sdk.Info, Text: "The erasure is under way. " + e.Sentence}
}
