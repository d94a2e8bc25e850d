package particletest

import (
	"crypto/rand"
	mrand "math/rand/v2"
)

// source makes ids and tokens: random ones, or with a seed the same in each run. Its owner's mutex guards it.
type source struct{ r *mrand.Rand }

func newSource(seed uint64) source {
	if seed != 0 {
		return source{mrand.New(mrand.NewPCG(seed, 1))}
	}
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails, see crypto/rand
	return source{mrand.New(mrand.NewChaCha8(key))}
}

func (s source) hex(n int) string { return s.from("0123456789abcdef", n) }

func (s source) digits(n int) string { return s.from("0123456789", n) }

func (s source) claimCode() string {
	return s.from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", 63)
}

func (s source) from(alphabet string, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[s.r.IntN(len(alphabet))]
	}
	return string(b)
}
