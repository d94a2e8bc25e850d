package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// plot is how many devices one customer gets, and streams how many of a device's event streams are open when it is taken away.
const (
	plot    = 1000
	streams = 10
	ends    = 10 * time.Second // within which they must have ended, and a page must show what is attached
)

// plotPrefix begins the devices' names.
const plotPrefix = "plot"

func plotID(n int) string { return fmt.Sprintf("e00fce6800000000004%05d", n) }

// measureAttach measures how long devices take to come to a customer, and to go.
func measureAttach(ctx context.Context, s *site, r *report) error {
	took, err := attachDevices(ctx, s)
	if err != nil {
		return err
	}
	how := fmt.Sprintf("attach: the ids of %d devices of a product of the simulated cloud in one POST /admin/customers/people/…/attach, until its answer: all or none, after the cloud was asked whether they are in the product. Then the customer's GET /devices until it shows one of them", plot)
	r.add(
		figure{Name: fmt.Sprintf("attach %d devices", plot), Value: took.Seconds(), Unit: "s", How: how},
		figure{Name: "  devices a second", Value: plot / took.Seconds(), Unit: "/s"},
	)
	shown, requests, err := s.untilShown(ctx)
	if err != nil {
		return err
	}
	r.add(
		figure{Name: "  from the answer until /devices shows them", Value: ms(shown), Unit: "ms"},
		figure{Name: "  requests until it does", Value: float64(requests), Budget: 1, Aim: 1, Less: true, Bound: true},
	)
	m, err := load(ctx, target{address: s.address, path: "/devices", cookie: s.visitor.cookie(), end: "</html>"}, 1, s.options.lasting(), nil)
	if err != nil {
		return err
	}
	r.add(
		figure{Name: fmt.Sprintf("/devices with %d attached, first page: p50", plot), Value: ms(m.P50), Unit: "ms"},
		figure{Name: "  p99", Value: ms(m.P99), Unit: "ms"},
		figure{Name: "  size of the page", Value: float64(m.Bytes) / 1000, Unit: "kB"},
	)
	if err := measureDetach(ctx, s, r); err != nil {
		return err
	}
	sum, _, err := s.memory(ctx)
	if err != nil {
		return err
	}
	r.add(figure{Name: "memory of host and modules after that", Value: mb(sum.all), Unit: "MB"})
	return nil
}

// attachDevices gives the customer the devices, once. It returns 0 when they were there.
func attachDevices(ctx context.Context, s *site) (took time.Duration, err error) {
	if len(s.attached) > 0 {
		return 0, nil
	}
	ids := make([]string, plot)
	for i := range ids {
		ids[i] = plotID(i + 1)
	}
	path := fmt.Sprintf("/admin/customers/people/%d/attach", s.ann)
	if _, err := s.admin.get(ctx, path); err != nil { // as a person does before sending the form
		return 0, err
	}
	began := time.Now()
	if _, err := s.admin.post(ctx, path, "product", s.product, "ids", strings.Join(ids, "\n")); err != nil {
		return 0, err
	}
	s.attached = ids
	return time.Since(began), nil
}

// untilShown asks for the customer's list until it has a device that was attached.
func (s *site) untilShown(ctx context.Context) (took time.Duration, requests int, err error) {
	began := time.Now()
	for {
		a, err := s.visitor.get(ctx, "/devices")
		if err != nil {
			return 0, 0, err
		}
		took, requests = time.Since(began), requests+1
		if a.status == http.StatusOK && strings.Contains(string(a.body), plotPrefix+"-") {
			return took, requests, nil
		}
		if took > ends {
			return 0, 0, fmt.Errorf("%w: /devices does not show what is attached: %d\n%.1500s", errWrongAnswer, a.status, mainOf(a.body))
		}
	}
}

// measureDetach takes one device away while its pages are open.
func measureDetach(ctx context.Context, s *site, r *report) error {
	device := s.attached[len(s.attached)-1]
	ended := make(chan time.Time, streams)
	for range streams {
		page, err := openPage(ctx, s, s.visitor, device)
		if err != nil {
			return err
		}
		defer page.Close()
		go func() { ended <- endOf(page) }() // ends with the stream
	}
	page := "/devices/" + device
	if a, err := s.visitor.get(ctx, page); err != nil || a.status != http.StatusOK {
		return fmt.Errorf("%w: %s before it is taken away: %d, %w", errWrongAnswer, page, a.status, err)
	}
	began := time.Now()
	if _, err := s.admin.post(ctx, fmt.Sprintf("/admin/customers/people/%d/detach", s.ann), "device", device); err != nil {
		return err
	}
	answered, requests := time.Now(), 0
	var gone time.Duration
	for gone == 0 {
		a, err := s.visitor.get(ctx, page)
		if err != nil {
			return err
		}
		requests++
		if a.status == http.StatusNotFound {
			gone = time.Since(answered)
		} else if time.Since(answered) > ends {
			return fmt.Errorf("%w: %s of a device that was taken away: %d", errWrongAnswer, page, a.status)
		}
	}
	last, open := lastEnd(ended, answered)
	s.attached = s.attached[:len(s.attached)-1]
	how := fmt.Sprintf("detach: POST /admin/customers/people/…/detach of one of the devices while %d event streams of it are open. Times count from its answer; a stream that ended before counts 0", streams)
	r.add(
		figure{Name: "detach a device", Value: ms(answered.Sub(began)), Unit: "ms", How: how},
		figure{Name: "  requests until its page answers 404", Value: float64(requests), Budget: 1, Aim: 1, Less: true, Bound: true},
		figure{Name: "  until that answer", Value: ms(gone), Unit: "ms"},
		figure{Name: fmt.Sprintf("  until the last of %d streams has ended", streams), Value: ms(last), Unit: "ms"},
		figure{Name: fmt.Sprintf("  streams still open after %s", ends), Value: float64(open), Less: true, Bound: true},
	)
	return nil
}

// endOf reads a stream until it ends.
func endOf(page net.Conn) time.Time {
	_, _ = io.Copy(io.Discard, bufio.NewReader(page)) // whether it ends well or is cut does not matter
	return time.Now()
}

// lastEnd waits for the ends of all streams and gives the last one after a moment, and how many are open still.
func lastEnd(ended <-chan time.Time, after time.Time) (last time.Duration, open int) {
	deadline := time.After(time.Until(after.Add(ends)))
	for n := range streams {
		select {
		case at := <-ended:
			last = max(last, at.Sub(after))
		case <-deadline:
			return last, streams - n
		}
	}
	return last, 0
}
