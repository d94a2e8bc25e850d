package main

import (
	"context"
	"net/http"
	"time"

	"gorm.io/gorm"

	"mortise/core/sdk"
	"mortise/core/sdk/sdkdb"
	"mortise/plugins/customers/handover"
	"mortise/plugins/customers/history"
	"mortise/plugins/customers/ownership"
	"mortise/plugins/customers/people"
	"mortise/plugins/customers/privacy"
	"mortise/plugins/customers/site"
)

// part is one of the packages below: its pages, what it hears and what it does at times.
type part interface {
	Routes(*http.ServeMux)
	Deliver(context.Context, sdk.Event) error                 // what is not its own is ignored
	Run(ctx context.Context, job string) (mine bool, _ error) // several parts may have a share in one job
	Check(context.Context) ([]sdk.Finding, error)
}

// Customers is the module's program.
type Customers struct {
	site   *site.Site
	routes *http.ServeMux
	now    func() time.Time

	people    *people.People
	ownership *ownership.Ownership
	privacy   *privacy.Privacy
	parts     []part
}

// New makes the module; Start gives it the site.
func New() *Customers {
	return &Customers{now: func() time.Time { return time.Now().UTC() }}
}

// Start opens the store and puts the parts together.
func (m *Customers) Start(ctx context.Context, host sdk.Host) error {
	db, err := sdkdb.Open(host)
	if err != nil {
		return err
	}
	m.site, m.routes = &site.Site{Host: host, DB: db, Now: m.now}, http.NewServeMux()
	m.assemble()
	for _, p := range m.parts {
		p.Routes(m.routes)
	}
	if err := m.people.Start(ctx); err != nil {
		return err
	}
	return m.privacy.Start(ctx)
}

// assemble makes the parts, each with those that it knows.
func (m *Customers) assemble() {
	m.people = people.New(m.site)
	m.ownership = ownership.New(m.site, m.people)
	m.people.SetOwner(m.ownership)
	m.privacy = privacy.New(m.site, privacy.Deps{Head: m.head, Forget: m.ownership.Forget, Devices: m.devicesOf})
	records := handover.New(m.site, m.ownership, m.people)
	m.ownership.OnMove(records.MoveIn)
	m.parts = []part{m.people, m.ownership, records, m.privacy}
}

// head gives what the head of a customer's pages is drawn with.
func (m *Customers) head(ctx context.Context, userID int64) (any, error) {
	p, err := m.people.Get(ctx, userID)
	if err != nil {
		return nil, err
	}
	return people.View(p), nil
}

// devicesOf names the devices of a customer.
func (m *Customers) devicesOf(ctx context.Context, userID int64) ([]privacy.Device, error) {
	list, products, err := m.ownership.OfPerson(ctx, userID)
	if err != nil {
		return nil, err
	}
	devices := make([]privacy.Device, 0, len(list)+len(products))
	for _, a := range list {
		devices = append(devices, privacy.Device{ID: a.DeviceID, Name: a.Name, Product: a.Product})
	}
	for _, g := range products {
		devices = append(devices, privacy.Device{Name: "Every " + g.Product, Product: g.Product})
	}
	return devices, nil
}

// Stop waits for the work that pages have begun.
func (m *Customers) Stop(ctx context.Context) error {
	if m.people == nil {
		return nil
	}
	return m.people.Stop(ctx)
}

// Migrations gives every step since the first version. A step that ran somewhere is never changed.
func (m *Customers) Migrations() []sdk.Migration {
	return []sdk.Migration{
		sdkdb.Migration(1, "create the tables of all parts", func(tx *gorm.DB) error {
			for _, create := range []func(*gorm.DB) error{history.Migrate, people.Migrate, ownership.Migrate, handover.Migrate, privacy.Migrate} {
				if err := create(tx); err != nil {
					return err
				}
			}
			return nil
		}),
	}
}

// ServeHTTP answers the pages. Nothing of a page may be kept: it may show what a person has just lost the right to.
func (m *Customers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	m.routes.ServeHTTP(w, r)
}
