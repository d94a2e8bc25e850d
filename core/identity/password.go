package identity

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/argon2"

	"mortise/core/fault"
)

// params are argon2id's cost.
type params struct {
	memory uint32 // KiB
	passes uint32
	lanes  uint8
}

// OWASP's password storage cheat sheet names m=19 MiB, t=2, p=1 as one of its equal minimums; the least memory of them that
// still has more than one pass suits a small machine.
var current = params{memory: 19 * 1024, passes: 2, lanes: 1}

const (
	saltBytes = 16
	keyBytes  = 32
	// What a stored hash may ask for: a hash that came in by an import or a tampered backup must not exhaust the memory.
	mostMemory = 256 * 1024 // KiB
	mostPasses = 16
	mostLanes  = 16
	// How long a sign-in waits for its turn to hash.
	hashWait = 5 * time.Second
)

// encodedHash is a parsed PHC string of argon2id.
type encodedHash struct {
	params
	salt, key []byte
}

var errHash = errors.New("not an argon2id hash")

// parseHash reads "$argon2id$v=19$m=19456,t=2,p=1$<salt>$<key>" (PHC string format, base64 without padding).
func parseHash(s string) (encodedHash, error) {
	var h encodedHash
	if len(s) > 512 {
		return h, errHash
	}
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return h, errHash
	}
	p, err := parseParams(parts[3])
	if err != nil {
		return h, err
	}
	h.params = p
	if h.salt, err = base64.RawStdEncoding.Strict().DecodeString(parts[4]); err != nil || len(h.salt) < 8 || len(h.salt) > 64 {
		return h, errHash
	}
	if h.key, err = base64.RawStdEncoding.Strict().DecodeString(parts[5]); err != nil || len(h.key) < 16 || len(h.key) > 64 {
		return h, errHash
	}
	return h, nil
}

func parseParams(s string) (params, error) {
	var p params
	fields := strings.Split(s, ",")
	if len(fields) != 3 {
		return p, errHash
	}
	number := func(i int, name string, least, most uint64) (n uint64) {
		text, ok := strings.CutPrefix(fields[i], name+"=")
		n, err := strconv.ParseUint(text, 10, 32)
		if !ok || err != nil || n < least || n > most || strconv.FormatUint(n, 10) != text {
			return 0
		}
		return n
	}
	p.memory = uint32(number(0, "m", 8, mostMemory)) // #nosec G115 -- bounded above
	p.passes = uint32(number(1, "t", 1, mostPasses)) // #nosec G115
	p.lanes = uint8(number(2, "p", 1, mostLanes))    // #nosec G115
	if p.memory == 0 || p.passes == 0 || p.lanes == 0 {
		return p, errHash
	}
	return p, nil
}

// String is the PHC form.
func (h encodedHash) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.passes, h.lanes,
		base64.RawStdEncoding.EncodeToString(h.salt), base64.RawStdEncoding.EncodeToString(h.key))
}

// hasher hashes passwords, a bounded number at a time.
type hasher struct {
	turns   chan struct{}
	dummy   encodedHash
	checks  atomic.Uint64
	dummies atomic.Uint64
}

func newHasher(parallel int) *hasher {
	h := &hasher{turns: make(chan struct{}, max(parallel, 1))}
	h.dummy = encodedHash{params: current, salt: random(saltBytes), key: random(keyBytes)}
	return h
}

// turn waits until a password may be hashed.
func (h *hasher) turn(ctx context.Context) (done func(), err error) {
	timer := time.NewTimer(hashWait)
	defer timer.Stop()
	select {
	case h.turns <- struct{}{}:
		return func() { <-h.turns }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C:
		return nil, fault.New(fault.Unavailable, "Too many people are signing in at the moment. Please try again in a few seconds.")
	}
}

// hash makes a new PHC string.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	done, err := h.turn(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	e := encodedHash{params: current, salt: random(saltBytes)}
	e.key = argon2.IDKey([]byte(password), e.salt, e.passes, e.memory, e.lanes, keyBytes)
	return e.String(), nil
}

// verify tells whether the password is right, and whether the hash is of older parameters. Where there is no usable hash (an
// unknown name, nobody chose a password yet) the same work is done against the dummy, and the answer is no.
func (h *hasher) verify(ctx context.Context, stored, password string) (ok, old bool, err error) {
	e, parseErr := parseHash(stored)
	known := parseErr == nil
	if !known {
		e = h.dummy
		h.dummies.Add(1)
	}
	done, err := h.turn(ctx)
	if err != nil {
		return false, false, err
	}
	defer done()
	h.checks.Add(1)
	got := argon2.IDKey([]byte(password), e.salt, e.passes, e.memory, e.lanes, uint32(len(e.key))) // #nosec G115 -- at most 64
	equal := subtle.ConstantTimeCompare(got, e.key) == 1
	return equal && known, e.params != current || len(e.key) != keyBytes, nil
}

// random gives n random bytes. crypto/rand never fails: it ends the process instead.
func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}
