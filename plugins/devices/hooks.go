package main

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"mortise/core/fault"
	"mortise/core/sdk"
)

// Deliver hears of links that came and went, and of people who are gone. Delivered twice, each does nothing more.
func (m *Devices) Deliver(ctx context.Context, event sdk.Event) error {
	if event.Name == "user.deleted" {
		digits, _ := strings.CutPrefix(event.Subject, "user/")
		id, err := strconv.ParseInt(digits, 10, 64)
		if err != nil {
			m.host.Log().Warn("a deletion without a readable subject was skipped", "subject", event.Subject)
			return nil
		}
		m.calls.forget(func(k callKey) bool { return k.user == id })
		return m.records.forgetPerson(ctx, id)
	}
	var about struct {
		AccountID int64 `json:"account_id"`
	}
	if err := json.Unmarshal(event.Payload, &about); err != nil || about.AccountID == 0 {
		m.host.Log().Warn("an event without a readable payload was skipped", "event", event.Name)
		return nil
	}
	switch event.Name {
	case "linking.account_unlinked":
		m.live.drop(about.AccountID)
		m.calls.forget(func(k callKey) bool { return k.account == about.AccountID })
		return m.records.forgetAccount(ctx, about.AccountID)
	case "linking.account_dead":
		m.live.drop(about.AccountID)
	case "linking.account_linked":
		m.lists.drop(about.AccountID)
	}
	return nil
}

// keepUnseen is how long a device that was not looked at is remembered.
const keepUnseen = 180 * 24 * time.Hour

// Run does a job of the manifest.
func (m *Devices) Run(ctx context.Context, job string) error {
	if job != "retention" {
		return fault.New(fault.NotFound, "There is no job %q.", job)
	}
	return m.records.trim(ctx, m.now().Add(-keepUnseen))
}
