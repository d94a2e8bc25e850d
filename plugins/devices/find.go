package main

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"

	"mortise/core/fault"
	"mortise/plugins/internal/attachapi"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/tokenapi"
)

// found is what a person has, as far as it can be known now.
type found struct {
	holdings []holding
	accounts int      // linked ones
	linking  bool     // accounts can be linked on this site
	attached bool     // the maker can give people devices on this site
	byName   bool     // the devices are too many to be asked how they are for a page of them, see byname.go
	notices  []string // what cannot be looked up at the moment, as sentences
}

// rights are what the person of a request may reach.
type rights struct {
	accounts []tokenapi.Account
	attached attachapi.Attached

	accountsErr, attachedErr error // errUnused; or fault.Unavailable, with a sentence
}

// rightsOf asks linking and customers, at once. They are asked on each request: what was taken away is gone at once.
func (m *Devices) rightsOf(ctx context.Context) (rights, error) {
	var r rights
	var running sync.WaitGroup
	running.Go(func() { r.accounts, r.accountsErr = m.accountsOf(ctx) })
	running.Go(func() { r.attached, r.attachedErr = m.attachedOf(ctx) })
	running.Wait()
	for _, err := range []error{ctx.Err(), r.accountsErr, r.attachedErr} {
		if err != nil && !errors.Is(err, errUnused) && !fault.Is(err, fault.Unavailable) {
			return rights{}, err
		}
	}
	return r, nil
}

// attachment finds a device among those that are attached to the person by themselves.
func (r *rights) attachment(id string) *attachapi.Attachment {
	i := slices.IndexFunc(r.attached.Devices, func(a attachapi.Attachment) bool { return a.DeviceID == id })
	if i < 0 {
		return nil
	}
	return &r.attached.Devices[i]
}

// lookUp lists what whoever asks has, each source in parallel and within the patience of a page. A device that several sources have
// appears once: through the product when the maker gave it that way, else through the linked account.
func (m *Devices) lookUp(ctx context.Context, w wish) (*found, error) {
	r, err := m.rightsOf(ctx)
	if err != nil {
		return nil, err
	}
	sources, err := m.sourcesOf(ctx, &r, w)
	if err != nil {
		return nil, err
	}
	f := &found{accounts: len(r.accounts), linking: !errors.Is(r.accountsErr, errUnused), attached: !errors.Is(r.attachedErr, errUnused)}
	for _, err := range []error{r.accountsErr, r.attachedErr} {
		if text, visible := fault.Visible(err); err != nil && visible && fault.Is(err, fault.Unavailable) {
			f.notices = append(f.notices, text)
		}
	}
	if w.page {
		f.byName = m.postpone(sources)
	}
	limited, cancel := context.WithTimeout(ctx, m.patience.list)
	defer cancel()
	f.holdings = make([]holding, len(sources))
	var running sync.WaitGroup
	for i, s := range sources {
		running.Go(func() { f.holdings[i] = s.list(ctx, limited, w) })
	}
	running.Wait()
	if w.id == "" { // of one device customers has been asked already
		if err := m.leaveOut(ctx, f); err != nil {
			return nil, err
		}
	}
	f.settle(&r, w)
	return f, ctx.Err()
}

// sourcesOf gives the sources to ask, those of the maker's products first. For one device only those that can have it are asked.
func (m *Devices) sourcesOf(ctx context.Context, r *rights, w wish) ([]source, error) {
	var sources []source
	given := r.attachment(w.id)
	if given == nil && w.id != "" && len(r.attached.Products) > 0 {
		verdict, err := m.verdictOf(ctx, w.id)
		if err != nil && !errors.Is(err, errUnused) && !fault.Is(err, fault.Unavailable) {
			return nil, err
		}
		if err != nil {
			r.attachedErr = err
		}
		if verdict.Product == nil {
			r.attached.Products = nil
		}
	}
	if given == nil || given.Way != attachapi.Account {
		products, err := m.productsOf(ctx, r, w)
		if err != nil {
			return nil, err
		}
		sources = products
	}
	if given == nil || given.Way == attachapi.Account {
		for _, acc := range r.accounts {
			sources = append(sources, &linkedAccount{m: m, acc: acc})
		}
	}
	return sources, nil
}

// settle has each device appear once, and adds those that should be there and are not.
func (f *found) settle(r *rights, w wish) {
	have := map[string]bool{}
	var lost []holding
	unsure := r.accountsErr != nil && !errors.Is(r.accountsErr, errUnused)
	for i := range f.holdings {
		h := &f.holdings[i]
		unsure = unsure || h.origin().Kind == fromAccount && h.trouble != nil
		double := func(d particle.Device) bool { return have[strings.ToLower(d.ID)] }
		if slices.ContainsFunc(h.devices, double) {
			h.devices = slices.DeleteFunc(slices.Clone(h.devices), double)
		}
		for _, d := range h.devices {
			have[strings.ToLower(d.ID)] = true
		}
		if len(h.missing) > 0 {
			lost = append(lost, absentHolding(h.source, h.missing, lostAt()))
		}
	}
	f.holdings = append(f.holdings, lost...)
	for _, a := range r.attached.Devices {
		if a.Way != attachapi.Account || have[a.DeviceID] || w.id != "" && w.id != a.DeviceID {
			continue
		}
		why := waitingFor(a.DeviceID)
		if unsure { // it may well be in the account that cannot be listed
			why = &trouble{Kind: "unknown", Message: "Your Particle account cannot be looked up at the moment.", Remedy: "This device should be in it. Try again in a minute.", Status: http.StatusServiceUnavailable}
		}
		from := &absent{from: origin{Kind: fromProduct, Label: a.Product}, id: productKey(a.WorkspaceID, a.ProductID)}
		f.holdings = append(f.holdings, absentHolding(from, []particle.Device{unknownDevice(a.DeviceID, a.Name)}, why))
	}
}

// isDeviceID tells whether s is a device's id, in lower case.
func isDeviceID(s string) bool { return len(s) == 24 && strings.Trim(s, "0123456789abcdef") == "" }

var errNoDevice = fault.New(fault.NotFound, "You have no device with this id. It may belong to somebody else or to another Particle account, or the id is misspelt.")

// find looks the device of the path up among the devices of whoever asks. For everything else the answer is the same 404,
// whether the id exists for somebody else or for nobody, and the cloud is asked for nothing but what the person has.
func (m *Devices) find(r *http.Request) (*target, error) {
	id := strings.ToLower(r.PathValue("id"))
	if !isDeviceID(id) {
		return nil, errNoDevice
	}
	f, err := m.lookUp(r.Context(), wish{id: id})
	if err != nil {
		return nil, err
	}
	var missing error
	if len(f.notices) > 0 {
		missing = fault.New(fault.Unavailable, "%s", f.notices[0])
	}
	for _, h := range f.holdings {
		for _, d := range h.devices {
			if strings.EqualFold(d.ID, id) {
				d.ID = id
				return &target{holding: h, device: d}, nil
			}
		}
		if h.trouble != nil && !h.trouble.Relink {
			missing = h.trouble.fault()
		}
	}
	if missing != nil { // the device may be where nothing could be listed
		return nil, missing
	}
	return nil, errNoDevice
}
