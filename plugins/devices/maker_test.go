package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/internal/attachapi"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/productapi"
)

const (
	pump    = "0b10aced202194944a000001" // of the product
	heater  = "0b10aced202194944a000002" // of the product, offline
	product = "12345"
	pumps   = "product/3/12345"
)

// maker stands for the modules customers and organizations, with one product.
type maker struct {
	mu       sync.Mutex
	attached map[int64]attachapi.Attached // by person
	devices  map[string]productapi.Device
	led      map[string]string // by device

	customersAway, productAway bool
	problem                    *productapi.Problem // of every answer of the product
	fail                       error               // of every call of the product
	stale                      bool                // of states
	othersFail                 error               // of customers, asked whose devices of a product are

	calls  map[string]int // by method; "list" is that of customers
	sent   []productapi.FunctionCall
	events []productapi.Event
	news   chan struct{} // closed at each event
	state  productapi.StreamState
	polls  int // under way
	stated int // ids of all questions for states
}

func newMaker() *maker {
	m := &maker{attached: map[int64]attachapi.Attached{}, devices: map[string]productapi.Device{}, led: map[string]string{}, calls: map[string]int{},
		customersAway: true, productAway: true, news: make(chan struct{}), state: productapi.Live}
	heard := time.Date(2026, 3, 14, 15, 9, 0, 0, time.UTC)
	for id, name := range map[string]string{pump: "fleet-0017", heater: "fleet-0018"} {
		m.devices[id] = productapi.Device{ID: id, Name: name, Online: id == pump, LastHeard: &heard, ProductID: product, PlatformID: 12, Firmware: 4,
			Notes: "returned once", Functions: []string{"led"}, Variables: map[string]string{"led": "string"}}
		m.led[id] = "off"
	}
	return m
}

// here has both modules run.
func (m *maker) here() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.customersAway, m.productAway = false, false
}

// set changes the maker under its lock.
func (m *maker) set(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
}

func given(id string, way attachapi.Way) attachapi.Attachment {
	return attachapi.Attachment{DeviceID: id, Name: "as sold", WorkspaceID: 3, ProductID: product, Product: "Garden pumps", Way: way, AttachedAt: time.Now()}
}

func (m *maker) attach(person sdk.Identity, devices ...attachapi.Attachment) {
	m.here()
	m.set(func() {
		m.attached[person.UserID] = attachapi.Attached{Devices: devices, Products: []attachapi.Grant{}}
	})
}

func (m *maker) grant(person sdk.Identity, way attachapi.Way) {
	m.here()
	m.set(func() {
		m.attached[person.UserID] = attachapi.Attached{Devices: []attachapi.Attachment{}, Products: []attachapi.Grant{{WorkspaceID: 3, ProductID: product, Product: "Garden pumps", Way: way}}}
	})
}

// asked counts the calls of the product, without polls for events.
func (m *maker) asked() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for method, calls := range m.calls {
		if method != attachapi.List && method != attachapi.Check && method != attachapi.Others && method != productapi.MethodEvents {
			n += calls
		}
	}
	return n
}

func (m *maker) count(method string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls[method]
}

func (m *maker) customers(ctx context.Context, method string, input []byte) (any, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls[method]++
	user := sdk.UserFrom(ctx)
	switch {
	case m.customersAway:
		return nil, fault.New(fault.Unavailable, "no enabled module provides the service customers.devices")
	case !user.SignedIn():
		return nil, fault.New(fault.SignedOut, "nobody asks")
	case method == attachapi.Check:
		return m.check(user.UserID, input)
	case method == attachapi.Others:
		return m.others(user.UserID, input)
	case method != attachapi.List:
		return nil, fault.New(fault.NotFound, "no such method")
	}
	a := m.attached[user.UserID]
	return attachapi.Attached{Devices: append([]attachapi.Attachment{}, a.Devices...), Products: append([]attachapi.Grant{}, a.Products...)}, nil
}

// check answers as customers does: a device that is attached to somebody is not part of a whole product for others.
func (m *maker) check(user int64, input []byte) (any, error) {
	var in attachapi.Question
	if err := json.Unmarshal(input, &in); err != nil {
		return nil, err
	}
	for i, own := range m.attached[user].Devices {
		if own.DeviceID == in.DeviceID {
			return attachapi.Verdict{Attached: true, Device: &m.attached[user].Devices[i]}, nil
		}
	}
	for _, other := range m.attached {
		if slices.ContainsFunc(other.Devices, func(a attachapi.Attachment) bool { return a.DeviceID == in.DeviceID }) {
			return attachapi.Verdict{}, nil
		}
	}
	if products := m.attached[user].Products; len(products) > 0 {
		return attachapi.Verdict{Product: &products[0]}, nil
	}
	return attachapi.Verdict{}, nil
}

func (m *maker) others(user int64, input []byte) (any, error) {
	var in attachapi.Devices
	if m.othersFail != nil {
		return nil, m.othersFail
	}
	if err := json.Unmarshal(input, &in); err != nil || len(in.DeviceIDs) > attachapi.MaxIDs {
		return nil, fault.New(fault.Invalid, "%d ids, %v", len(in.DeviceIDs), err)
	}
	out := attachapi.Devices{DeviceIDs: []string{}}
	for person, other := range m.attached {
		for _, a := range other.Devices {
			if person != user && slices.Contains(in.DeviceIDs, a.DeviceID) {
				out.DeviceIDs = append(out.DeviceIDs, a.DeviceID)
			}
		}
	}
	return out, nil
}

