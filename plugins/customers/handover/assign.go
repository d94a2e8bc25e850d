package handover

import (
	"context"
	"net/http"
	"strings"

	"gorm.io/gorm"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/customers/history"
	"mortise/plugins/customers/ownership"
	"mortise/plugins/customers/people"
	"mortise/plugins/customers/site"
)

// assignForm is whom a device is given to on the spot.
type assignForm struct {
	Email   string `json:"email"`
	Name    string `json:"name"`
	Version int64  `json:"version"`
}

func (h *Handover) chooseCustomer(w http.ResponseWriter, r *http.Request) {
	rec, ok := h.recordOf(w, r)
	if !ok {
		return
	}
	if rec.UserID != 0 {
		sdk.Redirect(w, r, pathOf(rec.ID), sdk.Message{Tone: sdk.Info, Text: "A customer has this device already."})
		return
	}
	h.renderAssign(w, r, rec, assignForm{Version: rec.Version}, nil)
}

func (h *Handover) renderAssign(w http.ResponseWriter, r *http.Request, rec *record, f assignForm, wrong sdk.Fields) {
	v := sdk.View{Template: "record_assign", Title: "Give " + title(rec) + " to a customer", Breadcrumbs: crumbs(rec), FieldErrors: wrong,
		Data: map[string]any{"form": f, "path": pathOf(rec.ID), "product": rec.Product, "ready": rec.State == stateReady}}
	if len(wrong) > 0 {
		v.Status = http.StatusUnprocessableEntity
	}
	sdk.Render(w, r, v)
}

// assign attaches the device of a record to the customer with an address, who is invited if need be. Nothing else of the customer is
// told, so that an installer learns of nobody.
func (h *Handover) assign(w http.ResponseWriter, r *http.Request) {
	rec, ok := h.recordOf(w, r)
	if !ok {
		return
	}
	f := assignForm{Email: strings.TrimSpace(site.Readable(r.PostFormValue("email"), 254)), Name: site.Readable(r.PostFormValue("name"), 100), Version: version(r)}
	if f.Email == "" {
		h.renderAssign(w, r, rec, f, sdk.Fields{"email": "Enter the customer's e-mail address."})
		return
	}
	if rec.UserID != 0 {
		h.assignedAlready(w, r, rec, f)
		return
	}
	if !h.unchanged(w, r, rec) {
		return
	}
	var p people.Person
	var created bool
	err := h.count(r.Context(), tryMail, maxMails, mailTime, "You have given many devices to customers, or mailed many links, within an hour. Wait a while.")
	if err == nil {
		p, created, err = h.people.Ensure(r.Context(), f.Name, f.Email, true)
	}
	if fields := fault.FieldsOf(err); len(fields) > 0 {
		h.renderAssign(w, r, rec, f, fields)
		return
	}
	if fault.Is(err, fault.Conflict) {
		message, _ := fault.Visible(err)
		h.renderAssign(w, r, rec, f, sdk.Fields{"email": message})
		return
	}
	if err == nil {
		err = h.giveTo(r.Context(), rec, p.ID)
	}
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	text := "The device belongs to " + f.Email + " now."
	if created {
		text += " An invitation is on its way."
	}
	sdk.Redirect(w, r, pathOf(rec.ID), sdk.Message{Tone: sdk.Good, Text: text})
}

// assignedAlready answers for a device that somebody has: the form came twice, or comes too late. Nobody is looked for, made or invited.
func (h *Handover) assignedAlready(w http.ResponseWriter, r *http.Request, rec *record, f assignForm) {
	has, err := h.people.Get(r.Context(), rec.UserID)
	switch {
	case err == nil && strings.EqualFold(has.Email, f.Email):
		sdk.Redirect(w, r, pathOf(rec.ID), sdk.Message{Tone: sdk.Good, Text: "The device belongs to " + f.Email + " now."})
	case err == nil || fault.Is(err, fault.NotFound):
		h.renderAssign(w, r, rec, f, sdk.Fields{"email": errOwned.Message})
	default:
		sdk.Fail(w, r, err)
	}
}

// giveTo attaches the device of a record that is nobody's.
func (h *Handover) giveTo(ctx context.Context, rec *record, userID int64) error {
	now, by := h.site.Now(), history.By(ctx)
	var a ownership.Attachment
	err := h.transaction(ctx, func(tx *gorm.DB) error {
		ok, err := h.records.set(tx, rec, map[string]any{"state": stateClaimed, "user_id": userID, "claimed_at": now})
		if err == nil && !ok {
			err = errChanged
		}
		if err == nil {
			err = h.records.endKeys(tx, []int64{rec.ID}, keyUsed, now)
		}
		if err == nil {
			a, err = h.owners.AttachIn(tx, attachOf(rec, userID, by))
		}
		if err == nil {
			err = history.Add(tx, history.Entry{UserID: userID, RecordID: rec.ID, Kind: "record_assigned", Sentence: "The device was handed over on the spot.", At: now}.With(by))
		}
		return err
	})
	if err != nil {
		return err
	}
	h.owners.AfterAttach(ctx, a)
	h.eraseEnded(ctx, rec.ID)
	return nil
}

func attachOf(rec *record, userID int64, by history.Actor) ownership.Attach {
	return ownership.Attach{UserID: userID, WorkspaceID: rec.WorkspaceID, ProductID: rec.ProductID, Product: rec.Product, DeviceID: rec.DeviceID, Name: rec.Name, Given: true, By: by}
}

// undo takes a hand-over back: the device is nobody's, and the record has a new key.
func (h *Handover) undo(w http.ResponseWriter, r *http.Request) {
	if !may(w, r, mayAttach) {
		return
	}
	rec, ok := h.recordOf(w, r)
	if !ok || !h.unchanged(w, r, rec) {
		return
	}
	if err := h.takeBack(r.Context(), rec); err != nil {
		sdk.Fail(w, r, err)
		return
	}
	sdk.Redirect(w, r, pathOf(rec.ID), sdk.Message{Tone: sdk.Good, Text: "The device is nobody's now, and there is a new key. Print its label."})
}

func (h *Handover) takeBack(ctx context.Context, rec *record) error {
	if rec.UserID == 0 {
		return fault.New(fault.Conflict, "There is nothing to undo: no customer has this device.")
	}
	has, err := h.owners.OfDevice(ctx, rec.DeviceID)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	if has.UserID != 0 && has.UserID != rec.UserID {
		return errChanged // it was given to somebody else, and the record has not heard of it yet
	}
	rows, err := h.prepare(ctx, []int64{rec.ID}, nil)
	if err != nil {
		return err
	}
	by, had := history.By(ctx), rec.UserID
	var gone ownership.Attachment
	err = h.transaction(ctx, func(tx *gorm.DB) error {
		ok, err := h.renewIn(tx, rec, rows[0], history.Entry{UserID: had, RecordID: rec.ID, Kind: "record_undone", Sentence: "The hand-over was undone; there is a new key.", At: h.site.Now()}.With(by))
		if err == nil && !ok {
			err = errChanged
		}
		if err == nil && has.UserID != 0 {
			gone, err = h.owners.DetachIn(tx, rec.DeviceID, had, by)
		}
		return err
	})
	if err != nil {
		return err
	}
	if has.UserID != 0 {
		h.owners.AfterDetach(ctx, gone)
	}
	return nil
}
