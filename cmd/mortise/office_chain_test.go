package main_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"mortise/plugins"
)

// shownDevice is a device of /devices with where it comes from.
type shownDevice struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Through string `json:"through"`
}

// has lists the devices that a customer sees.
func (v *visitor) has() []shownDevice {
	v.t.Helper()
	var page struct {
		Devices []shownDevice `json:"devices"`
	}
	v.reads("/devices", &page)
	return page.Devices
}

// count tells how often a device is in a list.
func count(list []shownDevice, id string) (n int) {
	for _, d := range list {
		if d.ID == id {
			n++
		}
	}
	return n
}

// switches has a lamp switched, and fails unless it answers.
func (v *visitor) switches(lamp, to string) {
	v.t.Helper()
	var called struct {
		ReturnValue *int `json:"return_value"`
	}
	a := v.json(http.MethodPost, "/devices/"+lamp+"/functions/led", map[string]string{"arg": to}, &called)
	if a.status != http.StatusOK || called.ReturnValue == nil {
		v.t.Fatalf("led %s of %s answered %v", to, lamp, a)
	}
	var read struct {
		Value any `json:"value"`
	}
	if v.reads("/devices/"+lamp+"/variables/led", &read); read.Value != to {
		v.t.Errorf("after led %s the lamp says %v", to, read.Value)
	}
}

// misses fails unless nothing of a device can be reached, in both kinds of answers, without a question to the cloud about it.
func (o *office) misses(v *visitor, lamp, when string) {
	o.t.Helper()
	before := o.calls()
	path := "/devices/" + lamp
	for what, a := range map[string]answer{
		"the page":           v.get(path),
		"the page's data":    v.json(http.MethodGet, path, nil, nil),
		"a variable":         v.json(http.MethodGet, path+"/variables/led", nil, nil),
		"the events":         v.do(http.MethodGet, path+"/events", nil, http.Header{"Accept": {"text/event-stream"}}),
		"a function":         v.json(http.MethodPost, path+"/functions/led", map[string]string{"arg": "on"}, nil),
		"renaming":           v.json(http.MethodPost, path+"/rename", map[string]string{"name": "mine"}, nil),
		"signalling":         v.json(http.MethodPost, path+"/signal", map[string]string{"signal": "on"}, nil),
		"publishing":         v.json(http.MethodPost, path+"/events", map[string]string{"name": "a", "data": "b"}, nil),
		"the page to set up": v.json(http.MethodGet, "/customers/setup?device="+lamp, nil, nil),
	} {
		if a.status != http.StatusNotFound {
			o.t.Errorf("%s: %s answered %v", when, what, a)
		}
	}
	for _, route := range more(before, o.calls()) {
		if strings.Contains(route, "{id}") || !strings.HasPrefix(route, "GET ") {
			o.t.Errorf("%s: the cloud was asked %s", when, route)
		}
	}
}

