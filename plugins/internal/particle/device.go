package particle

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Device is one device as the cloud describes it.
type Device struct {
	ID         string
	Name       string
	Owner      string // user name of the claimer; "" when the cloud does not say
	Online     bool   // may lag by minutes; Ping tells the truth
	LastHeard  time.Time
	Handshake  time.Time // last handshake
	ProductID  string    // equals the platform's number for devices without a product
	PlatformID int       // see Platform
	Cellular   bool
	Notes      string
	Status     string            // "normal", "safe_mode" or ""
	Functions  []string          // nil when the cloud does not know, for a device that was never online
	Variables  map[string]string // name to type: int32, double, string, bool; nil when the cloud does not know
	Serial     string
	IPAddress  string // the last public one
	System     string // Device OS version
	Firmware   int    // product firmware version; 0 when unknown
	Groups     []string

	// Of a product's device.
	Development     bool // gets no released firmware
	Quarantined     bool // waits for approval
	Denied          bool // was refused
	DesiredFirmware int  // version that it is locked to; 0 when it is not
}

// Platform is the name of the device's kind, or "Platform 99" for an unknown one.
func (d Device) Platform() string {
	if name, ok := platforms[d.PlatformID]; ok {
		return name
	}
	return "Platform " + itoa(d.PlatformID)
}

var platforms = map[int]string{
	0: "Core", 6: "Photon", 8: "P1", 10: "Electron", 12: "Argon", 13: "Boron", 14: "Xenon", 15: "E SoM", 22: "A SoM", 23: "B SoM",
	24: "X SoM", 25: "B5 SoM", 26: "Tracker", 28: "Tracker M", 31: "Raspberry Pi", 32: "Photon 2", 35: "M SoM", 88: "Duo", 103: "Bluz",
}

type deviceRow struct {
	ID         text    `json:"id"`
	Name       text    `json:"name"`
	Owner      text    `json:"owner"`
	Online     flag    `json:"online"`
	Connected  flag    `json:"connected"` // the only one on old and self-hosted servers
	LastHeard  moment  `json:"last_heard"`
	Handshake  moment  `json:"last_handshake_at"`
	ProductID  text    `json:"product_id"`
	PlatformID number  `json:"platform_id"`
	Cellular   flag    `json:"cellular"`
	Notes      text    `json:"notes"`
	Status     text    `json:"status"`
	Functions  texts   `json:"functions"`
	Variables  typeMap `json:"variables"`
	Serial     text    `json:"serial_number"`
	IPAddress  text    `json:"last_ip_address"`
	System     text    `json:"system_firmware_version"`
	Firmware   number  `json:"firmware_version"`
	Groups     texts   `json:"groups"`

	Development     flag   `json:"development"`
	Quarantined     flag   `json:"quarantined"`
	Denied          flag   `json:"denied"`
	DesiredFirmware number `json:"desired_firmware_version"`
}

func (r deviceRow) device() Device {
	d := Device{
		ID: string(r.ID), Name: string(r.Name), Owner: string(r.Owner), Online: r.Online.value, LastHeard: r.LastHeard.Time,
		Handshake: r.Handshake.Time, ProductID: string(r.ProductID), PlatformID: int(r.PlatformID.value), Cellular: r.Cellular.value,
		Notes: string(r.Notes), Status: string(r.Status), Functions: r.Functions, Variables: r.Variables, Serial: string(r.Serial),
		IPAddress: string(r.IPAddress), System: string(r.System), Firmware: int(r.Firmware.value), Groups: r.Groups,
		Development: r.Development.value, Quarantined: r.Quarantined.value, Denied: r.Denied.value, DesiredFirmware: int(r.DesiredFirmware.value),
	}
	if !r.Online.present {
		d.Online = r.Connected.value
	}
	return d
}

// devicePath is below the product when the client is InProduct. Ids are lower-cased, names are not.
func (c *Client) devicePath(segments ...string) string {
	base := []string{"v1", "devices"}
	if c.product != "" {
		base = []string{"v1", "products", c.product, "devices"}
	}
	if len(segments) > 0 {
		segments[0] = NormalID(segments[0])
	}
	return c.path(append(base, segments...)...)
}

