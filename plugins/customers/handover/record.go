package handover

import (
	"net/http"
	"strconv"

	"gorm.io/gorm"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/customers/history"
	"mortise/plugins/customers/site"
)

// recordForm is what a person may change of a record.
type recordForm struct {
	Name     string `json:"name"`
	Serial   string `json:"serial"`
	Note     string `json:"note"`
	Job      string `json:"job"`
	Assigned string `json:"assigned"`
	Version  int64  `json:"version"`
}

func formOf(rec *record) recordForm {
	f := recordForm{Name: rec.Name, Serial: rec.Serial, Note: rec.Note, Job: rec.Job, Version: rec.Version}
	if rec.AssignedTo != 0 {
		f.Assigned = strconv.FormatInt(rec.AssignedTo, 10)
	}
	return f
}

func (h *Handover) show(w http.ResponseWriter, r *http.Request) {
	if rec, ok := h.recordOf(w, r); ok {
		h.renderRecord(w, r, rec, formOf(rec), nil)
	}
}

// renderRecord draws the page of a record. f is what stands in the form; one without a version is filled in anew.
func (h *Handover) renderRecord(w http.ResponseWriter, r *http.Request, rec *record, f recordForm, wrong sdk.Fields) {
	ctx, user := r.Context(), sdk.UserFrom(r.Context())
	if f.Version == 0 {
		f = formOf(rec)
	}
	views, err := h.viewsOf(ctx, []record{*rec})
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	happened, err := h.historyOf(ctx, rec)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	installers := []choice{}
	if user.Can(mayAttach) {
		if installers, err = h.staff(ctx); err != nil {
			sdk.Fail(w, r, err)
			return
		}
		installers = h.withPresent(installers, views[0])
	}
	v := sdk.View{Template: "record_show", Title: title(rec), Breadcrumbs: []sdk.Link{recordsCrumb}, FieldErrors: wrong,
		Data: map[string]any{"record": views[0], "form": f, "history": happened, "installers": installers, "may_attach": user.Can(mayAttach), "may_view": user.Can(mayView),
			"mine": rec.AssignedTo == user.UserID, "owned": rec.UserID != 0, "transfer_path": "/admin/customers/devices/" + rec.DeviceID + "/transfer",
			"device_path": "/admin/customers/devices/" + rec.DeviceID, "labels_path": root + "/labels?record=" + strconv.FormatInt(rec.ID, 10)}}
	if len(wrong) > 0 {
		v.Status = http.StatusUnprocessableEntity
	}
	sdk.Render(w, r, v)
}

// withPresent sees to it that the present installer can be chosen, also when they have not been here lately.
func (h *Handover) withPresent(list []choice, v recordView) []choice {
	if v.AssignedTo == 0 {
		return list
	}
	value := strconv.FormatInt(v.AssignedTo, 10)
	for _, c := range list {
		if c.Value == value {
			return list
		}
	}
	return append(list, choice{value, v.Assigned})
}

