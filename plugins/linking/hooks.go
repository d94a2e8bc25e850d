package main

import (
	"context"
	"time"

	"mortise/core/fault"
	"mortise/core/sdk"
)

// Deliver hears that a person is gone, or wants everything about them erased: links are revoked and erased, attempts forgotten.
// Delivered twice, it finds nothing left.
func (m *Linking) Deliver(ctx context.Context, event sdk.Event) error {
	if event.Name != "user.deleted" && event.Name != "user.erase_requested" {
		return nil
	}
	userID, ok := userOf(event.Subject)
	if !ok {
		m.host.Log().Warn("an erasure without a readable subject was skipped", "subject", event.Subject)
		return nil
	}
	list, err := m.records.everyAccount(ctx, userID)
	if err != nil {
		return err
	}
	keys := make([]string, 0, len(list))
	for i := range list { // all of them before Particle is told of one: it may take long to answer
		key, err := m.takeAway(ctx, &list[i])
		if err != nil {
			return err
		}
		if key != "" {
			keys = append(keys, key)
		}
	}
	if err := m.records.forgetPerson(ctx, userID); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, eraseLimit)
	defer cancel()
	for _, key := range keys {
		if _, err := m.revoke(limited, key); err != nil {
			m.host.Log().Warn("a token of somebody who is gone could not be revoked at once; the job does it", "error", err)
		}
		if limited.Err() != nil {
			break
		}
	}
	return nil
}

// eraseLimit bounds what Particle is told while a fact is delivered, of the 10 s that the site gives. The job does the rest.
const eraseLimit = 6 * time.Second

// Run does a job of the manifest.
func (m *Linking) Run(ctx context.Context, job string) error {
	switch job {
	case "renew":
		return m.renewEnding(ctx)
	case "revoke":
		return m.revokeDue(ctx)
	case "retention":
		return m.tidy(ctx)
	}
	return fault.New(fault.NotFound, "There is no job %q.", job)
}

const (
	renewBefore  = 7 * 24 * time.Hour  // a link that can be renewed is renewed this long before it ends
	remindBefore = 14 * 24 * time.Hour // of one that cannot, the person is told: day 76 of 90
	keepAttempts = 90 * 24 * time.Hour
	batch        = 200 // rows at a time
)

// renewEnding renews the links that end soon, reminds people of those that cannot be renewed, and buries those that have ended.
func (m *Linking) renewEnding(ctx context.Context) error {
	began := m.now()
	var last *account
	for {
		list, err := m.records.endingBefore(ctx, began.Add(remindBefore), began, last, batch)
		if err != nil || len(list) == 0 {
			return err
		}
		for i := range list {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err := m.careFor(ctx, &list[i]); err != nil {
				return err
			}
		}
		last = &list[len(list)-1]
	}
}

func (m *Linking) careFor(ctx context.Context, acc *account) error {
	ends := *acc.ExpiresAt
	if acc.Renewable {
		if m.now().Add(renewBefore).Before(ends) {
			return nil
		}
		t, err := m.readToken(ctx, acc.ID)
		if err == nil {
			_, err = m.renew(ctx, acc, t)
		}
		if err == nil {
			return nil
		}
		if !beyondRenewal(err) {
			m.host.Log().Warn("a link could not be renewed now", "account", acc.ID, "error", err)
			return nil
		}
	}
	if m.now().After(ends) {
		return m.bury(ctx, acc)
	}
	if acc.RemindedAt != nil {
		return nil
	}
	m.tell(ctx, acc.UserID, "Your link to Particle ends soon", "The link to your Particle account "+acc.Username+" ends on "+
		ends.UTC().Format("2 January 2006")+", and Particle does not let this site renew it.\n\nTo keep using your devices, open this page before then and link the account again:\n\n"+
		m.pageURL("/linking")+"\n")
	return m.records.reminded(ctx, acc.ID)
}

// revokeDue tries again what Particle has not confirmed.
func (m *Linking) revokeDue(ctx context.Context) error {
	list, err := m.records.dueRevocations(ctx, batch)
	if err != nil {
		return err
	}
	failed := 0
	for _, r := range list {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if _, err := m.revoke(ctx, r.Key); err != nil {
			failed++
		}
	}
	if failed > 0 {
		m.host.Log().Warn("tokens could not be revoked; they are tried again", "count", failed)
	}
	return nil
}

// tidy forgets old attempts and what a stopped program left half done.
func (m *Linking) tidy(ctx context.Context) error {
	stale, err := m.records.staleSaving(ctx)
	if err != nil {
		return err
	}
	for i := range stale {
		if _, err := m.unlink(ctx, &stale[i]); err != nil {
			return err
		}
	}
	return m.records.trim(ctx, keepAttempts)
}

// findingLife is how long a failure by the site's settings is shown when nobody has tried since.
const findingLife = 7 * 24 * time.Hour

// Check tells the staff what only they can put right.
func (m *Linking) Check(ctx context.Context) ([]sdk.Finding, error) {
	var list []sdk.Finding
	if !readSettings(m.host.Settings()).complete() {
		list = append(list, sdk.Finding{Level: sdk.LevelWarning, Title: "Nobody can link a Particle account yet: the OAuth client is missing.",
			Remedy: staffRemedies[notConfigured.id], Link: "/admin/linking"})
	}
	since := m.now().Add(-findingLife)
	if changed := time.Unix(m.configured.Load(), 0); changed.After(since) {
		since = changed
	}
	failed, err := m.records.lastSiteFailure(ctx, since)
	if err != nil {
		return nil, err
	}
	if failed != nil && failed.Reason != notConfigured.id {
		list = append(list, sdk.Finding{Level: sdk.LevelError, Title: "The last attempt to link failed by this site's settings or network (" + failed.Reference + ", " + failed.Reason + ").",
			Remedy: staffRemedies[failed.Reason], Link: "/admin/linking/attempts/" + failed.Reference})
	}
	n, err := m.records.countRevocations(ctx)
	if err != nil {
		return nil, err
	}
	if n > 0 {
		list = append(list, sdk.Finding{Level: sdk.LevelWarning, Title: countOf(int(n), "token") + " of unlinked accounts could not be revoked at Particle yet.",
			Remedy: "Check that this server reaches the Particle cloud; it goes on trying for seven days."})
	}
	return list, nil
}
