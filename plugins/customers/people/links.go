package people

import (
	"context"

	"gorm.io/gorm"

	"mortise/core/fault"
	"mortise/plugins/internal/tokenapi"
)

// linked asks linking how many accounts that work customers have, at most tokenapi.MaxPeople of them; who has none is left out. It fails
// with fault.Unavailable where linking does not run.
func (a accounts) linked(ctx context.Context, ids []int64) (map[int64]int, error) {
	var answer tokenapi.Counts
	err := a.host.Call(ctx, tokenapi.PeopleService, tokenapi.Count, tokenapi.People{UserIDs: ids}, &answer)
	return answer.Counts, err
}

// linkedOf asks for one. known is false where linking does not run.
func (d *Directory) linkedOf(ctx context.Context, id int64) (n int, known bool) {
	counts, err := d.accounts.linked(ctx, []int64{id})
	if err != nil {
		d.noLinks(err)
		return 0, false
	}
	return counts[id], true
}

func (d *Directory) noLinks(err error) {
	if !fault.Is(err, fault.Unavailable) { // it is not used on this site, or paused
		d.site.Host.Log().Warn("linked accounts could not be counted", "error", err)
	}
}

// countLinks compares the numbers of linked accounts with what linking says: some links are older than this list, and a fact may have
// been missed. Whom a fact has changed since the question is left alone.
func (d *Directory) countLinks(ctx context.Context, ids []int64) error {
	before, err := d.store.those(d.store.db.WithContext(ctx), ids)
	if err != nil {
		return err
	}
	counts, err := d.accounts.linked(ctx, ids)
	if err != nil {
		return err
	}
	var wrong []int64
	for id, r := range before {
		if r.Linked != counts[id] {
			wrong = append(wrong, id)
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return d.store.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		now, err := d.store.those(tx, wrong)
		if err != nil {
			return err
		}
		var changed []row
		for id, r := range now {
			if sameLinks(r, before[id]) {
				r.Linked = counts[id]
				if r.Linked == 0 {
					r.Accounts = "[]"
				}
				changed = append(changed, *r)
			}
		}
		return d.store.putLinks(tx, changed)
	})
}

func sameLinks(a, b *row) bool { return a.Linked == b.Linked && a.Accounts == b.Accounts }