func (m *maker) product(ctx context.Context, method string, input []byte) (any, error) {
	m.mu.Lock()
	m.calls[method]++
	away, failing, problem := m.productAway, m.fail, m.problem
	m.mu.Unlock()
	switch {
	case away:
		return nil, fault.New(fault.Unavailable, "no enabled module provides the service particle.product")
	case failing != nil:
		return nil, failing
	case problem != nil:
		return productapi.Outcome{Problem: problem}, nil
	case method == productapi.MethodEvents:
		return m.poll(ctx, input)
	}
	var in struct {
		productapi.Product
		DeviceID  string   `json:"device_id"`
		DeviceIDs []string `json:"device_ids"`
		Name      string   `json:"name"`
		Argument  string   `json:"argument"`
		Data      string   `json:"data"`
		Search    string   `json:"search"`
		Page      int      `json:"page"`
		PerPage   int      `json:"per_page"`
	}
	if err := json.Unmarshal(input, &in); err != nil {
		return nil, err
	}
	if in.WorkspaceID != 3 || in.ProductID != product {
		return nil, fault.New(fault.NotFound, "no such product")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch method {
	case productapi.MethodDevices:
		return m.page(in.Search, in.Page, in.PerPage), nil
	case productapi.MethodStates:
		m.stated += len(in.DeviceIDs)
		return m.states(in.DeviceIDs), nil
	}
	d, known := m.devices[in.DeviceID]
	if !known {
		return productapi.Outcome{Problem: &productapi.Problem{Kind: particle.UnknownDevice, Message: "unknown"}}, nil
	}
	if !d.Online && method != productapi.MethodDevice && method != productapi.MethodPublish && method != productapi.MethodPing {
		return productapi.Outcome{Problem: &productapi.Problem{Kind: particle.Offline, Message: "offline"}}, nil
	}
	switch method {
	case productapi.MethodDevice:
		return productapi.OneDevice{Device: d}, nil
	case productapi.MethodVariable:
		value, _ := json.Marshal(m.led[d.ID])
		return productapi.Value{Value: value}, nil
	case productapi.MethodCall:
		m.sent = append(m.sent, productapi.FunctionCall{DeviceRef: productapi.DeviceRef{DeviceID: d.ID}, Name: in.Name, Argument: in.Argument})
		m.led[d.ID] = in.Argument
		return productapi.Returned{Value: 1}, nil
	case productapi.MethodPublish:
		m.emitLocked(d.ID, in.Name, in.Data)
		return productapi.Done{}, nil
	case productapi.MethodPing:
		return productapi.Pong{Online: d.Online}, nil
	case productapi.MethodSignal:
		return productapi.Done{}, nil
	}
	return nil, fault.New(fault.NotFound, "no method %s", method)
}

func (m *maker) states(ids []string) productapi.States {
	s := productapi.States{Devices: []productapi.Device{}, Missing: []string{}, Stale: m.stale, At: time.Now()}
	if m.stale {
		s.Why = &productapi.Problem{Kind: particle.Upstream, Message: "down"}
	}
	for _, id := range ids {
		d, ok := m.devices[id]
		if !ok {
			s.Missing = append(s.Missing, id)
			continue
		}
		d.Functions, d.Variables, d.Notes = nil, nil, ""
		s.Devices = append(s.Devices, d)
	}
	return s
}

func (m *maker) page(search string, page, size int) productapi.Devices {
	var all []productapi.Device
	for _, d := range m.devices {
		if strings.Contains(d.Name, search) || strings.Contains(d.ID, search) {
			d.Functions, d.Variables = nil, nil
			all = append(all, d)
		}
	}
	slices.SortFunc(all, func(a, b productapi.Device) int { return strings.Compare(a.Name, b.Name) })
	total := len(all)
	from := min((max(page, 1)-1)*size, total)
	return productapi.Devices{Devices: append([]productapi.Device{}, all[from:min(from+size, total)]...), Page: page, Pages: max((total+size-1)/size, 1), Total: &total}
}

// more puts further devices into the product.
func (m *maker) more(n int) {
	m.set(func() {
		for i := range n {
			id := fmt.Sprintf("0c%022x", i)
			m.devices[id] = productapi.Device{ID: id, Name: fmt.Sprintf("more-%04d", i), Online: true, ProductID: product, PlatformID: 12}
		}
	})
}

func (m *maker) emit(device, name, data string) {
	m.set(func() { m.emitLocked(device, name, data) })
}

func (m *maker) emitLocked(device, name, data string) {
	m.events = append(m.events, productapi.Event{Number: int64(len(m.events) + 1), Name: name, Data: data, DeviceID: device, PublishedAt: time.Now()})
	close(m.news)
	m.news = make(chan struct{})
}

// turn gives the product's stream another state.
func (m *maker) turn(state productapi.StreamState) {
	m.set(func() {
		m.state = state
		close(m.news)
		m.news = make(chan struct{})
	})
}

func (m *maker) poll(ctx context.Context, input []byte) (any, error) {
	var in productapi.Poll
	if err := json.Unmarshal(input, &in); err != nil {
		return nil, err
	}
	if sdk.UserFrom(ctx).SignedIn() {
		return nil, fault.New(fault.Denied, "a poll is for everybody")
	}
	m.set(func() { m.polls++ })
	defer m.set(func() { m.polls-- })
	after := in.After
	for {
		m.mu.Lock()
		last, news, state := int64(len(m.events)), m.news, m.state
		if after == 0 {
			after = last + 1 // cursors are one more than numbers, so that none is 0
		}
		events := append([]productapi.Event{}, m.events[after-1:]...)
		m.mu.Unlock()
		if len(events) > 0 || state != in.State {
			return productapi.Events{Events: events, Cursor: last + 1, State: state}, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-news:
		}
	}
}

// polling counts the polls that are under way.
func (m *maker) polling() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.polls
}
