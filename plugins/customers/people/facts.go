package people

import (
	"context"
	"encoding/json"
	"slices"

	"gorm.io/gorm"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/customers/history"
	"mortise/plugins/customers/site"
)

// Deliver hears of accounts and of links. Each fact is only the reason to ask the site again, so the order does not matter.
func (d *Directory) Deliver(ctx context.Context, event sdk.Event) error {
	id, ok := site.PersonOf(event)
	if !ok {
		return nil
	}
	switch event.Name {
	case "user.registered", "user.changed", "user.blocked", "user.unblocked":
		return d.refresh(ctx, id, change{})
	case "user.invited":
		return d.refresh(ctx, id, change{invited: true, at: event.Time.UTC(), since: event.Time.UTC()})
	case "user.deleted":
		return d.Forget(ctx, id)
	case "user.erase_requested":
		return d.Erase(ctx, id)
	case "linking.account_linked", "linking.account_unlinked", "linking.account_dead":
		return d.hearOfLink(ctx, id, event)
	}
	return nil
}

// hearOfLink counts the accounts that a person has linked, each once however often the fact comes.
func (d *Directory) hearOfLink(ctx context.Context, id int64, event sdk.Event) error {
	var about struct {
		AccountID int64 `json:"account_id"`
	}
	if err := json.Unmarshal(event.Payload, &about); err != nil {
		d.site.Host.Log().Warn("a fact about a link without a readable payload was skipped", "event", event.Name)
		return nil
	}
	if err := d.refresh(ctx, id, change{}); err != nil { // a link comes from a person who has just been here
		return err
	}
	for range rereads {
		before, err := d.store.person(ctx, id)
		if fault.Is(err, fault.NotFound) {
			return nil // staff, or gone
		}
		if err != nil {
			return err
		}
		n, known := d.linkedOf(ctx, id)
		again := false
		err = d.store.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
			have, err := d.store.those(tx, []int64{id})
			if err != nil || have[id] == nil {
				return err
			}
			if again = !sameLinks(have[id], before); again {
				return nil
			}
			if !known {
				n = -1
			}
			return d.noteLink(tx, have[id], about.AccountID, n, event)
		})
		if err != nil || !again {
			return err
		}
	}
	return nil // others go on writing it, and each of them has asked later
}

// noteLink writes what a fact about an account says. n is how many accounts work by now; -1 when nobody can tell.
func (d *Directory) noteLink(tx *gorm.DB, r *row, account int64, n int, event sdk.Event) error {
	var list []int64
	if err := json.Unmarshal([]byte(r.Accounts), &list); err != nil {
		list = nil
	}
	had, linked := slices.Contains(list, account), r.Linked
	entry := history.Entry{UserID: r.UserID, Kind: kindLinked, Sentence: "Linked a Particle account.", At: event.Time.UTC()}
	news := false
	if event.Name == "linking.account_linked" {
		if news = !had && len(list) < mostAccounts; news {
			list, linked = append(list, account), linked+1
		}
	} else {
		entry.Kind, entry.Sentence = kindUnlinked, "Unlinked a Particle account."
		if event.Name == "linking.account_dead" {
			entry.Kind, entry.Sentence = kindDead, "Particle does not accept the link to an account any more."
		}
		list = slices.DeleteFunc(list, func(a int64) bool { return a == account })
		if news = had || n >= 0 && n < linked; news { // one from before this list was kept is only known by the number
			linked = max(linked-1, 0)
		}
	}
	if n >= 0 {
		linked = n
	}
	if !news && linked == r.Linked {
		return nil
	}
	text, err := json.Marshal(list)
	if err != nil {
		return err
	}
	if err := d.store.setAccounts(tx, r.UserID, string(text), linked); err != nil || !news {
		return err
	}
	return history.Add(tx, entry)
}

const mostAccounts = 50 // linked by one person
