package main

import (
	"context"
	"fmt"

	"mortise/core/control"
)

// place is one of the two sites that figures are taken on. They run one after the other: programs that run twice share their pages, and each
// process would look smaller than it is.
type place int

const (
	workbench place = iota // for pages with and without a module, and for the life of modules
	office                 // what a maker has: the four modules, a workspace at the simulated cloud, and customers
)

// layout is what a site is made of.
type layout struct {
	says    string
	modules []string // of the folder plugins, built from their sources
	spares  int      // copies of the bench module beside itself; 0: it is not there either
	furnish func(*site, context.Context) error
}

func (p place) layout() layout {
	if p == office {
		return layout{"a maker's site with four modules", makers(), 0, (*site).furnishOffice}
	}
	return layout{"a site with 50 modules", []string{"linking", "devices"}, spares, (*site).furnishWorkbench}
}

// makers are the modules of a maker, in the order in which they are enabled.
func makers() []string { return []string{"linking", "organizations", "customers", "devices"} }

// spares is how many modules lie in the site's folder besides bench, linking and devices: 50 together.
const spares = 47

// idle is the spare that runs besides bench, linking and devices, so that four modules do; swapped is the one that is enabled and
// removed again and again.
const (
	idle    = "spare01"
	swapped = "spare02"
)

// furnishWorkbench enables four modules: bench, linking with a simulated cloud, devices and a spare.
func (s *site) furnishWorkbench(ctx context.Context) (err error) {
	if s.cloud, err = startCloud(s.url); err != nil {
		return err
	}
	if err := s.enable(ctx, "bench", idle, "linking"); err != nil {
		return err
	}
	if _, err := s.admin.post(ctx, "/admin/modules/linking/settings", s.cloud.settings()...); err != nil {
		return err
	}
	return s.enable(ctx, "devices")
}

func (s *site) enable(ctx context.Context, ids ...string) error {
	for _, id := range ids {
		if _, err := s.control.Act(ctx, id, control.Enable, control.ActOptions{}); err != nil {
			return fmt.Errorf("enable %s: %w", id, err)
		}
	}
	return nil
}
