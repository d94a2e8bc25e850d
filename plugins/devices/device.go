package main

import (
	"encoding/json"
	"net/http"
	"slices"

	"mortise/core/sdk"
	"mortise/plugins/internal/particle"
)

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
	Publish   bool           `json:"publish"` // and send events from here
	Functions []functionView `json:"functions"`
	Variables []valueView    `json:"variables"`
	Events    []eventView    `json:"events"` // the newest first
	After     int64          `json:"after"`  // the stream goes on after this number
	Upstream  string         `json:"upstream"`
	Live      bool           `json:"live"` // events arrive
	Trouble   *trouble       `json:"trouble"`
	OwnNames  bool           `json:"own_names"` // the name is the visitor's alone, and may be left empty
	Form      formData       `json:"form"`      // what was entered, when it has to be corrected
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
		Events: []eventView{}, Upstream: "off", Trouble: t.trouble, OwnNames: t.origin().OwnNames, Form: form}
	data.Control = data.Control && data.Device.Absent == nil
	data.Publish = data.Control && m.mayPublish(t)
	if data.Form.Rename == "" {
		data.Form.Rename = t.device.Name
	}
	calls := m.calls.of(callKey{user.UserID, t.key(), t.device.ID})
	for _, name := range t.device.Functions {
		data.Functions = append(data.Functions, functionOf(name, calls))
	}
	if f := m.live.glance(&t.holding); f != nil {
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
	return list, last, f.source.stateText(state), state == particle.Live
}
