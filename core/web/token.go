package web

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
)

// signer makes and checks what the host gives a browser to bring back. Its key is derived from the site's key and never leaves
// the process.
type signer struct{ key []byte }

var encoding = base64.RawURLEncoding

// tagSize is the size of an authentication tag in bytes: 128 bits, more than enough for something that cannot be guessed offline.
const tagSize = 16

// tag authenticates value for one purpose.
func (s signer) tag(purpose, value string) [tagSize]byte {
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(purpose))
	mac.Write([]byte{0})
	mac.Write([]byte(value))
	var sum [sha256.Size]byte
	mac.Sum(sum[:0])
	return [tagSize]byte(sum[:tagSize])
}

// sign gives value and its tag as one text that open reads.
func (s signer) sign(purpose, value string) string {
	tag := s.tag(purpose, value)
	return encoding.EncodeToString(tag[:]) + "." + value
}

// open gives the value that sign was called with for the same purpose.
func (s signer) open(purpose, signed string) (value string, ok bool) {
	const size = 22 // 16 bytes in base64
	if len(signed) < size+1 || signed[size] != '.' {
		return "", false
	}
	var tag [tagSize]byte
	if n, err := encoding.Decode(tag[:], []byte(signed[:size])); err != nil || n != tagSize {
		return "", false
	}
	value = signed[size+1:]
	want := s.tag(purpose, value)
	return value, subtle.ConstantTimeCompare(tag[:], want[:]) == 1
}

// csrf gives a fresh spelling of the token that belongs to bound (a session's or an anonymous visitor's cookie). Each answer
// gets another one, so that a compressed page does not give it away byte by byte (the BREACH attack).
func (s signer) csrf(bound string) string {
	tag := s.tag("csrf", bound)
	var out [2 * tagSize]byte
	_, _ = rand.Read(out[:tagSize]) // never fails
	subtle.XORBytes(out[tagSize:], out[:tagSize], tag[:])
	return encoding.EncodeToString(out[:])
}

// csrfMatches tells whether token is one that csrf gave for bound.
func (s signer) csrfMatches(bound, token string) bool {
	var in [2 * tagSize]byte
	if len(token) != encoding.EncodedLen(len(in)) {
		return false
	}
	if _, err := encoding.Decode(in[:], []byte(token)); err != nil {
		return false
	}
	tag := s.tag("csrf", bound)
	subtle.XORBytes(in[tagSize:], in[:tagSize], in[tagSize:])
	return subtle.ConstantTimeCompare(in[tagSize:], tag[:]) == 1
}

// randomText gives n random bytes in base64.
func randomText(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return encoding.EncodeToString(b)
}
