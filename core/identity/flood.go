package identity

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"net/netip"
	"sync"
	"time"

	"mortise/core/fault"
)

// window is the length of the sliding windows in which failures are counted.
const window = 15 * time.Minute

// mostCounters bounds the memory of the counters (about 150 bytes each).
const mostCounters = 100_000

// The numbers of failures that are allowed within one window; the package comment says why.
const (
	accountAddressLimit = 5
	accountTightLimit   = 2
	accountAlarm        = 100
	addressLimit        = 50
	addressTightLimit   = 10
	networkLimit        = 200
	siteAlarm           = 1000
)

// counter counts in two neighbouring windows; the earlier one weighs as much as of it still lies within the sliding one.
type counter struct {
	start   time.Time // of the present window
	length  time.Duration
	now     float64
	earlier float64
}

func (c *counter) roll(t time.Time) {
	switch passed := t.Sub(c.start); {
	case passed < 0: // the clock was set back: nobody shall wait until it is there again
		c.start = t
	case passed >= 2*c.length:
		c.start, c.earlier, c.now = t, 0, 0
	case passed >= c.length:
		c.start, c.earlier, c.now = c.start.Add(c.length), c.now, 0
	}
}

func (c *counter) value(t time.Time) float64 {
	c.roll(t)
	rest := 1 - float64(t.Sub(c.start))/float64(c.length)
	return c.now + c.earlier*rest
}

// flood counts attempts. It is safe for concurrent use and never holds more than mostCounters.
type flood struct {
	mu       sync.Mutex
	counters map[string]*counter
	now      func() time.Time
}

func newFlood(now func() time.Time) *flood {
	return &flood{counters: make(map[string]*counter), now: now}
}

// claim is one limit that an attempt must keep.
type claim struct {
	key    string
	limit  float64
	length time.Duration
}

// take counts one attempt against each claim, unless one of them is used up; then it counts nothing and says how long to wait.
// A limit of +Inf only counts.
func (f *flood) take(claims ...claim) (wait time.Duration, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.now()
	for _, c := range claims {
		if n := f.counters[c.key]; n != nil && n.value(t)+1 > c.limit+0.5 {
			return max(n.wait(t, c.limit), time.Second), false
		}
	}
	for _, c := range claims {
		n := f.counters[c.key]
		if n == nil {
			f.makeRoom(t)
			n = &counter{start: t, length: c.length}
			f.counters[c.key] = n
		}
		n.roll(t)
		n.now++
	}
	return 0, true
}

// giveBack takes one attempt off the claims: it was none of those that count.
func (f *flood) giveBack(claims ...claim) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range claims {
		if n := f.counters[c.key]; n != nil && n.now >= 1 {
			n.now--
		} else if n != nil && n.earlier >= 1 {
			n.earlier-- // the window turned while the password was checked
		}
	}
}

// forget drops counters: whoever knows the password is not guessing it.
func (f *flood) forget(keys ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, k := range keys {
		delete(f.counters, k)
	}
}

// count tells the present value.
func (f *flood) count(key string) float64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := f.counters[key]; n != nil {
		return n.value(f.now())
	}
	return 0
}

// wait is when one more will fit.
func (c *counter) wait(t time.Time, limit float64) time.Duration {
	room := limit - 0.5 // what may be left when one more is to fit
	end := c.start.Add(c.length)
	if c.now <= room && c.earlier > 0 { // the earlier window has to slide out far enough
		share := (room - c.now) / c.earlier
		return end.Add(-time.Duration(share * float64(c.length))).Sub(t)
	}
	if c.now <= 0 {
		return 0
	}
	share := math.Min(1, math.Max(0, room/c.now)) // the present one has to become the earlier one first
	return end.Add(c.length - time.Duration(share*float64(c.length))).Sub(t)
}

// makeRoom drops what is over, or else the smallest of a random handful: who floods with new keys pushes out his own.
func (f *flood) makeRoom(t time.Time) {
	if len(f.counters) < mostCounters {
		return
	}
	victim, least, seen := "", math.Inf(1), 0
	for key, c := range f.counters { // the order of a map is random enough here
		v := c.value(t)
		if v == 0 {
			delete(f.counters, key)
			return
		}
		if v < least {
			victim, least = key, v
		}
		if seen++; seen == 32 {
			break
		}
	}
	delete(f.counters, victim)
}

// sweep drops what is over.
func (f *flood) sweep() {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.now()
	for key, c := range f.counters {
		if c.value(t) == 0 {
			delete(f.counters, key)
		}
	}
}

// accountKey hides the address from memory dumps and bounds the length of what visitors send.
func accountKey(email string) string {
	sum := sha256.Sum256([]byte(email))
	return hex.EncodeToString(sum[:12])
}

// networks gives what stands for one visitor, and the wider network where such addresses are cheap: an IPv4 address; of IPv6 the
// /64 that a single line has, and the /48 that a site has.
func networks(a netip.Addr) (narrow, wide string) {
	a = a.Unmap().WithZone("")
	if !a.IsValid() {
		return "unknown", ""
	}
	if a.Is4() {
		return a.String(), ""
	}
	n, _ := a.Prefix(64) // cannot fail for IPv6
	w, _ := a.Prefix(48)
	return n.String(), w.String()
}

// signInClaims are the limits of one attempt to sign in; familiar tells whether the account is signed in from there already.
func (f *flood) signInClaims(email string, from netip.Addr, familiar bool) []claim {
	narrow, wide := networks(from)
	account := accountKey(email)
	perAccount, perAddress := float64(accountAddressLimit), float64(addressLimit)
	if !familiar && f.count("account "+account) >= accountAlarm {
		perAccount = accountTightLimit
	}
	if f.count("site") >= siteAlarm {
		perAddress = addressTightLimit
	}
	claims := []claim{
		{"both " + account + " " + narrow, perAccount, window},
		{"address " + narrow, perAddress, window},
		{"account " + account, math.Inf(1), window},
		{"site", math.Inf(1), window},
	}
	if wide != "" {
		claims = append(claims, claim{"network " + wide, networkLimit, window})
	}
	return claims
}

// addressClaims limit something to n times in a period for one address.
func addressClaims(what string, from netip.Addr, n float64, period time.Duration) []claim {
	narrow, wide := networks(from)
	claims := []claim{{what + " " + narrow, n, period}}
	if wide != "" {
		claims = append(claims, claim{what + " " + wide, n * 4, period})
	}
	return claims
}

// tooMany is the answer to whoever has to wait. It is the same for known and unknown names.
func tooMany(wait time.Duration) error {
	cause := &waitError{wait}
	minutes := int(math.Ceil(wait.Minutes()))
	if minutes <= 1 {
		return fault.Wrap(fault.TooMany, cause, "Too many attempts. Please wait a minute and try again.")
	}
	return fault.Wrap(fault.TooMany, cause, "Too many attempts. Please wait %d minutes and try again.", minutes)
}

// waitError says for how long there is no use in trying again.
type waitError struct{ wait time.Duration }

// Error says it in words.
func (e *waitError) Error() string {
	return "no further attempt for " + e.wait.Round(time.Second).String()
}

// RetryAfter gives the time.
func (e *waitError) RetryAfter() time.Duration { return e.wait }
