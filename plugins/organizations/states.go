package main

import (
	"context"
	"sync"
	"time"

	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/productapi"
)

const (
	maxFleets     = 64     // products whose states are kept
	maxFleet      = 20_000 // devices of one product
	maxKeptStates = 40_000 // devices of all products, about 20 MiB
	fewDevices    = 4      // so many are asked one by one where that costs less than a listing
	pageOfFleet   = 100
)

// fleets keeps how the devices of products are, for the lists that many people look at.
//
//	question ──► all fresh: answered from here
//	         ──► few unknown in a large product: asked one by one, once for everybody who waits
//	         ──► otherwise: one listing of the product, at most one in a few seconds, once for everybody who waits
//	Particle fails ──► the last answer, marked as stale; asked again after a while
//
// A product of more than 20 pages is listed less often: a listing takes at most four requests a second.
type fleets struct {
	m       *Organizations
	ctx     context.Context // of the questions, which nobody who waits owns
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu   sync.Mutex
	byID map[productKey]*fleet
}

// fleet is one product. Its mutex is never held while Particle is asked.
type fleet struct {
	of  *fleets
	key productKey

	mu      sync.Mutex
	devices map[string]*deviceState
	wanted  map[string]bool // ids that a listing must keep, however many devices there are
	used    time.Time       // for forgetting the one that nobody asks for

	listing *flight
	asking  map[string]*flight // devices that are being asked for one by one

	complete    bool      // devices holds every device of the last listing: another id is not in the product
	listedAt    time.Time // when the last listing was begun
	freshUntil  time.Time // before then there is no other listing
	pages       int       // of the last listing, or as the product's count promises
	singles     int       // devices asked for one by one since window
	window      time.Time
	onlyListing bool // the credential may list devices and not ask for one

	failedUntil time.Time // before then Particle is left in peace
	why         *productapi.Problem
}

// deviceState is a device as it was at a time.
type deviceState struct {
	device productapi.Device
	gone   bool      // the product does not have it
	at     time.Time // when Particle was asked
	fresh  time.Time // until when nobody asks again
	heard  time.Time // of the last event about its connection
}

// flight is a question under way, for everybody who wants its answer.
type flight struct {
	done chan struct{}
	err  error // read after done
}

func newFleets(m *Organizations) *fleets {
	ctx, cancel := context.WithCancel(m.host.Context())
	return &fleets{m: m, ctx: ctx, cancel: cancel, byID: map[productKey]*fleet{}}
}

// of finds the fleet of a product. A product is looked for in the store the first time, and at each listing.
func (s *fleets) of(ctx context.Context, key productKey) (*fleet, error) {
	s.mu.Lock()
	f := s.byID[key]
	s.mu.Unlock()
	if f != nil {
		return f, nil
	}
	_, p, err := s.m.productOf(ctx, key)
	if err != nil {
		return nil, err
	}
	fresh := &fleet{of: s, key: key, devices: map[string]*deviceState{}, wanted: map[string]bool{}, asking: map[string]*flight{}, pages: 1,
		used: s.m.now()}
	if p.Devices != nil {
		fresh.pages = pagesOf(*p.Devices)
	}
	s.mu.Lock()
	if f = s.byID[key]; f == nil {
		f = fresh
		s.byID[key] = f
	}
	s.mu.Unlock()
	s.trim(f)
	return f, nil
}

func pagesOf(devices int) int { return max(1, (devices+pageOfFleet-1)/pageOfFleet) }

// known gives a fleet that is kept, or nil.
func (s *fleets) known(key productKey) *fleet {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byID[key]
}

// forget lets go of all products of a workspace: it was removed, or has another credential.
func (s *fleets) forget(workspaceID int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.byID {
		if key.workspace == workspaceID {
			delete(s.byID, key)
		}
	}
}

// renew has the next question about a product listed anew: devices were added or taken out here, and somebody may want to attach them in
// the next second.
func (s *fleets) renew(key productKey) {
	f := s.known(key)
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.freshUntil, f.complete = time.Time{}, false
	for _, d := range f.devices {
		d.fresh = time.Time{}
	}
}

