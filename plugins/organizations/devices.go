package main

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/internal/particle"
)

// deviceView is a product's device as pages and programs see it.
type deviceView struct {
	ID          string     `json:"id"`
	Name        string     `json:"name"`
	Platform    string     `json:"platform"`
	Serial      string     `json:"serial"`
	Owner       string     `json:"owner"` // "" for an unclaimed device
	Online      bool       `json:"online"`
	LastHeard   *time.Time `json:"last_heard"` // null: never
	Notes       string     `json:"notes"`
	Groups      []string   `json:"groups"`
	Development bool       `json:"development"`
	Quarantined bool       `json:"quarantined"`
	Firmware    int        `json:"firmware"` // 0: not known
	Path        string     `json:"path"`
	RemovePath  string     `json:"remove_path"`
}

func viewOfDevice(p *place, d particle.Device) deviceView {
	base := "/admin/organizations/workspaces/" + keyOf(p.w.ID) + "/devices/" + pathEscape(d.ID)
	query := "?product=" + p.owner.ProductID
	v := deviceView{ID: d.ID, Name: d.Name, Platform: d.Platform(), Serial: d.Serial, Owner: d.Owner, Online: d.Online, Notes: d.Notes, Groups: d.Groups,
		Development: d.Development, Quarantined: d.Quarantined, Firmware: d.Firmware, Path: base + query, RemovePath: base + "/remove" + query}
	if !d.LastHeard.IsZero() {
		at := d.LastHeard.UTC()
		v.LastHeard = &at
	}
	return v
}

func devicesPath(p *place) string {
	return "/admin/organizations/workspaces/" + keyOf(p.w.ID) + "/devices?product=" + productID(p.owner)
}

// listDevices asks Particle for a page of a product's devices: ?product=, ?name= and ?id= parts of these, ?group= a full name,
// ?page=.
func (m *Organizations) listDevices(w http.ResponseWriter, r *http.Request) {
	p, ok := m.teamOf(w, r)
	if !ok {
		return
	}
	query := r.URL.Query()
	q := particle.DeviceQuery{Name: readable(query.Get("name"), 100), ID: readable(query.Get("id"), 40), Page: particle.Page{Number: pageOf(r), Size: perPage},
		Sort: particle.SortName, Ascending: true}
	group := readable(query.Get("group"), 60)
	if group != "" {
		q.Groups = []string{group}
	}
	views, pages := []deviceView{}, 1
	var t *trouble
	if p.owner != nil {
		var a *access
		if a, t = m.access(r.Context(), p.w); t == nil {
			found, err := a.cloud.FindProductDevices(r.Context(), a.token, p.owner.ProductID, q)
			if err != nil {
				t = m.troubleIn(r.Context(), p.w, err, "devices:list")
			}
			for _, d := range found.Devices {
				views = append(views, viewOfDevice(p, d))
			}
			pages = max(found.Pages, 1)
		}
	}
	sdk.Render(w, r, sdk.View{Template: "devices", Title: "Devices", Breadcrumbs: crumbsOf(p.w), Data: map[string]any{"workspace": m.viewOf(p.w), "devices": views,
		"product": productID(p.owner), "owner": p.ownerName(), "owners": p.teams(), "name": q.Name, "id": q.ID, "group": group, "page": q.Page.Number, "pages": pages,
		"trouble": t, "may_change": sdk.UserFrom(r.Context()).Can("organizations.devices")}})
}

// deviceOf finds the device of the path in the product of the address. It has answered when ok is false.
func (m *Organizations) deviceOf(w http.ResponseWriter, r *http.Request) (p *place, d particle.Device, ok bool) {
	id := r.PathValue("device")
	if p, ok = m.placeOf(w, r); !ok {
		return nil, d, false
	}
	if p.owner == nil || !particle.IsDeviceID(id) {
		sdk.Fail(w, r, fault.New(fault.NotFound, "The product has no such device."))
		return nil, d, false
	}
	a, t := m.access(r.Context(), p.w)
	if t != nil {
		sdk.Fail(w, r, t.err())
		return nil, d, false
	}
	d, err := a.in(p.owner.ProductID).Device(r.Context(), a.token, id)
	switch {
	case particle.Is(err, particle.UnknownDevice), particle.Is(err, particle.NotFound):
		sdk.Fail(w, r, fault.New(fault.NotFound, "The product has no such device."))
		return nil, d, false
	case err != nil:
		sdk.Fail(w, r, m.troubleIn(r.Context(), p.w, err, "devices:get").err())
		return nil, d, false
	}
	return p, d, true
}

// deviceForm is what a person enters for a device.
type deviceForm struct {
	Name   string `json:"name"`
	Notes  string `json:"notes"`
	Groups string `json:"groups"` // parted by commas
	Once   string `json:"once"`
}

func (m *Organizations) renderDevice(w http.ResponseWriter, r *http.Request, p *place, d particle.Device, f deviceForm, wrong sdk.Fields) {
	v := sdk.View{Template: "device", Title: deviceName(d), Breadcrumbs: crumbsOf(p.w, sdk.Link{Title: "Devices", Path: devicesPath(p)}), FieldErrors: wrong,
		Data: map[string]any{"workspace": m.viewOf(p.w), "device": viewOfDevice(p, d), "form": f, "product": p.owner.ProductID, "owner": p.ownerName()}}
	if len(wrong) > 0 {
		v.Status = http.StatusUnprocessableEntity
	}
	sdk.Render(w, r, v)
}

