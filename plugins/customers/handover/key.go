package handover

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"strings"
	"unicode"

	"mortise/core/fault"
)

// keyLength is that of a claim key in characters; each has 5 bits.
const keyLength = 16

const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ" // Crockford's base 32: without I, L, O and U

var crockford = base32.NewEncoding(alphabet).WithPadding(base32.NoPadding)

// key is a claim key: keyLength characters of the alphabet. Its String is for labels and addresses alone, never for a log.
type key string

// newKey makes a key out of 80 random bits.
func newKey() key {
	var raw [keyLength * 5 / 8]byte
	_, _ = rand.Read(raw[:]) // never fails, see crypto/rand
	return key(crockford.EncodeToString(raw[:]))
}

// errKeyShape is what somebody reads who typed something that cannot be a key.
var errKeyShape = fault.InvalidFields("A key has 16 letters and digits, in four groups.",
	map[string]string{"key": "Expected 16 letters and digits, as they stand on the label."})

// readKey understands what people type and scan: small letters, O for 0, I and L for 1, blanks, dashes, and a whole address with
// the key in it. The error is errKeyShape; nothing of the input is in it.
func readKey(typed string) (key, error) {
	if len(typed) > 500 {
		return "", errKeyShape
	}
	if _, after, found := strings.Cut(typed, "key="); found {
		typed, _, _ = strings.Cut(after, "&")
	}
	var b strings.Builder
	for _, r := range typed {
		switch r = unicode.ToUpper(r); {
		case r == 'O':
			r = '0'
		case r == 'I' || r == 'L':
			r = '1'
		case unicode.IsSpace(r) || unicode.Is(unicode.Dash, r) || r == '.' || r == '_':
			continue
		}
		if r > unicode.MaxASCII || !strings.ContainsRune(alphabet, r) || b.Len() == keyLength {
			return "", errKeyShape
		}
		b.WriteRune(r)
	}
	if b.Len() != keyLength {
		return "", errKeyShape
	}
	return key(b.String()), nil
}

// String gives the key in groups of four, such as "7F3A-91KD-00ZX-MW4T".
func (k key) String() string {
	var groups []string
	for s := string(k); s != ""; {
		n := min(4, len(s))
		groups, s = append(groups, s[:n]), s[n:]
	}
	return strings.Join(groups, "-")
}

// hash is what the store knows the key by.
func (k key) hash() string {
	sum := sha256.Sum256([]byte(k))
	return hex.EncodeToString(sum[:])
}
