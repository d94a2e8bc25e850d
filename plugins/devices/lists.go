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
	slowDown    = time.Minute      // after 429 the cloud is not asked the same again
	listLimit   = 20 * time.Second // for one question to the cloud, however long pages wait for it
	maxLists    = 5000             // questions in memory
	maxDevices  = 1000             // of one account or product
)

// question is something that is asked about devices, for anybody: it must not depend on who asks.
type question struct {
	key     string // of what is asked, beginning with the source's
	version int64  // an answer to another version is not taken
	life    time.Duration
	ask     func(ctx context.Context) (batch, error)
}

// batch is an answer. It is never changed.
type batch struct {
	devices []particle.Device
	total   int // of all devices, when there are more; 0 otherwise
}

// lists remembers answers for a few seconds and asks each question once at a time.
type lists struct {
	m     *Devices
	group singleflight.Group

	mu      sync.Mutex
	entries map[string]*listEntry
}

type listEntry struct {
	version int64
	batch   batch
	at      time.Time
	life    time.Duration
	err     error
	until   time.Time // err counts until then
}

func newLists(m *Devices) *lists { return &lists{m: m, entries: map[string]*listEntry{}} }

// get gives an answer, from memory or from the cloud. It waits until ctx ends; the question goes on behind it and
// its answer is there for the next page. The error is the cloud's, or ctx's.
func (l *lists) get(ctx context.Context, q question) (batch, error) {
	if e := l.remembered(q); e != nil {
		return e.batch, e.err
	}
	answer := l.group.DoChan(q.key+"#"+strconv.FormatInt(q.version, 10), func() (any, error) {
		if e := l.remembered(q); e != nil {
			return e.batch, e.err
		}
		limited, cancel := context.WithTimeout(l.m.host.Context(), listLimit)
		defer cancel()
		got, err := q.ask(limited)
		l.remember(q, got, err)
		return got, err
	})
	select {
	case <-ctx.Done():
		return batch{}, ctx.Err()
	case r := <-answer:
		got, _ := r.Val.(batch)
		return got, r.Err
	}
}

func (l *lists) remembered(q question) *listEntry {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entries[q.key]
	if e == nil || e.version != q.version {
		return nil
	}
	now := l.m.now()
	if e.err != nil && now.Before(e.until) || e.err == nil && now.Sub(e.at) < e.life {
		return e
	}
	return nil
}

func (l *lists) remember(q question, got batch, err error) {
	now := l.m.now()
	e := &listEntry{version: q.version, batch: got, at: now, life: q.life, err: err}
	if err != nil {
		e.until = now.Add(failureLife)
		if particle.Is(err, particle.RateLimited) {
			e.until = now.Add(slowDown)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.entries[q.key] == nil {
		l.makeRoom(now)
	}
	l.entries[q.key] = e
}

// makeRoom drops what is not needed any more, or anything, when the memory is full.
func (l *lists) makeRoom(now time.Time) {
	if len(l.entries) < maxLists {
		return
	}
	for key, e := range l.entries {
		if now.Sub(e.at) > time.Minute || len(l.entries) >= maxLists {
			delete(l.entries, key)
		}
	}
}

// lacks tells whether the last answer is known and a device is not in it.
func (l *lists) lacks(key, deviceID string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entries[key]
	if e == nil || e.err != nil {
		return false
	}
	return !slices.ContainsFunc(e.batch.devices, func(d particle.Device) bool { return strings.EqualFold(d.ID, deviceID) })
}

// drop has the next question go to the cloud: after a change.
func (l *lists) drop(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.entries[key]; e != nil && e.err == nil {
		e.at = time.Time{}
	}
}

// ofAccount asks for an account's list, and keeps it for the person of ctx, whose account it is.
func (m *Devices) ofAccount(ctx context.Context, acc tokenapi.Account) (batch, error) {
	user, key := sdk.UserFrom(ctx).UserID, accountKey(acc.ID)
	return m.lists.get(ctx, question{key: key, version: acc.Generation, life: listLife, ask: func(ctx context.Context) (batch, error) {
		cloud, err := m.clouds.Of(particle.Options{BaseURL: acc.BaseURL, Timeouts: m.limits})
		if err != nil {
			return batch{}, err
		}
		devices, err := cloud.Devices(ctx, acc.AccessToken)
		if err != nil {
			return batch{}, err
		}
		devices = devices[:min(len(devices), maxDevices)]
		if m.saved.due(saveKey(user, key, ""), devices, m.now()) && !m.gone.has(user, key, "") {
			if err := m.records.saveList(ctx, user, key, devices, m.now()); err != nil {
				m.host.Log().Warn("a device list could not be kept", "error", err)
			}
		}
		return batch{devices: devices}, nil
	}})
}

// keepDevices keeps devices of a product for the person. about says which ones of the source's they are, "" for all. complete says that
// it is known what their programs offer.
func (m *Devices) keepDevices(ctx context.Context, user int64, source, about string, devices []particle.Device, complete bool) {
	kept := slices.DeleteFunc(slices.Clone(devices), func(d particle.Device) bool { return m.gone.has(user, source, d.ID) })
	if len(kept) == 0 || !m.saved.due(saveKey(user, source, about), kept, m.now()) {
		return
	}
	save := m.records.saveStates
	if complete {
		save = m.records.saveDevices
	}
	if err := save(ctx, user, source, kept, m.now()); err != nil {
		m.host.Log().Warn("devices could not be kept", "error", err)
	}
}

const (
	savedLife = 10 * time.Minute // unchanged devices are written again after this, to keep their age
	maxSaved  = 10000
)

// saved remembers what was written, so that a page does not write the same again.
type saved struct {
	mu      sync.Mutex
	entries map[string]savedEntry
}

type savedEntry struct {
	sum [32]byte
	at  time.Time
}

func saveKey(user int64, source, about string) string {
	return strconv.FormatInt(user, 10) + " " + source + " " + about
}

// due tells whether devices are to be written: they changed, or what is written is old.
func (s *saved) due(key string, devices []particle.Device, now time.Time) bool {
	sum := fingerprint(devices)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.entries[key]; ok && e.sum == sum && now.Sub(e.at) < savedLife {
		return false
	}
	for old := range s.entries { // any: it only saves work
		if len(s.entries) < maxSaved {
			break
		}
		delete(s.entries, old)
	}
	s.entries[key] = savedEntry{sum, now}
	return true
}

// forget has what belongs to a person, or to one of the person's sources, be written anew.
func (s *saved) forget(user int64, source string) {
	prefix := strings.TrimRight(saveKey(user, source, ""), " ") + " "
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.entries {
		if strings.HasPrefix(key, prefix) {
			delete(s.entries, key)
		}
	}
}

// fingerprint is the same for lists that differ only in their order and in when devices were heard, which is always.
func fingerprint(devices []particle.Device) [32]byte {
	plain := slices.Clone(devices)
	for i := range plain {
		plain[i].LastHeard, plain[i].Handshake, plain[i].Online = time.Time{}, time.Time{}, false // of a kept device nobody knows whether it is online
	}
	slices.SortFunc(plain, func(a, b particle.Device) int { return strings.Compare(a.ID, b.ID) })
	text, _ := json.Marshal(plain) // plain fields always encode
	return sha256.Sum256(text)
}
