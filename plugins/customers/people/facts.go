package people

import (
	"context"
	"encoding/json"
	"slices"

	"gorm.io/gorm"

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
	case "user.deleted", "user.erase_requested":
		return d.Forget(ctx, id)
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
	return d.store.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		have, err := d.store.those(tx, []int64{id})
		if err != nil || have[id] == nil {
			return err // staff, or gone
		}
		var list []int64
		if err := json.Unmarshal([]byte(have[id].Accounts), &list); err != nil {
			list = nil
		}
		had := slices.Contains(list, about.AccountID)
		entry := history.Entry{UserID: id, Kind: kindLinked, Sentence: "Linked a Particle account.", At: event.Time.UTC()}
		if event.Name == "linking.account_linked" {
			if had || len(list) >= mostAccounts {
				return nil
			}
			list = append(list, about.AccountID)
		} else {
			if !had {
				return nil
			}
			list = slices.DeleteFunc(list, func(a int64) bool { return a == about.AccountID })
			entry.Kind, entry.Sentence = kindUnlinked, "Unlinked a Particle account."
			if event.Name == "linking.account_dead" {
				entry.Kind, entry.Sentence = kindDead, "Particle does not accept the link to an account any more."
			}
		}
		text, err := json.Marshal(list)
		if err != nil {
			return err
		}
		if err := d.store.setAccounts(tx, id, string(text), len(list)); err != nil {
			return err
		}
		return history.Add(tx, entry)
	})
}

const mostAccounts = 50 // linked by one person