// version reads which version of a record a form was made from; 0 when there is none.
func version(r *http.Request) int64 {
	n, err := strconv.ParseInt(r.PostFormValue("version"), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// unchanged tells whether a form was made from what is there now. It has answered when it was not.
func (h *Handover) unchanged(w http.ResponseWriter, r *http.Request, rec *record) bool {
	if version(r) == rec.Version {
		return true
	}
	sdk.Redirect(w, r, pathOf(rec.ID), sdk.Message{Tone: sdk.Warn, Text: "Nothing was done: the record has changed since this page was opened. This is how it is now."})
	return false
}

// change saves what was entered. Whose job it is, and which one, is for those who may attach all devices.
func (h *Handover) change(w http.ResponseWriter, r *http.Request) {
	rec, ok := h.recordOf(w, r)
	if !ok {
		return
	}
	ctx, all := r.Context(), sdk.UserFrom(r.Context()).Can(mayAttach)
	f := recordForm{Name: site.Readable(r.PostFormValue("name"), maxName), Serial: site.Readable(r.PostFormValue("serial"), maxSerial), Note: site.ReadableLines(r.PostFormValue("note"), 1000),
		Job: rec.Job, Assigned: formOf(rec).Assigned, Version: version(r)}
	assigned, wrong := rec.AssignedTo, sdk.Fields{}
	if all {
		f.Job, f.Assigned = site.Readable(r.PostFormValue("job"), 100), site.Readable(r.PostFormValue("assigned"), 20)
		if f.Assigned != formOf(rec).Assigned {
			assigned, wrong = h.installer(ctx, f.Assigned)
		}
	}
	if f.Version != rec.Version {
		wrong["name"] = "Somebody else has changed this record meanwhile: it is called " + title(rec) + " now. Look at everything once more, then save again."
		f.Version = rec.Version
	}
	if len(wrong) > 0 {
		h.renderRecord(w, r, rec, f, wrong)
		return
	}
	columns := map[string]any{"name": f.Name, "serial": f.Serial, "note": f.Note, "job": f.Job, "assigned_to": assigned}
	entry := history.Entry{RecordID: rec.ID, Kind: "record_changed", Sentence: "The record was changed.", At: h.site.Now()}.With(history.By(ctx))
	if assigned != rec.AssignedTo || f.Job != rec.Job {
		entry.Sentence = "The record was changed; it belongs to another job or installer now."
	}
	h.finish(w, r, rec, columns, entry, sdk.Message{Tone: sdk.Good, Text: "Saved."}, pathOf(rec.ID))
}

// finish writes a change of a record with its history, and answers.
func (h *Handover) finish(w http.ResponseWriter, r *http.Request, rec *record, columns map[string]any, entry history.Entry, message sdk.Message, path string) {
	err := h.transaction(r.Context(), func(tx *gorm.DB) error {
		ok, err := h.records.set(tx, rec, columns)
		if err == nil && !ok {
			err = errChanged
		}
		if err == nil {
			err = history.Add(tx, entry)
		}
		return err
	})
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	sdk.Redirect(w, r, path, message)
}

// take makes a record the visitor's own job, or gives a job back. An installer sees own jobs alone, and so can only give back.
func (h *Handover) take(w http.ResponseWriter, r *http.Request) {
	rec, ok := h.recordOf(w, r)
	if !ok || !h.unchanged(w, r, rec) {
		return
	}
	user := sdk.UserFrom(r.Context())
	entry := history.Entry{RecordID: rec.ID, Kind: "job_taken", Sentence: "The job was taken.", At: h.site.Now()}.With(history.By(r.Context()))
	assigned, message, path := user.UserID, "This is your job now.", pathOf(rec.ID)
	if r.PostFormValue("action") == "back" {
		assigned, message, entry.Kind, entry.Sentence = 0, "The job is nobody's again.", "job_given_back", "The job was given back."
		if !user.Can(mayAttach) {
			path = root
		}
	}
	h.finish(w, r, rec, map[string]any{"assigned_to": assigned}, entry, sdk.Message{Tone: sdk.Good, Text: message}, path)
}

func (h *Handover) confirmDelete(w http.ResponseWriter, r *http.Request) {
	if !may(w, r, mayAttach) {
		return
	}
	if rec, ok := h.recordOf(w, r); ok {
		sdk.Render(w, r, sdk.View{Template: "record_delete", Title: "Delete the record of " + title(rec), Breadcrumbs: crumbs(rec),
			Data: map[string]any{"version": rec.Version, "path": pathOf(rec.ID), "owned": rec.UserID != 0, "ready": rec.State == stateReady}})
	}
}

// delete deletes a record. Whose the device is does not change.
func (h *Handover) delete(w http.ResponseWriter, r *http.Request) {
	if !may(w, r, mayAttach) {
		return
	}
	rec, ok := h.recordOf(w, r)
	if !ok || !h.unchanged(w, r, rec) {
		return
	}
	now := h.site.Now()
	err := h.transaction(r.Context(), func(tx *gorm.DB) error {
		ok, err := h.records.delete(tx, rec, now)
		if err == nil && !ok {
			err = errChanged
		}
		if err == nil {
			err = history.Add(tx, history.Entry{RecordID: rec.ID, DeviceID: rec.DeviceID, Kind: "record_deleted", Sentence: "The device record was deleted.", At: now}.With(history.By(r.Context())))
		}
		return err
	})
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	h.eraseEnded(r.Context(), rec.ID)
	sdk.Redirect(w, r, root, sdk.Message{Tone: sdk.Good, Text: "The record was deleted."})
}

// errNotReady is the answer when a label or a link is asked for and there is no key.
var errNotReady = fault.New(fault.Conflict, "There is no key that works. Make a new one first.")
