package status_test

import (
	"context"
	"testing"

	"mortise/core/status"
)

func TestAttention_PutsTheWorstFirstAndLeavesOutWhatIsWell(t *testing.T) {
	t.Parallel()
	board := status.New(
		func(context.Context) []status.Line {
			return []status.Line{{ID: "mail", Level: status.Warn}, {ID: "store", Level: status.Good}}
		},
		func(context.Context) []status.Line { return []status.Line{{ID: "module/devices", Level: status.Bad}} },
	)
	got := status.Attention(board.Lines(t.Context()))
	if len(got) != 2 || got[0].ID != "module/devices" || got[1].ID != "mail" {
		t.Errorf("attention = %v, want the bad module, then the mail", got)
	}
}
