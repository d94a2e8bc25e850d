package web_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// fiber's context ends for every request under way as soon as the server begins to stop, it knows no request id, and it is used again
// for the next request. What handlers ask of other parts gets visit.ctx.
func TestHandlers_DoNotHandFibersContextOn(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	must(t, err)
	handed := regexp.MustCompile(`v\.c\.Context\(\)(,|\)$|$)`)
	seen := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		must(t, err)
		for n, line := range strings.Split(string(text), "\n") {
			seen += strings.Count(line, "v.ctx()")
			if handed.MatchString(line) && !strings.Contains(line, "fasthttpadaptor") {
				t.Errorf("%s:%d: %s", file, n+1, strings.TrimSpace(line))
			}
		}
	}
	if seen == 0 {
		t.Error("no handler uses visit.ctx: this test looks for the wrong thing")
	}
}
