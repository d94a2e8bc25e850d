package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"mortise/core/fault"
)

const (
	silentFor  = 3 * time.Second     // after "not available" a service is not asked again, for anybody
	usedWithin = 30 * 24 * time.Hour // a service that answered so lately is used here: its silence is worth a notice
	noteEvery  = time.Hour           // how often it is written down that a service answers
)

// neighbour is a service of another module that this one can do without. The host answers alike for a module that is paused and for
// one that was never there; so it is remembered whether the service has ever answered.
type neighbour struct {
	m       *Devices
	service string
	away    string // the sentence for people while it is away

	mu       sync.Mutex
	silent   error // what is answered until
	until    time.Time
	answered time.Time // last, as far as it was written down
	loaded   bool
}

// errUnused says that the site does not use a service.
var errUnused = errors.New("the service is not used on this site")

// ask makes a call. Errors: errUnused; fault.SignedOut; and fault.Unavailable, with a sentence for people, when the service should be there and
// does not answer as it should.
func (n *neighbour) ask(ctx context.Context, call func() error) error {
	if err := n.remembered(); err != nil {
		return err
	}
	err := call()
	switch {
	case err == nil:
		n.note(ctx)
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case fault.Is(err, fault.SignedOut):
		return err
	case fault.Is(err, fault.Unavailable):
		return n.keepQuiet(n.judge(ctx, err))
	case fault.Is(err, fault.Denied):
		return n.judge(ctx, err)
	}
	n.m.host.Log().Warn("a service did not answer as it should", "service", n.service, "error", err)
	return n.isAway(err)
}

func (n *neighbour) isAway(err error) error { return fault.Wrap(fault.Unavailable, err, "%s", n.away) }

func (n *neighbour) remembered() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.m.now().Before(n.until) {
		return n.silent
	}
	return nil
}

func (n *neighbour) keepQuiet(err error) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.silent, n.until = err, n.m.now().Add(silentFor)
	return err
}

// wake forgets the silence: something was heard of the module.
func (n *neighbour) wake() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.until = time.Time{}
}

// note writes down, once in a while, that the service answers.
func (n *neighbour) note(ctx context.Context) {
	now := n.m.now()
	n.mu.Lock()
	due := now.Sub(n.answered) > noteEvery
	if due {
		n.answered, n.loaded = now, true
	}
	n.mu.Unlock()
	if !due {
		return
	}
	if err := n.m.records.noteAnswer(ctx, n.service, now); err != nil {
		n.m.host.Log().Warn("it could not be noted that a service answers", "service", n.service, "error", err)
	}
}

// judge tells a service that is away from one that the site does not use.
func (n *neighbour) judge(ctx context.Context, err error) error {
	n.mu.Lock()
	at, loaded := n.answered, n.loaded
	n.mu.Unlock()
	if !loaded {
		kept, readErr := n.m.records.answeredAt(ctx, n.service)
		if readErr != nil {
			n.m.host.Log().Warn("it cannot be read whether a service is used", "service", n.service, "error", readErr)
			return n.isAway(err)
		}
		at = kept
		n.mu.Lock()
		n.loaded = true
		if kept.After(n.answered) {
			n.answered = kept
		}
		n.mu.Unlock()
	}
	if n.m.now().Sub(at) < usedWithin {
		return n.isAway(err)
	}
	return errUnused
}
