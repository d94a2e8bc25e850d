package main

import (
	"context"
	"strconv"
	"strings"

	"mortise/core/sdk"
)

// Deliver hears that somebody is gone, or wants everything about them erased. What they have done stays, without their name. Delivered
// twice, it does nothing more.
func (m *Organizations) Deliver(ctx context.Context, event sdk.Event) error {
	if event.Name != "user.deleted" && event.Name != "user.erase_requested" {
		return nil
	}
	digits, _ := strings.CutPrefix(event.Subject, "user/")
	userID, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || userID <= 0 {
		m.host.Log().Warn("an erasure without a readable subject was skipped", "subject", event.Subject)
		return nil
	}
	return m.records.forgetPerson(ctx, userID)
}
