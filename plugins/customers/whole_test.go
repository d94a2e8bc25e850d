package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"gorm.io/gorm"

	"mortise/core/fault"
	"mortise/core/identity"
	"mortise/core/sdk"
	"mortise/plugins/customers/site"
	"mortise/plugins/internal/moduletest"
	"mortise/plugins/internal/productapi"
)

const (
	customersRoot = "/admin/customers"
	firstLamp     = "0a10aced202194944a000001"
	secondLamp    = "0a10aced202194944a000002"
	thirdLamp     = "0a10aced202194944a000003"
	fourthLamp    = "0a10aced202194944a000004"
)

// whole is the whole module on a site with people, beside a module that knows one product with four lamps.
type whole struct {
	*moduletest.Site
	t       *testing.T
	program *Customers
	db      *gorm.DB
	calls   atomic.Int64 // of services of other modules
	chief   sdk.Identity // may do everything
}

func newWhole(t *testing.T) *whole {
	t.Helper()
	w := &whole{t: t}
	module := New()
	w.Site = moduletest.Start(t, module, manifest, moduletest.Options{People: true, Call: w.answer})
	w.program, w.db = module, module.site.DB
	module.privacy.Patience = 0 // facts come when a test delivers them
	chief, err := w.People.CreateUser(t.Context(), identity.System, identity.NewUser{Name: "Olga Officer", Email: "olga@example.com", Roles: []string{identity.RoleAdministrator}})
	if err != nil {
		t.Fatal(err)
	}
	w.chief = sdk.Identity{UserID: chief.ID, Name: chief.Name, Roles: chief.Roles, Permissions: everyPermission(w)}
	return w
}

func everyPermission(w *whole) []string {
	list := []string{}
	for _, p := range w.Manifest.Permissions {
		list = append(list, p.ID)
	}
	return list
}

// answer stands for organizations. Everything else does not run.
func (w *whole) answer(_ context.Context, service, method string, input []byte) (any, error) {
	w.calls.Add(1)
	if service != productapi.Service {
		return nil, fault.New(fault.Unavailable, "this module does not run")
	}
	product := productapi.Product{WorkspaceID: 1, ProductID: "10001"}
	lamps := []productapi.Device{{ID: firstLamp, Name: "first lamp", ProductID: "10001"}, {ID: secondLamp, Name: "second lamp", ProductID: "10001"}, {ID: thirdLamp, Name: "third lamp", ProductID: "10001"}, {ID: fourthLamp, Name: "fourth lamp", ProductID: "10001"}}
	switch method {
	case productapi.MethodProducts:
		return productapi.Products{Products: []productapi.ProductInfo{{Product: product, Workspace: "Garden", Name: "Garden lamp", Slug: "garden-lamp", BaseURL: "https://api.particle.io", Health: "good"}}}, nil
	case productapi.MethodDevices:
		return productapi.Devices{Devices: lamps, Page: 1, Pages: 1}, nil
	case productapi.MethodDevice:
		var in productapi.DeviceRef
		_ = json.Unmarshal(input, &in)
		if i := slices.IndexFunc(lamps, func(d productapi.Device) bool { return d.ID == in.DeviceID }); i >= 0 {
			return productapi.OneDevice{Device: lamps[i]}, nil
		}
		return productapi.OneDevice{}, fault.New(fault.NotFound, "no such device")
	case productapi.MethodStates:
		var in productapi.StateQuery
		_ = json.Unmarshal(input, &in)
		out := productapi.States{Devices: []productapi.Device{}, Missing: []string{}}
		for _, id := range in.DeviceIDs {
			if i := slices.IndexFunc(lamps, func(d productapi.Device) bool { return d.ID == id }); i >= 0 {
				out.Devices = append(out.Devices, lamps[i])
			} else {
				out.Missing = append(out.Missing, id)
			}
		}
		return out, nil
	case productapi.MethodCustomers:
		return productapi.Customers{Customers: []productapi.Customer{}, Pages: 1}, nil
	}
	return productapi.Done{}, nil
}

