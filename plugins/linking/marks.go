package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// newState is 256 random bits in the alphabet that survives Particle's concatenated redirects.
func newState() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// hashOf is what is kept of a state: who reads the table cannot finish an attempt.
func hashOf(state string) string {
	sum := sha256.Sum256([]byte(state))
	return hex.EncodeToString(sum[:])
}

// newReference is short enough to be read aloud: "7F3A-91".
func newReference() string {
	var b [3]byte
	_, _ = rand.Read(b[:])
	return fmt.Sprintf("%02X%02X-%02X", b[0], b[1], b[2])
}

// newKey names a sealed value that has no row of its own yet.
func newKey() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

var referencePattern = regexp.MustCompile(`^[0-9A-F]{4}-[0-9A-F]{2}$`)

// readReference accepts what people type: lower case, blanks around it.
func readReference(s string) (string, bool) {
	s = strings.ToUpper(strings.TrimSpace(s))
	return s, referencePattern.MatchString(s)
}

// userSubject is the subject of events about a person; userOf reads it.
func userSubject(id int64) string { return "user/" + strconv.FormatInt(id, 10) }

func userOf(subject string) (int64, bool) {
	digits, ok := strings.CutPrefix(subject, "user/")
	id, err := strconv.ParseInt(digits, 10, 64)
	return id, ok && err == nil && id > 0
}
