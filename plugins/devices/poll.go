package main

import (
	"context"
	"time"

	"mortise/core/fault"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/productapi"
)

const (
	maxPolls    = 24              // products whose events are followed at once: with maxProductCalls well below the 64 calls that the host allows
	pollWait    = 5 * time.Second // of one question; a module that is paused waits for its end
	retryFirst  = 2 * time.Second // after a failure; doubled each time
	retryMost   = 15 * time.Second
	answerTwice = 100 * time.Millisecond // who answers nothing faster than this is not asked again at once
)

// poll follows the events of a product: one question after the other, each waiting for what comes. It speaks for the module, not for a
// person.
type poll struct {
	m       *Devices
	service productapi.Client
	product productapi.Product

	cursor int64
	state  productapi.StreamState // as pages know it
	queue  []particle.Message
	wait   time.Duration // after the last failure; 0 when there was none
}

func newPoll(m *Devices, p productapi.Product) *poll {
	return &poll{m: m, product: p, service: productapi.Client{Call: m.host.Call}}
}

// Next gives what comes next. The error is ctx's.
func (p *poll) Next(ctx context.Context) (particle.Message, error) {
	for len(p.queue) == 0 {
		if err := pause(ctx, p.wait); err != nil {
			return particle.Message{}, err
		}
		p.ask(ctx)
		if ctx.Err() != nil {
			return particle.Message{}, ctx.Err()
		}
	}
	next := p.queue[0]
	p.queue = p.queue[1:]
	return next, nil
}

// Close does nothing: the service closes the stream by itself when nobody asks any more.
func (p *poll) Close() {}

func (p *poll) ask(ctx context.Context) {
	began := p.m.now()
	got, err := p.service.Events(ctx, productapi.Poll{Product: p.product, After: p.cursor, WaitMS: pollWait.Milliseconds(), State: p.state})
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		state := productapi.Reconnecting
		if kind := particle.KindOf(err); kind == particle.DeadToken || kind == particle.MissingScope || kind == particle.Denied || kind == "" && fault.Is(err, fault.NotFound) {
			state = productapi.Dead
		}
		p.turn(state)
		p.wait = min(max(2*p.wait, p.m.patience.retry), retryMost)
		return
	}
	p.cursor, p.wait = got.Cursor, 0
	p.turn(got.State)
	if got.Missed > 0 {
		p.queue = append(p.queue, particle.Message{Lagged: got.Missed})
	}
	for _, e := range got.Events {
		p.queue = append(p.queue, particle.Message{Event: &particle.Event{Name: e.Name, Data: e.Data, DeviceID: e.DeviceID, PublishedAt: e.PublishedAt}})
	}
	if len(p.queue) == 0 && p.m.now().Sub(began) < answerTwice {
		p.wait = min(time.Second, p.m.patience.retry)
	}
}

func (p *poll) turn(state productapi.StreamState) {
	if state == p.state || state == "" {
		return
	}
	p.state = state
	p.queue = append(p.queue, particle.Message{State: particle.StreamState(state)})
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
