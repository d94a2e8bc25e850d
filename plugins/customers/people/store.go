package people

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"mortise/plugins/customers/history"
	"mortise/plugins/customers/site"
)

// store holds the queries about customers; those about notes and imports are in the files beside. No call to the host is made
// inside a transaction: the host's own writes wait for the same writer.
type store struct{ db *gorm.DB }

// person finds one. site.ErrNotFound when there is none.
func (s store) person(ctx context.Context, id int64) (*row, error) {
	var r row
	err := s.db.WithContext(ctx).Where("user_id = ?", id).Take(&r).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, site.ErrNotFound
	}
	return &r, err
}

// byEmail finds who has an address. site.ErrNotFound when nobody has.
func (s store) byEmail(ctx context.Context, email string) (*row, error) {
	var r row
	err := s.db.WithContext(ctx).Where("email = ?", email).Take(&r).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, site.ErrNotFound
	}
	return &r, err
}

// those finds several, by number.
func (s store) those(tx *gorm.DB, ids []int64) (map[int64]*row, error) {
	var list []row
	if err := tx.Where("user_id IN ?", ids).Find(&list).Error; err != nil {
		return nil, err
	}
	found := make(map[int64]*row, len(list))
	for i := range list {
		found[list[i].UserID] = &list[i]
	}
	return found, nil
}

// mirrored are the columns that the site's account decides.
var mirrored = []string{"name", "sort_name", "email", "search_text", "blocked", "registered", "last_seen_at", "created_at", "version", "read_at"}

// put writes what the site said of people. What the module knows besides stays.
func (s store) put(tx *gorm.DB, list []row) error {
	if len(list) == 0 {
		return nil
	}
	return tx.Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "user_id"}}, DoUpdates: clause.AssignmentColumns(mirrored)}).
		CreateInBatches(list, 200).Error
}

// query says which customers are wanted, and in which order.
type query struct {
	Words   []string   // folded; all must be found
	State   string     // "": all
	Blocked *bool      // nil: both
	Unseen  *time.Time // only those not seen since then
	Never   bool       // only those never seen
	Sort    string     // name, email, created, seen, devices
	Desc    bool
	Offset  int
	Limit   int
}

var sorts = map[string]string{"name": "sort_name", "email": "email", "created": "created_at", "seen": "last_seen_at", "devices": "devices"}

// where applies everything but the state.
func (q query) where(db *gorm.DB) *gorm.DB {
	for _, w := range q.Words {
		db = db.Where(`instr(search_text, ?) > 0`, w)
	}
	if q.Blocked != nil {
		db = db.Where("blocked = ?", *q.Blocked)
	}
	if q.Never {
		db = db.Where("last_seen_at IS NULL")
	} else if q.Unseen != nil {
		db = db.Where("(last_seen_at IS NULL OR last_seen_at < ?)", *q.Unseen)
	}
	return db
}

// counts tells how many match in each state, whatever the state that is asked for.
func (s store) counts(ctx context.Context, q query) (map[string]int64, error) {
	var rows []struct {
		State string
		N     int64
	}
	err := q.where(s.db.WithContext(ctx).Model(&row{})).Select("state, count(*) AS n").Group("state").Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("count the customers: %w", err)
	}
	found := map[string]int64{}
	for _, r := range rows {
		found[r.State] = r.N
	}
	return found, nil
}

// list gives a page of customers.
func (s store) list(ctx context.Context, q query) ([]row, error) {
	db := q.where(s.db.WithContext(ctx))
	if q.State != "" {
		db = db.Where("state = ?", q.State)
	}
	column := sorts[q.Sort]
	if column == "" {
		column = sorts["name"]
	}
	if q.Desc {
		db = db.Order(column + " DESC").Order("user_id DESC")
	} else {
		db = db.Order(column).Order("user_id")
	}
	var list []row
	if err := db.Offset(q.Offset).Limit(q.Limit).Find(&list).Error; err != nil {
		return nil, fmt.Errorf("list the customers: %w", err)
	}
	return list, nil
}

// after gives customers that match by their numbers, from the one after last: for going through all of them.
func (s store) after(ctx context.Context, q query, last int64, limit int) ([]row, error) {
	db := q.where(s.db.WithContext(ctx)).Where("user_id > ?", last)
	if q.State != "" {
		db = db.Where("state = ?", q.State)
	}
	var list []row
	err := db.Order("user_id").Limit(limit).Find(&list).Error
	return list, err
}

