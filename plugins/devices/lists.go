package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"mortise/core/sdk"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/tokenapi"
)

const (
	listLife    = 3 * time.Second  // a list is taken from memory for so long: page, stream and call of one visit ask the cloud once
	failureLife = 2 * time.Second  // of a failure other than "slow down"
	slowDown    = time.Minute      // after 429 the cloud is not asked again for an account
	savedLife   = 10 * time.Minute // an unchanged list is written again after this, to keep its age
	listLimit   = 20 * time.Second // for one question to the cloud, however long pages wait for it
	maxLists    = 5000             // accounts in memory
	maxDevices  = 1000             // of one account
)

// lists remembers device lists of accounts for a few seconds and asks for each once at a time.
type lists struct {
	m     *Devices
	group singleflight.Group

	mu      sync.Mutex
	entries map[int64]*listEntry
}

type listEntry struct {
	generation int64
	devices    []particle.Device // never changed once it is here
	at         time.Time
	err        error
	until      time.Time // err counts until then
	saved      [32]byte  // hash of what was written last
	savedAt    time.Time
}

func newLists(m *Devices) *lists { return &lists{m: m, entries: map[int64]*listEntry{}} }

// get gives an account's devices, from memory or from the cloud. It waits until ctx ends; the question goes on behind it and
// its answer is there for the next page. The error is the cloud's, or ctx's.
func (l *lists) get(ctx context.Context, acc tokenapi.Account) ([]particle.Device, error) {
	if e := l.remembered(acc); e != nil {
		return e.devices, e.err
	}
	user := sdk.UserFrom(ctx).UserID
	key := accountKey(acc.ID) + "/" + strconv.FormatInt(acc.Generation, 10)
	answer := l.group.DoChan(key, func() (any, error) {
		if e := l.remembered(acc); e != nil {
			return e.devices, e.err
		}
		limited, cancel := context.WithTimeout(l.m.host.Context(), listLimit)
		defer cancel()
		return l.ask(limited, user, acc)
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case r := <-answer:
		devices, _ := r.Val.([]particle.Device)
		return devices, r.Err
	}
}

func (l *lists) remembered(acc tokenapi.Account) *listEntry {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entries[acc.ID]
	if e == nil || e.generation != acc.Generation {
		return nil
	}
	now := l.m.now()
	if e.err != nil && now.Before(e.until) || e.err == nil && now.Sub(e.at) < listLife {
		return e
	}
	return nil
}

func (l *lists) ask(ctx context.Context, userID int64, acc tokenapi.Account) ([]particle.Device, error) {
	cloud, err := l.m.cloud(acc.BaseURL)
	if err != nil {
		return nil, err
	}
	devices, err := cloud.Devices(ctx, acc.AccessToken)
	if len(devices) > maxDevices {
		devices = devices[:maxDevices]
	}
	save := l.remember(acc, devices, err)
	if err == nil && save {
		if err := l.m.records.saveList(ctx, userID, acc.ID, devices, l.m.now()); err != nil {
			l.m.host.Log().Warn("a device list could not be kept", "error", err)
		}
	}
	return devices, err
}

// remember takes an answer and tells whether the list is to be written: it changed, or what is written is old.
func (l *lists) remember(acc tokenapi.Account, devices []particle.Device, err error) bool {
	now := l.m.now()
	sum := fingerprint(devices)
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.entries[acc.ID]
	if old == nil {
		l.makeRoom(now)
		old = &listEntry{}
	}
	e := &listEntry{generation: acc.Generation, devices: devices, at: now, err: err, saved: old.saved, savedAt: old.savedAt}
	l.entries[acc.ID] = e
	if err != nil {
		e.until = now.Add(failureLife)
		if particle.Is(err, particle.RateLimited) {
			e.until = now.Add(slowDown)
		}
		return false
	}
	if sum == e.saved && now.Sub(e.savedAt) < savedLife {
		return false
	}
	e.saved, e.savedAt = sum, now
	return true
}

// fingerprint is the same for lists that differ only in when devices were heard, which is always.
func fingerprint(devices []particle.Device) [32]byte {
	plain := slices.Clone(devices)
	for i := range plain {
		plain[i].LastHeard, plain[i].Handshake = time.Time{}, time.Time{}
	}
	text, _ := json.Marshal(plain) // plain fields always encode
	return sha256.Sum256(text)
}

// makeRoom drops what is not needed any more, or anything, when the memory is full.
func (l *lists) makeRoom(now time.Time) {
	if len(l.entries) < maxLists {
		return
	}
	for id, e := range l.entries {
		if now.Sub(e.at) > time.Minute || len(l.entries) >= maxLists {
			delete(l.entries, id)
		}
	}
}

// lacks tells whether the last list of an account is known and a device is not in it.
func (l *lists) lacks(accountID int64, deviceID string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entries[accountID]
	if e == nil || e.err != nil {
		return false
	}
	return !slices.ContainsFunc(e.devices, func(d particle.Device) bool { return strings.EqualFold(d.ID, deviceID) })
}

// drop has the next question go to the cloud: after a change.
func (l *lists) drop(accountID int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.entries[accountID]; e != nil && e.err == nil {
		e.at = time.Time{}
	}
}
