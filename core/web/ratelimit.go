package web

import (
	"net/netip"
	"sync"
	"time"
)

// rateLimiter is a token bucket for each address. Its memory is bounded: two generations of at most generationSize buckets; an
// address that was not seen for a whole generation starts afresh.
type rateLimiter struct {
	perSecond, burst float64

	mu      sync.Mutex
	young   map[netip.Prefix]*bucket
	old     map[netip.Prefix]*bucket
	changed time.Time
}

type bucket struct {
	tokens float64
	at     time.Time
}

const (
	generationSize = 20_000
	generationTime = 10 * time.Minute
)

func newRateLimiter(perSecond, burst float64) *rateLimiter {
	return &rateLimiter{perSecond: perSecond, burst: burst, young: map[netip.Prefix]*bucket{}}
}

// take takes one token; wait is how long until there is one when ok is false.
func (r *rateLimiter) take(address netip.Addr, now time.Time) (wait time.Duration, ok bool) {
	key := neighbourhood(address)
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.bucket(key, now)
	b.tokens = min(r.burst, b.tokens+now.Sub(b.at).Seconds()*r.perSecond)
	b.at = now
	if b.tokens < 1 {
		return time.Duration((1 - b.tokens) / r.perSecond * float64(time.Second)), false
	}
	b.tokens--
	return 0, true
}

func (r *rateLimiter) bucket(key netip.Prefix, now time.Time) *bucket {
	if len(r.young) >= generationSize || now.Sub(r.changed) > generationTime {
		r.old, r.young, r.changed = r.young, make(map[netip.Prefix]*bucket), now
	}
	b := r.young[key]
	if b == nil {
		if b = r.old[key]; b == nil {
			b = &bucket{tokens: r.burst, at: now}
		}
		r.young[key] = b
	}
	return b
}

// neighbourhood is the unit that is counted: one IPv4 address, or the /64 that a single customer of a provider gets.
func neighbourhood(address netip.Addr) netip.Prefix {
	address = address.Unmap().WithZone("")
	bits := 64
	if address.Is4() {
		bits = 32
	}
	prefix, err := address.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // no address, such as a unix socket: all share one bucket
	}
	return prefix
}
