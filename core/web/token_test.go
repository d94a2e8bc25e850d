package web

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"mortise/core/sdk"
)

func TestSigner_OpensOnlyWhatItSignedForTheSamePurpose(t *testing.T) {
	t.Parallel()
	s, other := signer{key: []byte("one key that is long enough here")}, signer{key: []byte("another key that is long enough.")}
	signed := s.sign("flash", "good.text")
	if value, ok := s.open("flash", signed); !ok || value != "good.text" {
		t.Errorf("own: %q %v", value, ok)
	}
	for name, open := range map[string]func() (string, bool){
		"another purpose": func() (string, bool) { return s.open("visitor", signed) },
		"another key":     func() (string, bool) { return other.open("flash", signed) },
		"changed":         func() (string, bool) { return s.open("flash", signed+"x") },
		"cut":             func() (string, bool) { return s.open("flash", signed[:20]) },
		"empty":           func() (string, bool) { return s.open("flash", "") },
	} {
		if value, ok := open(); ok {
			t.Errorf("%s: opened %q", name, value)
		}
	}
}

func TestCSRFToken_LooksDifferentEachTimeAndFitsOneVisitor(t *testing.T) {
	t.Parallel()
	s := signer{key: []byte("one key that is long enough here")}
	one, two := s.csrf("ann"), s.csrf("ann")
	if one == two {
		t.Error("two tokens are the same text")
	}
	if !s.csrfMatches("ann", one) || !s.csrfMatches("ann", two) {
		t.Error("own tokens do not match")
	}
	if s.csrfMatches("eve", one) || s.csrfMatches("", one) || s.csrfMatches("ann", "") || s.csrfMatches("ann", strings.Repeat("A", len(one))) {
		t.Error("a foreign token matches")
	}
}

func FuzzSigner(f *testing.F) {
	s := signer{key: []byte("one key that is long enough here")}
	f.Add(s.sign("flash", "x"), s.csrf("ann"))
	f.Add("", "")
	f.Fuzz(func(t *testing.T, signed, token string) {
		if value, ok := s.open("flash", signed); ok && s.sign("flash", value) != signed && !strings.HasSuffix(signed, value) {
			t.Fatalf("opened %q as %q", signed, value)
		}
		s.csrfMatches("ann", token)
	})
}

func TestRateLimiter_CountsEachNeighbourhoodAndBoundsItsMemory(t *testing.T) {
	t.Parallel()
	r, now := newRateLimiter(1, 3), time.Unix(1_700_000_000, 0)
	ann := netip.MustParseAddr("2001:db8::1")
	for i := range 3 {
		if _, ok := r.take(ann, now); !ok {
			t.Fatalf("request %d was refused", i)
		}
	}
	if wait, ok := r.take(netip.MustParseAddr("2001:db8::2"), now); ok || wait <= 0 || wait > time.Second {
		t.Errorf("a neighbour of the same /64: %v %v", wait, ok)
	}
	if _, ok := r.take(netip.MustParseAddr("2001:db8:0:1::1"), now); !ok {
		t.Error("another /64 was refused")
	}
	if _, ok := r.take(ann, now.Add(time.Second)); !ok {
		t.Error("a second later there is no token")
	}
	for i := range 3 * generationSize {
		r.take(netip.AddrFrom4([4]byte{byte(i >> 16), byte(i >> 8), byte(i), 1}), now)
	}
	if n := len(r.young) + len(r.old); n > 2*generationSize {
		t.Errorf("%d buckets are kept", n)
	}
}

func FuzzParseFlash(f *testing.F) {
	f.Add("good Saved.")
	f.Add("bad %0d%0aSet-Cookie: x")
	f.Add("x %ff")
	f.Fuzz(func(t *testing.T, header string) {
		m, ok := parseFlash(header)
		if !ok {
			return
		}
		if strings.ContainsAny(m.Text, "\r\n\x00") || len(m.Text) > 3*flashText || m.Text == "" {
			t.Fatalf("%q became %q", header, m.Text)
		}
		switch m.Tone {
		case sdk.Good, sdk.Info, sdk.Warn, sdk.Bad:
		default:
			t.Fatalf("%q has tone %q", header, m.Tone)
		}
	})
}

func FuzzHeaderFilter(f *testing.F) {
	for _, name := range []string{"Cookie", "cookie", "Mortise-Token", "mortise_token", "X-Forwarded-For", "Accept", "X A", "X\r\nA", ""} {
		f.Add(name, "value")
	}
	f.Add("Accept", "a\r\nMortise-Token: x")
	f.Fuzz(func(t *testing.T, name, value string) {
		if !passes([]byte(name), []byte(value)) {
			return
		}
		lower := strings.ToLower(name)
		if withheld[lower] || strings.HasPrefix(lower, "mortise") && strings.HasPrefix(lower, hostPrefix) || strings.HasPrefix(lower, "x-forwarded-") ||
			strings.ContainsAny(name, "\r\n:_ \x00") || strings.ContainsAny(value, "\r\n\x00") {
			t.Fatalf("%q: %q passes", name, value)
		}
	})
}

func TestCacheRule_NeverSharesWhatNeedsAPermission(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		asked string
		open  bool
		want  string
	}{
		{"", false, "private, no-cache"}, {"public, max-age=60", true, "public, max-age=60"}, {"public, max-age=60", false, "private, max-age=60"},
		{"s-maxage=5, max-age=1", false, "private, max-age=1"}, {"PUBLIC", false, "private"}, {"no-store", false, "private, no-store"},
	} {
		if got := cacheRule(c.asked, c.open); got != c.want {
			t.Errorf("cacheRule(%q, %v) = %q, want %q", c.asked, c.open, got, c.want)
		}
	}
}