func (s *fleets) drop(f *fleet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID[f.key] == f {
		delete(s.byID, f.key)
	}
}

// trim forgets the products that were not asked for the longest, until what is kept is bounded. keep stays.
func (s *fleets) trim(keep *fleet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		held := 0
		var oldest *fleet
		var since time.Time
		for _, f := range s.byID {
			f.mu.Lock()
			held += len(f.devices)
			if f != keep && (oldest == nil || f.used.Before(since)) {
				oldest, since = f, f.used
			}
			f.mu.Unlock()
		}
		if oldest == nil || len(s.byID) <= maxFleets && held <= maxKeptStates {
			return
		}
		delete(s.byID, oldest.key)
	}
}

// heard takes news about a device's connection.
func (s *fleets) heard(key productKey, id string, online bool, at time.Time) {
	f := s.known(key)
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if d := f.devices[id]; d != nil && !d.gone && !at.Before(d.heard) {
		d.device.Online, d.heard = online, at
		if online && (d.device.LastHeard == nil || at.After(*d.device.LastHeard)) {
			d.device.LastHeard = &at
		}
	}
}

// saw takes what somebody has just learnt about a device by itself.
func (s *fleets) saw(key productKey, d particle.Device, asked time.Time) {
	if f := s.known(key); f != nil {
		f.mu.Lock()
		f.put(viewOfState(d), asked)
		f.mu.Unlock()
	}
}

// changed has a device asked for anew: something was changed at Particle.
func (s *fleets) changed(key productKey, id string) {
	f := s.known(key)
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if d := f.devices[id]; d != nil {
		d.fresh = time.Time{}
	}
}

// close gives up what is under way and waits for it.
func (s *fleets) close() {
	s.cancel()
	s.running.Wait()
}

// put keeps a device as it was when Particle was asked. What an event has told since then stays.
func (f *fleet) put(d productapi.Device, asked time.Time) {
	state := &deviceState{device: d, at: asked, fresh: f.of.m.now().Add(f.life())}
	if before := f.devices[d.ID]; before != nil && !before.gone {
		if before.at.After(asked) {
			return
		}
		if before.heard.After(asked) {
			state.heard, state.device.Online = before.heard, before.device.Online
			state.device.LastHeard = before.device.LastHeard
		}
	}
	f.devices[d.ID] = state
}

// life is how long an answer is good for: longer where a listing takes many requests.
func (f *fleet) life() time.Duration {
	return max(f.of.m.patience.fresh, time.Duration(f.pages)*250*time.Millisecond)
}

// stale lists the ids of which nothing fresh is known.
func (f *fleet) stale(ids []string, now time.Time) []string {
	var list []string
	for _, id := range ids {
		d := f.devices[id]
		if d == nil && f.complete && now.Before(f.freshUntil) || d != nil && now.Before(d.fresh) {
			continue
		}
		list = append(list, id)
	}
	return list
}

// answer tells what is known of the ids. stale says that some of it is old.
func (f *fleet) answer(ids []string, stale bool, now time.Time) productapi.States {
	out := productapi.States{Devices: make([]productapi.Device, 0, len(ids)), Missing: []string{}, Stale: stale, At: now}
	for _, id := range ids {
		d := f.devices[id]
		at := f.listedAt
		switch {
		case d != nil && !d.gone:
			out.Devices = append(out.Devices, d.device)
			at = d.at
		case d != nil:
			out.Missing = append(out.Missing, id)
			at = d.at
		case f.complete:
			out.Missing = append(out.Missing, id)
		default:
			continue
		}
		if at.Before(out.At) {
			out.At = at
		}
	}
	if stale && now.Before(f.failedUntil) {
		out.Why = f.why
		if len(out.Devices)+len(out.Missing) == 0 {
			out.Problem = f.why
		}
	}
	return out
}
