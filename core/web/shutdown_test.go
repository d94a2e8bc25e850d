package web_test

import (
	"testing"
)

func TestShutdown_EndsAServerThatHasOnlyJustBegun(t *testing.T) {
	t.Parallel()
	for range 30 { // each site is shut down at the end of its test, which here is at once
		t.Run("", func(t *testing.T) { newSite(t) })
	}
}