// NormalID trims s and lower-cases it when it is a device id (24 hex digits); a name stays as it is.
func NormalID(s string) string {
	s = strings.TrimSpace(s)
	if lower := strings.ToLower(s); len(s) == 24 && strings.Trim(lower, "0123456789abcdef") == "" {
		return lower
	}
	return s
}

// notEmpty guards against a path that would mean something else: DELETE /v1/devices/ is not about one device.
func notEmpty(op string, values ...string) error {
	for _, v := range values {
		if strings.TrimSpace(v) == "" {
			e := newError(Invalid, op)
			e.Message, e.Hint = "A name or an id is missing.", "Enter it and try again."
			return e
		}
	}
	return nil
}

// Devices lists the devices that the token's owner has claimed, the newest handshake first.
//
// Source: GET /v1/devices. For a product's fleet use ProductDevices.
func (c *Client) Devices(ctx context.Context, token string) ([]Device, error) {
	const op = "list devices"
	body, err := c.do(ctx, call{op: op, method: http.MethodGet, url: c.path("v1", "devices"), token: token, timeout: c.timeouts.Call})
	if err != nil {
		return nil, err
	}
	rows, err := decodeList[deviceRow](op, body, "devices")
	if err != nil {
		return nil, err
	}
	return devices(rows), nil
}

func devices(rows []deviceRow) []Device {
	list := make([]Device, 0, len(rows))
	for _, r := range rows {
		if r.ID != "" {
			list = append(list, r.device())
		}
	}
	return list
}

// Device describes one device, named by its id or, outside a product, by its name. UnknownDevice: not one of the owner's.
//
// Source: GET /v1/devices/{id}.
func (c *Client) Device(ctx context.Context, token, id string) (Device, error) {
	const op = "get device"
	if err := notEmpty(op, id); err != nil {
		return Device{}, err
	}
	body, err := c.do(ctx, call{op: op, method: http.MethodGet, url: c.devicePath(id), token: token, timeout: c.timeouts.Call})
	if err != nil {
		return Device{}, ofDevice(err)
	}
	var row deviceRow
	if json.Unmarshal(body, &row) != nil || row.ID == "" {
		return Device{}, unexpected(op, "answer without a device id")
	}
	return row.device(), nil
}

// ofDevice corrects the kinds whose meaning is another one on a device's path: a plain 403 and a plain 404 mean that the
// device is not one of the owner's.
func ofDevice(err error) error {
	e, ok := err.(*Error)
	if !ok {
		return err
	}
	if e.Kind == Denied && e.Description == "Permission Denied" || e.Kind == NotFound && e.Op == "get device" {
		e.Kind, e.Scope = UnknownDevice, ""
		e.Message, e.Hint = explanation(UnknownDevice)
	}
	return e
}

// Rename gives the device a name.
//
// Source: PUT /v1/devices/{id} with name alone: a stray signal makes it fail for an offline device.
func (c *Client) Rename(ctx context.Context, token, id, name string) error {
	return c.update(ctx, "rename device", token, id, name, url.Values{"name": {name}}, c.timeouts.Call)
}

// SetNotes replaces the device's notes; "" erases them.
func (c *Client) SetNotes(ctx context.Context, token, id, notes string) error {
	return c.update(ctx, "change notes", token, id, "-", url.Values{"notes": {notes}}, c.timeouts.Call)
}

// Signal makes the device's light shout rainbows, or ends it. Offline and DeviceTimeout when it does not answer.
//
// Source: PUT /v1/devices/{id}, signal as form text, because a self-hosted server fails on a JSON number.
func (c *Client) Signal(ctx context.Context, token, id string, on bool) error {
	value := "0"
	if on {
		value = "1"
	}
	return c.update(ctx, "signal device", token, id, value, url.Values{"signal": {value}}, c.timeouts.Device)
}

