package ownership

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"mortise/core/fault"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/particle/particletest"
	"mortise/plugins/internal/productapi"
	"mortise/plugins/internal/tokenapi"
)

// services stand for organizations, which reach the simulated cloud with the maker's token, and for linking.
type services struct {
	client *particle.Client
	token  string
	url    string

	mu     sync.Mutex
	calls  map[string]int // by method
	fail   error          // of every call of particle.product
	linked []tokenapi.Account
}

func newServices(t testing.TB, cloud *particletest.Server, address string) *services {
	t.Helper()
	client, err := particle.New(particle.Options{BaseURL: address, Timeouts: limits})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &services{client: client, token: cloud.IssueToken(maker, ""), url: address, calls: map[string]int{}}
}

func (s *services) set(change func(*services)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// total counts the calls of all services.
func (s *services) total() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, calls := range s.calls {
		n += calls
	}
	return n
}

func (s *services) call(ctx context.Context, service, method string, input []byte) (any, error) {
	s.mu.Lock()
	s.calls[method]++
	fail, linked := s.fail, s.linked
	s.mu.Unlock()
	switch {
	case service == tokenapi.Service && method == tokenapi.Get:
		return tokenapi.Accounts{Accounts: linked}, nil
	case service == tokenapi.Service:
		return tokenapi.Verdict{State: tokenapi.Dead}, nil
	case fail != nil:
		return nil, fail
	}
	answer, err := s.product(ctx, method, input)
	if p, ok := productapi.ProblemOf(err); ok {
		return map[string]any{"problem": p}, nil
	}
	return answer, err
}

func (s *services) product(ctx context.Context, method string, input []byte) (any, error) {
	if method == productapi.MethodProducts {
		return productapi.Products{Products: []productapi.ProductInfo{
			{Product: productapi.Product{WorkspaceID: 1, ProductID: lamp}, Workspace: "Garden", BaseURL: s.url, Slug: "garden-lamp-v1", Name: "Garden lamp", PlatformID: 12, Platform: "Argon", Default: true, Health: "good"},
			{Product: productapi.Product{WorkspaceID: 1, ProductID: pump}, Workspace: "Garden", BaseURL: s.url, Slug: "pump-v3", Name: "Pump", PlatformID: 6, Platform: "Photon", Health: "good"}}}, nil
	}
	var in struct {
		productapi.Product
		DeviceID  string   `json:"device_id"`
		DeviceIDs []string `json:"device_ids"`
		Page      int      `json:"page"`
		PerPage   int      `json:"per_page"`
		Search    string   `json:"search"`
		Username  string   `json:"username"`
		Password  string   `json:"password"`
	}
	if err := json.Unmarshal(input, &in); err != nil {
		return nil, err
	}
	if in.WorkspaceID != 1 || in.ProductID != lamp && in.ProductID != pump {
		return nil, fault.New(fault.NotFound, "The workspace has no such product.")
	}
	fleet := s.client.InProduct(in.ProductID)
	page := particle.Page{Number: max(in.Page, 1), Size: in.PerPage}
	switch method {
	case productapi.MethodDevices:
		list, pages, err := s.client.ProductDevices(ctx, s.token, in.ProductID, page)
		out := productapi.Devices{Devices: []productapi.Device{}, Page: page.Number, Pages: pages}
		for _, d := range list {
			if in.Search == "" || strings.Contains(d.Name+d.ID, in.Search) {
				out.Devices = append(out.Devices, deviceFrom(d))
			}
		}
		return out, err
	case productapi.MethodStates:
		return s.states(ctx, in.ProductID, in.DeviceIDs)
	case productapi.MethodDevice:
		d, err := fleet.Device(ctx, s.token, in.DeviceID)
		return productapi.OneDevice{Device: deviceFrom(d)}, err
	case productapi.MethodRelease:
		return productapi.Done{}, fleet.Unclaim(ctx, s.token, in.DeviceID)
	case productapi.MethodCustomers:
		list, pages, err := s.client.Customers(ctx, s.token, in.ProductID, page)
		out := productapi.Customers{Customers: []productapi.Customer{}, Pages: pages}
		for _, c := range list {
			out.Customers = append(out.Customers, productapi.Customer{Username: c.Username, Devices: c.DeviceIDs, DeviceCount: len(c.DeviceIDs)})
		}
		return out, err
	case productapi.MethodCustomerDelete:
		return productapi.Done{}, s.client.DeleteCustomer(ctx, s.token, in.ProductID, in.Username)
	case productapi.MethodCustomerPassword:
		return productapi.Done{}, s.client.SetCustomerPassword(ctx, s.token, in.ProductID, in.Username, in.Password)
	}
	return nil, fault.New(fault.NotFound, "no method %s", method)
}

func deviceFrom(d particle.Device) productapi.Device {
	return productapi.Device{ID: d.ID, Name: d.Name, Owner: d.Owner, Online: d.Online}
}

func (s *services) states(ctx context.Context, product string, ids []string) (any, error) {
	known := map[string]particle.Device{}
	err := s.client.EachProductDevice(ctx, s.token, product, particle.DeviceQuery{}, func(d particle.Device) error {
		known[d.ID] = d
		return nil
	})
	out := productapi.States{Devices: []productapi.Device{}, Missing: []string{}, At: time.Now()}
	if p, ok := productapi.ProblemOf(err); ok {
		out.Stale, out.Why = true, p
		return out, nil
	}
	for _, id := range ids {
		if d, ok := known[id]; ok {
			out.Devices = append(out.Devices, deviceFrom(d))
		} else {
			out.Missing = append(out.Missing, id)
		}
	}
	return out, nil
}
