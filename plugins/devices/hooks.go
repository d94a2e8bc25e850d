package main

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/internal/attachapi"
)

// about is what the facts that this module hears of carry.
type about struct {
	UserID      int64         `json:"user_id"`
	AccountID   int64         `json:"account_id"`
	DeviceID    string        `json:"device_id"`
	WorkspaceID int64         `json:"workspace_id"`
	ProductID   string        `json:"product_id"`
	Way         attachapi.Way `json:"way"`
}

// Deliver hears of links and attachments that came and went, and of people who are gone. Delivered twice, each does nothing more.
func (m *Devices) Deliver(ctx context.Context, event sdk.Event) error {
	if event.Name == "user.deleted" || event.Name == "user.erase_requested" {
		return m.erasePerson(ctx, event)
	}
	var a about
	if err := json.Unmarshal(event.Payload, &a); err != nil || a.UserID == 0 {
		m.host.Log().Warn("an event without a readable payload was skipped", "event", event.Name)
		return nil
	}
	account, product, device := accountKey(a.AccountID), productKey(a.WorkspaceID, a.ProductID), strings.ToLower(a.DeviceID)
	if strings.HasPrefix(event.Name, "linking.") {
		m.linking.wake()
	} else {
		m.customers.wake()
	}
	switch event.Name {
	case "linking.account_linked":
		m.gone.unmark(goneKey{a.UserID, account, ""})
		m.lists.drop(account)
	case "linking.account_dead":
		m.live.drop(account)
	case "linking.account_unlinked":
		m.live.drop(account)
		return m.erase(ctx, goneKey{a.UserID, account, ""})
	case attachapi.DeviceAttached:
		if a.Way == attachapi.Account { // the product has it another way now: the maker's credential is not used for it any more
			m.live.part(a.UserID, product, device)
		}
		m.gone.unmark(goneKey{a.UserID, product, device})
		m.gone.unmark(goneKey{a.UserID, product, ""})
	case attachapi.ProductAttached:
		m.gone.unmark(goneKey{a.UserID, product, ""})
	case attachapi.DeviceDetached:
		if !isDeviceID(device) {
			m.host.Log().Warn("a detachment without a readable device was skipped")
			return nil
		}
		m.live.part(a.UserID, product, device)
		m.live.forget(product, device)
		return m.erase(ctx, goneKey{a.UserID, product, device})
	case attachapi.ProductDetached:
		m.live.part(a.UserID, product, "")
		m.live.forget(product, "")
		return m.erase(ctx, goneKey{a.UserID, product, ""})
	}
	return nil
}

// Configure takes new settings while the module runs: pages read them anew each time.
func (m *Devices) Configure(context.Context, sdk.Settings) error { return nil }

// erase forgets what a person had of a device, of a whole source when no device is named, or at all when no source is.
func (m *Devices) erase(ctx context.Context, what goneKey) error {
	m.gone.mark(what)
	m.saved.forget(what.user, what.source)
	m.calls.forget(func(k callKey) bool {
		return k.user == what.user && (what.source == "" || k.source == what.source) && (what.device == "" || k.device == what.device)
	})
	switch {
	case what.device != "":
		return m.records.forgetDevice(ctx, what.user, what.source, what.device)
	case what.source != "":
		return m.records.forgetSource(ctx, what.user, what.source)
	}
	return m.records.forgetPerson(ctx, what.user)
}

func (m *Devices) erasePerson(ctx context.Context, event sdk.Event) error {
	digits, _ := strings.CutPrefix(event.Subject, "user/")
	id, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || id <= 0 {
		m.host.Log().Warn("an erasure without a readable subject was skipped", "subject", event.Subject)
		return nil
	}
	return m.erase(ctx, goneKey{user: id})
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