func TestOffice_WhatIsAttachedIsThereAtOnceAndWhatIsDetachedIsGone(t *testing.T) {
	t.Parallel()
	o, ada := newBackOffice(t)
	ben, ann := o.ben(), o.customer()
	bens, anns := personPage(ada.personID("ben")), personPage(ada.personID("ann"))
	lamp := fleetLamp(6)
	o.misses(ben, lamp, "before")

	ada.sends(bens+"/attach", "product", garden, "device", lamp)
	if list := ben.has(); count(list, lamp) != 1 || len(list) != 4 {
		t.Errorf("with a fourth device Ben has %+v", list)
	}
	events := ben.streams(lamp)
	ben.switches(lamp, "on")
	events.hears("lamp/state")
	if page := ben.get("/devices/" + lamp); page.status != http.StatusOK || !strings.Contains(page.body, "lamp-006") {
		t.Errorf("the lamp's page answered %v", page)
	}
	o.misses(ann, lamp, "somebody else's")

	ada.sends(bens+"/detach", "device", lamp)
	o.misses(ben, lamp, "detached")
	events.ends(2 * time.Second)
	if list := ben.has(); count(list, lamp) != 0 || len(list) != 3 {
		t.Errorf("after the detachment Ben has %+v", list)
	}
	o.forgotten("devices", lamp)
	device := "/admin/customers/devices/" + lamp
	ada.sends(device+"/undo", "version", ada.version(device))
	ben.switches(lamp, "off")

	// Ann has an account of her own at Particle; the maker's lamp stands beside its devices.
	if a := ann.link(o.world, "allow"); a.status != http.StatusOK {
		t.Fatalf("linking ended on %v", a)
	}
	before := len(ann.has())
	events = ben.streams(lamp)
	ada.sends(device+"/transfer", "to", strings.TrimPrefix(anns, "/admin/customers/people/"), "version", ada.version(device))
	o.misses(ben, lamp, "transferred")
	events.ends(2 * time.Second)
	ann.switches(lamp, "on")
	if list := ann.has(); count(list, lamp) != 1 || len(list) != before+1 {
		t.Errorf("Ann had %d devices and has %+v", before, list)
	}
	desk := ann.lamp().ID // of her account, and in the product
	ada.sends(anns+"/attach", "product", garden, "device", desk)
	if list := ann.has(); count(list, desk) != 1 || len(list) != before+1 {
		t.Errorf("a device of the account that is attached too: %+v", list)
	}
	ann.switches(desk, "on")

	// The whole product: nobody else may have anything of it.
	other := fleetLamp(20)
	o.misses(ben, other, "not granted")
	if a := ada.submit(bens+"/attach", "product", garden, "action", "product", "confirm", "on"); a.status != http.StatusConflict {
		t.Errorf("a product of which Ann has devices was granted: %v", a.answer)
	}
	ada.sends(anns+"/detach", "device", lamp, "device", desk)
	o.misses(ann, lamp, "detached from Ann")
	ann.switches(desk, "off") // that one is her own
	ada.sends(bens+"/attach", "product", garden, "action", "product", "confirm", "on")
	ben.switches(other, "on")
	if list := ben.has(); count(list, other) != 1 || count(list, fleetLamp(4)) != 1 || count(list, desk) != 1 || len(list) != 61 {
		t.Errorf("with the whole product Ben has %d devices: %+v", len(list), list)
	}
	if a := ada.submit(anns+"/attach", "product", garden, "device", other); a.status != http.StatusConflict {
		t.Errorf("a device of a product that Ben has was attached to Ann: %v", a.answer)
	}
	o.misses(ann, other, "Ben's product")
	events = ben.streams(other)
	events.hears("live")
	ada.sends(bens+"/detach", "product", garden)
	events.ends(2 * time.Second)
	o.misses(ben, other, "the product is detached")
	ben.switches(fleetLamp(4), "on") // attached by itself
	if unknown := o.cloud.Unknown(); len(unknown) > 0 {
		t.Errorf("the cloud was asked what it does not know: %v", unknown)
	}
	secretFree(t, "the log", o.logs.String(), plugins.ParticleDemoAPIToken, plugins.ParticleDemoClientSecret)
}

// version gives the version of what a page shows, for forms that must not act on something newer.
func (v *visitor) version(path string) string {
	v.t.Helper()
	var page struct {
		Device struct {
			Version int64 `json:"version"`
		} `json:"device"`
	}
	v.reads(path, &page)
	return fmt.Sprint(page.Device.Version)
}

// forgotten fails unless no table of a module has a word.
func (o *office) forgotten(module, word string, but ...string) {
	o.t.Helper()
	eventually(o.t, 2*time.Second, module+" has forgotten "+word, func() bool { return len(o.tablesWith(module+"_", word, but...)) == 0 })
}

// tablesWith lists the tables that have a word somewhere, among those whose names begin with a prefix.
func (o *office) tablesWith(prefix, word string, but ...string) []string {
	o.t.Helper()
	names, err := sqlite(o.t, o.world, `SELECT name FROM sqlite_master WHERE type = 'table'`)
	if err != nil {
		o.t.Fatal(err)
	}
	found := []string{}
	for name := range strings.FieldsSeq(names) {
		if !strings.HasPrefix(name, prefix) || slices.Contains(but, name) {
			continue
		}
		rows, err := sqlite(o.t, o.world, `SELECT * FROM "`+name+`"`)
		if err != nil {
			o.t.Fatal(err)
		}
		if strings.Contains(strings.ToLower(rows), strings.ToLower(word)) {
			found = append(found, name)
		}
	}
	return found
}
