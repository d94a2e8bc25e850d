package services

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"

	"mortise/core/fault"
)

// How long a claim is good for.
const (
	PageTTL   = 10 * time.Minute // of a page request
	StreamTTL = time.Hour        // of a stream, which is ended after that
)

// Claim is what the host vouches for.
type Claim struct {
	UserID    int64  // 0: nobody is signed in
	Session   string // the session's public id; "" without one
	Module    string // the only module that may hand it in
	RequestID string
	Depth     int       // how many calls led here
	ExpiresAt time.Time // counted in seconds
}

// Claims makes and checks claims. Its key lives as long as the process: what was made before a restart is void.
type Claims struct {
	key [32]byte
	now func() time.Time
}

// NewClaims makes a fresh key.
func NewClaims() *Claims {
	c := &Claims{now: time.Now}
	_, _ = rand.Read(c.key[:]) // never fails, see crypto/rand
	return c
}

// The layout: version, depth, expiry (seconds since 1970, 8 bytes), user id (8 bytes), then module, session and request id, each with one
// byte of length before it, then the seal: 32 bytes of HMAC-SHA256 over all of that. Base64, URL alphabet, without padding.
const (
	claimVersion = 1
	claimHead    = 1 + 1 + 8 + 8
	maxClaim     = claimHead + 3*(1+255) + sha256.Size
)

// Mint seals a claim. Texts are cut to 255 bytes.
func (c *Claims) Mint(claim Claim) string {
	buf := make([]byte, claimHead, 160)
	buf[0], buf[1] = claimVersion, byte(min(max(claim.Depth, 0), 255))
	binary.BigEndian.PutUint64(buf[2:], uint64(claim.ExpiresAt.Unix()))
	binary.BigEndian.PutUint64(buf[10:], uint64(claim.UserID))
	for _, text := range []string{claim.Module, claim.Session, claim.RequestID} {
		text = text[:min(len(text), 255)]
		buf = append(append(buf, byte(len(text))), text...)
	}
	return base64.RawURLEncoding.EncodeToString(c.seal(buf))
}

func (c *Claims) seal(buf []byte) []byte {
	mac := hmac.New(sha256.New, c.key[:])
	mac.Write(buf)
	return mac.Sum(buf)
}

var errClaim = fault.New(fault.Denied, "the claim of this request is not valid")

// Verify opens a claim that a module hands in. It fails with fault.Denied unless this process made it for that module, and with
// fault.Timeout when it is over.
func (c *Claims) Verify(token, module string) (Claim, error) {
	if len(token) > base64.RawURLEncoding.EncodedLen(maxClaim) {
		return Claim{}, errClaim
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(sealed) < claimHead+3+sha256.Size {
		return Claim{}, errClaim
	}
	body := sealed[: len(sealed)-sha256.Size : len(sealed)-sha256.Size]
	if !hmac.Equal(c.seal(body)[len(body):], sealed[len(body):]) || body[0] != claimVersion {
		return Claim{}, errClaim
	}
	claim := Claim{
		Depth:     int(body[1]),
		ExpiresAt: time.Unix(int64(binary.BigEndian.Uint64(body[2:])), 0).UTC(),
		UserID:    int64(binary.BigEndian.Uint64(body[10:])),
	}
	rest := body[claimHead:]
	for _, into := range []*string{&claim.Module, &claim.Session, &claim.RequestID} {
		if len(rest) == 0 || len(rest) < 1+int(rest[0]) {
			return Claim{}, errClaim
		}
		*into, rest = string(rest[1:1+rest[0]]), rest[1+int(rest[0]):]
	}
	if len(rest) != 0 || claim.Module != module {
		return Claim{}, errClaim
	}
	if c.now().After(claim.ExpiresAt) {
		return Claim{}, fault.New(fault.Timeout, "this request has been open for too long; load the page again")
	}
	return claim, nil
}