func deviceName(d particle.Device) string {
	if d.Name != "" {
		return d.Name
	}
	return d.ID
}

func (m *Organizations) showDevice(w http.ResponseWriter, r *http.Request) {
	if p, d, ok := m.deviceOf(w, r); ok {
		m.renderDevice(w, r, p, d, deviceForm{Name: d.Name, Notes: d.Notes, Groups: strings.Join(d.Groups, ", "), Once: newOnce()}, nil)
	}
}

// deviceInput is what the operation device_change does; nil fields are left as they are. Repeating it does no harm.
type deviceInput struct {
	Name   *string   `json:"name"`
	Notes  *string   `json:"notes"`
	Groups *[]string `json:"groups"`
}

// changes compares a form with the device, and finds what is wrong.
func (f deviceForm) changes(d particle.Device) (in deviceInput, wrong sdk.Fields) {
	wrong = sdk.Fields{}
	if f.Name == "" && d.Name != "" {
		wrong["name"] = "give the device a name"
	}
	if f.Name != d.Name {
		in.Name = &f.Name
	}
	if f.Notes != d.Notes {
		in.Notes = &f.Notes
	}
	groups := []string{}
	for _, g := range strings.Split(f.Groups, ",") {
		if g = readable(g, 60); g != "" {
			groups = append(groups, g)
		}
	}
	if len(groups) > 20 {
		wrong["groups"] = "a device is in twenty groups at most, not " + strconv.Itoa(len(groups))
	}
	if strings.Join(groups, ",") != strings.Join(d.Groups, ",") {
		in.Groups = &groups
	}
	return in, wrong
}

func (m *Organizations) changeDevice(w http.ResponseWriter, r *http.Request) {
	p, d, ok := m.deviceOf(w, r)
	if !ok {
		return
	}
	f := deviceForm{Name: readable(r.PostFormValue("name"), 64), Notes: strings.TrimSpace(r.PostFormValue("notes")), Groups: readable(r.PostFormValue("groups"), 1500),
		Once: r.PostFormValue("once")}
	if len(f.Notes) > 4000 {
		f.Notes = strings.ToValidUTF8(f.Notes[:4000], "")
	}
	f.Notes = strings.ReplaceAll(f.Notes, "\r\n", "\n")
	in, wrong := f.changes(d)
	if len(wrong) > 0 {
		m.renderDevice(w, r, p, d, f, wrong)
		return
	}
	if in == (deviceInput{}) {
		sdk.Redirect(w, r, devicesPath(p), sdk.Message{Tone: sdk.Info, Text: "Nothing was different."})
		return
	}
	op := &operation{Kind: opDeviceChange, WorkspaceID: p.w.ID, Workspace: p.w.Name, ProductID: p.owner.ProductID, Subject: d.ID, Name: deviceName(d)}
	m.carryOut(w, r, p, op, in, m.doDeviceChange, devicesPath(p))
}

func (m *Organizations) confirmRemoveDevice(w http.ResponseWriter, r *http.Request) {
	if p, d, ok := m.deviceOf(w, r); ok {
		m.renderRemoveDevice(w, r, p, d, nil)
	}
}

func (m *Organizations) renderRemoveDevice(w http.ResponseWriter, r *http.Request, p *place, d particle.Device, wrong sdk.Fields) {
	v := sdk.View{Template: "device_remove", Title: "Remove " + deviceName(d), FieldErrors: wrong, Breadcrumbs: crumbsOf(p.w, sdk.Link{Title: "Devices", Path: devicesPath(p)}),
		Data: map[string]any{"workspace": m.viewOf(p.w), "device": viewOfDevice(p, d), "product": p.owner.ProductID, "owner": p.ownerName(), "once": newOnce()}}
	if len(wrong) > 0 {
		v.Status = http.StatusUnprocessableEntity
	}
	sdk.Render(w, r, v)
}

func (m *Organizations) removeDevice(w http.ResponseWriter, r *http.Request) {
	p, d, ok := m.deviceOf(w, r)
	if !ok {
		return
	}
	if particle.NormalID(r.PostFormValue("confirm")) != d.ID {
		m.renderRemoveDevice(w, r, p, d, sdk.Fields{"confirm": "type the device's id exactly as it is shown"})
		return
	}
	op := &operation{Kind: opDeviceRemove, WorkspaceID: p.w.ID, Workspace: p.w.Name, ProductID: p.owner.ProductID, Subject: d.ID, Name: deviceName(d)}
	m.carryOut(w, r, p, op, struct{}{}, m.doDeviceRemove, devicesPath(p))
}

// doDeviceRemove carries out device_remove, the first time and after a crash. A device that is gone already is a success.
func (m *Organizations) doDeviceRemove(ctx context.Context, a *access, op *operation) error {
	defer m.fleets.renew(productKey{a.workspace.ID, op.ProductID})
	err := a.in(op.ProductID).RemoveFromProduct(ctx, a.token, op.Subject)
	if err == nil || particle.Is(err, particle.NotFound) || particle.Is(err, particle.UnknownDevice) {
		return m.end(ctx, op, opDone, "The device "+op.Name+" is not in the product any more.")
	}
	return m.refusedOrUnknown(ctx, a, op, err, "devices:remove")
}
