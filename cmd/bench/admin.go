package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"mortise/cmd/bench/internal/items"
	"mortise/core/control"
)

// measureModules measures the list of modules.
func measureModules(ctx context.Context, s *site, r *report) error {
	list, err := s.control.Modules(ctx)
	if err != nil {
		return err
	}
	t := target{address: s.address, path: "/admin/modules", cookie: s.admin.cookie(), end: "</html>"}
	m, err := load(ctx, t, 1, s.options.lasting(), []int{s.cmd.Process.Pid})
	if err != nil {
		return err
	}
	how := fmt.Sprintf("module list: one connection of an administrator for %s, %d modules, %.0f kB a page", s.options.lasting(), len(list), float64(m.Bytes)/1000)
	r.add(
		figure{Name: "/admin/modules with 50 modules: p50", Value: ms(m.P50), Unit: "ms", Budget: 3, Aim: 1, Less: true, Bound: true, How: how},
		figure{Name: "/admin/modules with 50 modules: p99", Value: ms(m.P99), Unit: "ms"},
	)
	return nil
}

// cycles is how often a module is enabled.
const cycles = 10

// measureEnable measures from pressing Enable until the module's first page is there.
func measureEnable(ctx context.Context, s *site, r *report) error {
	var all, first []float64
	page := "/" + swapped + "/items"
	for range cycles {
		began := time.Now()
		if _, err := s.admin.post(ctx, "/admin/modules/"+swapped+"/enable"); err != nil {
			return err
		}
		enabled := time.Now()
		a, err := s.admin.get(ctx, page)
		if err != nil {
			return err
		}
		all, first = append(all, ms(time.Since(began))), append(first, ms(time.Since(enabled)))
		if a.status != http.StatusOK {
			return fmt.Errorf("%w: the first page answered %d\n%.500s", errWrongAnswer, a.status, mainOf(a.body))
		}
		if _, err := s.control.Act(ctx, swapped, control.Remove, control.ActOptions{DeleteData: true}); err != nil {
			return err
		}
	}
	how := fmt.Sprintf("enable: POST /admin/modules/%s/enable by an administrator, until GET %s is answered; %d times, removed with its data in between, so each makes its table and fills it with %d rows", swapped, page, cycles, items.FewRows)
	r.add(
		figure{Name: "enable until the first page: median", Value: median(all), Unit: "ms", Budget: 300, Aim: 100, Less: true, Bound: true, How: how},
		figure{Name: "  of it the first page: median", Value: median(first), Unit: "ms"},
	)
	return nil
}
