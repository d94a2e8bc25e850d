package main

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/particle/particletest"
	"mortise/plugins/internal/productapi"
)

const (
	unclaimed = "0a10aced202194944a0000aa"
	stranger  = "0a10aced202194944a0000ff"
)

var lamps = productapi.Product{WorkspaceID: 1, ProductID: "10001"}

// client calls the service of a module as the host does: JSON in and out, checked against the schemas of the manifest.
func (b *bench) client(t testing.TB, m *Organizations) productapi.Client {
	return productapi.Client{Call: func(ctx context.Context, service, method string, in, out any) error {
		input, err := json.Marshal(in)
		if err != nil {
			t.Error(err)
			return err
		}
		contract := b.Manifest.Provides[0].Methods[method]
		if err := fits(contract.Input, input); err != nil {
			return fault.Wrap(fault.Invalid, err, "the input does not fit")
		}
		answer, err := m.Call(ctx, sdk.Call{Service: service, Method: method, Input: input, Caller: "devices"})
		if err != nil {
			b.mustNotLeak(t, err.Error())
			return err
		}
		text, err := json.Marshal(answer)
		if err == nil {
			err = fits(contract.Output, text)
		}
		if err != nil {
			t.Errorf("%s answers outside of its contract: %v", method, err)
		}
		b.mustNotLeak(t, string(text))
		return json.Unmarshal(text, out)
	}}
}

func (b *bench) mustNotLeak(t testing.TB, text string) {
	if strings.Contains(text, b.token) {
		t.Error("the credential is in what the service says")
	}
}

func fits(schema map[string]any, text []byte) error {
	raw, err := json.Marshal(schema)
	if err != nil {
		return err
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(raw)))
	if err != nil {
		return err
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema", doc); err != nil {
		return err
	}
	compiled, err := c.Compile("schema")
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		return err
	}
	return compiled.Validate(value)
}

// serviceBench is a workspace whose lamps can do something.
func serviceBench(t *testing.T) (*bench, productapi.Client) {
	t.Helper()
	b := newBench(t)
	b.module.limits = particle.Timeouts{Connect: 10 * time.Second, Token: 10 * time.Second, Call: 10 * time.Second, Device: 10 * time.Second}
	b.cloud.AddDevice(particletest.Device{ID: unclaimed, Name: "bench lamp", Product: "10001", Platform: 12, Behaviour: particletest.Lamp, Groups: []string{"north"}, Notes: "on the shelf"})
	b.cloud.AddCustomer(particletest.Customer{Email: "c2@site.example", Password: "an old password", Product: "10001"})
	b.cloud.AddDevice(particletest.Device{ID: stranger, Name: "not ours", Product: "10003", Platform: 12, Behaviour: particletest.Lamp})
	b.connect(t)
	return b, b.client(t, b.module)
}

// hurry gives Particle little time.
func (b *bench) hurry(limits particle.Timeouts) {
	b.module.limits = limits
	b.module.clouds.Close()
	b.module.clouds = particle.Clouds{}
}

var soon = particle.Timeouts{Connect: time.Second, Call: 250 * time.Millisecond, Device: 250 * time.Millisecond}

func TestService_DoesWhatADeviceCan(t *testing.T) {
	t.Parallel()
	b, c := serviceBench(t)
	ctx := t.Context()
	d, err := c.Device(ctx, lamps, strings.ToUpper(unclaimed))
	if err != nil || d.ID != unclaimed || !d.Online || d.Platform != "Argon" || !slices.Contains(d.Functions, "led") || d.Notes != "on the shelf" || len(d.Variables) == 0 {
		t.Errorf("device: %+v %v", d, err)
	}
	if n, err := c.CallFunction(ctx, lamps, unclaimed, "led", "on"); err != nil || n != 1 {
		t.Errorf("call: %d %v", n, err)
	}
	if v, err := c.Variable(ctx, lamps, unclaimed, "brightness"); err != nil || len(v.Value) == 0 || string(v.Value) == "null" {
		t.Errorf("variable: %s %v", v.Value, err)
	}
	if err := c.Rename(ctx, lamps, unclaimed, "desk lamp"); err != nil {
		t.Errorf("rename: %v", err)
	}
	if d, err := c.Device(ctx, lamps, unclaimed); err != nil || d.Name != "desk lamp" {
		t.Errorf("renamed: %q %v", d.Name, err)
	}
	if err := c.Signal(ctx, lamps, unclaimed, true); err != nil || !b.cloud.Signaling(unclaimed) {
		t.Errorf("signal: %v", err)
	}
	if online, err := c.Ping(ctx, lamps, unclaimed); err != nil || !online {
		t.Errorf("ping: %v %v", online, err)
	}
	b.cloud.SetOffline(unclaimed, true)
	if online, err := c.Ping(ctx, lamps, unclaimed); err != nil || online {
		t.Errorf("ping of one that is offline: %v %v", online, err)
	}
	if err := c.Publish(ctx, lamps, "", "lamp/all", "off"); err != nil {
		t.Errorf("publish: %v", err)
	}
	if err := c.Publish(ctx, lamps, lamp, "lamp/one", ""); err != nil {
		t.Errorf("publish as a device: %v", err)
	}
	if err := c.Release(ctx, lamps, lamp); err != nil {
		t.Errorf("release: %v", err)
	}
	if d, err := c.Device(ctx, lamps, lamp); err != nil || d.Owner != "" {
		t.Errorf("released: %+v %v", d, err)
	}
	b.mustNotLeak(t, b.Host.LogText())
}