// send posts a form with a word of its own, and wants it to lead somewhere.
func (w *whole) send(who sdk.Identity, path string, pairs ...string) moduletest.Answer {
	w.t.Helper()
	form := url.Values{"once": {site.Once()}}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	a := w.Post(who, path, form)
	if a.Status != http.StatusSeeOther && a.Status != http.StatusOK {
		w.t.Fatalf("POST %s: %d %s", path, a.Status, a.Body)
	}
	return a
}

// tables gives every row of every table of the module as text, by table.
func (w *whole) tables() map[string]string {
	w.t.Helper()
	found := map[string]string{}
	for _, table := range w.Manifest.Tables {
		var rows []map[string]any
		if err := w.db.Table(table).Find(&rows).Error; err != nil {
			w.t.Fatalf("%s: %v", table, err)
		}
		found[table] = fmt.Sprint(rows)
	}
	return found
}

// has lists the tables in which a text stands, whatever its case.
func (w *whole) has(texts ...string) []string {
	w.t.Helper()
	list := []string{}
	for table, rows := range w.tables() {
		for _, text := range texts {
			if strings.Contains(strings.ToLower(rows), strings.ToLower(text)) {
				list = append(list, table+": "+text)
			}
		}
	}
	slices.Sort(list)
	return list
}

// aLife makes a customer of whom every part of the module knows something.
func (w *whole) aLife() sdk.Identity {
	w.t.Helper()
	w.send(w.chief, customersRoot+"/new", "name", "Zuleika Quarrel", "email", "zuleika@quarrel.example", "note", "Zuleika Quarrel is fond of yellow.", "invite", "on")
	w.DeliverFacts()
	u, err := w.People.UserByEmail(w.t.Context(), "zuleika@quarrel.example")
	if err != nil {
		w.t.Fatal(err)
	}
	zuleika := sdk.Identity{UserID: u.ID, Name: u.Name, Roles: u.Roles, Permissions: []string{"customers.own"}}
	person := fmt.Sprintf("%s/people/%d", customersRoot, u.ID)
	w.send(w.chief, person+"/notes", "text", "Her cellar is at zuleika@quarrel.example's house.")
	w.send(w.chief, customersRoot+"/import", "text", "name,email,note\nZuleika Quarrel,zuleika@quarrel.example,fond of blue\nZuleika Quarrel,zuleika@quarrel.example,twice\nOther,other@example.com,\n")
	moduletest.Eventually(w.t, "the import ends", func() bool {
		_ = w.run("import")
		var open int64
		return w.db.Table("customers_imports").Where("state = 'running'").Count(&open).Error == nil && open == 0
	})
	w.DeliverFacts()
	w.send(w.chief, person+"/attach", "product", "1/10001", "device", firstLamp)
	bob := w.Person("Bob", "bob@example.com", "customers.own")
	w.DeliverFacts()
	w.send(w.chief, person+"/attach", "product", "1/10001", "device", thirdLamp)
	w.send(w.chief, customersRoot+"/devices/"+thirdLamp+"/transfer", "to", fmt.Sprint(bob.UserID), "version", "1")
	w.Get(w.chief, customersRoot+"/records")
	w.send(w.chief, customersRoot+"/records/new", "product", "1/10001", "lines", secondLamp, "job", "Order 17", "note", "Packed", "keys", "on")
	w.send(w.chief, customersRoot+"/records/1/mail", "email", "zuleika@quarrel.example", "version", "2")
	w.Get(zuleika, "/customers/claim?key=AAAA-AAAA-AAAA-AAAA")
	for _, key := range w.Host.Sealed("claimkey") {
		w.send(zuleika, "/customers/claim", "key", key, "claim", "1")
	}
	w.Get(w.chief, person+"/privacy")
	w.Get(zuleika, "/customers/data")
	return zuleika
}

func (w *whole) run(job string) error {
	return w.program.Run(w.t.Context(), job)
}
