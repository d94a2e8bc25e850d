package main

import "testing"

func TestGen_ThePagesAreWhatTheCodeGives(t *testing.T) {
	t.Parallel()
	if err := run("..", true); err != nil {
		t.Error(err)
	}
}