func TestService_ListsProductsWithoutAskingParticle(t *testing.T) {
	t.Parallel()
	b, c := serviceBench(t)
	before := b.upstream()
	list, err := c.Products(t.Context())
	if err != nil || len(list) != 2 {
		t.Fatalf("%+v %v", list, err)
	}
	p := list[0]
	if p.Product != lamps || p.Workspace != "Garden" || p.BaseURL != b.url || p.Slug != "garden-lamp-v1" || p.Name != "Garden lamp" || p.Platform != "Argon" ||
		p.Devices == nil || *p.Devices != 3 || p.Health == "" {
		t.Errorf("%+v", p)
	}
	if b.upstream() != before {
		t.Error("Particle was asked")
	}
}

func TestService_PagesDevicesAndCustomers(t *testing.T) {
	t.Parallel()
	b, c := serviceBench(t)
	for i := range 30 {
		b.cloud.AddDevice(particletest.Device{ID: fmt.Sprintf("0b20aced2021949400%06d", i), Name: fmt.Sprintf("fleet-%02d", i), Product: "10001"})
	}
	ctx := t.Context()
	for name, tc := range map[string]struct {
		q     productapi.DeviceQuery
		first string
		n     int
		total int
	}{
		"by name":         {productapi.DeviceQuery{Search: "fleet-0", Sort: productapi.SortName}, "fleet-00", 10, 10},
		"names backwards": {productapi.DeviceQuery{Search: "fleet-0", Sort: productapi.SortName, Desc: true}, "fleet-09", 10, 10},
		"by id":           {productapi.DeviceQuery{Search: "4A0000AA"}, "bench lamp", 1, 1},
		"by group":        {productapi.DeviceQuery{Groups: []string{"north"}}, "bench lamp", 1, 1},
		"second page":     {productapi.DeviceQuery{Search: "fleet", Sort: productapi.SortID, Page: 2, PerPage: 20}, "fleet-20", 10, 30},
		"nothing":         {productapi.DeviceQuery{Search: "beef00"}, "", 0, 0},
	} {
		tc.q.Product = lamps
		got, err := c.Devices(ctx, tc.q)
		if err != nil || len(got.Devices) != tc.n || got.Total == nil || *got.Total != tc.total || tc.n > 0 && got.Devices[0].Name != tc.first {
			t.Errorf("%s: %+v %v", name, got, err)
		}
	}
	list, err := c.Customers(ctx, productapi.CustomerQuery{Product: lamps})
	if err != nil || len(list.Customers) != 2 || list.Customers[0].Username != "c1@site.example" || list.Pages != 1 {
		t.Fatalf("%+v %v", list, err)
	}
	if err := c.SetCustomerPassword(ctx, lamps, "C2@site.example", "a new password"); err != nil {
		t.Errorf("password: %v", err)
	}
	if err := c.DeleteCustomer(ctx, lamps, "c1@site.example"); err != nil {
		t.Errorf("delete: %v", err)
	}
	if err := c.DeleteCustomer(ctx, lamps, "c1@site.example"); !particle.IsGone(err) {
		t.Errorf("delete again: %v", err)
	}
}

