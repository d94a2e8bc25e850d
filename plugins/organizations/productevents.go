package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"mortise/core/fault"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/productapi"
)

const maxProductStreams = 90 // upstreams of the site: Particle allows 100 from one address

// streams holds the event streams of products: one upstream a product for the whole site, however many poll.
type streams struct {
	m       *Organizations
	hub     *particle.Hub
	running sync.WaitGroup

	mu     sync.Mutex
	feeds  map[productKey]*feed
	byName map[string]productKey // as the hub knows them
	closed bool
}

func newStreams(m *Organizations) *streams {
	s := &streams{m: m, feeds: map[productKey]*feed{}, byName: map[string]productKey{}}
	options := m.hubOptions
	options.Connect, options.Log = s.connect, m.host.Log()
	if options.MaxAccounts == 0 {
		options.MaxAccounts = maxProductStreams
	}
	if options.Buffer == 0 {
		options.Buffer = 1024
	}
	if options.Linger == 0 {
		options.Linger = time.Second
	}
	s.hub = particle.NewHub(options)
	return s
}

func (k productKey) name() string { return keyOf(k.workspace) + "/" + k.product }

// connect opens the upstream of a product with the credential that the workspace has now.
func (s *streams) connect(ctx context.Context, name string) (*particle.Stream, error) {
	s.mu.Lock()
	key, ok := s.byName[name]
	s.mu.Unlock()
	if !ok {
		return nil, fault.New(fault.NotFound, "Nobody wants the events of this product any more.")
	}
	t, err := s.m.reach(ctx, key)
	if err != nil {
		return nil, err
	}
	stream, err := t.fleet().OpenStream(ctx, t.token, particle.Source{})
	var refusal *particle.Error
	if errors.As(err, &refusal) && refusal.Kind == particle.UnknownDevice { // nobody asked for a device: the product is closed to the credential
		err = &particle.Error{Kind: particle.Denied, Op: refusal.Op, Status: refusal.Status, Scope: "events:get", Description: refusal.Description}
	}
	if err != nil && ctx.Err() == nil {
		s.m.troubleIn(ctx, t.workspace, err, "events:get")
	}
	return stream, err
}

var (
	errManyStreams = fault.New(fault.Unavailable, "The events of too many products are followed on this site at the moment. Try again in a minute.")
	errRestarting  = fault.New(fault.Unavailable, "Organizations is being restarted. Try again in a moment.")
)

// feed finds or opens the feed of a product. NotFound when the workspace does not have it.
func (s *streams) feed(ctx context.Context, key productKey) (*feed, error) {
	if _, _, err := s.m.productOf(ctx, key); err != nil { // each time: it may have been taken away
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errRestarting
	}
	if f := s.feeds[key]; f != nil {
		return f, nil
	}
	sub, err := s.subscribe(key)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(s.m.host.Context())
	f := newFeed(s, key, cancel)
	s.feeds[key] = f
	s.running.Go(func() { f.run(ctx, sub) })
	s.running.Go(func() { f.mind(ctx) })
	return f, nil
}

// subscribe opens an upstream. When there are too many, the one that was idle for the longest goes. The mutex is held.
func (s *streams) subscribe(key productKey) (*particle.Subscription, error) {
	s.byName[key.name()] = key // before Subscribe: connect looks for it
	sub, err := s.hub.Subscribe(key.name(), "")
	if errors.Is(err, particle.ErrHubFull) {
		if idle := s.idle(); idle != nil {
			s.end(idle)
			sub, err = s.hub.Subscribe(key.name(), "")
		}
	}
	switch {
	case err == nil:
		return sub, nil
	case errors.Is(err, particle.ErrHubFull):
		err = errManyStreams
	case errors.Is(err, particle.ErrHubClosed):
		err = errRestarting
	}
	delete(s.byName, key.name())
	return nil, err
}

// idle finds the feed without a poll that was left first.
func (s *streams) idle() *feed {
	var oldest *feed
	var since time.Time
	for _, f := range s.feeds {
		f.mu.Lock()
		if f.polls == 0 && (oldest == nil || f.until.Before(since)) {
			oldest, since = f, f.until
		}
		f.mu.Unlock()
	}
	return oldest
}

// end ends a feed with its upstream at once. The mutex is held.
func (s *streams) end(f *feed) {
	if s.feeds[f.key] == f {
		delete(s.feeds, f.key)
		delete(s.byName, f.key.name())
		s.hub.Drop(f.key.name())
	}
	f.finish()
}

// endIdle ends a feed unless somebody has come meanwhile.
func (s *streams) endIdle(f *feed) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !f.isIdle(s.m.now()) {
		return false
	}
	s.end(f)
	return true
}

// reconnect opens the upstreams of a workspace anew: it has another credential.
func (s *streams) reconnect(workspaceID int64) {
	for _, f := range s.ofWorkspace(workspaceID) {
		s.hub.Reconnect(f.key.name())
	}
}

// drop ends the feeds of a workspace that was removed.
func (s *streams) drop(workspaceID int64) {
	for _, f := range s.ofWorkspace(workspaceID) {
		s.mu.Lock()
		s.end(f)
		s.mu.Unlock()
	}
}

func (s *streams) ofWorkspace(id int64) []*feed {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*feed
	for key, f := range s.feeds {
		if key.workspace == id {
			list = append(list, f)
		}
	}
	return list
}

// close ends everything and waits for it.
func (s *streams) close() {
	s.mu.Lock()
	s.closed = true
	for _, f := range s.feeds {
		s.end(f)
	}
	s.mu.Unlock()
	s.hub.Close()
	s.running.Wait()
}

// renewed lets everything that works with the credential of a workspace begin anew.
func (m *Organizations) renewed(workspaceID int64) {
	m.fleets.forget(workspaceID)
	m.streams.reconnect(workspaceID)
}

// removed lets go of everything that worked with the credential of a workspace.
func (m *Organizations) removed(workspaceID int64) {
	m.fleets.forget(workspaceID)
	m.streams.drop(workspaceID)
}

// stateOf is how the caller is told of a stream.
func stateOf(state particle.StreamState) productapi.StreamState { return productapi.StreamState(state) }
