package identity

import (
	"context"
	"sync"
	"time"
)

// people keeps the persons who have asked for something since the start, as long as they have sessions, as they are in the store.
type people struct {
	mu      sync.RWMutex
	byID    map[int64]*User
	loading sync.Mutex
}

func newPeople() *people { return &people{byID: make(map[int64]*User)} }

func (p *people) peek(id int64) (*User, bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	u, ok := p.byID[id]
	return u, ok
}

// get gives a person, loading it when it is not there. Loading and forgetting exclude each other: whatever was read before a change is
// forgotten by it.
func (p *people) get(id int64, load func(int64) (*User, bool)) (*User, bool) {
	if u, ok := p.peek(id); ok {
		return u, true
	}
	p.loading.Lock()
	defer p.loading.Unlock()
	if u, ok := p.peek(id); ok {
		return u, true
	}
	u, ok := load(id)
	if ok {
		p.mu.Lock()
		p.byID[id] = u
		p.mu.Unlock()
	}
	return u, ok
}

func (p *people) forget(ids ...int64) {
	p.loading.Lock()
	defer p.loading.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		delete(p.byID, id)
	}
}

func (p *people) forgetAll() {
	p.loading.Lock()
	defer p.loading.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.byID)
}

// keep drops the persons that are not wanted any more.
func (p *people) keep(wanted func(id int64) bool) {
	p.loading.Lock()
	defer p.loading.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	for id := range p.byID {
		if !wanted(id) {
			delete(p.byID, id)
		}
	}
}

func (s *Service) loadUser(id int64) (*User, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	u, err := userOf(s.store.Read(ctx), id)
	if err != nil {
		s.log.Error("cannot read a signed-in user", "user_id", id, "error", err)
		return nil, false
	}
	return &u, true
}
