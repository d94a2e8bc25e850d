package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The pages that are open at once, spread over people and their sessions: the site allows 24 streams of a session and the devices module
// 200 pages of a linked account.
const (
	watchers          = 1000
	watchersPerPerson = 200
	watchersPerVisit  = 20
	emitted           = 20
	emitPause         = 200 * time.Millisecond
)

// mark begins the data of each event, so that readers know it again.
const mark = "bench-event-"

// measureFanOut measures from an event in the cloud until the open pages of a device have it.
func measureFanOut(ctx context.Context, s *site, r *report) error {
	pages, device, err := openPages(ctx, s)
	defer func() {
		for _, p := range pages {
			_ = p.Close()
		}
	}()
	if err != nil {
		return err
	}
	f := newFan(len(pages))
	for _, p := range pages {
		go f.read(p)
	}
	pids, err := s.pids(ctx, "devices")
	if err != nil {
		return err
	}
	before, err := cpuOf(pids)
	if err != nil {
		return err
	}
	for n := range emitted {
		f.emit(n, func() { s.cloud.server.Emit(device, "bench", mark+strconv.Itoa(n)+".") })
		select {
		case <-time.After(emitPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	f.settle(10 * time.Second)
	after, err := cpuOf(pids)
	if err != nil {
		return err
	}
	all, last, lost := f.result()
	if len(all) == 0 {
		return fmt.Errorf("no event arrived at any of %d pages: %w", len(pages), errors.Join(f.errors()...))
	}
	how := fmt.Sprintf("fan-out: %d events of one device, one each %s, from the simulated cloud's Emit until each of %d event streams of the devices module has read it, over %d linked accounts; times of all pages and events together", emitted, emitPause, len(pages), (watchers+watchersPerPerson-1)/watchersPerPerson)
	r.add(
		figure{Name: fmt.Sprintf("event to %d open pages: p99", len(pages)), Value: ms(all[len(all)*99/100]), Unit: "ms", Budget: 500, Aim: 100, Less: true, Bound: true, How: how},
		figure{Name: "  p50", Value: ms(all[len(all)/2]), Unit: "ms"},
		figure{Name: "  until the last page has it: median", Value: median(last), Unit: "ms"},
		figure{Name: "  events that did not arrive", Value: float64(lost), Less: true, Bound: true},
		figure{Name: "  CPU of host and module for one page's event", Value: float64((after - before).Microseconds()) / float64(len(all)), Unit: "µs"},
	)
	return nil
}

// openPages signs people in, links their accounts and opens the event streams of one device.
func openPages(ctx context.Context, s *site) (pages []net.Conn, device string, err error) {
	for n := 0; len(pages) < watchers; n++ {
		who := customer(n + 1)
		if _, err := s.account(ctx, who); err != nil {
			return pages, "", err
		}
		for visit := 0; visit < watchersPerPerson/watchersPerVisit && len(pages) < watchers; visit++ {
			v := newVisitor(s.url, 2+n*10+visit)
			if err := v.signIn(ctx, who); err != nil {
				return pages, "", err
			}
			if visit == 0 {
				if device, err = linkedDevice(ctx, s, v); err != nil {
					return pages, "", err
				}
			}
			for range watchersPerVisit {
				page, err := openPage(ctx, s, v, device)
				if err != nil {
					return pages, "", err
				}
				pages = append(pages, page)
			}
		}
	}
	return pages, device, nil
}

// linkedDevice links a visitor's account and gives the id of a device that is online.
func linkedDevice(ctx context.Context, s *site, v *visitor) (string, error) {
	if err := s.cloud.link(ctx, v); err != nil {
		return "", err
	}
	var list struct {
		Devices []struct {
			ID     string `json:"id"`
			Online bool   `json:"online"`
		} `json:"devices"`
	}
	if err := v.json(ctx, "/devices", &list); err != nil {
		return "", err
	}
	for _, d := range list.Devices {
		if d.Online {
			return d.ID, nil
		}
	}
	return "", fmt.Errorf("no device of %d is online", len(list.Devices))
}

// openPage opens one event stream and reads the answer's head.
func openPage(ctx context.Context, s *site, v *visitor, device string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "tcp", s.address)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(conn, "GET /devices/%s/events HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\nCookie: %s\r\n\r\n", device, s.address, v.cookie())
	if err == nil {
		err = expectStream(conn)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// expectStream reads up to the first comment of the stream, byte by byte, so that nothing of the events is lost.
func expectStream(conn net.Conn) error {
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second)) // a closed connection fails at the read
	var head []byte
	var one [1]byte
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		if _, err := conn.Read(one[:]); err != nil {
			return fmt.Errorf("open a stream: %w", err)
		}
		if head = append(head, one[0]); len(head) > 8<<10 {
			return fmt.Errorf("open a stream: the answer's head is too long")
		}
	}
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 200")) {
		return fmt.Errorf("%w: open a stream: %s", errWrongAnswer, head)
	}
	return conn.SetReadDeadline(time.Time{})
}

// fan collects when each page had each event.
type fan struct {
	pages   int
	emitted [emitted]atomic.Int64 // Unix nanoseconds

	mu    sync.Mutex
	took  [emitted][]time.Duration
	total int
	errs  []error
}

func newFan(pages int) *fan { return &fan{pages: pages} }

func (f *fan) emit(n int, send func()) {
	f.emitted[n].Store(time.Now().UnixNano())
	send()
}

// read follows one stream until it ends.
func (f *fan) read(conn net.Conn) {
	lines := bufio.NewReader(conn)
	for {
		line, err := lines.ReadString('\n')
		now := time.Now().UnixNano()
		if err != nil {
			f.mu.Lock()
			f.errs = append(f.errs, err)
			f.mu.Unlock()
			return
		}
		_, rest, ok := strings.Cut(line, mark)
		if !ok {
			continue
		}
		digits, _, _ := strings.Cut(rest, ".")
		n, err := strconv.Atoi(digits)
		if err != nil || n < 0 || n >= emitted {
			continue
		}
		f.mu.Lock()
		f.took[n] = append(f.took[n], time.Duration(now-f.emitted[n].Load()))
		f.total++
		f.mu.Unlock()
	}
}

// settle waits until every page has every event.
func (f *fan) settle(within time.Duration) {
	for until := time.Now().Add(within); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		f.mu.Lock()
		done := f.total >= f.pages*emitted
		f.mu.Unlock()
		if done {
			return
		}
	}
}

// result gives all times sorted, the slowest page's time of each event in ms, and how many did not arrive.
func (f *fan) result() (all []time.Duration, last []float64, lost int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for n := range f.took {
		if len(f.took[n]) > 0 {
			last = append(last, ms(slices.Max(f.took[n])))
		}
		all = append(all, f.took[n]...)
	}
	slices.Sort(all)
	return all, last, f.pages*emitted - f.total
}

// errors gives what ended streams, the first few.
func (f *fan) errors() []error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.errs[:min(len(f.errs), 3)]
}