func (c *Client) update(ctx context.Context, op, token, id, needed string, form url.Values, limit time.Duration) error {
	if err := notEmpty(op, id, needed); err != nil {
		return err
	}
	_, err := c.do(ctx, call{op: op, method: http.MethodPut, url: c.devicePath(id), token: token, form: form, timeout: limit})
	return ofDevice(err)
}

// Ping asks the device itself whether it is online. That it is offline is an answer, not an error.
//
// Source: PUT /v1/devices/{id}/ping.
func (c *Client) Ping(ctx context.Context, token, id string) (online bool, err error) {
	const op = "ping device"
	if err := notEmpty(op, id); err != nil {
		return false, err
	}
	body, err := c.do(ctx, call{op: op, method: http.MethodPut, url: c.devicePath(id, "ping"), token: token, form: url.Values{}, timeout: c.timeouts.Device})
	if err != nil {
		if k := KindOf(err); k == Offline || k == DeviceTimeout {
			return false, nil
		}
		return false, ofDevice(err)
	}
	var answer struct {
		Online    flag `json:"online"`
		Connected flag `json:"connected"`
	}
	if json.Unmarshal(body, &answer) != nil || !answer.Online.present && !answer.Connected.present {
		return false, unexpected(op, "answer without online")
	}
	return answer.Online.value || !answer.Online.present && answer.Connected.value, nil
}

// Claim binds a device that is switched on to the token's owner. OwnedByOther: ask again with requestTransfer, and the
// present owner decides by mail; then transferID is set and the device is not claimed yet.
//
// Source: POST /v1/devices.
func (c *Client) Claim(ctx context.Context, token, id string, requestTransfer bool) (transferID string, err error) {
	const op = "claim device"
	if err := notEmpty(op, id); err != nil {
		return "", err
	}
	form := url.Values{"id": {NormalID(id)}}
	if requestTransfer {
		form.Set("request_transfer", "true")
	}
	body, err := c.do(ctx, call{op: op, method: http.MethodPost, url: c.path("v1", "devices"), token: token, form: form, timeout: c.timeouts.Device})
	if err != nil {
		return "", err
	}
	var answer struct {
		TransferID text `json:"transfer_id"`
	}
	_ = json.Unmarshal(body, &answer) // the status alone says that it worked; the fields differ between versions
	return string(answer.TransferID), nil
}

// Unclaim releases the ownership of the device; in a product too.
//
// Source: DELETE /v1/devices/{id}, DELETE /v1/products/{product}/devices/{id}/owner.
func (c *Client) Unclaim(ctx context.Context, token, id string) error {
	const op = "unclaim device"
	if err := notEmpty(op, id); err != nil {
		return err
	}
	target := c.devicePath(id)
	if c.product != "" {
		target = c.devicePath(id, "owner")
	}
	_, err := c.do(ctx, call{op: op, method: http.MethodDelete, url: target, token: token, timeout: c.timeouts.Call, plain: true})
	return ofDevice(err)
}

// ClaimCode is handed to a device during set-up, which claims it for the token's owner.
type ClaimCode struct {
	Code      string   // 63 base64 characters, good for one hour and one use: a secret
	DeviceIDs []string // what the owner has now, to find the new one afterwards
}

// ClaimCode makes a claim code. In a product the token must be a customer's.
//
// Source: POST /v1/device_claims.
func (c *Client) ClaimCode(ctx context.Context, token string) (ClaimCode, error) {
	const op = "make claim code"
	target := c.path("v1", "device_claims")
	if c.product != "" {
		target = c.path("v1", "products", c.product, "device_claims")
	}
	// A body, though empty of meaning: some versions fail without one.
	body, err := c.do(ctx, call{op: op, method: http.MethodPost, url: target, token: token, json: struct{}{}, timeout: c.timeouts.Call})
	if err != nil {
		return ClaimCode{}, err
	}
	var answer struct {
		Code text  `json:"claim_code"`
		IDs  texts `json:"device_ids"`
	}
	if json.Unmarshal(body, &answer) != nil || answer.Code == "" {
		return ClaimCode{}, unexpected(op, "answer without a claim code")
	}
	return ClaimCode{string(answer.Code), answer.IDs}, nil
}
