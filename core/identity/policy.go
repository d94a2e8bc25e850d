package identity

import (
	_ "embed"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Lengths of a password in characters, after NIST SP 800-63B and ASVS 5.0 6.2: length counts, composition does not.
const (
	PasswordMin = 8
	PasswordMax = 128
)

// The list holds the words and runs that the worst passwords are made of. Each stands for all its spellings: see core.
//
//go:embed common.txt
var commonText string

var common = sync.OnceValue(func() map[string]bool {
	set := make(map[string]bool)
	for line := range strings.Lines(commonText) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			set[line] = true
		}
	}
	return set
})

// checkPassword says in one sentence what is wrong with a new password, or "". about are words that it must not consist of,
// such as the person's name and address.
func checkPassword(password string, about ...string) string {
	switch n := utf8.RuneCountInString(password); {
	case !utf8.ValidString(password):
		return "The password must be text."
	case n < PasswordMin:
		return "The password must have at least 8 characters."
	case n > PasswordMax:
		return "The password must have at most 128 characters."
	case monotonous(password):
		return "This password is too easy to guess. Take a few unrelated words, for example."
	case isCommon(password):
		return "This password is one of the most common ones. Take a few unrelated words, for example."
	}
	bare := core(password)
	for _, a := range about {
		for _, word := range append(strings.FieldsFunc(a, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }), a) {
			if len(word) >= 3 && (strings.EqualFold(password, word) || bare == core(word) && bare != "") {
				return "The password must not be made of your name or e-mail address."
			}
		}
	}
	return ""
}

// isCommon tells whether a password is a listed word in one of its usual spellings: any case, letters replaced by look-alikes
// (p4ssw0rd), digits and marks before or after it (password123!), twice in a row (testtest).
func isCommon(password string) bool {
	words := common()
	lower := strings.ToLower(password)
	for _, s := range []string{lower, core(lower), core(unleet(lower)), unleet(lower), unleet(core(lower))} {
		if s == "" {
			continue
		}
		if words[s] || words[reverse(s)] {
			return true
		}
		if half := len(s) / 2; len(s)%2 == 0 && s[:half] == s[half:] && words[s[:half]] {
			return true
		}
	}
	return false
}

// core is the lower-case password without digits and marks at its ends.
func core(s string) string {
	return strings.TrimFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) })
}

var leet = strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "5", "s", "7", "t", "8", "b", "@", "a", "$", "s", "!", "i")

func unleet(s string) string { return leet.Replace(s) }

func reverse(s string) string {
	r := []rune(s)
	for i, j := 0, len(r)-1; i < j; i, j = i+1, j-1 {
		r[i], r[j] = r[j], r[i]
	}
	return string(r)
}

// monotonous tells whether a password has at most two different characters, or consists of steps of one (abcdefgh, 87654321),
// or repeats one short piece (abcabcabc).
func monotonous(s string) bool {
	r := []rune(strings.ToLower(s))
	different := make(map[rune]bool)
	up, down := 0, 0
	for i, c := range r {
		different[c] = true
		if i > 0 && c == r[i-1]+1 {
			up++
		}
		if i > 0 && c == r[i-1]-1 {
			down++
		}
	}
	if len(different) <= 2 || up >= len(r)-2 || down >= len(r)-2 {
		return true
	}
	for piece := 1; piece <= 4 && piece*2 <= len(r); piece++ {
		repeats := true
		for i := piece; i < len(r) && repeats; i++ {
			repeats = r[i] == r[i-piece]
		}
		if repeats {
			return true
		}
	}
	return false
}
