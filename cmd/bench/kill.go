package main

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"

	"mortise/core/control"
)

// kills is how often the module is killed, and askPause how long each of its visitors waits between two pages.
const (
	kills    = 5
	askPause = 10 * time.Millisecond
)

// seen is one request around a kill.
type seen struct {
	began, ended time.Time
	status       int // 0: no answer at all
}

// measureKill kills a module under load, then the host.
func measureKill(ctx context.Context, s *site, r *report) error {
	var back []float64
	failures := map[int]int{}
	total := 0
	for range kills {
		took, all, err := killModule(ctx, s)
		if err != nil {
			return err
		}
		if err := forgive(ctx, s); err != nil {
			return err
		}
		back = append(back, ms(took))
		for _, one := range all {
			total++
			if one.status != fasthttp.StatusOK {
				failures[one.status]++
			}
		}
	}
	lost := 0
	kinds := ""
	for status, n := range failures {
		lost += n
		kinds += fmt.Sprintf(" %d×%d", n, status)
	}
	how := fmt.Sprintf("kill: SIGKILL of the bench module %d times under %d connections that ask again %s after each answer; back is the end of the first good answer to a request that began after the kill. In between it is paused and resumed, or the host would wait longer before each further start", kills, connections, askPause)
	r.add(
		figure{Name: "killed module, pages back after: median", Value: median(back), Unit: "ms", Budget: 1000, Aim: 1000, Less: true, Bound: true, How: how},
		figure{Name: fmt.Sprintf("  failed requests of %d around the kills%s", total, kinds), Value: float64(lost), Unit: ""},
	)
	return killHost(s, r)
}

// forgive has the host forget the end of the module, as an administrator does.
func forgive(ctx context.Context, s *site) error {
	for _, action := range []control.Action{control.Pause, control.Resume} {
		if _, err := s.control.Act(ctx, "bench", action, control.ActOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// killModule gives how long it took until a page was there again, and every request from a moment before the kill to a second after it.
func killModule(ctx context.Context, s *site) (time.Duration, []seen, error) {
	pids, err := s.pids(ctx, "bench")
	if err != nil {
		return 0, nil, err
	}
	var wait sync.WaitGroup
	var mu sync.Mutex
	var all []seen
	stop := make(chan struct{})
	for range connections {
		wait.Go(func() {
			mine := watchPage(s, stop)
			mu.Lock()
			all = append(all, mine...)
			mu.Unlock()
		})
	}
	time.Sleep(200 * time.Millisecond)
	killed := time.Now()
	err = syscall.Kill(pids[1], syscall.SIGKILL)
	time.Sleep(2 * time.Second)
	close(stop)
	wait.Wait()
	if err != nil {
		return 0, nil, fmt.Errorf("kill the module: %w", err)
	}
	first := time.Time{}
	for _, one := range all {
		// A request that began a moment after the kill may still be answered by the dying process.
		if one.status == fasthttp.StatusOK && one.began.After(killed.Add(5*time.Millisecond)) && (first.IsZero() || one.ended.Before(first)) {
			first = one.ended
		}
	}
	if first.IsZero() {
		return 0, nil, fmt.Errorf("no page within two seconds of the kill; %d requests in all, the module's last state: %s", len(all), s.stateOf(ctx, "bench"))
	}
	return first.Sub(killed), all, nil
}

// stateOf says how a module is, for errors.
func (s *site) stateOf(ctx context.Context, id string) string {
	m, err := s.control.Module(ctx, id)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s %s", m.State, m.Reason)
}

// watchPage asks for the page again and again and notes what came, whatever it was.
func watchPage(s *site, stop <-chan struct{}) []seen {
	client := fasthttp.HostClient{Addr: s.address, MaxConns: 1, ReadTimeout: 20 * time.Second, MaxIdemponentCallAttempts: 1}
	defer client.CloseIdleConnections()
	req, res := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(res)
	req.SetRequestURI("http://" + s.address + "/bench/items")
	req.Header.Set("Accept", "text/html")
	req.Header.Set("Cookie", s.visitor.cookie())
	var list []seen
	for {
		select {
		case <-stop:
			return list
		default:
		}
		one := seen{began: time.Now()}
		if client.Do(req, res) == nil {
			one.status = res.StatusCode()
		}
		one.ended = time.Now()
		list = append(list, one)
		time.Sleep(askPause)
	}
}

// killHost kills the host, so it comes last: no module may outlive it.
func killHost(s *site, r *report) error {
	pids, err := descendants(s.cmd.Process.Pid)
	if err != nil {
		return err
	}
	if len(pids) < 2 {
		return fmt.Errorf("the host has no module's process below it")
	}
	if err := s.cmd.Process.Kill(); err != nil {
		return err
	}
	killed := time.Now()
	left := len(pids)
	for left > 0 && time.Since(killed) < time.Second {
		time.Sleep(5 * time.Millisecond)
		left = 0
		for _, pid := range pids {
			if alive(pid) {
				left++
			}
		}
	}
	r.add(
		figure{Name: fmt.Sprintf("killed host, processes of %d left after 1 s", len(pids)), Value: float64(left), Less: true, Bound: true, How: "killed host: SIGKILL, then its process and all below it are looked for in /proc"},
		figure{Name: "  all gone after", Value: ms(time.Since(killed)), Unit: "ms"},
	)
	return nil
}
