package main

import (
	"sync"
	"time"
)

const (
	goneFor = 2 * time.Minute // longer than any answer that is still on its way
	maxGone = 10000
)

// gone remembers what people do not have any more, so that an answer that is still on its way is not kept after it was erased.
type gone struct {
	now   func() time.Time
	mu    sync.Mutex
	marks map[goneKey]time.Time
}

// goneKey is a device; without a device a whole source; without both everything of the person.
type goneKey struct {
	user           int64
	source, device string
}

func (g *gone) mark(key goneKey) {
	now := g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	for old, at := range g.marks {
		if now.Sub(at) > goneFor || len(g.marks) >= maxGone {
			delete(g.marks, old)
		}
	}
	g.marks[key] = now
}

// unmark says that the person has it again.
func (g *gone) unmark(key goneKey) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.marks, key)
}

func (g *gone) has(user int64, source, device string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, key := range []goneKey{{user, source, device}, {user, source, ""}, {user, "", ""}} {
		if at, marked := g.marks[key]; marked && g.now().Sub(at) <= goneFor {
			return true
		}
	}
	return false
}
