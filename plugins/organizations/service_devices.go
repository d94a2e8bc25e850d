package main

import (
	"context"
	"encoding/json"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"mortise/core/fault"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/productapi"
)

func wrongField(field, expected string) error {
	return fault.InvalidFields("The field "+field+" cannot be used: "+expected+".", map[string]string{field: expected})
}

// idOf reads a device's id.
func idOf(id string) (string, error) {
	if len(id) > 40 || !particle.IsDeviceID(id) {
		return "", wrongField("device_id", "a device id has 24 hexadecimal digits")
	}
	return particle.NormalID(id), nil
}

// checkName refuses what cannot be the name of a function, a variable or an event.
func checkName(name string, blanks bool) error {
	wrong := strings.ContainsFunc(name, func(c rune) bool { return !unicode.IsPrint(c) || unicode.IsSpace(c) && !blanks })
	if n := utf8.RuneCountInString(name); n < 1 || n > productapi.MaxName || wrong || strings.TrimSpace(name) != name {
		return wrongField("name", "a name has 1 to 64 characters that can be seen")
	}
	return nil
}

func checkText(field, text string) error {
	if len(text) > productapi.MaxArgument {
		return wrongField(field, "a device takes 1024 bytes at most")
	}
	return nil
}

// viewOfState is a device without what is long: as it is kept for states.
func viewOfState(d particle.Device) productapi.Device {
	return productapi.Device{ID: particle.NormalID(d.ID), Name: d.Name, Owner: d.Owner, Online: d.Online, LastHeard: timeOf(d.LastHeard), LastHandshake: timeOf(d.Handshake),
		ProductID: d.ProductID, PlatformID: d.PlatformID, Platform: d.Platform(), Cellular: d.Cellular, Status: d.Status, Serial: d.Serial,
		System: d.System, Firmware: d.Firmware, Groups: append([]string{}, d.Groups...), Development: d.Development, Quarantined: d.Quarantined, Denied: d.Denied,
		DesiredFirmware: d.DesiredFirmware}
}

// wholeDevice is a device with all that others may know of it.
func wholeDevice(d particle.Device) productapi.Device {
	v := viewOfState(d)
	v.Notes, v.IPAddress, v.Functions, v.Variables = d.Notes, d.IPAddress, d.Functions, d.Variables
	return v
}