// methods calls every method that reaches Particle.
func methods(c productapi.Client, p productapi.Product, id string) map[string]func(ctx context.Context) error {
	return map[string]func(ctx context.Context) error{
		"devices": func(ctx context.Context) error {
			_, err := c.Devices(ctx, productapi.DeviceQuery{Product: p})
			return err
		},
		"device":   func(ctx context.Context) error { _, err := c.Device(ctx, p, id); return err },
		"states":   func(ctx context.Context) error { _, err := c.States(ctx, p, []string{id}); return err },
		"variable": func(ctx context.Context) error { _, err := c.Variable(ctx, p, id, "brightness"); return err },
		"call":     func(ctx context.Context) error { _, err := c.CallFunction(ctx, p, id, "led", "on"); return err },
		"publish":  func(ctx context.Context) error { return c.Publish(ctx, p, id, "lamp/x", "1") },
		"rename":   func(ctx context.Context) error { return c.Rename(ctx, p, id, "another") },
		"signal":   func(ctx context.Context) error { return c.Signal(ctx, p, id, true) },
		"ping":     func(ctx context.Context) error { _, err := c.Ping(ctx, p, id); return err },
		"release":  func(ctx context.Context) error { return c.Release(ctx, p, id) },
		"customers": func(ctx context.Context) error {
			_, err := c.Customers(ctx, productapi.CustomerQuery{Product: p})
			return err
		},
		"customer_delete": func(ctx context.Context) error { return c.DeleteCustomer(ctx, p, "c1@site.example") },
		"customer_password": func(ctx context.Context) error {
			return c.SetCustomerPassword(ctx, p, "c1@site.example", "long enough")
		},
	}
}

func TestService_ForgedProductsAreNotThereAndAskNothing(t *testing.T) {
	t.Parallel()
	b, c := serviceBench(t)
	before := b.upstream()
	for _, p := range []productapi.Product{{WorkspaceID: 2, ProductID: "10001"}, {WorkspaceID: 1, ProductID: "10003"}, {WorkspaceID: 1, ProductID: "garden-lamp-v1"},
		{WorkspaceID: 1, ProductID: "10001/../10003"}, {WorkspaceID: 1 << 60, ProductID: "10001"}, {WorkspaceID: 1, ProductID: "%"}, {WorkspaceID: 1, ProductID: "010001"}} {
		all := methods(c, p, unclaimed)
		all["events"] = func(ctx context.Context) error {
			_, err := c.Events(ctx, productapi.Poll{Product: p, WaitMS: 1000})
			return err
		}
		for name, call := range all {
			if err := call(t.Context()); !fault.Is(err, fault.NotFound) || particle.KindOf(err) != "" {
				t.Errorf("%s of %+v: %v", name, p, err)
			}
		}
	}
	if n := b.upstream() - before; n != 0 {
		t.Errorf("Particle was asked %d times", n)
	}
}

func TestService_ADeviceOfAnotherProductIsUnknown(t *testing.T) {
	t.Parallel()
	b, c := serviceBench(t)
	all := methods(c, lamps, stranger)
	for _, name := range []string{"device", "variable", "call", "rename", "signal", "ping", "release"} {
		if err := all[name](t.Context()); !particle.Is(err, particle.UnknownDevice) || !strings.Contains(err.(*particle.Error).Message, "product") {
			t.Errorf("%s: %v", name, err)
		}
	}
	s, err := c.States(t.Context(), lamps, []string{stranger})
	if err != nil || !slices.Equal(s.Missing, []string{stranger}) || len(s.Devices) != 0 {
		t.Errorf("states: %+v %v", s, err)
	}
	if b.cloud.Called(stranger, "led") != 0 {
		t.Error("the function ran")
	}
}

