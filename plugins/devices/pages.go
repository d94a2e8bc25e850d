package main

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"mortise/core/sdk"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/tokenapi"
)

// deviceView is a device as pages and programs see it.
type deviceView struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"` // never empty
	Type      string     `json:"type"` // "Photon", "Argon", "Platform 99"
	Platform  int        `json:"platform_id"`
	Online    bool       `json:"online"`
	Status    string     `json:"status"` // Online, Offline, Unknown
	LastHeard *time.Time `json:"last_heard"`
	Stale     bool       `json:"stale"` // last known, because the cloud did not answer
	AccountID int64      `json:"account_id"`
	Account   string     `json:"account"` // the Particle user name
	Path      string     `json:"path"`
	Cellular  bool       `json:"cellular"`
	Mode      string     `json:"mode"` // "safe_mode" when the device runs without its program
	Serial    string     `json:"serial_number"`
	System    string     `json:"system_version"`
	Firmware  int        `json:"firmware_version"`
	Product   string     `json:"product_id"` // "" for devices without a product
	Handshake *time.Time `json:"last_handshake"`
	Notes     string     `json:"notes"`
	Functions int        `json:"function_count"`
	Variables int        `json:"variable_count"`
}

func viewOf(h holding, d particle.Device) deviceView {
	v := deviceView{ID: strings.ToLower(d.ID), Name: nameOf(d), Type: d.Platform(), Platform: d.PlatformID, Online: d.Online, Status: onlineWord(d.Online),
		Stale: h.stale, AccountID: h.account.ID, Account: h.account.Label, Path: "/devices/" + strings.ToLower(d.ID), Cellular: d.Cellular,
		Serial: d.Serial, System: d.System, Firmware: d.Firmware, LastHeard: momentOf(d.LastHeard), Handshake: momentOf(d.Handshake),
		Notes: d.Notes, Functions: len(d.Functions), Variables: len(d.Variables)}
	if d.Status == "safe_mode" {
		v.Mode = d.Status
	}
	if d.Firmware > 0 {
		v.Product = d.ProductID
	}
	if h.stale {
		v.Status = "Unknown"
	}
	return v
}

func momentOf(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// accountView is an account in the list of devices.
type accountView struct {
	ID      int64    `json:"id"`
	Label   string   `json:"label"`
	State   string   `json:"state"` // ok, failed, dead
	Trouble *trouble `json:"trouble"`
	Devices int      `json:"device_count"`
}

// listData is the view "list".
type listData struct {
	Linked   bool           `json:"linked"` // there is an account at all
	Accounts []accountView  `json:"accounts"`
	Devices  []listedDevice `json:"devices"`
	Online   int            `json:"online_count"`
	Several  bool           `json:"several"` // accounts: then each device says whose it is
}

// listedDevice is a device in the list, with the last known values of its first variables. The list asks no device for them.
type listedDevice struct {
	deviceView
	Values []valueView `json:"values"` // by name, at most maxListed
}

const maxListed = 3

func (m *Devices) listDevices(w http.ResponseWriter, r *http.Request) {
	all, err := m.holdings(r.Context())
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	known, err := m.records.valuesOfPerson(r.Context(), sdk.UserFrom(r.Context()).UserID)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	data := listData{Linked: len(all) > 0, Accounts: []accountView{}, Devices: []listedDevice{}, Several: len(all) > 1}
	for _, h := range all {
		a := accountView{ID: h.account.ID, Label: h.account.Label, State: "ok", Trouble: h.trouble, Devices: len(h.devices)}
		switch {
		case h.account.State != tokenapi.Active || h.trouble != nil && h.trouble.Relink:
			a.State = "dead"
		case h.trouble != nil:
			a.State = "failed"
		}
		data.Accounts = append(data.Accounts, a)
		for _, d := range h.devices {
			if deviceID.MatchString(strings.ToLower(d.ID)) { // others could not be opened
				data.Devices = append(data.Devices, listedDevice{viewOf(h, d), m.listedValues(h, d, known[deviceKey{h.account.ID, strings.ToLower(d.ID)}])})
			}
		}
	}
	slices.SortStableFunc(data.Devices, func(a, b listedDevice) int {
		return cmp.Or(rank(a.deviceView)-rank(b.deviceView), strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)), strings.Compare(a.ID, b.ID))
	})
	for _, d := range data.Devices {
		if d.Online {
			data.Online++
		}
	}
	sdk.Render(w, r, sdk.View{Template: "list", Title: "Devices", Data: data})
}