func timeOf(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// deviceDo opens the product of a device and does something with it.
func (m *Organizations) deviceDo(ctx context.Context, ref productapi.DeviceRef, do func(t *target, id string) error) (productapi.Outcome, error) {
	id, err := idOf(ref.DeviceID)
	if err != nil {
		return productapi.Outcome{}, err
	}
	t, err := m.with(ctx, ref.Product)
	if err == nil {
		err = do(t, id)
	}
	return m.tell(ctx, t, err)
}

func (m *Organizations) serveDevice(ctx context.Context, in productapi.DeviceRef) (out productapi.OneDevice, err error) {
	out.Device.Groups = []string{}
	out.Outcome, err = m.deviceDo(ctx, in, func(t *target, id string) error {
		asked := m.now()
		d, err := t.fleet().Device(ctx, t.token, id)
		if err == nil {
			out.Device = wholeDevice(d)
			m.fleets.saw(t.key, d, asked)
		}
		return err
	})
	return out, err
}

func (m *Organizations) serveVariable(ctx context.Context, in productapi.Name) (out productapi.Value, err error) {
	if err := checkName(in.Name, false); err != nil {
		return out, err
	}
	out.Value = json.RawMessage("null")
	out.Outcome, err = m.deviceDo(ctx, in.DeviceRef, func(t *target, id string) error {
		v, err := t.fleet().Variable(ctx, t.token, id, in.Name)
		if err != nil {
			return err
		}
		out.Value, err = json.Marshal(v.Value)
		return err
	})
	return out, err
}

// serveFunction calls a function once. What became of it may stay unknown; it is never tried again.
func (m *Organizations) serveFunction(ctx context.Context, in productapi.FunctionCall) (out productapi.Returned, err error) {
	if err := checkName(in.Name, false); err != nil {
		return out, err
	}
	if err := checkText("argument", in.Argument); err != nil {
		return out, err
	}
	out.Outcome, err = m.deviceDo(ctx, in.DeviceRef, func(t *target, id string) (err error) {
		out.Value, err = t.fleet().Call(ctx, t.token, id, in.Name, in.Argument)
		return err
	})
	return out, err
}

func (m *Organizations) servePublish(ctx context.Context, in productapi.Publication) (out productapi.Done, err error) {
	if err := checkName(in.Name, true); err != nil {
		return out, err
	}
	if strings.HasPrefix(in.Name, "spark/") || strings.HasPrefix(in.Name, "particle/") {
		return out, wrongField("name", "names that begin with spark/ or particle/ are Particle's own")
	}
	if err := checkText("data", in.Data); err != nil {
		return out, err
	}
	if in.DeviceID != "" {
		out.Outcome, err = m.deviceDo(ctx, in.DeviceRef, func(t *target, id string) error {
			return t.fleet().PublishAs(ctx, t.token, id, in.Name, in.Data)
		})
		return out, err
	}
	t, err := m.with(ctx, in.Product)
	if err == nil {
		err = t.fleet().Publish(ctx, t.token, in.Name, in.Data)
	}
	out.Outcome, err = m.tell(ctx, t, err)
	return out, err
}

func (m *Organizations) serveRename(ctx context.Context, in productapi.Name) (out productapi.Done, err error) {
	if in.Name == "" || readable(in.Name, productapi.MaxDeviceName) != in.Name {
		return out, wrongField("name", "a device's name has 1 to 80 characters that can be seen, on one line")
	}
	out.Outcome, err = m.deviceDo(ctx, in.DeviceRef, func(t *target, id string) error {
		defer m.fleets.changed(t.key, id)
		return t.fleet().Rename(ctx, t.token, id, in.Name)
	})
	return out, err
}

func (m *Organizations) serveSignal(ctx context.Context, in productapi.SignalSwitch) (out productapi.Done, err error) {
	out.Outcome, err = m.deviceDo(ctx, in.DeviceRef, func(t *target, id string) error {
		return t.fleet().Signal(ctx, t.token, id, in.On)
	})
	return out, err
}

func (m *Organizations) servePing(ctx context.Context, in productapi.DeviceRef) (out productapi.Pong, err error) {
	out.Outcome, err = m.deviceDo(ctx, in, func(t *target, id string) (err error) {
		asked := m.now()
		if out.Online, err = t.fleet().Ping(ctx, t.token, id); err == nil {
			m.fleets.heard(t.key, id, out.Online, asked)
		}
		return err
	})
	return out, err
}

func (m *Organizations) serveRelease(ctx context.Context, in productapi.DeviceRef) (out productapi.Done, err error) {
	out.Outcome, err = m.deviceDo(ctx, in, func(t *target, id string) error {
		defer m.fleets.changed(t.key, id)
		return t.fleet().Unclaim(ctx, t.token, id)
	})
	return out, err
}

var sorts = map[string]particle.DeviceSort{"": "", productapi.SortSeen: particle.SortLastConnection, productapi.SortName: particle.SortName,
	productapi.SortID: particle.SortID, productapi.SortFirmware: particle.SortFirmware}

// queryOf reads what page of devices is wanted. byID tells that the words could also be part of an id.
func queryOf(in productapi.DeviceQuery) (q particle.DeviceQuery, byID bool, err error) {
	sort, ok := sorts[in.Sort]
	if !ok {
		return q, false, wrongField("sort", "devices are sorted by seen, name, id or firmware")
	}
	if len(in.Groups) > 20 {
		return q, false, wrongField("groups", "twenty groups at most")
	}
	for _, g := range in.Groups {
		if g == "" || readable(g, 60) != g || strings.Contains(g, ",") {
			return q, false, wrongField("groups", "the name of a group has 1 to 60 characters without a comma")
		}
	}
	if len(in.Search) > 320 || utf8.RuneCountInString(in.Search) > 80 {
		return q, false, wrongField("search", "80 characters at most")
	}
	page, err := pageIn(in.Page, in.PerPage)
	if err != nil {
		return q, false, err
	}
	words := readable(in.Search, 80)
	q = particle.DeviceQuery{Name: words, Groups: in.Groups, Sort: sort, Ascending: sort != "" && !in.Desc, Page: page}
	lower := strings.ToLower(words)
	return q, len(words) >= 4 && len(words) <= 24 && strings.Trim(lower, "0123456789abcdef") == "", nil
}

func pageIn(page, perPage int) (particle.Page, error) {
	p := particle.Page{Number: max(page, 1), Size: perPage}
	switch {
	case page < 0 || page > 1_000_000:
		return p, wrongField("page", "pages count from 1")
	case perPage < 0 || perPage > productapi.MaxPerPage:
		return p, wrongField("per_page", "a page has 1 to 100 entries")
	case perPage == 0:
		p.Size = 25
	}
	return p, nil
}

func (m *Organizations) serveDevices(ctx context.Context, in productapi.DeviceQuery) (out productapi.Devices, err error) {
	q, byID, err := queryOf(in)
	if err != nil {
		return out, err
	}
	out = productapi.Devices{Devices: []productapi.Device{}, Page: q.Page.Number, Pages: 1}
	t, err := m.with(ctx, in.Product)
	var found particle.DevicePage
	if err == nil {
		found, err = findDevices(ctx, t, q, byID)
	}
	if err != nil {
		out.Outcome, err = m.tell(ctx, t, err)
		return out, err
	}
	for _, d := range found.Devices {
		out.Devices = append(out.Devices, wholeDevice(d))
	}
	out.Pages = max(found.Pages, 1)
	if q.Page.Number == out.Pages { // on the last page it is known how many there are
		total := (out.Pages-1)*q.Page.Size + len(out.Devices)
		out.Total = &total
	}
	return out, nil
}

// findDevices looks for words in the ids, when they could be part of one, and else in the names: Particle does not look in both at
// once.
func findDevices(ctx context.Context, t *target, q particle.DeviceQuery, byID bool) (particle.DevicePage, error) {
	if byID {
		ids := q
		ids.ID, ids.Name = strings.ToLower(q.Name), ""
		found, err := t.cloud.FindProductDevices(ctx, t.token, t.key.product, ids)
		if err != nil || len(found.Devices) > 0 || found.Pages > 1 {
			return found, err
		}
	}
	return t.cloud.FindProductDevices(ctx, t.token, t.key.product, q)
}
