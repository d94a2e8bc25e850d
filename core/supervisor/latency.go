package supervisor

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// latency keeps how long answers took, in buckets that grow by a quarter of a doubling, for one to two minutes.
type latency struct {
	slots   [2]bucketRow
	current atomic.Uint32
	turned  atomic.Int64 // unix seconds of the last turn
}

type bucketRow [128]atomic.Uint32

// bucketOf gives four buckets for each power of two of microseconds.
func bucketOf(d time.Duration) int {
	us := uint64(max(d.Microseconds(), 1))
	n := bits.Len64(us) // 1…64
	fraction := uint64(0)
	if n > 2 {
		fraction = us >> (n - 3) & 3
	}
	return min((n-1)*4+int(fraction), 127)
}

// boundOf is the upper end of a bucket.
func boundOf(bucket int) time.Duration {
	n, fraction := bucket/4+1, uint64(bucket%4)
	if n <= 2 {
		return time.Duration(1<<n-1) * time.Microsecond
	}
	return time.Duration((4+fraction+1)<<(n-3)-1) * time.Microsecond
}

func (l *latency) observe(d time.Duration) { l.slots[l.current.Load()&1][bucketOf(d)].Add(1) }

// turn forgets the older minute once the newer one is over. Observations at that instant may count in either.
func (l *latency) turn(now time.Time) {
	last := l.turned.Load()
	if now.Unix()-last < 60 || !l.turned.CompareAndSwap(last, now.Unix()) {
		return
	}
	older := (l.current.Load() + 1) & 1
	for i := range l.slots[older] {
		l.slots[older][i].Store(0)
	}
	l.current.Store(older)
}

// quantiles gives p50 and p99; zero when there was nothing.
func (l *latency) quantiles() (p50, p99 time.Duration) {
	var counts [128]uint64
	var total uint64
	for s := range l.slots {
		for i := range l.slots[s] {
			n := uint64(l.slots[s][i].Load())
			counts[i] += n
			total += n
		}
	}
	if total == 0 {
		return 0, 0
	}
	at := func(share float64) time.Duration {
		rank, seen := uint64(share*float64(total-1))+1, uint64(0)
		for i, n := range counts {
			if seen += n; seen >= rank {
				return boundOf(i)
			}
		}
		return boundOf(127)
	}
	return at(0.50), at(0.99)
}
