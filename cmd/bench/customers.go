package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// The customers of the maker's site. They are made up of a few names, as in a town: searches find many.
const (
	crowd      = 10_000
	importTime = 5 * time.Minute        // after which an import counts as stuck
	importPoll = 100 * time.Millisecond // between looks at its page
)

// measureCustomers measures the import of customers and the list of them.
func measureCustomers(ctx context.Context, s *site, r *report) error {
	took, err := importCustomers(ctx, s)
	if err != nil {
		return err
	}
	if took > 0 {
		how := fmt.Sprintf("import: a CSV file of %d lines with name and address sent to POST /admin/customers/import, without invitations, until the page of the import says that it is done (asked every %s). Each line makes an account of the site and a row and a history entry of the module.", crowd, importPoll)
		r.add(
			figure{Name: fmt.Sprintf("import of %d customers", crowd), Value: took.Seconds(), Unit: "s", How: how},
			figure{Name: "  lines a second", Value: crowd / took.Seconds(), Unit: "/s"},
		)
	}
	busy, err := s.settle(ctx)
	if err != nil {
		return err
	}
	r.add(figure{Name: "  from its end until the site has nothing to do", Value: busy.Seconds(), Unit: "s"})
	pids, err := s.pids(ctx, "customers")
	if err != nil {
		return err
	}
	for _, p := range listPages() {
		m, err := load(ctx, target{address: s.address, path: p.path, cookie: s.admin.cookie(), end: "</html>"}, 1, s.options.lasting(), pids)
		if err != nil {
			return err
		}
		how := fmt.Sprintf("list of customers: one connection of an administrator for %s each, %d customers, HTML drawn by the host; CPU is that of host and module", s.options.lasting(), crowd+1)
		r.add(
			figure{Name: fmt.Sprintf("%d customers, %s: p50", crowd, p.name), Value: ms(m.P50), Unit: "ms", Budget: 20, Aim: 10, Less: true, Bound: true, How: how},
			figure{Name: "  p99", Value: ms(m.P99), Unit: "ms"},
			figure{Name: fmt.Sprintf("  CPU a request, of %.0f kB", float64(m.Bytes)/1000), Value: m.CPU, Unit: "µs"},
		)
	}
	return nil
}

// listPages are the views of the list that are measured.
func listPages() []struct{ name, path string } {
	return []struct{ name, path string }{
		{"first page", "/admin/customers"},
		{"search", "/admin/customers?q=mira+brook"},
		{"search of a rare address", "/admin/customers?q=n9876%40"},
		{"sorted, page 300", "/admin/customers?sort=-email&page=300"},
	}
}

// importCustomers makes the customers with an import, once. took is 0 when they were there.
func importCustomers(ctx context.Context, s *site) (took time.Duration, err error) {
	if s.imported {
		return 0, nil
	}
	var form struct {
		Once string `json:"once"`
	}
	if err := s.admin.json(ctx, "/admin/customers/import", &form); err != nil {
		return 0, err
	}
	began := time.Now()
	a, err := s.admin.upload(ctx, "/admin/customers/import", "file", "customers.csv", crowdCSV(crowd), "once", form.Once)
	if err != nil {
		return 0, err
	}
	for {
		var page struct {
			Import struct {
				State string `json:"state"`
			} `json:"import"`
			Counts []struct {
				Result string `json:"result"`
				N      int    `json:"n"`
			} `json:"counts"`
		}
		if err := s.admin.json(ctx, a.location, &page); err != nil {
			return 0, err
		}
		took = time.Since(began)
		if page.Import.State == "done" {
			if len(page.Counts) != 1 || page.Counts[0].Result != "created" || page.Counts[0].N != crowd {
				return 0, fmt.Errorf("%w: the import ended with %v", errWrongAnswer, page.Counts)
			}
			s.imported = true
			return took, nil
		}
		if took > importTime {
			return 0, fmt.Errorf("the import has not ended within %s: %v", importTime, page)
		}
		select {
		case <-time.After(importPoll):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

const (
	settleStep = 500 * time.Millisecond
	settleTime = 2 * time.Minute
	settleCPU  = settleStep / 10 // of host and modules together
	settled    = 4               // steps in a row
)

// settle waits until host and modules are idle for a while: after an import the site still tells the modules of each new account. took is
// until they were.
func (s *site) settle(ctx context.Context) (took time.Duration, err error) {
	pids, err := s.pids(ctx, makers()...)
	if err != nil {
		return 0, err
	}
	began, quiet := time.Now(), 0
	for time.Since(began) < settleTime {
		before, err := cpuOf(pids)
		if err != nil {
			return 0, err
		}
		select {
		case <-time.After(settleStep):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		after, err := cpuOf(pids)
		if err != nil {
			return 0, err
		}
		if quiet++; after-before >= settleCPU {
			took, quiet = time.Since(began), 0
		}
		if quiet == settled {
			return took, nil
		}
	}
	return 0, fmt.Errorf("the site is still busy after %s", settleTime)
}

// crowdCSV makes a file of n customers.
func crowdCSV(n int) []byte {
	first := []string{"Ann", "Ben", "Carla", "Dora", "Emil", "Fay", "Gus", "Hana", "Ivo", "Jana", "Kai", "Lena", "Mira", "Nils", "Olga", "Paul", "Rosa", "Sven", "Tara", "Udo"}
	last := []string{"Ash", "Brook", "Clay", "Dale", "Elm", "Field", "Grove", "Hill", "Ivy", "Lake", "Marsh", "North", "Oak", "Pond", "Reed", "Stone", "Vale"}
	var b strings.Builder
	b.WriteString("name,e-mail\n")
	for i := range n {
		f, l := first[i%len(first)], last[i/len(first)%len(last)]
		fmt.Fprintf(&b, "%s %s,%s.%s.n%d@customers.example\n", f, l, strings.ToLower(f), strings.ToLower(l), i)
	}
	return []byte(b.String())
}
