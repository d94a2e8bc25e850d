// Package attachapi is the contract of the service customers.devices, which the module customers provides: which devices, and
// which whole products, the maker has attached to the person for whom another module acts. The JSON Schemas of the same shapes
// stand in customers' module.yaml.
//
//	var answer attachapi.Attached
//	err := host.Call(ctx, attachapi.Service, attachapi.List, struct{}{}, &answer)
//
// All methods act for the user whom the host vouches for: without one they are refused (fault.SignedOut), and there is no way to
// name another one. An answer is true at the moment it is given and must not be kept beyond the request: what is taken away has to be
// gone at once. The facts tell those who hold something open.
package attachapi

import "time"

// The service and its methods.
const (
	Service = "customers.devices"
	List    = "list"   // in: {} out: Attached
	Check   = "check"  // in: Question out: Verdict
	Others  = "others" // in: Devices out: Devices, those of them that are attached to somebody else
)

// Way says through what an attached device is controlled.
type Way string

// The ways.
const (
	Product Way = "product" // through the service particle.product; the device needs no owner
	Account Way = "account" // through the person's own linked Particle account, where it should be
	Shadow  Way = "shadow"  // through particle.product; at Particle the device belongs to a shadow customer
)

// Attached is the answer of List, the oldest first.
type Attached struct {
	Devices  []Attachment `json:"devices"`
	Products []Grant      `json:"products"`
}

// Attachment is one device that is attached to the person.
type Attachment struct {
	DeviceID    string    `json:"device_id"` // 24 hex digits in lower case
	Name        string    `json:"name"`      // of the device when it was attached; may be ""
	Given       bool      `json:"given"`     // Name was chosen for the customer when the device was handed over, and goes before the fleet's
	WorkspaceID int64     `json:"workspace_id"`
	ProductID   string    `json:"product_id"` // Particle's number
	Product     string    `json:"product"`    // its name
	Way         Way       `json:"way"`
	AttachedAt  time.Time `json:"attached_at"`
}

// Grant is a product of which every device is the person's to use.
type Grant struct {
	WorkspaceID int64     `json:"workspace_id"`
	ProductID   string    `json:"product_id"`
	Product     string    `json:"product"`
	Way         Way       `json:"way"`
	AttachedAt  time.Time `json:"attached_at"`
}

// Question asks about one device.
type Question struct {
	DeviceID string `json:"device_id"`
}

// MaxIDs is how many devices Others is asked about at once.
const MaxIDs = 1000

// Devices are some devices. With Others whoever lists a whole product leaves out what is not the person's.
type Devices struct {
	DeviceIDs []string `json:"device_ids"` // at most MaxIDs
}

// Verdict is the answer of Check.
type Verdict struct {
	Attached bool        `json:"attached"` // Device is set
	Device   *Attachment `json:"device"`   // nil when the device itself is not attached
	Product  *Grant      `json:"product"`  // a whole product that the person has; whether the device is in it, the caller must see
}

// The service devices.pages, which the module devices provides: where the calling person sees their devices. It is refused (fault.Denied)
// for who may not see any, and answers nowhere (fault.Unavailable) when the module is not enabled; then no page should lead there.
const (
	PagesService = "devices.pages"
	PageOf       = "page_of" // in: Question, "" for the list; out: Page
)

// Page is a page of the site.
type Page struct {
	Path string `json:"path"` // such as "/devices/0a10aced202194944a000001"
}

// The facts that customers publishes; their subject is user/<id>.
const (
	DeviceAttached  = "customers.device_attached"  // DeviceFact
	DeviceDetached  = "customers.device_detached"  // DeviceFact
	ProductAttached = "customers.product_attached" // ProductFact
	ProductDetached = "customers.product_detached" // ProductFact
)

// DeviceFact is the payload of DeviceAttached and DeviceDetached.
type DeviceFact struct {
	UserID      int64  `json:"user_id"`
	DeviceID    string `json:"device_id"`
	WorkspaceID int64  `json:"workspace_id"`
	ProductID   string `json:"product_id"`
	Way         Way    `json:"way"`
}

// ProductFact is the payload of ProductAttached and ProductDetached.
type ProductFact struct {
	UserID      int64  `json:"user_id"`
	WorkspaceID int64  `json:"workspace_id"`
	ProductID   string `json:"product_id"`
}
