package main

import (
	"context"
	"net/http"

	"mortise/core/fault"
	"mortise/plugins/internal/particle"
)

// source is where a person has devices from, and through what these are reached: a linked Particle account (source_account.go), a product
// of the maker's (source_product.go), or nothing yet (absent, below). It is made for one request and speaks for its person.
//
// Errors of what is done with a device are those of the particle package, or faults of the service in between; explain has the words.
type source interface {
	// key names the source in the store and in memory: "account/12", "product/3/12345".
	key() string
	origin() origin
	// list gives the devices, or what was known of them. ctx speaks for the person, limited also ends when a page has waited long enough.
	list(ctx, limited context.Context, w wish) holding

	variable(ctx context.Context, device, name string) (any, error)
	call(ctx context.Context, device, function, argument string) (int, error)
	publish(ctx context.Context, device, name, data string) error
	rename(ctx context.Context, device, name string) error
	signal(ctx context.Context, device string, on bool) error
	ping(ctx context.Context, device string) (online bool, err error)

	// events tells where the source's events come from; nil for none.
	events() *feedSource
	// still tells, while a page is open, whether the person still has the device.
	still(ctx context.Context, device string) bool
	// words are those for a failure; name is the device's, or "" when no single one is meant.
	words(err error, name string) *trouble
	// explain gives the words too, and does what can be done about the failure.
	explain(ctx context.Context, err error, name string) *trouble
}

// wish narrows a list.
type wish struct {
	id     string // this device alone; "" for all
	search string // devices whose name or id holds this, where the source has more than a list may show
	page   bool   // a page of the list is all that is shown of it: how the devices of very long lists are may be asked later, see byname.go
}

// origin is a source as pages name it.
type origin struct {
	Kind      string // account, product
	Label     string // the Particle user name, or the product's name
	AccountID int64  // of an account
	OwnNames  bool   // the person's name for a device is kept here and not at Particle
}

// The kinds of origins.
const (
	fromAccount = "account"
	fromProduct = "product"
)

// holding is what a source has: its devices, or why they could not be listed, with what was known of them.
type holding struct {
	source
	devices []particle.Device
	missing []particle.Device // that it should have and has not
	stale   bool              // devices are the last known ones, see trouble
	total   int               // of the source's devices, when it has more than are here; 0 otherwise
	trouble *trouble          // nil when all is well
	refusal *trouble          // why nothing can be done with the devices; nil when it can be tried
}

// target is the device that a request is about, and the source that has it.
type target struct {
	holding
	device particle.Device
}

// name is what people call the device.
func (t *target) name() string { return nameOf(t.device) }

func nameOf(d particle.Device) string {
	if d.Name != "" {
		return d.Name
	}
	return "Device " + d.ID[max(0, len(d.ID)-6):]
}

// unknownDevice is a device of which nobody could be asked.
func unknownDevice(id, name string) particle.Device {
	return particle.Device{ID: id, Name: name, PlatformID: unknownPlatform}
}

const unknownPlatform = -1

// absent stands for devices that the person should have and that nothing reaches. why says so, for each of them.
type absent struct {
	from origin
	id   string
	why  *trouble
}

var errAbsent = fault.New(fault.Conflict, "the device is not there")

func absentHolding(h source, devices []particle.Device, why *trouble) holding {
	return holding{source: &absent{from: h.origin(), id: h.key(), why: why}, devices: devices, stale: true, trouble: why, refusal: why}
}

func (a *absent) key() string    { return a.id }
func (a *absent) origin() origin { return a.from }

func (a *absent) list(context.Context, context.Context, wish) holding { return holding{source: a} }

func (a *absent) variable(context.Context, string, string) (any, error) { return nil, errAbsent }
func (a *absent) call(context.Context, string, string, string) (int, error) {
	return 0, errAbsent
}
func (a *absent) publish(context.Context, string, string, string) error { return errAbsent }
func (a *absent) rename(context.Context, string, string) error          { return errAbsent }
func (a *absent) signal(context.Context, string, bool) error            { return errAbsent }
func (a *absent) ping(context.Context, string) (bool, error)            { return false, errAbsent }

func (a *absent) events() *feedSource                             { return nil }
func (a *absent) still(context.Context, string) bool              { return false }
func (a *absent) words(error, string) *trouble                    { return a.why }
func (a *absent) explain(context.Context, error, string) *trouble { return a.why }

// waitingFor is why a device that the maker gave the person cannot be used: it is not in the person's own Particle account.
func waitingFor(id string) *trouble {
	return &trouble{Kind: "not_in_account", Message: "This device is not yet in your Particle account.", Remedy: "Set it up, and it appears here by itself.",
		Setup: "/customers/setup?device=" + id, Status: http.StatusConflict}
}

// lostAt is why a device that the maker gave the person cannot be used: its product does not have it any more.
func lostAt() *trouble {
	return &trouble{Kind: "not_in_product", Message: "The maker's product does not have this device any more.", Remedy: "Ask the staff of this site; quote the device's id.",
		Status: http.StatusConflict}
}