func TestService_RefusesWhatIsOutsideOfItsContract(t *testing.T) {
	t.Parallel()
	b, c := serviceBench(t)
	before := b.upstream()
	long := strings.Repeat("x", 65)
	ctx := t.Context()
	for name, err := range map[string]error{
		"a name instead of an id": func() error { _, err := c.Device(ctx, lamps, "bench lamp"); return err }(),
		"a path as id":            func() error { _, err := c.Device(ctx, lamps, "../../clients/old-client-1"); return err }(),
		"a long name":             func() error { _, err := c.CallFunction(ctx, lamps, unclaimed, long, ""); return err }(),
		"no name":                 func() error { _, err := c.Variable(ctx, lamps, unclaimed, ""); return err }(),
		"a blank in a name":       func() error { _, err := c.Variable(ctx, lamps, unclaimed, "a b"); return err }(),
		"a long argument": func() error {
			_, err := c.CallFunction(ctx, lamps, unclaimed, "led", strings.Repeat("ä", 513))
			return err
		}(),
		"an event of Particle's": c.Publish(ctx, lamps, "", "spark/status", "online"),
		"a line break":           c.Rename(ctx, lamps, unclaimed, "a\nb"),
		"an empty device name":   c.Rename(ctx, lamps, unclaimed, ""),
		"too many ids":           func() error { _, err := c.States(ctx, lamps, slices.Repeat([]string{unclaimed}, 501)); return err }(),
		"a wrong id":             func() error { _, err := c.States(ctx, lamps, []string{strings.Repeat("z", 24)}); return err }(),
		"a large page": func() error {
			_, err := c.Devices(ctx, productapi.DeviceQuery{Product: lamps, PerPage: 101})
			return err
		}(),
		"a negative page": func() error {
			_, err := c.Customers(ctx, productapi.CustomerQuery{Product: lamps, Page: -1})
			return err
		}(),
		"an unknown order": func() error {
			_, err := c.Devices(ctx, productapi.DeviceQuery{Product: lamps, Sort: "notes"})
			return err
		}(),
		"a comma in a group": func() error {
			_, err := c.Devices(ctx, productapi.DeviceQuery{Product: lamps, Groups: []string{"a,b"}})
			return err
		}(),
		"a short password":       c.SetCustomerPassword(ctx, lamps, "c1@site.example", "short"),
		"a blank in a user name": c.DeleteCustomer(ctx, lamps, "c1 @site.example"),
		"a long wait":            func() error { _, err := c.Events(ctx, productapi.Poll{Product: lamps, WaitMS: 25001}); return err }(),
		"a cursor of the future": func() error {
			_, err := c.Events(ctx, productapi.Poll{Product: lamps, After: time.Now().Add(48 * time.Hour).UnixMicro()})
			return err
		}(),
	} {
		if !fault.Is(err, fault.Invalid) || particle.KindOf(err) != "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What does not even come through the host's schema.
	for method, input := range map[string]string{"device": `{"workspace_id":1,"product_id":"10001","device_id":"` + unclaimed + `","token":"x"}`, "products": `[]`, "states": `{"workspace_id":"1"}`,
		"call": `{}{}`, "rename": ``, "customer_password": `{"workspace_id":1,"product_id":"10001","username":"c1","password":{"secret-word":1}}`} {
		_, err := b.module.Call(ctx, sdk.Call{Service: productapi.Service, Method: method, Input: []byte(input)})
		if !fault.Is(err, fault.Invalid) || strings.Contains(err.Error(), "secret-word") {
			t.Errorf("%s %s: %v", method, input, err)
		}
	}
	for _, call := range []sdk.Call{{Service: productapi.Service, Method: "credential", Input: []byte(`{}`)}, {Service: "particle.token", Method: "get", Input: []byte(`{}`)}} {
		if _, err := b.module.Call(ctx, call); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s %s: %v", call.Service, call.Method, err)
		}
	}
	n := 0
	for route, calls := range b.cloud.AllCalls() {
		if route != "GET /v1/products/{p}/events" && route != "GET /v1/products/{p}/events/{prefix}" {
			n += calls
		}
	}
	if n != before {
		t.Errorf("Particle was asked %d times", n-before)
	}
}

func TestContract_TheSchemaAndTheTypesAreTheSame(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	inputs := map[string]any{"products": struct{}{}, "devices": productapi.DeviceQuery{}, "device": productapi.DeviceRef{}, "states": productapi.StateQuery{}, "variable": productapi.Name{},
		"call": productapi.FunctionCall{}, "publish": productapi.Publication{}, "rename": productapi.Name{}, "signal": productapi.SignalSwitch{}, "ping": productapi.DeviceRef{},
		"release": productapi.DeviceRef{}, "customers": productapi.CustomerQuery{}, "customer_delete": productapi.CustomerRef{}, "customer_password": productapi.CustomerPassword{},
		"events": productapi.Poll{}}
	provided := b.Manifest.Provides[0]
	if provided.Name != productapi.Service || len(provided.Methods) != len(inputs) {
		t.Fatalf("%s has %d methods", provided.Name, len(provided.Methods))
	}
	for method, in := range inputs {
		properties, _ := provided.Methods[method].Input["properties"].(map[string]any)
		var names []string
		fieldsOf(reflect.TypeOf(in), &names)
		for _, name := range names {
			if properties[name] == nil {
				t.Errorf("%s: the schema lacks %s", method, name)
			}
		}
		if len(names) != len(properties) {
			t.Errorf("%s: %d fields, %d in the schema", method, len(names), len(properties))
		}
	}
}

func fieldsOf(of reflect.Type, names *[]string) {
	for i := range of.NumField() {
		if f := of.Field(i); f.Anonymous {
			fieldsOf(f.Type, names)
		} else {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			*names = append(*names, name)
		}
	}
}