// listedValues gives what is known of a device's first variables, without asking it.
func (m *Devices) listedValues(h holding, d particle.Device, known map[string]value) []valueView {
	views := []valueView{}
	t := &target{holding: h, device: d}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if _, offered := d.Variables[name]; !offered && d.Variables != nil {
			continue // of an older program
		}
		if v := m.viewOfKnown(t, name, known); v.ReadAt != nil && len(views) < maxListed {
			views = append(views, v)
		}
	}
	return views
}

// rank puts what is online first.
func rank(d deviceView) int {
	if d.Online {
		return 0
	}
	return 1
}

// functionView is a function of the device with its last call.
type functionView struct {
	Name string    `json:"name"`
	Tile string    `json:"tile"`
	Call *callView `json:"call"` // null: not called lately
}

// deviceData is the view "device".
type deviceData struct {
	Device    deviceView     `json:"device"`
	Control   bool           `json:"control"` // the visitor may control it
	Functions []functionView `json:"functions"`
	Variables []valueView    `json:"variables"`
	Events    []eventView    `json:"events"` // the newest first
	After     int64          `json:"after"`  // the stream goes on after this number
	Upstream  string         `json:"upstream"`
	Live      bool           `json:"live"` // events arrive
	Trouble   *trouble       `json:"trouble"`
	Form      formData       `json:"form"` // what was entered, when it has to be corrected
}

type formData struct {
	Rename string `json:"name"`
	Event  string `json:"event_name"`
	Data   string `json:"event_data"`
}

func (m *Devices) showDevice(w http.ResponseWriter, r *http.Request) {
	t, err := m.find(r)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	m.renderDevice(w, r, t, sdk.View{}, formData{})
}

// renderDevice shows the device's page, with what view already says (status, message, field errors).
func (m *Devices) renderDevice(w http.ResponseWriter, r *http.Request, t *target, view sdk.View, form formData) {
	variables, err := m.variablesOf(r.Context(), t)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	user := sdk.UserFrom(r.Context())
	data := deviceData{Device: viewOf(t.holding, t.device), Control: user.Can("devices.control"), Functions: []functionView{}, Variables: variables,
		Events: []eventView{}, Upstream: "off", Trouble: t.trouble, Form: form}
	if data.Form.Rename == "" {
		data.Form.Rename = t.device.Name
	}
	calls := m.calls.of(callKey{user.UserID, t.account.ID, t.device.ID})
	for _, name := range t.device.Functions {
		data.Functions = append(data.Functions, functionOf(name, calls))
	}
	if f := m.live.glance(t.account); f != nil {
		data.Events, data.After, data.Upstream, data.Live = eventsOf(f, t.device.ID)
	}
	view.Template, view.Title, view.Data = "device", t.name(), data
	view.Breadcrumbs = []sdk.Link{{Title: "Devices", Path: "/devices"}}
	sdk.Render(w, r, view)
}

func functionOf(name string, calls map[string]callView) functionView {
	f := functionView{Name: name, Tile: tileOf("fn", name)}
	if call, ok := calls[name]; ok {
		f.Call = &call
	}
	return f
}

// eventsOf lists what is remembered of a device's events, the newest first.
func eventsOf(f *feed, device string) (list []eventView, last int64, upstream string, isLive bool) {
	past, last, state := f.history(device)
	list = make([]eventView, 0, len(past))
	for _, msg := range slices.Backward(past) {
		var e eventView
		if json.Unmarshal(msg.data, &e) == nil {
			list = append(list, e)
		}
	}
	return list, last, stateText(state), state == particle.Live
}
