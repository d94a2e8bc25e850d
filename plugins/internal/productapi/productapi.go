// Package productapi is the contract of the service particle.product, which the module organizations provides: what another module
// can do with the products of the maker's workspaces and their devices. The service acts with the credential of the workspace,
// which never leaves organizations. The JSON Schemas of the same shapes stand in organizations' module.yaml.
//
//	devices := productapi.Client{Call: host.Call}
//	page, err := devices.Devices(ctx, productapi.DeviceQuery{Product: productapi.Product{WorkspaceID: 1, ProductID: "12345"}})
//	if particle.Is(err, particle.RateLimited) {…}
//
// The service asks for no permission: whoever calls it has checked first that the person may do this to this device. It only makes
// sure that the product is one of the workspace's. A workspace or product that is not known is a fault.NotFound, what is outside of
// the contract a fault.Invalid; no call reaches Particle then. What Particle refuses comes as a *particle.Error.
package productapi

import "time"

// The service and its methods.
const (
	Service                = "particle.product"
	MethodProducts         = "products"          // in: {} out: Products; nothing is asked at Particle
	MethodDevices          = "devices"           // in: DeviceQuery out: Devices
	MethodDevice           = "device"            // in: DeviceRef out: OneDevice
	MethodStates           = "states"            // in: StateQuery out: States
	MethodVariable         = "variable"          // in: Name out: Value
	MethodCall             = "call"              // in: FunctionCall out: Returned; it is sent once and never again
	MethodPublish          = "publish"           // in: Publication out: Done
	MethodRename           = "rename"            // in: Name out: Done
	MethodSignal           = "signal"            // in: SignalSwitch out: Done
	MethodPing             = "ping"              // in: DeviceRef out: Pong
	MethodRelease          = "release"           // in: DeviceRef out: Done; ends the ownership, the device stays in the product
	MethodCustomers        = "customers"         // in: CustomerQuery out: Customers
	MethodCustomerDelete   = "customer_delete"   // in: CustomerRef out: Done
	MethodCustomerPassword = "customer_password" // in: CustomerPassword out: Done
	MethodEvents           = "events"            // in: Poll out: Events
)

// Limits of the inputs.
const (
	MaxPerPage    = 100              // devices and customers of a page
	MaxStates     = 500              // ids of one question for states
	MaxWait       = 25 * time.Second // of one poll for events
	MaxName       = 64               // characters of the name of a function, a variable or an event
	MaxArgument   = 1024             // bytes of a function's argument and of an event's data
	MaxDeviceName = 80               // characters
)

// Product names a product of a workspace. It is part of every input.
type Product struct {
	WorkspaceID int64  `json:"workspace_id"`
	ProductID   string `json:"product_id"` // Particle's number, never the slug
}

// DeviceRef names one device of a product.
type DeviceRef struct {
	Product
	DeviceID string `json:"device_id"` // 24 hex digits
}

// Name is a device's variable to read, or the device's new name.
type Name struct {
	DeviceRef
	Name string `json:"name"`
}

// FunctionCall is a function to call.
type FunctionCall struct {
	DeviceRef
	Name     string `json:"name"`
	Argument string `json:"argument"` // may be ""
}

// Publication is an event to publish.
type Publication struct {
	DeviceRef        // a DeviceID of "" publishes to the product, another one as if that device had done it
	Name      string `json:"name"`
	Data      string `json:"data"`
}

// SignalSwitch makes a device's light shout rainbows, or ends it.
type SignalSwitch struct {
	DeviceRef
	On bool `json:"on"`
}

// The orders of a list of devices.
const (
	SortSeen     = "seen" // by the last connection
	SortName     = "name"
	SortID       = "id"
	SortFirmware = "firmware"
)

// DeviceQuery asks for a page of devices.
type DeviceQuery struct {
	Product
	Page    int      `json:"page,omitempty"`     // from 1; 0 is the first
	PerPage int      `json:"per_page,omitempty"` // at most MaxPerPage; 0 means 25
	Search  string   `json:"search,omitempty"`   // part of an id or of a name, at most 80 characters
	Groups  []string `json:"groups,omitempty"`   // full names, at most 20; a device in any of them
	Sort    string   `json:"sort,omitempty"`     // "" is the last connected first
	Desc    bool     `json:"desc,omitempty"`     // with Sort
}

// StateQuery asks how many devices are at once.
type StateQuery struct {
	Product
	DeviceIDs []string `json:"device_ids"` // at most MaxStates
}

// CustomerQuery asks for a page of the customers that Particle has of a product.
type CustomerQuery struct {
	Product
	Page    int `json:"page,omitempty"`     // from 1; 0 is the first
	PerPage int `json:"per_page,omitempty"` // at most MaxPerPage; 0 means 25
}

// CustomerRef names a customer at Particle.
type CustomerRef struct {
	Product
	Username string `json:"username"` // lower case
}

// CustomerPassword is a customer's new password.
type CustomerPassword struct {
	CustomerRef
	Password string `json:"password"` // 8 to 200 characters
}

// Poll waits for events of a product. Ask again with the Cursor and the State of the answer.
type Poll struct {
	Product
	After  int64       `json:"after"`             // the Cursor of the answer before; 0: from now
	WaitMS int64       `json:"wait_ms,omitempty"` // how long to wait for the first event; at most MaxWait, 0 answers at once
	State  StreamState `json:"state,omitempty"`   // as the caller knows it: another one is told at once
}

// StreamState is how the event stream of a product is.
type StreamState string

// The states of a stream.
const (
	Connecting   StreamState = "connecting"
	Live         StreamState = "live"
	Reconnecting StreamState = "reconnecting" // it broke and is tried again; events are lost meanwhile
	Dead         StreamState = "dead"         // Particle refuses the workspace's credential: nothing comes until somebody renews it
)
