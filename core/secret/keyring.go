package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// keyBytes is the size of a key: AES-256.
const keyBytes = 32

// prefix marks sealed values, with the version of the form.
const prefix = "sealed:1:"

// Errors of opening a sealed value.
var (
	ErrForm = errors.New("not a sealed value")
	ErrKey  = errors.New("the value was sealed with a key that is not here")
	ErrOpen = errors.New("the value does not open here: it was changed, or it belongs elsewhere")
)

// keyring is one key that seals and others that still open. It never changes.
type keyring struct {
	id   string
	raw  []byte
	aead map[string]cipher.AEAD
}

// newKeyring takes the keys, the sealing one first.
func newKeyring(keys ...[]byte) (*keyring, error) {
	if len(keys) == 0 {
		return nil, errors.New("no key given")
	}
	r := &keyring{id: keyID(keys[0]), raw: keys[0], aead: make(map[string]cipher.AEAD)}
	for _, k := range keys {
		if len(k) != keyBytes {
			return nil, fmt.Errorf("a key must have %d bytes, not %d", keyBytes, len(k))
		}
		block, err := aes.NewCipher(k)
		if err != nil {
			return nil, fmt.Errorf("prepare a key: %w", err)
		}
		if r.aead[keyID(k)], err = cipher.NewGCM(block); err != nil {
			return nil, fmt.Errorf("prepare a key: %w", err)
		}
	}
	return r, nil
}

// newKey makes a random key. crypto/rand never fails: it ends the process instead.
func newKey() []byte {
	k := make([]byte, keyBytes)
	_, _ = rand.Read(k)
	return k
}

func keyID(key []byte) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:8])
}

// parseKey reads a key in base64 (either alphabet, padded or not) or hexadecimal.
func parseKey(text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	if k, err := hex.DecodeString(text); err == nil && len(k) == keyBytes {
		return k, nil
	}
	plain := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	if k, err := base64.RawStdEncoding.DecodeString(plain); err == nil && len(k) == keyBytes {
		return k, nil
	}
	return nil, fmt.Errorf("a key must be %d bytes in base64 or hexadecimal", keyBytes)
}

// binding is the additional data: the parts with their lengths, so that no two places are alike.
func binding(owner, name, key string) []byte {
	var b []byte
	for _, part := range []string{owner, name, key} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(part))) // #nosec G115 -- checked by checkPlace
		b = append(b, part...)
	}
	return b
}

// seal seals value for one place.
func (r *keyring) seal(owner, name, key, value string) string {
	a := r.aead[r.id]
	nonce := make([]byte, a.NonceSize(), a.NonceSize()+len(value)+a.Overhead())
	_, _ = rand.Read(nonce)
	return prefix + r.id + ":" + base64.RawStdEncoding.EncodeToString(a.Seal(nonce, nonce, []byte(value), binding(owner, name, key)))
}

// unseal opens what seal made for the same place.
func (r *keyring) unseal(owner, name, key, sealed string) (string, error) {
	rest, ok := strings.CutPrefix(sealed, prefix)
	id, text, found := strings.Cut(rest, ":")
	if !ok || !found {
		return "", ErrForm
	}
	a := r.aead[id]
	if a == nil {
		return "", fmt.Errorf("%w (key id %.16q)", ErrKey, id)
	}
	raw, err := base64.RawStdEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) < a.NonceSize() {
		return "", ErrForm
	}
	value, err := a.Open(nil, raw[:a.NonceSize()], raw[a.NonceSize():], binding(owner, name, key))
	if err != nil {
		return "", ErrOpen
	}
	return string(value), nil
}
