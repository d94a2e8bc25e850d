package main

import (
	"strings"
	"testing"
	"unicode/utf8"

	"mortise/plugins/internal/particle"
)

func TestReadAnswer_TakesWhatParticleSends(t *testing.T) {
	t.Parallel()
	a, err := readAnswer("code=0a1b&state=Ab-_9")
	if err != nil || a.code != "0a1b" || a.state != "Ab-_9" || a.err != nil {
		t.Errorf("%+v, %v", a, err)
	}
	a, err = readAnswer("error=access_denied&error_description=The user denied access to your application&code=500")
	if err != nil || !particle.Is(a.err, particle.Refused) || a.code != "" || a.state != "" {
		t.Errorf("%+v, %v", a, err)
	}
	for _, query := range []string{"", "state=x", "code=a&code=b", "code=" + strings.Repeat("a", 600), "code=a&state=a/b", "code=a%20b&state=x", strings.Repeat("x", 9000) + "&code=a"} {
		if a, err := readAnswer(query); err == nil {
			t.Errorf("%.40q was taken: %+v", query, a)
		}
	}
}

func FuzzReadAnswer(f *testing.F) {
	for _, seed := range []string{"code=0a1b&state=Ab-_9", "error=access_denied&error_description=The user denied&code=500", "code=500", "error=%zz&code=%", "state=a&state=b&code=c", "error=a;b&code=1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		a, err := readAnswer(query)
		if err != nil {
			return
		}
		if a.code != "" && a.err != nil {
			t.Fatalf("both a code and an error: %q", query)
		}
		if a.code == "" && a.err == nil {
			t.Fatalf("neither a code nor an error: %q", query)
		}
		if len(a.code) > 512 || len(a.state) > 128 || !isPrintable(a.code, 512) || !isWord(a.state, 128) {
			t.Fatalf("beyond the limits: %+v", a)
		}
		if a.err != nil && (failureOf(a.err).sentence == "" || !utf8.ValidString(detailOf(a.err))) {
			t.Fatalf("an error without words: %v", a.err)
		}
	})
}
