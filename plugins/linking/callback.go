package main

import (
	"errors"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"mortise/plugins/internal/particle"
)

// answer is what Particle sent the browser back with. At most one of code and err is set.
type answer struct {
	state string // "" in error redirects, which carry none
	code  string // one-time: never stored, never logged
	err   error  // a *particle.Error: refused, or a failure that Particle reports
}

const maxCallback = 8 << 10 // bytes of the query

var errCallback = errors.New("not a callback of the cloud")

// readAnswer reads the query of the callback. Whatever arrives comes from a browser, so from anybody: lengths and alphabets
// are checked here and nothing of it is ever shown.
//
// Error redirects are made by plain concatenation at Particle: text is not percent-encoded there, and no state comes with
// them. So parts that cannot be decoded are skipped, and the rest counts.
func readAnswer(rawQuery string) (answer, error) {
	if len(rawQuery) > maxCallback {
		return answer{}, errCallback
	}
	query, _ := url.ParseQuery(rawQuery) // what could be read of it
	for _, key := range []string{"state", "code", "error", "error_description"} {
		if len(query[key]) > 1 {
			return answer{}, errCallback
		}
	}
	if !isWord(query.Get("state"), 128) || !isWord(query.Get("error"), 64) || !isPrintable(query.Get("code"), 512) {
		return answer{}, errCallback
	}
	if !query.Has("error") && !query.Has("code") {
		return answer{}, errCallback
	}
	query.Set("error_description", readable(query.Get("error_description"), 200))
	code, state, err := particle.ReadCallback(query)
	return answer{state: state, code: code, err: err}, nil
}

// isWord tells whether s has only letters, digits, "-", "_" and ".", at most limit of them. "" is one.
func isWord(s string, limit int) bool {
	return len(s) <= limit && strings.IndexFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
	}) < 0
}

func isPrintable(s string, limit int) bool {
	return len(s) <= limit && strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
}

// readable shortens a text and takes out what cannot be read.
func readable(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	if runes := []rune(s); len(runes) > limit {
		s = string(runes[:limit])
	}
	return strings.TrimSpace(s)
}
