package main

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"sync"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/tokenapi"
)

// holding is what one account has: its devices, or why they could not be listed, with what was known of them.
type holding struct {
	account tokenapi.Account
	devices []particle.Device
	stale   bool     // devices are the last known ones, see trouble
	trouble *trouble // nil when all is well
}

// target is the device that a request is about, and the account that has it.
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

// holdings lists the devices of every account of whoever asks, in parallel and within the patience of a page.
func (m *Devices) holdings(ctx context.Context) ([]holding, error) {
	accounts, err := m.accountsOf(ctx)
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, m.patience.list)
	defer cancel()
	all := make([]holding, len(accounts))
	var running sync.WaitGroup
	for i, acc := range accounts {
		running.Go(func() { all[i] = m.hold(ctx, limited, acc) })
	}
	running.Wait()
	return all, ctx.Err()
}

// hold lists one account. ctx speaks for the person, limited also ends when a page has waited long enough.
func (m *Devices) hold(ctx, limited context.Context, acc tokenapi.Account) holding {
	h := holding{account: acc}
	if acc.State != tokenapi.Active {
		h.trouble = troubleOf(&particle.Error{Kind: particle.DeadToken}, "")
		return m.remember(ctx, h)
	}
	devices, err := m.lists.get(limited, acc)
	switch {
	case err == nil:
		h.devices = devices
		return h
	case particle.Is(err, particle.DeadToken) && m.reportDead(ctx, acc):
		h.trouble = &trouble{Kind: "renewed", Message: "The link to " + acc.Label + " has just been renewed.", Remedy: "Load the page again.", Status: http.StatusServiceUnavailable}
	case errors.Is(err, context.DeadlineExceeded):
		h.trouble = troubleOf(&particle.Error{Kind: particle.NoAnswer}, "")
	default:
		h.trouble = troubleOf(err, "")
	}
	return m.remember(ctx, h)
}

// remember fills a holding with what was known. Of a dead account nothing is shown but that: its devices cannot be reached.
func (m *Devices) remember(ctx context.Context, h holding) holding {
	h.stale = true
	rows, err := m.records.lastSeen(ctx, sdk.UserFrom(ctx).UserID, h.account.ID)
	if err != nil {
		m.host.Log().Warn("the last known devices cannot be read", "error", err)
	}
	for _, row := range rows {
		d := row.device()
		d.Online = false // nobody knows
		h.devices = append(h.devices, d)
	}
	return h
}

var deviceID = regexp.MustCompile(`^[0-9a-f]{24}$`)

var errNoDevice = fault.New(fault.NotFound, "You have no device with this id. It may belong to another Particle account, or the id is misspelt.")

// find looks the device of the path up among the devices of whoever asks. For everything else the answer is the same 404,
// whether the id exists for somebody else or for nobody, and the cloud is asked for nothing but the person's own lists.
func (m *Devices) find(r *http.Request) (*target, error) {
	id := strings.ToLower(r.PathValue("id"))
	if !deviceID.MatchString(id) {
		return nil, errNoDevice
	}
	all, err := m.holdings(r.Context())
	if err != nil {
		return nil, err
	}
	var missing *trouble
	for _, h := range all {
		for _, d := range h.devices {
			if strings.EqualFold(d.ID, id) {
				d.ID = id
				return &target{holding: h, device: d}, nil
			}
		}
		if h.trouble != nil && !h.trouble.Relink {
			missing = h.trouble
		}
	}
	if missing != nil { // the device may be in the account that could not be listed
		return nil, missing.fault()
	}
	return nil, errNoDevice
}

// failedCall explains what the cloud answered for a device, and tells linking about a refused token.
func (m *Devices) failedCall(ctx context.Context, t *target, err error) *trouble {
	if !particle.Is(err, particle.DeadToken) {
		return troubleOf(err, t.name())
	}
	if m.reportDead(ctx, t.account) {
		return &trouble{Kind: "renewed", Message: "The link to Particle had ended and has just been renewed. Nothing was sent to the device.", Remedy: "Try again.", Status: http.StatusServiceUnavailable}
	}
	return troubleOf(err, t.name())
}
