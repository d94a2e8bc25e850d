package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// target is a page to ask for again and again.
type target struct {
	address string // host:port
	path    string
	cookie  string // "" asks as nobody
	end     string // what every answer must contain; an error page does not count as a page
}

// measured is the outcome of one run of the load generator.
type measured struct {
	Requests int
	PerSec   float64
	P50, P99 time.Duration
	Bytes    int     // of the last answer's body
	CPU      float64 // µs a request of the processes that were watched; 0 when there were none
}

// errWrongAnswer stops a run: a figure of failing requests says nothing.
var errWrongAnswer = errors.New("unexpected answer")

// load asks for a page over so many connections, each asking again as soon as it has its answer. watched are the processes whose CPU time
// is divided by the requests.
func load(ctx context.Context, t target, connections int, lasting time.Duration, watched []int) (measured, error) {
	if _, err := blast(ctx, t, connections, min(lasting/4, time.Second)); err != nil { // warms up
		return measured{}, err
	}
	before, err := cpuOf(watched)
	if err != nil {
		return measured{}, err
	}
	m, err := blast(ctx, t, connections, lasting)
	if err != nil {
		return measured{}, err
	}
	after, err := cpuOf(watched)
	if err != nil {
		return measured{}, err
	}
	m.CPU = float64((after - before).Microseconds()) / float64(max(m.Requests, 1))
	return m, nil
}

func blast(ctx context.Context, t target, connections int, lasting time.Duration) (measured, error) {
	var wait sync.WaitGroup
	took := make([][]time.Duration, connections)
	errs := make([]error, connections)
	sizes := make([]int, connections)
	began := time.Now()
	until := began.Add(lasting)
	for i := range connections {
		wait.Go(func() { took[i], sizes[i], errs[i] = t.ask(ctx, until) })
	}
	wait.Wait()
	passed := time.Since(began)
	for _, err := range errs {
		if err != nil {
			return measured{}, err // the others mostly say the same
		}
	}
	all := slices.Concat(took...)
	if len(all) == 0 {
		return measured{}, fmt.Errorf("%s: no answer within %s", t.path, lasting)
	}
	slices.Sort(all)
	return measured{
		Requests: len(all), PerSec: float64(len(all)) / passed.Seconds(),
		P50: all[len(all)/2], P99: all[len(all)*99/100], Bytes: slices.Max(sizes),
	}, nil
}

// ask is one connection.
func (t target) ask(ctx context.Context, until time.Time) (took []time.Duration, size int, err error) {
	client := fasthttp.HostClient{
		Addr: t.address, MaxConns: 1, ReadTimeout: 20 * time.Second, WriteTimeout: 5 * time.Second, MaxIdemponentCallAttempts: 1,
		NoDefaultUserAgentHeader: true,
	}
	defer client.CloseIdleConnections()
	req, res := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(res)
	req.SetRequestURI("http://" + t.address + t.path)
	req.Header.Set("Accept", "text/html")
	if t.cookie != "" {
		req.Header.Set("Cookie", t.cookie)
	}
	end := []byte(t.end)
	took = make([]time.Duration, 0, 1<<12)
	for {
		began := time.Now()
		if began.After(until) || ctx.Err() != nil {
			return took, size, ctx.Err()
		}
		if err := client.Do(req, res); err != nil {
			return took, size, fmt.Errorf("GET %s: %w", t.path, err)
		}
		took = append(took, time.Since(began))
		if res.StatusCode() != fasthttp.StatusOK || !bytes.Contains(res.Body(), end) {
			return took, size, fmt.Errorf("%w: GET %s: %d\n%.1500s", errWrongAnswer, t.path, res.StatusCode(), mainOf(res.Body()))
		}
		size = len(res.Body())
	}
}

// from gives a dialer that comes from another address of this machine's loopback network, where every 127.x.y.z answers: limits that
// count by address then see several visitors.
func from(n int) *net.Dialer {
	return &net.Dialer{Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+n))}}
}
