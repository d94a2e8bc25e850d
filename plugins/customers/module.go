package main

import (
	"context"
	"net/http"
	"time"

	"gorm.io/gorm"

	"mortise/core/sdk"
	"mortise/core/sdk/sdkdb"
	"mortise/plugins/customers/history"
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
	parts  []part
}

// New makes the module; Start gives it the site.
func New() *Customers {
	return &Customers{now: func() time.Time { return time.Now().UTC() }}
}

// Start opens the store and puts the parts together.
func (m *Customers) Start(_ context.Context, host sdk.Host) error {
	db, err := sdkdb.Open(host)
	if err != nil {
		return err
	}
	m.site, m.routes = &site.Site{Host: host, DB: db, Now: m.now}, http.NewServeMux()
	m.parts = m.assemble()
	for _, p := range m.parts {
		p.Routes(m.routes)
	}
	return nil
}

// assemble makes the parts, each with those that it knows.
func (m *Customers) assemble() []part {
	return nil
}

// Stop has nothing to end.
func (m *Customers) Stop(context.Context) error { return nil }

// Migrations gives every step since the first version. A step that ran somewhere is never changed.
func (m *Customers) Migrations() []sdk.Migration {
	return []sdk.Migration{
		sdkdb.Migration(1, "create the tables of all parts", func(tx *gorm.DB) error {
			for _, create := range []func(*gorm.DB) error{history.Migrate} {
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