// idsReadBefore gives the numbers of customers after last whom the site was asked about before a tick.
func (s store) idsReadBefore(ctx context.Context, tick, last int64, limit int) ([]int64, error) {
	var list []int64
	err := s.db.WithContext(ctx).Model(&row{}).Where("user_id > ? AND read_at < ?", last, tick).Order("user_id").Limit(limit).Pluck("user_id", &list).Error
	return list, err
}

// lastRead is the newest ReadAt of all.
func (s store) lastRead(ctx context.Context) (int64, error) {
	var at *int64
	err := s.db.WithContext(ctx).Model(&row{}).Select("max(read_at)").Scan(&at).Error
	if err != nil || at == nil {
		return 0, err
	}
	return *at, nil
}

// setInvited keeps the newest invitation. told is false when one at or after unless is known already.
func (s store) setInvited(tx *gorm.DB, ids []int64, at, unless time.Time) (changed []int64, err error) {
	err = tx.Model(&row{}).Where("user_id IN ? AND (invited_at IS NULL OR invited_at < ?)", ids, unless).Pluck("user_id", &changed).Error
	if err != nil || len(changed) == 0 {
		return nil, err
	}
	return changed, tx.Model(&row{}).Where("user_id IN ?", changed).Update("invited_at", at).Error
}

// setAccounts writes the linked accounts of one person.
func (s store) setAccounts(tx *gorm.DB, id int64, accounts string, n int) error {
	return tx.Model(&row{}).Where("user_id = ?", id).Updates(map[string]any{"accounts": accounts, "linked": n}).Error
}

// putLinks writes the linked accounts of people who are in the list.
func (s store) putLinks(tx *gorm.DB, list []row) error {
	if len(list) == 0 {
		return nil
	}
	return tx.Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "user_id"}}, DoUpdates: clause.AssignmentColumns([]string{"accounts", "linked"})}).
		CreateInBatches(list, 200).Error
}

// setDevices writes how many devices a person has.
func (s store) setDevices(tx *gorm.DB, id int64, n int) error {
	return tx.Model(&row{}).Where("user_id = ?", id).Update("devices", n).Error
}

// leave takes people out of the list who are no customers any more. What was written about them stays.
func (s store) leave(ctx context.Context, ids []int64) error {
	return s.db.WithContext(ctx).Where("user_id IN ?", ids).Delete(&row{}).Error
}

// forget erases everything about people, also the lines of imports that only have their address, and their names where they wrote or
// imported something themselves.
func (s store) forget(ctx context.Context, ids []int64) error { return s.erase(ctx, ids, false) }

// erase is forget. With stay the people keep their place in the list, of which nothing is left but what the site says.
func (s store) erase(ctx context.Context, ids []int64, stay bool) error {
	return s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		var emails []string
		if err := tx.Model(&row{}).Where("user_id IN ?", ids).Pluck("email", &emails).Error; err != nil {
			return err
		}
		places := tx.Where("user_id IN ?", ids)
		if stay {
			places = places.Model(&row{}).Updates(map[string]any{"accounts": "[]", "linked": 0, "invited_at": nil})
		} else {
			places = places.Delete(&row{})
		}
		if err := places.Error; err != nil {
			return err
		}
		if err := tx.Where("user_id IN ?", ids).Delete(&note{}).Error; err != nil {
			return err
		}
		for _, table := range []any{&note{}, &upload{}} { // what they wrote about others, as somebody of the staff
			if err := tx.Model(table).Where("by_id IN ?", ids).Updates(map[string]any{"by_id": 0, "by_name": "a former colleague"}).Error; err != nil {
				return err
			}
		}
		return tx.Model(&importLine{}).Where("user_id IN ? OR lower(email) IN ?", ids, emails).
			Updates(map[string]any{"email": "", "name": "", "note": "", "user_id": 0, "sentence": "This person was erased since."}).Error
	})
}

// claim says who did what the fact, which may have come first, could not tell: entries of some kinds about people since then.
func (s store) claim(tx *gorm.DB, ids []int64, since time.Time, by history.Actor, kinds ...string) error {
	if by.ID == 0 || len(ids) == 0 {
		return nil
	}
	return tx.Model(&history.Entry{}).Where("user_id IN ? AND kind IN ? AND by_id = 0 AND at >= ?", ids, kinds, since).
		Updates(map[string]any{"by_id": by.ID, "by_name": by.Name}).Error
}

// searchText is what a search looks into.
func searchText(name, email string) string { return fold(name) + " " + strings.ToLower(email) }
