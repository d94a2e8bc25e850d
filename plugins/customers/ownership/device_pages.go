package ownership

import (
	"net/http"
	"strconv"

	"gorm.io/gorm"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/customers/history"
	"mortise/plugins/customers/people"
	"mortise/plugins/customers/site"
)

var devicesCrumb = sdk.Link{Title: "Attached devices", Path: "/admin/customers/devices"}

// listDevices lists all attached devices: ?q= part of the device's or the customer's name, ?product= workspace/product, ?way=, ?page=.
func (o *Ownership) listDevices(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	page, size := site.Page(r, perPage)
	f := listFilter{text: site.Readable(query.Get("q"), 100), page: page, size: size, way: Way(query.Get("way"))}
	if !knownWay(f.way) {
		f.way = ""
	}
	key, chosen := productKeyOf(query.Get("product"))
	if chosen {
		f.workspaceID, f.productID = key.workspaceID, key.productID
	}
	rows, names, total, err := o.records.list(r.Context(), f)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	usages, err := o.records.usages(r.Context())
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	views := make([]deviceView, 0, len(rows))
	for i := range rows {
		views = append(views, viewOfHeld(&rows[i], names))
	}
	data := map[string]any{"devices": views, "q": f.text, "way": f.way, "ways": explainedWays, "products": optionsOf(usages), "total": total, "page": page, "per_page": size, "product": ""}
	if chosen {
		data["product"] = clientKey(f.workspaceID, f.productID)
	}
	sdk.Render(w, r, sdk.View{Template: "owner_devices", Title: "Attached devices", Breadcrumbs: []sdk.Link{people.Top}, Data: data})
}

// deviceOf finds the device of the path, or answers.
func (o *Ownership) deviceOf(w http.ResponseWriter, r *http.Request) (*attachment, bool) {
	id := r.PathValue("device")
	if !isDeviceID(id) {
		sdk.Fail(w, r, site.ErrNotFound)
		return nil, false
	}
	d, err := o.records.device(r.Context(), id)
	if err != nil {
		sdk.Fail(w, r, err)
		return nil, false
	}
	return d, true
}

// showDevice shows whose a device is and was.
func (o *Ownership) showDevice(w http.ResponseWriter, r *http.Request) {
	d, ok := o.deviceOf(w, r)
	if !ok {
		return
	}
	past, more, err := history.List(r.Context(), o.site.DB, history.Filter{DeviceID: d.DeviceID, Before: beforeOf(r), Limit: 50})
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	ids := []int64{d.UserID}
	for _, e := range past {
		ids = append(ids, e.UserID)
	}
	names, err := o.records.names(r.Context(), ids)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	views := []deviceView{viewOfHeld(d, names)}
	t := o.addStates(r.Context(), views)
	oldest := int64(0)
	if more {
		oldest = past[len(past)-1].ID
	}
	sdk.Render(w, r, sdk.View{Template: "owner_device", Title: nameOf(views[0].Name, d.DeviceID), Breadcrumbs: []sdk.Link{people.Top, devicesCrumb},
		Data: map[string]any{"device": views[0], "history": past, "names": namesByText(names), "older": oldest, "trouble": t, "once": site.Once(), "may_attach": can(r.Context(), mayAttach)}})
}

