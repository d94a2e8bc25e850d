package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// measureMemory measures host and modules after load, with the customers in the store.
func measureMemory(ctx context.Context, s *site, r *report) error {
	if _, err := importCustomers(ctx, s); err != nil { // also when no other figure was asked for
		return err
	}
	if _, err := s.settle(ctx); err != nil {
		return err
	}
	for _, t := range s.everyModule() {
		if _, err := blast(ctx, t, connections, s.options.lasting()); err != nil {
			return err
		}
	}
	sum, parts, err := s.memory(ctx)
	if err != nil {
		return err
	}
	r.add(figure{
		Name: "memory of host and the maker's four modules", Value: mb(sum.all), Unit: "MB", Budget: 120, Aim: 80, Less: true, Bound: true,
		How: fmt.Sprintf("memory: proportional set size (Pss of /proc/<pid>/smaps_rollup) of host, linking, organizations, customers and devices, right after the loads above and %d connections for %s on a page of each module, with %d customers in the store; a customer's pages are those of one with %d devices. No program runs twice, so none counts for less than it is", connections, s.options.lasting(), crowd, gardenLamps),
	}, figure{Name: "  of it pages of the programs' files", Value: mb(sum.all - sum.own), Unit: "MB"})
	r.add(parts...)
	return s.profileMemory()
}

// memory adds up what host and modules take, with the parts.
func (s *site) memory(ctx context.Context) (sum memory, parts []figure, err error) {
	names := makers()
	pids, err := s.pids(ctx, names...)
	if err != nil {
		return sum, nil, err
	}
	for i, pid := range pids {
		m, err := memoryOf(pid)
		if err != nil {
			return sum, nil, err
		}
		name := "host"
		if i > 0 {
			name = names[i-1]
		}
		sum.all, sum.own = sum.all+m.all, sum.own+m.own
		parts = append(parts, figure{Name: "  of it " + name, Value: mb(m.all), Unit: "MB"}, figure{Name: "    not of its program's file", Value: mb(m.own), Unit: "MB"})
	}
	return sum, parts, nil
}

func mb(bytes int64) float64 { return float64(bytes) / 1e6 }

// everyModule gives a page of each of the maker's modules, as who would open it.
func (s *site) everyModule() []target {
	admin, friend := s.admin.cookie(), s.friend.cookie()
	all := []target{
		{path: "/admin/customers", cookie: admin},
		{path: fmt.Sprintf("/admin/customers/people/%d/devices", s.friendID), cookie: admin},
		{path: "/admin/organizations", cookie: admin},
		{path: "/linking", cookie: friend},
		{path: "/devices", cookie: friend},
	}
	for i := range all {
		all[i].address, all[i].end = s.address, "</html>"
	}
	return all
}

// profileMemory takes the host's heap, when profiles were asked for: the second of two signals writes it.
func (s *site) profileMemory() error {
	if s.options.profile == "" {
		return nil
	}
	for range 2 {
		if err := s.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
			return err
		}
		time.Sleep(time.Second) // until it has noticed
	}
	text, err := os.ReadFile(s.hostProfile() + heapSuffix)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.options.profile, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.options.profile, "memory-host.pprof"+heapSuffix), text, 0o644)
}
