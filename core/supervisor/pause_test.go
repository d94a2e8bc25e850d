package supervisor

import (
	"testing"
	"time"
)

func TestPause_DoublesToABoundWithJitterAfterTheFirst(t *testing.T) {
	t.Parallel()
	low, high := func() float64 { return 0 }, func() float64 { return 1 }
	for _, c := range []struct {
		n    int
		want time.Duration
	}{{0, 100 * time.Millisecond}, {1, 100 * time.Millisecond}, {2, 500 * time.Millisecond}, {3, time.Second}, {8, 32 * time.Second}, {9, time.Minute}, {1000, time.Minute}} {
		from, to := pause(c.n, 500*time.Millisecond, time.Minute, low), pause(c.n, 500*time.Millisecond, time.Minute, high)
		if c.n <= 1 && (from != c.want || to != c.want) {
			t.Errorf("pause %d = %s…%s, want exactly %s", c.n, from, to, c.want)
		}
		if c.n > 1 && (from != c.want*8/10 || to != c.want*12/10) {
			t.Errorf("pause %d = %s…%s, want a fifth around %s", c.n, from, to, c.want)
		}
	}
}

func TestLatency_GivesQuantilesOfTheLastMinutes(t *testing.T) {
	t.Parallel()
	var l latency
	if p50, p99 := l.quantiles(); p50 != 0 || p99 != 0 {
		t.Errorf("nothing gives %s, %s", p50, p99)
	}
	for range 98 {
		l.observe(100 * time.Microsecond)
	}
	l.observe(time.Second)
	l.observe(time.Second)
	p50, p99 := l.quantiles()
	if p50 < 100*time.Microsecond || p50 > 130*time.Microsecond || p99 < time.Second || p99 > 1300*time.Millisecond {
		t.Errorf("p50 %s, p99 %s; want about 100µs and 1s", p50, p99)
	}
	now := time.Now()
	l.turn(now)
	l.turn(now.Add(time.Minute))
	l.turn(now.Add(2 * time.Minute))
	if p50, _ := l.quantiles(); p50 != 0 {
		t.Errorf("after two minutes there still is %s", p50)
	}
}

func TestBuckets_HoldWhatTheyAreNamedFor(t *testing.T) {
	t.Parallel()
	for us := 1; us < 1<<22; us += 1 + us/7 {
		d := time.Duration(us) * time.Microsecond
		b := bucketOf(d)
		if bound := boundOf(b); bound < d || (us > 8 && bound > d*5/4+time.Microsecond) {
			t.Fatalf("%s is in bucket %d up to %s", d, b, bound)
		}
	}
}
