package ownership

import (
	"sync"
	"time"
)

const (
	guessesMost = 60 // wrong keys within guessesTime, from all visitors; right ones always work
	guessesTime = 10 * time.Minute
)

// guesses counts wrong keys. The zero value is ready.
type guesses struct {
	mu    sync.Mutex
	since time.Time
	n     int
}

// wrong counts one, and tells whether there were too many.
func (g *guesses) wrong(now time.Time) (tooMany bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now.Sub(g.since) > guessesTime {
		g.since, g.n = now, 0
	}
	g.n++
	return g.n > guessesMost
}
