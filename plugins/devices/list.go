package main

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"mortise/core/sdk"
	"mortise/plugins/internal/particle"
)

// accountView is a linked account, or a product of the maker's, in the list of devices.
type accountView struct {
	ID      int64    `json:"id"`    // of an account
	Kind    string   `json:"kind"`  // account, product
	Label   string   `json:"label"` // the Particle user name, or the product's name
	State   string   `json:"state"` // ok, failed, dead
	Trouble *trouble `json:"trouble"`
	Devices int      `json:"device_count"`
	Total   int      `json:"total"` // devices that it has, when it has more than can be listed; 0 otherwise
}

// listData is the view "list".
type listData struct {
	Linked   bool           `json:"linked"`   // an account is
	Linking  bool           `json:"linking"`  // accounts can be linked on this site
	Attached bool           `json:"attached"` // the maker can give people devices on this site
	Notices  []string       `json:"notices"`  // what cannot be looked up at the moment
	Troubles []listTrouble  `json:"troubles"` // of accounts and products; products that have the same one together
	Accounts []accountView  `json:"accounts"`
	Products []accountView  `json:"products"`
	Devices  []listedDevice `json:"devices"`      // of this page
	Count    int            `json:"count"`        // of all pages
	Online   *int           `json:"online_count"` // null when ByName: only those of this page are known
	ByName   bool           `json:"by_name"`      // sorted by name alone, and searched by name and id, because there are very many
	Several  bool           `json:"several"`      // accounts and products: then each device says whose it is
	Search   string         `json:"search"`       // what is searched for; "" for nothing
	Page     int            `json:"page"`         // from 1; 0 when all devices are on one page
	PerPage  int            `json:"per_page"`
}

// listTrouble is why accounts or products could not be listed.
type listTrouble struct {
	Label   string   `json:"label"`
	Trouble *trouble `json:"trouble"`
	Known   bool     `json:"known"` // what was known last is in the list
}

// tell adds a trouble, once for all products that have the same.
func (data *listData) tell(a accountView) {
	one := listTrouble{a.Label, a.Trouble, a.Devices > 0}
	if a.Kind == fromProduct {
		for i := range data.Troubles {
			if t := &data.Troubles[i]; t.Trouble.Message == a.Trouble.Message && t.Trouble.Kind == a.Trouble.Kind {
				t.Label, t.Known = t.Label+", "+a.Label, t.Known || one.Known
				return
			}
		}
	}
	data.Troubles = append(data.Troubles, one)
}

// listedDevice is a device in the list, with the last known values of its first variables. The list asks no device for them.
type listedDevice struct {
	deviceView
	Values []valueView `json:"values"` // by name, at most maxListed
}

const (
	maxListed = 3
	perPage   = 60 // devices; a program that names no page gets all
	maxSearch = 80 // characters
)

func (m *Devices) listDevices(w http.ResponseWriter, r *http.Request) {
	search := readable(strings.TrimSpace(r.URL.Query().Get("q")))
	if runes := []rune(search); len(runes) > maxSearch {
		search = string(runes[:maxSearch])
	}
	f, err := m.lookUp(r.Context(), wish{search: search, page: inPages(r)})
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	data := listData{Linked: f.accounts > 0, Linking: f.linking, Attached: f.attached, Notices: append([]string{}, f.notices...),
		Troubles: []listTrouble{}, Accounts: []accountView{}, Products: []accountView{}, Search: search, PerPage: perPage, ByName: f.byName}
	all := f.listings(search)
	data.Count = len(all)
	if !f.byName {
		data.Online = new(int)
		for _, l := range all {
			if l.device.Online {
				*data.Online++
			}
		}
	}
	page := data.turn(r, all)
	var shown []string // of which values are looked up; none for all
	if f.byName {
		shown = m.complete(r.Context(), page)
	}
	known, err := m.records.valuesOfPerson(r.Context(), sdk.UserFrom(r.Context()).UserID, shown...)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	for i := range f.holdings {
		data.add(&f.holdings[i])
	}
	data.Several = len(data.Accounts)+len(data.Products) > 1
	data.Devices = make([]listedDevice, 0, len(page))
	for _, l := range page {
		view := viewOf(*l.holding, *l.device)
		data.Devices = append(data.Devices, listedDevice{view, m.listedValues(l.holding, *l.device, known[deviceKey{l.holding.key(), view.ID}])})
	}
	sdk.Render(w, r, sdk.View{Template: "list", Title: "Devices", Data: data})
}

// listing is a device on its way into the list.
type listing struct {
	holding *holding
	device  *particle.Device
	id      string
	name    string // what it is sorted by
}

// listings gives the devices that are searched for, in order: what is online first, unless that is not known of all.
func (f *found) listings(search string) []listing {
	var list []listing
	for i := range f.holdings {
		h := &f.holdings[i]
		for j := range h.devices {
			d := &h.devices[j]
			id := strings.ToLower(d.ID)
			if isDeviceID(id) && holds(h, d, search, f.byName) { // others could not be opened
				list = append(list, listing{holding: h, device: d, id: id, name: strings.ToLower(nameOf(*d))})
			}
		}
	}
	slices.SortFunc(list, func(a, b listing) int {
		first := 0
		if !f.byName {
			first = rank(a.device) - rank(b.device)
		}
		return cmp.Or(first, strings.Compare(a.name, b.name), strings.Compare(a.id, b.id))
	})
	return list
}

// add takes a source.
func (data *listData) add(h *holding) {
	a := accountView{ID: h.origin().AccountID, Kind: h.origin().Kind, Label: h.origin().Label, State: "ok", Trouble: h.trouble, Devices: len(h.devices), Total: h.total}
	switch {
	case h.trouble != nil && h.trouble.Relink:
		a.State = "dead"
	case h.trouble != nil:
		a.State = "failed"
	}
	if _, lost := h.source.(*absent); !lost { // of those each device says what is the matter
		if a.Kind == fromAccount {
			data.Accounts = append(data.Accounts, a)
		} else {
			data.Products = append(data.Products, a)
		}
		if h.trouble != nil {
			data.tell(a)
		}
	}
}

// inPages tells whether a page is asked for at all: a program that names none gets all devices.
func inPages(r *http.Request) bool { return r.URL.Query().Get("page") != "" || !sdk.WantsJSON(r) }

// turn gives the page that is asked for, when there is more than one.
func (data *listData) turn(r *http.Request, all []listing) []listing {
	asked := r.URL.Query().Get("page")
	if len(all) <= perPage || !inPages(r) {
		return all
	}
	page, err := strconv.Atoi(asked)
	if err != nil {
		page = 1
	}
	data.Page = min(max(page, 1), (len(all)+perPage-1)/perPage)
	return all[(data.Page-1)*perPage : min(data.Page*perPage, len(all))]
}

// holds tells whether a device is one of those that are searched for. byName says that its type and state are not known yet.
func holds(h *holding, d *particle.Device, search string, byName bool) bool {
	if search == "" {
		return true
	}
	v := viewOf(*h, *d)
	search = strings.ToLower(search)
	within := []string{v.Name, v.ID, v.Origin, v.Type, v.Status}
	if byName {
		within = within[:3]
	}
	return slices.ContainsFunc(within, func(s string) bool { return strings.Contains(strings.ToLower(s), search) })
}

// listedValues gives what is known of a device's first variables, without asking it.
func (m *Devices) listedValues(h *holding, d particle.Device, known map[string]value) []valueView {
	views := []valueView{}
	t := &target{holding: *h, device: d}
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
func rank(d *particle.Device) int {
	if d.Online {
		return 0
	}
	return 1
}
