package people

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// fold makes the form in which names are searched and sorted: small letters without accents, so that "muller" finds Müller and
// Ärger stands beside Arger.
func fold(s string) string {
	s = strings.ToLower(norm.NFKD.String(s))
	s = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, s)
	return strings.ReplaceAll(s, "ß", "ss")
}

const mostWords = 6 // of a search

// words parts what a person typed into what must all be found.
func words(text string) []string {
	list := strings.Fields(fold(text))
	return list[:min(len(list), mostWords)]
}
