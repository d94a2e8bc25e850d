package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// rounds is how often the two sides of a comparison alternate.
const rounds = 3

// connections is how many browsers ask at once.
const connections = 16

// baseline is the single process that pages are compared with.
type baseline struct {
	cmd   *exec.Cmd
	stdin io.Closer
	page  target
}

func startBaseline(s *site) (*baseline, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp(s.folder, "single-")
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, folder, s.path("plugins", "bench", "templates"))
	cmd.Env = append(os.Environ(), childVariable+"=baseline")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	b := &baseline{cmd: cmd, stdin: stdin}
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		b.stop()
		return nil, fmt.Errorf("start the single process: %w", err)
	}
	var ready struct {
		URL string `json:"url"`
	}
	if err := json.Unmarshal(line, &ready); err != nil {
		b.stop()
		return nil, fmt.Errorf("start the single process: %w", err)
	}
	b.page = target{address: strings.TrimPrefix(ready.URL, "http://"), cookie: "session=" + singleToken, end: "</html>"}
	return b, nil
}

func (b *baseline) stop() {
	_ = b.stdin.Close() // it ends by this
	_ = b.cmd.Wait()
}

// comparePages measures the page of the module and the page of the single process in turn.
func comparePages(ctx context.Context, s *site, queries int) (ours, single []measured, err error) {
	b, err := startBaseline(s)
	if err != nil {
		return nil, nil, err
	}
	defer b.stop()
	pids, err := s.pids(ctx, "bench")
	if err != nil {
		return nil, nil, err
	}
	path := fmt.Sprintf("/bench/items?queries=%d", queries)
	mine := target{address: s.address, path: path, cookie: s.visitor.cookie(), end: "</html>"}
	theirs := b.page
	theirs.path = path
	for range rounds {
		m, err := load(ctx, mine, connections, s.options.lasting(), pids)
		if err != nil {
			return nil, nil, fmt.Errorf("the module's page: %w", err)
		}
		n, err := load(ctx, theirs, connections, s.options.lasting(), []int{b.cmd.Process.Pid})
		if err != nil {
			return nil, nil, fmt.Errorf("the single process's page: %w", err)
		}
		ours, single = append(ours, m), append(single, n)
	}
	return ours, single, nil
}

// of takes one number of each run and gives the median.
func of(runs []measured, number func(measured) float64) float64 {
	var v []float64
	for _, m := range runs {
		v = append(v, number(m))
	}
	return median(v)
}

func perSec(m measured) float64 { return m.PerSec }
func p50ms(m measured) float64  { return ms(m.P50) }
func p99ms(m measured) float64  { return ms(m.P99) }
func cpu(m measured) float64    { return m.CPU }

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func pageFigures(ctx context.Context, s *site, r *report, queries int, budget, aim float64) error {
	ours, single, err := comparePages(ctx, s, queries)
	if err != nil {
		return err
	}
	var ratios []float64
	for i := range ours {
		ratios = append(ratios, ours[i].PerSec/single[i].PerSec)
	}
	what := fmt.Sprintf("page, %d quer%s: ", queries, map[bool]string{true: "y", false: "ies"}[queries == 1])
	how := fmt.Sprintf("pages: %d connections, %d alternating rounds of %s each, ratios within a round, then the median; signed in, 20 rows, %.1f kB; CPU is that of host and module (or of the single process). The single process runs the same queries, theme, template and session check over Fiber and GORM in one process, without process boundary or tunnel. Nothing is cached.", connections, rounds, s.options.lasting(), float64(ours[0].Bytes)/1000)
	r.add(
		figure{Name: what + "ratio to one process", Value: median(ratios), Unit: "×", Budget: budget, Aim: aim, Bound: true, How: how},
		figure{Name: what + "one process's CPU to ours", Value: of(single, cpu) / of(ours, cpu), Unit: "×"},
		figure{Name: what + "rate", Value: of(ours, perSec), Unit: "/s"},
		figure{Name: what + "p50", Value: of(ours, p50ms), Unit: "ms"},
		figure{Name: what + "p99", Value: of(ours, p99ms), Unit: "ms"},
		figure{Name: what + "CPU per request", Value: of(ours, cpu), Unit: "µs"},
		figure{Name: what + "one process, rate", Value: of(single, perSec), Unit: "/s"},
		figure{Name: what + "one process, CPU per request", Value: of(single, cpu), Unit: "µs"},
	)
	return s.profilePage(ctx, queries)
}

func measurePage(ctx context.Context, s *site, r *report) error {
	return pageFigures(ctx, s, r, 1, 0.6, 0.8)
}

func measureQueries(ctx context.Context, s *site, r *report) error {
	return pageFigures(ctx, s, r, 8, 0.5, 0.8)
}

// measureAnonymous measures pages of the host for somebody who is not signed in.
func measureAnonymous(ctx context.Context, s *site, r *report) error {
	for _, path := range []string{"/", "/login"} {
		m, err := load(ctx, target{address: s.address, path: path, end: "</html>"}, connections, s.options.lasting(), []int{s.cmd.Process.Pid})
		if err != nil {
			return err
		}
		how := fmt.Sprintf("anonymous pages: %d connections for %s, drawn for every request (there is no page cache), each a new visitor without a cookie", connections, s.options.lasting())
		r.add(
			figure{Name: "anonymous " + path + ": rate", Value: m.PerSec, Unit: "/s", How: how},
			figure{Name: "anonymous " + path + ": CPU per request", Value: m.CPU, Unit: "µs"},
		)
	}
	return nil
}
