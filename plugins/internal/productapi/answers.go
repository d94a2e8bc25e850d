package productapi

import (
	"encoding/json"
	"time"
)

// Outcome is part of every answer: why Particle did not do what was asked. The other fields mean nothing then.
type Outcome struct {
	Problem *Problem `json:"problem,omitempty"`
}

// Done is the answer of a method that only does something.
type Done struct{ Outcome }

// Products is what the workspaces have, as Particle said last: at most every 15 minutes.
type Products struct {
	Products []ProductInfo `json:"products"`
	More     bool          `json:"more"` // there are more than the 2,000 that are listed
}

// ProductInfo is one product of a workspace.
type ProductInfo struct {
	Product
	Workspace    string `json:"workspace"` // its name
	BaseURL      string `json:"base_url"`  // of the cloud
	Slug         string `json:"slug"`
	Name         string `json:"name"`
	PlatformID   int    `json:"platform_id"`
	Platform     string `json:"platform"`
	Organization string `json:"organization"` // "" for a product of an account
	Default      bool   `json:"default"`      // the workspace's default product
	Devices      *int   `json:"devices"`      // nil: not known
	Customers    *int   `json:"customers"`    // nil: not known
	Health       string `json:"health"`       // of the workspace: unknown, good, warn, bad
	Problem      string `json:"problem"`      // machine word of what is wrong with the workspace; "" when all is well
}

// Device is a device of a product.
type Device struct {
	ID              string            `json:"id"`
	Name            string            `json:"name"`
	Owner           string            `json:"owner"`      // user name of the customer who claimed it; "" for none
	Online          bool              `json:"online"`     // may lag by minutes; ping tells the truth
	LastHeard       *time.Time        `json:"last_heard"` // nil: never, or not known
	LastHandshake   *time.Time        `json:"last_handshake"`
	ProductID       string            `json:"product_id"`
	PlatformID      int               `json:"platform_id"`
	Platform        string            `json:"platform"`
	Cellular        bool              `json:"cellular"`
	Status          string            `json:"status"` // "normal", "safe_mode" or ""
	Serial          string            `json:"serial"`
	System          string            `json:"system"`   // Device OS version
	Firmware        int               `json:"firmware"` // version of the product's firmware; 0 when unknown
	Groups          []string          `json:"groups"`
	Development     bool              `json:"development"`
	Quarantined     bool              `json:"quarantined"`
	Denied          bool              `json:"denied"`
	DesiredFirmware int               `json:"desired_firmware"`     // 0 when it is not locked to a version
	Notes           string            `json:"notes,omitempty"`      // not in States
	IPAddress       string            `json:"ip_address,omitempty"` // the last public one; not in States
	Functions       []string          `json:"functions,omitempty"`  // nil when Particle does not know; not in States
	Variables       map[string]string `json:"variables,omitempty"`  // name to type: int32, double, string, bool; not in States
}

// Devices is a page of a product's devices.
type Devices struct {
	Outcome
	Devices []Device `json:"devices"`
	Page    int      `json:"page"`
	Pages   int      `json:"pages"` // at least 1
	Total   *int     `json:"total"` // nil: not known
}

// OneDevice is the answer of device.
type OneDevice struct {
	Outcome
	Device Device `json:"device"`
}

// States tells how devices are, in the order of the question. It may be a few seconds old, see At.
type States struct {
	Outcome
	Devices []Device  `json:"devices"`       // without notes, address, functions and variables
	Missing []string  `json:"missing"`       // ids that the product does not have
	Stale   bool      `json:"stale"`         // Particle could not be asked: the answer is an older one. An id in neither list is not known
	Why     *Problem  `json:"why,omitempty"` // with Stale: why; nil when it only takes long
	At      time.Time `json:"at"`            // when the oldest part of the answer was true
}

// Value is the answer of variable.
type Value struct {
	Outcome
	Value json.RawMessage `json:"value"` // number, text, bool or null; numbers keep every digit
}

// Returned is the answer of call.
type Returned struct {
	Outcome
	Value int `json:"return_value"` // what the device returned; -1 often means "bad argument"
}

// Pong is the answer of ping.
type Pong struct {
	Outcome
	Online bool `json:"online"`
}

// Customers is a page of a product's customers at Particle. Who has no device may be missing from it.
type Customers struct {
	Outcome
	Customers []Customer `json:"customers"`
	Pages     int        `json:"pages"` // at least 1
}

// Customer is a customer at Particle.
type Customer struct {
	Username    string   `json:"username"`
	Devices     []string `json:"devices"`      // ids, at most 100 of them
	DeviceCount int      `json:"device_count"` // all of them
}

// Events is what came since the cursor, the oldest first. No events is an answer too: ask again.
type Events struct {
	Outcome
	Events []Event     `json:"events"`
	Cursor int64       `json:"cursor"` // for the next poll; never less than the one of the question
	State  StreamState `json:"state"`
	Missed int         `json:"missed"` // so many events after the cursor were not kept
	Gap    bool        `json:"gap"`    // the stream was not open all the time since the cursor: nobody knows what was missed
}

// Event is an event of a product's device, or of the product.
type Event struct {
	Number      int64     `json:"number"` // grows, also over restarts
	Name        string    `json:"name"`
	Data        string    `json:"data"`      // cut after 16 KiB, then ending in "…"
	DeviceID    string    `json:"device_id"` // "" when no device published it; what a person publishes may carry an id of that person
	PublishedAt time.Time `json:"published_at"`
}

// Online reads Particle's event about a device's connection.
func (e Event) Online() (online, ok bool) {
	if e.Name != "spark/status" || e.DeviceID == "" {
		return false, false
	}
	return e.Data == "online", e.Data == "online" || e.Data == "offline"
}
