package main

import (
	"context"
	"time"

	"mortise/core/fault"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/productapi"
)

const (
	listingLimit = time.Minute      // for a whole listing
	retryStates  = 10 * time.Second // after a failure
	retryRefused = time.Minute      // after a refusal of the credential, or 429
)

// serveStates tells how many devices are at once. It waits for Particle for a few seconds at most, and then tells what is known.
func (m *Organizations) serveStates(ctx context.Context, in productapi.StateQuery) (out productapi.States, err error) {
	key, err := keyOfProduct(in.Product)
	if err != nil {
		return out, err
	}
	ids, err := idsOf(in.DeviceIDs)
	if err != nil {
		return out, err
	}
	f, err := m.fleets.of(ctx, key)
	if err != nil {
		return out, err
	}
	return f.states(ctx, ids)
}

// idsOf reads a list of device ids; one that comes twice is told once.
func idsOf(list []string) ([]string, error) {
	if len(list) > productapi.MaxStates {
		return nil, wrongField("device_ids", "500 devices at most")
	}
	ids, seen := make([]string, 0, len(list)), make(map[string]bool, len(list))
	for _, one := range list {
		id, err := idOf(one)
		if err != nil {
			return nil, wrongField("device_ids", "a device id has 24 hexadecimal digits")
		}
		if !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func (f *fleet) states(ctx context.Context, ids []string) (productapi.States, error) {
	m := f.of.m
	patience := time.NewTimer(m.patience.listed)
	defer patience.Stop()
	for round := 0; ; round++ {
		f.mu.Lock()
		now := m.now()
		f.used = now
		old := f.stale(ids, now)
		if len(old) == 0 || now.Before(f.failedUntil) || round == 3 {
			out := f.answer(ids, len(old) > 0, now)
			f.mu.Unlock()
			return out, nil
		}
		flights := f.plan(old, now)
		if len(flights) == 0 {
			out := f.answer(ids, true, now)
			f.mu.Unlock()
			return out, nil
		}
		f.mu.Unlock()
		for _, one := range flights {
			select {
			case <-one.done:
			case <-patience.C:
				f.mu.Lock()
				out := f.answer(ids, true, m.now())
				f.mu.Unlock()
				return out, nil
			case <-ctx.Done():
				return productapi.States{}, fault.Wrap(fault.Unavailable, ctx.Err(), "The question was given up before Particle answered.")
			}
			if one.err != nil {
				return productapi.States{}, one.err
			}
		}
	}
}

// plan begins what has to be asked, or joins what is under way. Nothing: all that may be asked for now was asked.
func (f *fleet) plan(old []string, now time.Time) []*flight {
	if len(f.wanted) < maxFleet {
		for _, id := range old {
			f.wanted[id] = true
		}
	}
	if now.After(f.window) {
		f.window, f.singles = now.Add(f.life()), 0
	}
	var flights []*flight
	var fresh []string
	for _, id := range old {
		if one := f.asking[id]; one != nil {
			flights = append(flights, one)
		} else {
			fresh = append(fresh, id)
		}
	}
	listed := now.Before(f.freshUntil)
	budget := f.pages - 1 // a listing costs as many requests, and tells more
	if listed {
		budget = max(budget, fewDevices)
	}
	switch {
	case len(fresh) == 0:
	case f.listing != nil:
		flights = append(flights, f.listing)
	case !f.onlyListing && len(fresh) <= fewDevices && f.singles+len(fresh) <= budget:
		f.singles += len(fresh)
		for _, id := range fresh {
			flights = append(flights, f.askOne(id))
		}
	case !listed:
		flights = append(flights, f.askAll())
	}
	return flights
}

// askOne asks for one device. The fleet's mutex is held.
func (f *fleet) askOne(id string) *flight {
	one := &flight{done: make(chan struct{})}
	f.asking[id] = one
	m := f.of.m
	f.of.running.Go(func() {
		defer close(one.done)
		ctx, cancel := context.WithTimeout(f.of.ctx, listingLimit)
		defer cancel()
		asked := m.now()
		t, err := m.reach(ctx, f.key)
		var d particle.Device
		if err == nil {
			d, err = t.fleet().Device(ctx, t.token, id)
		}
		gone := particle.IsGone(err)
		if err != nil && !gone {
			one.err = f.failed(ctx, t, err, true)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.asking, id)
		switch {
		case err == nil:
			f.put(viewOfState(d), asked)
		case gone && len(f.devices) < maxFleet:
			f.devices[id] = &deviceState{gone: true, at: asked, fresh: m.now().Add(f.life())}
		}
	})
	return one
}

// askAll lists the product. The fleet's mutex is held.
func (f *fleet) askAll() *flight {
	one := &flight{done: make(chan struct{})}
	f.listing = one
	f.of.running.Go(func() {
		defer close(one.done)
		ctx, cancel := context.WithTimeout(f.of.ctx, listingLimit)
		defer cancel()
		one.err = f.list(ctx)
		f.mu.Lock()
		f.listing = nil
		f.mu.Unlock()
		f.of.trim(f)
	})
	return one
}

// list asks for all devices of the product and keeps them in place of those before. Its error is not Particle's: that one is kept.
func (f *fleet) list(ctx context.Context) error {
	m := f.of.m
	asked := m.now()
	f.mu.Lock()
	wanted := f.wanted
	f.wanted = map[string]bool{}
	f.mu.Unlock()
	var found []productapi.Device
	all := 0
	t, err := m.reach(ctx, f.key)
	if err == nil {
		err = t.cloud.EachProductDevice(ctx, t.token, f.key.product, particle.DeviceQuery{}, func(d particle.Device) error {
			if all++; len(found) < maxFleet || wanted[particle.NormalID(d.ID)] {
				found = append(found, viewOfState(d))
			}
			return nil
		})
	}
	if err != nil {
		return f.failed(ctx, t, err, false)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pages, f.complete, f.listedAt = pagesOf(all), len(found) == all, asked
	f.freshUntil, f.failedUntil, f.why = m.now().Add(f.life()), time.Time{}, nil
	before := f.devices
	f.devices = make(map[string]*deviceState, len(found))
	for _, d := range found {
		if old := before[d.ID]; old != nil {
			f.devices[d.ID] = old
		}
		f.put(d, asked)
	}
	return nil
}

// failed keeps why Particle could not be asked, so that it is left in peace for a while. An error that is not Particle's is given back.
func (f *fleet) failed(ctx context.Context, t *target, err error, single bool) error {
	m := f.of.m
	if t != nil && f.of.known(f.key) == f { // otherwise it was another credential
		m.troubleIn(ctx, t.workspace, err, "")
	}
	p, ok := problemOf(err)
	if !ok {
		if fault.Is(err, fault.NotFound) {
			f.of.drop(f)
		}
		return err
	}
	wait := retryStates
	switch p.Kind {
	case particle.Denied, particle.MissingScope:
		if single { // to list may be allowed all the same
			f.mu.Lock()
			f.onlyListing = true
			f.mu.Unlock()
			return nil
		}
		wait = retryRefused
	case particle.DeadToken, particle.RateLimited:
		wait = max(retryRefused, time.Duration(p.RetryAfterMS)*time.Millisecond)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failedUntil, f.why = m.now().Add(wait), p
	return nil
}
