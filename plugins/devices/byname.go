package main

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"mortise/plugins/internal/particle"
)

// A person may have thousands of devices of the maker's. To sort them by what is online, the product would be asked about all of them for
// each page of sixty. Above fewDevices the list is sorted and searched by what is known here, and the product is asked only how those of
// the page are.
const (
	fewDevices = 2 * perPage
	maxGiven   = 3000 // devices that are attached to one person one by one; customers tells no more
)

// postpone has the states of devices be asked for later, when there are more than a few. Whole products and linked accounts, which list
// all they have at once, are not concerned.
func (m *Devices) postpone(sources []source) bool {
	var given []*fleet
	n := 0
	for _, s := range sources {
		if p, ok := s.(*fleet); ok && !p.whole {
			given, n = append(given, p), n+len(p.given)
		}
	}
	if n <= m.few {
		return false
	}
	for _, p := range given {
		p.later = true
	}
	return true
}

// listByName gives the attached devices with their names, and nothing else about them. A device that was shown before has the name that
// it had in the fleet then.
func (p *fleet) listByName(ctx context.Context) holding {
	last, err := p.m.records.fleetNames(ctx, p.user, p.key())
	if err != nil {
		p.m.host.Log().Warn("the last known names cannot be read", "error", err)
	}
	h := holding{source: p, devices: make([]particle.Device, 0, len(p.given))}
	for id, a := range p.given {
		h.devices = append(h.devices, unknownDevice(id, cmp.Or(last[id], a.Name)))
	}
	return h
}

// complete asks how the devices of a page are that were listed by name alone, each product once, and gives the ids of all of the page.
func (m *Devices) complete(ctx context.Context, page []listing) (ids []string) {
	waiting := map[*holding][]string{}
	for _, l := range page {
		ids = append(ids, l.id)
		if p, ok := l.holding.source.(*fleet); ok && p.later {
			waiting[l.holding] = append(waiting[l.holding], l.id)
		}
	}
	limited, cancel := context.WithTimeout(ctx, m.patience.list)
	defer cancel()
	var running sync.WaitGroup
	var mu sync.Mutex
	answers := make(map[*holding]holding, len(waiting))
	for h, wanted := range waiting {
		running.Go(func() {
			p := h.source.(*fleet)
			slices.Sort(wanted)
			got := p.listGiven(ctx, limited, wanted)
			p.callThem(got.devices)
			mu.Lock()
			defer mu.Unlock()
			answers[h] = got
		})
	}
	running.Wait()
	for h, got := range answers { // the sources' own holdings have to tell of a trouble
		h.stale, h.trouble, h.refusal = got.stale, got.trouble, got.refusal
	}
	for i := range page {
		if got, ok := answers[page[i].holding]; ok {
			page[i].learn(got)
		}
	}
	return ids
}

// learn takes what the product says of the device.
func (l *listing) learn(got holding) {
	same := func(d particle.Device) bool { return d.ID == l.id }
	if i := slices.IndexFunc(got.devices, same); i >= 0 {
		l.holding, l.device = &got, &got.devices[i]
		return
	}
	unknown := got
	if unknown.stale = true; slices.ContainsFunc(got.missing, same) {
		unknown = absentHolding(got.source, nil, lostAt())
	}
	l.holding = &unknown
}