func beforeOf(r *http.Request) int64 {
	n, err := strconv.ParseInt(r.URL.Query().Get("before"), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// namesByText is names with keys that a template finds.
func namesByText(names map[int64]string) map[string]string {
	texts := make(map[string]string, len(names))
	for id, name := range names {
		texts[strconv.FormatInt(id, 10)] = name
	}
	return texts
}

// showTransfer shows a search for the customer who is to have the device: ?q= part of a name or an address.
func (o *Ownership) showTransfer(w http.ResponseWriter, r *http.Request) {
	if d, ok := o.deviceOf(w, r); ok {
		o.renderTransfer(w, r, d, nil, nil)
	}
}

func (o *Ownership) renderTransfer(w http.ResponseWriter, r *http.Request, d *attachment, wrong sdk.Fields, failed error) {
	text := site.Readable(r.FormValue("q"), 100)
	found := []people.PersonView{}
	if text != "" {
		list, err := o.people.Search(r.Context(), text, 20)
		if err != nil {
			sdk.Fail(w, r, err)
			return
		}
		for _, p := range list {
			if p.ID != d.UserID {
				found = append(found, people.View(p))
			}
		}
	}
	names, err := o.records.names(r.Context(), []int64{d.UserID})
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	view := viewOfHeld(d, names)
	v := sdk.View{Template: "owner_transfer", Title: "Give " + nameOf(d.Name, d.DeviceID) + " to another customer", FieldErrors: wrong,
		Breadcrumbs: []sdk.Link{people.Top, devicesCrumb, {Title: nameOf(d.Name, d.DeviceID), Path: devicePath(d.DeviceID)}}}
	data := map[string]any{"device": view, "q": text, "people": found, "conflict": ""}
	switch {
	case failed != nil:
		message, _ := fault.Visible(failed)
		data["conflict"], v.Status = message, http.StatusConflict
	case len(wrong) > 0:
		v.Status = http.StatusUnprocessableEntity
	}
	v.Data = data
	sdk.Render(w, r, v)
}

// transfer gives a device to another customer.
func (o *Ownership) transfer(w http.ResponseWriter, r *http.Request) {
	d, ok := o.deviceOf(w, r)
	if !ok {
		return
	}
	to, err := strconv.ParseInt(r.PostFormValue("to"), 10, 64)
	version, bad := strconv.ParseInt(r.PostFormValue("version"), 10, 64)
	if err != nil || to <= 0 || bad != nil {
		o.renderTransfer(w, r, d, sdk.Fields{"to": "choose a customer"}, nil)
		return
	}
	if d.UserID == to && d.DetachedAt == nil && d.Version == version+2 { // the form came twice
		sdk.Redirect(w, r, devicePath(d.DeviceID), sdk.Message{Tone: sdk.Info, Text: "The device is this customer's already."})
		return
	}
	person, err := o.people.Get(r.Context(), to)
	if fault.Is(err, fault.NotFound) {
		o.renderTransfer(w, r, d, sdk.Fields{"to": "there is no such customer (any more)"}, nil)
		return
	}
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	var before, now Attachment
	err = o.transaction(r.Context(), func(tx *gorm.DB) (err error) {
		rows, err := o.records.devicesIn(tx, []string{d.DeviceID})
		if err != nil {
			return err
		}
		if len(rows) != 1 || rows[0].Version != version || rows[0].DetachedAt != nil {
			return errChanged()
		}
		before, now, err = o.TransferIn(tx, d.DeviceID, rows[0].UserID, to, byOf(r.Context()))
		return err
	})
	if fault.Is(err, fault.Conflict) {
		if fresh, again := o.records.device(r.Context(), d.DeviceID); again == nil {
			d = fresh
		}
		o.renderTransfer(w, r, d, nil, err)
		return
	}
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	o.AfterDetach(r.Context(), before)
	o.AfterAttach(r.Context(), now)
	sdk.Redirect(w, r, devicePath(d.DeviceID), sdk.Message{Tone: sdk.Good, Text: "The device is " + person.Name + "’s now."})
}

// detachDevice takes a device from whom it is attached to, also when that is no customer any more and has no page of devices here.
func (o *Ownership) detachDevice(w http.ResponseWriter, r *http.Request) {
	d, ok := o.deviceOf(w, r)
	if !ok {
		return
	}
	version, err := strconv.ParseInt(r.PostFormValue("version"), 10, 64)
	if err != nil {
		sdk.Fail(w, r, fault.New(fault.Invalid, "The form is incomplete. Open the page again."))
		return
	}
	if d.DetachedAt != nil && d.Version == version+1 { // the form came twice
		sdk.Redirect(w, r, devicePath(d.DeviceID), sdk.Message{Tone: sdk.Info, Text: "The device was detached already."})
		return
	}
	var before Attachment
	err = o.transaction(r.Context(), func(tx *gorm.DB) (err error) {
		rows, err := o.records.devicesIn(tx, []string{d.DeviceID})
		if err != nil {
			return err
		}
		if len(rows) != 1 || rows[0].Version != version || rows[0].DetachedAt != nil {
			return fault.New(fault.Conflict, "Nothing was changed: somebody else has changed meanwhile whose the device is. Below is what is there now.")
		}
		before, err = o.DetachIn(tx, d.DeviceID, rows[0].UserID, byOf(r.Context()))
		return err
	})
	if err == nil {
		o.AfterDetach(r.Context(), before)
	}
	o.answer(w, r, err, devicePath(d.DeviceID), "The device is detached.")
}

// undo attaches a device again to whom it was detached from.
func (o *Ownership) undo(w http.ResponseWriter, r *http.Request) {
	d, ok := o.deviceOf(w, r)
	if !ok {
		return
	}
	back := devicePath(d.DeviceID)
	if r.PostFormValue("back") == "person" {
		back = personPath(d.UserID) + "/devices"
	}
	version, err := strconv.ParseInt(r.PostFormValue("version"), 10, 64)
	if err != nil {
		sdk.Fail(w, r, fault.New(fault.Invalid, "The form is incomplete. Open the page again."))
		return
	}
	if d.DetachedAt == nil && d.Version == version+1 { // the form came twice
		sdk.Redirect(w, r, back, sdk.Message{Tone: sdk.Info, Text: "The device is attached again."})
		return
	}
	if _, err := o.people.Get(r.Context(), d.UserID); err != nil && !fault.Is(err, fault.NotFound) { // a newcomer is on the list now
		sdk.Fail(w, r, err)
		return
	}
	var now Attachment
	err = o.transaction(r.Context(), func(tx *gorm.DB) (err error) {
		rows, err := o.records.devicesIn(tx, []string{d.DeviceID})
		if err != nil {
			return err
		}
		if len(rows) != 1 || rows[0].Version != version || rows[0].DetachedAt == nil {
			return fault.New(fault.Conflict, "It is too late to undo this: the device was attached meanwhile.")
		}
		now, err = o.UndoIn(tx, d.DeviceID, rows[0].UserID, byOf(r.Context()))
		return err
	})
	if err == nil {
		o.AfterAttach(r.Context(), now)
	}
	o.answer(w, r, err, back, "The device is attached again.")
}
