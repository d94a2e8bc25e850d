package main

import (
	"context"
	"slices"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/internal/attachapi"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/productapi"
)

// attachedOf asks customers what the maker has given whoever ctx speaks for.
func (m *Devices) attachedOf(ctx context.Context) (attachapi.Attached, error) {
	var answer attachapi.Attached
	err := m.customers.ask(ctx, func() error { return m.host.Call(ctx, attachapi.Service, attachapi.List, struct{}{}, &answer) })
	return answer, err
}

// verdictOf asks customers about one device. Of a whole product it is the authority too: a device of it that is attached to somebody else
// is not the person's.
func (m *Devices) verdictOf(ctx context.Context, id string) (attachapi.Verdict, error) {
	var answer attachapi.Verdict
	err := m.customers.ask(ctx, func() error {
		return m.host.Call(ctx, attachapi.Service, attachapi.Check, attachapi.Question{DeviceID: id}, &answer)
	})
	return answer, err
}

// leaveOut takes out of whole products what is attached to somebody else: opening it would find nothing. While that cannot be found out, only
// what is attached to the person by itself is shown of them.
func (m *Devices) leaveOut(ctx context.Context, f *found) error {
	var ids []string
	for _, h := range f.holdings {
		if p, ok := h.source.(*fleet); ok && p.whole {
			ids = append(ids, p.notGiven(h.devices)...)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	others := map[string]bool{}
	for part := range slices.Chunk(ids, attachapi.MaxIDs) {
		var answer attachapi.Devices
		err := m.customers.ask(ctx, func() error {
			return m.host.Call(ctx, attachapi.Service, attachapi.Others, attachapi.Devices{DeviceIDs: part}, &answer)
		})
		if text, visible := fault.Visible(err); visible && fault.Is(err, fault.Unavailable) {
			f.notices = append(f.notices, text)
			answer.DeviceIDs = ids
		} else if err != nil {
			return err
		}
		for _, id := range answer.DeviceIDs {
			others[id] = true
		}
		if err != nil {
			break
		}
	}
	for i := range f.holdings {
		if p, ok := f.holdings[i].source.(*fleet); ok && p.whole {
			f.holdings[i].devices = slices.DeleteFunc(f.holdings[i].devices, func(d particle.Device) bool { return others[d.ID] })
		}
	}
	return nil
}

// notGiven are the ids of devices that the person has because of the whole product alone.
func (p *fleet) notGiven(devices []particle.Device) []string {
	var ids []string
	for _, d := range devices {
		if _, attached := p.given[d.ID]; !attached && isDeviceID(d.ID) {
			ids = append(ids, d.ID)
		}
	}
	return ids
}

// productsOf gives the products through which the person has devices. For one device it is the one to which it is attached, or those
// that are the person's as a whole. A product whose way is the person's own account gives nothing by itself: the maker's credential is
// not used for it.
func (m *Devices) productsOf(ctx context.Context, r *rights, w wish) ([]source, error) {
	byKey, keys := map[string]*fleet{}, []string{}
	of := func(workspace int64, product, label string) *fleet {
		key := productKey(workspace, product)
		if byKey[key] == nil {
			byKey[key] = &fleet{m: m, product: productapi.Product{WorkspaceID: workspace, ProductID: product}, label: label,
				user: sdk.UserFrom(ctx).UserID, given: map[string]attachapi.Attachment{}}
			keys = append(keys, key)
		}
		return byKey[key]
	}
	for _, a := range r.attached.Devices {
		if a.Way != attachapi.Account && isDeviceID(a.DeviceID) && (w.id == "" || w.id == a.DeviceID) {
			of(a.WorkspaceID, a.ProductID, a.Product).given[a.DeviceID] = a
		}
	}
	if len(keys) == 0 || w.id == "" {
		for _, g := range r.attached.Products {
			if g.Way != attachapi.Account {
				of(g.WorkspaceID, g.ProductID, g.Product).whole = true
			}
		}
	}
	if len(keys) == 0 {
		return nil, nil
	}
	names, err := m.records.names(ctx, sdk.UserFrom(ctx).UserID)
	if err != nil {
		return nil, err
	}
	sources := make([]source, 0, len(keys))
	for _, key := range keys {
		byKey[key].names = names
		sources = append(sources, byKey[key])
	}
	return sources, nil
}
