package people

import (
	"context"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/customers/history"
)

// The kinds of this part's entries in the history.
const (
	kindMade       = "made"
	kindInvited    = "invited"
	kindRegistered = "registered"
	kindRenamed    = "renamed"
	kindAddress    = "address"
	kindBlocked    = "blocked"
	kindUnblocked  = "unblocked"
	kindLinked     = "linked"
	kindUnlinked   = "unlinked"
	kindDead       = "link_dead"
	kindNote       = "note"
)

const (
	customerRole = "customer"
	syncPage     = 200 // accounts asked for at once, the most that the site gives
	lookUpAtOnce = 500 // people looked up at once, the most that the site allows
	glanceEvery  = 20 * time.Second
	glanceLimit  = 3 * time.Second
	rereads      = 4              // of an account that was written while it was read
	newsFor      = 24 * time.Hour // in which a newcomer is told of, however they were found
)

// change is why an account is read again.
type change struct {
	by      history.Actor // who did something just now; the zero Actor for facts
	since   time.Time     // when they began
	kinds   []string      // of the entries that facts have written since then and that are theirs
	invited bool          // an invitation was mailed
	at      time.Time     // when
	quiet   bool          // newcomers are no news, unless they are new indeed
}

// refresh reads one account from the site and writes what it says. When somebody else has written it since the reading began, it is read
// again, so that the last reading always counts.
func (d *Directory) refresh(ctx context.Context, id int64, c change) error {
	for range rereads {
		began := d.tick()
		a, err := d.accounts.get(ctx, id)
		if fault.Is(err, fault.NotFound) {
			return d.Forget(ctx, id)
		}
		if fault.Is(err, fault.Denied) {
			return d.leaveIfStaff(ctx, id, err)
		}
		if err != nil {
			return err
		}
		if late, err := d.absorb(ctx, began, []account{a}, c); err != nil || !late {
			return err
		}
	}
	return nil // others go on writing it, and each of them has read it later
}

// leaveIfStaff takes a person out of the list who is more than a customer. refused is why the site does not speak of the person: when it has
// another reason than that, it is given back.
func (d *Directory) leaveIfStaff(ctx context.Context, id int64, refused error) error {
	user, err := d.site.Host.Users().Get(ctx, id)
	if err != nil || isCustomer(user) {
		return refused
	}
	return d.store.leave(ctx, []int64{id})
}

func isCustomer(u sdk.User) bool {
	return !slices.ContainsFunc(u.Roles, func(role string) bool { return role != customerRole })
}

// absorb writes what the site said of accounts when it was asked at the tick began. late tells that some of them have been
// written since then, and were left as they are.
func (d *Directory) absorb(ctx context.Context, began int64, list []account, c change) (late bool, err error) {
	if len(list) == 0 {
		return false, nil
	}
	ids := make([]int64, len(list))
	for i, a := range list {
		ids[i] = a.ID
	}
	ended := d.tick()
	err = d.store.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		have, err := d.store.those(tx, ids)
		if err != nil {
			return err
		}
		var changed []row
		var told []history.Entry
		var newcomers []int64
		for _, a := range list {
			if gone, ok := d.gone.Load(a.ID); ok && gone.(int64) > began {
				continue // deleted since
			}
			old := have[a.ID]
			if old != nil && old.ReadAt > began {
				late = true
				continue
			}
			fresh := rowOf(a, ended)
			if old == nil {
				newcomers = append(newcomers, a.ID)
				if !c.quiet || d.site.Now().Sub(a.CreatedAt) < newsFor { // the fact of it may come later
					told = append(told, history.Entry{UserID: a.ID, Kind: kindMade, Sentence: "The account was made.", At: a.CreatedAt.UTC()})
				}
			} else if same(old, &fresh) {
				continue
			} else if entries := differences(old, &fresh); len(entries) > 0 {
				told, fresh.Version = append(told, entries...), old.Version+1
			} else {
				fresh.Version = old.Version
			}
			changed = append(changed, fresh)
		}
		if err := d.countDevices(tx, newcomers, changed); err != nil {
			return err
		}
		if err := d.store.put(tx, changed); err != nil {
			return err
		}
		return d.tell(tx, ids, told, c)
	})
	return late, err
}

// tell writes the history of what was absorbed.
func (d *Directory) tell(tx *gorm.DB, ids []int64, told []history.Entry, c change) error {
	if c.invited {
		invited, err := d.store.setInvited(tx, ids, c.at, c.since)
		if err != nil {
			return err
		}
		for _, id := range invited {
			told = append(told, history.Entry{UserID: id, Kind: kindInvited, Sentence: "An invitation was mailed.", At: c.at})
		}
	}
	for i := range told {
		if told[i].At.IsZero() {
			told[i].At = d.site.Now()
		}
		told[i] = told[i].With(c.by)
	}
	if err := history.Add(tx, told...); err != nil {
		return err
	}
	return d.store.claim(tx, ids, c.since.Truncate(time.Millisecond), c.by, c.kinds...) // the site's times have milliseconds
}

// invitedAgain writes that customers who are in the list got another invitation.
func (d *Directory) invitedAgain(ctx context.Context, ids []int64, c change) error {
	if len(ids) == 0 {
		return nil
	}
	return d.store.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error { return d.tell(tx, ids, nil, c) })
}

// countDevices fills in what newcomers have already.
func (d *Directory) countDevices(tx *gorm.DB, newcomers []int64, rows []row) error {
	if d.owner == nil || len(newcomers) == 0 {
		return nil
	}
	counts, err := d.owner.CountDevices(tx, newcomers)
	for i := range rows {
		rows[i].Devices = counts[rows[i].UserID]
	}
	return err
}

func rowOf(a account, readAt int64) row {
	return row{UserID: a.ID, Name: a.Name, SortName: fold(a.Name), Email: a.Email, SearchText: searchText(a.Name, a.Email), Blocked: a.Blocked,
		Registered: a.HasPassword, LastSeenAt: utc(a.LastSeenAt), CreatedAt: a.CreatedAt.UTC(), Accounts: "[]", ReadAt: readAt}
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	at := t.UTC()
	return &at
}

func same(a, b *row) bool {
	seen := a.LastSeenAt == nil && b.LastSeenAt == nil || a.LastSeenAt != nil && b.LastSeenAt != nil && a.LastSeenAt.Equal(*b.LastSeenAt)
	return seen && a.Name == b.Name && a.Email == b.Email && a.SearchText == b.SearchText && a.Blocked == b.Blocked && a.Registered == b.Registered &&
		a.CreatedAt.Equal(b.CreatedAt)
}

// differences puts into words what is not as before.
func differences(old, fresh *row) (list []history.Entry) {
	add := func(kind, sentence string) {
		list = append(list, history.Entry{UserID: old.UserID, Kind: kind, Sentence: sentence})
	}
	if !old.Registered && fresh.Registered {
		add(kindRegistered, "Chose a password: the account is in use.")
	}
	if old.Name != fresh.Name {
		add(kindRenamed, "The name was changed.")
	}
	if old.Email != fresh.Email {
		add(kindAddress, "The e-mail address was changed.")
	}
	switch {
	case !old.Blocked && fresh.Blocked:
		add(kindBlocked, "The account was blocked.")
	case old.Blocked && !fresh.Blocked:
		add(kindUnblocked, "The account was unblocked.")
	}
	return list
}

// Sync compares the list with all accounts of the site. What has not changed is not written.
func (d *Directory) Sync(ctx context.Context) error {
	began, seen, linking := d.tick(), map[int64]bool{}, true
	for offset := 0; ; offset += syncPage {
		asked := d.tick()
		list, err := d.accounts.list(ctx, listQuery{Sort: "created", Offset: offset, Limit: syncPage})
		if err != nil {
			return fmt.Errorf("list the site's accounts: %w", err)
		}
		if _, err := d.absorb(ctx, asked, list, change{quiet: true}); err != nil {
			return fmt.Errorf("write what the site said: %w", err)
		}
		ids := make([]int64, len(list))
		for i, a := range list {
			seen[a.ID], ids[i] = true, a.ID
		}
		if linking && len(ids) > 0 {
			if err := d.countLinks(ctx, ids); err != nil { // the numbers stay as they are
				linking = false
				d.noLinks(err)
			}
		}
		if len(list) < syncPage {
			break
		}
	}
	if err := d.removeMissing(ctx, began, seen); err != nil {
		return err
	}
	d.gone.Range(func(id, at any) bool {
		if at.(int64) < began {
			d.gone.Delete(id) // whatever was read before has been written
		}
		return true
	})
	return nil
}

// removeMissing takes those out of the list who were not among the site's accounts. An account may have been missed when another was
// deleted between two pages, so each is looked up once more.
func (d *Directory) removeMissing(ctx context.Context, began int64, seen map[int64]bool) error {
	for last := int64(0); ; {
		ids, err := d.store.idsReadBefore(ctx, began, last, lookUpAtOnce)
		if err != nil || len(ids) == 0 {
			return err
		}
		last = ids[len(ids)-1]
		missing := slices.DeleteFunc(ids, func(id int64) bool { return seen[id] })
		if len(missing) == 0 {
			continue
		}
		users, err := d.site.Host.Users().List(ctx, missing...)
		if err != nil {
			return fmt.Errorf("look up who is missing: %w", err)
		}
		var staff []int64
		for _, u := range users {
			missing = slices.DeleteFunc(missing, func(id int64) bool { return id == u.ID })
			if !isCustomer(u) {
				staff = append(staff, u.ID)
			}
		}
		if err := d.removeThose(ctx, staff, missing); err != nil {
			return err
		}
	}
}

func (d *Directory) removeThose(ctx context.Context, staff, gone []int64) error {
	if len(staff) > 0 {
		if err := d.store.leave(ctx, staff); err != nil {
			return err
		}
	}
	if len(gone) == 0 {
		return nil
	}
	now := d.tick()
	for _, id := range gone {
		d.gone.Store(id, now)
	}
	if err := d.store.forget(ctx, gone); err != nil {
		return err
	}
	if d.owner == nil {
		return nil
	}
	for _, id := range gone { // their fact did not come: what they had would be nobody's and yet taken
		if err := d.owner.Forget(ctx, id); err != nil {
			return fmt.Errorf("take the devices of an account that is gone: %w", err)
		}
	}
	return nil
}

// Glance asks for those who were seen last, at most every 20 seconds: whoever has just registered or signed in stands right in the list
// although no fact tells of it. A failure does no harm: the job follows.
func (d *Directory) Glance(ctx context.Context) {
	now, last := d.site.Now().Unix(), d.glance.Load()
	if now-last < int64(glanceEvery/time.Second) || !d.glance.CompareAndSwap(last, now) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, glanceLimit)
	defer cancel()
	asked := d.tick()
	list, err := d.accounts.list(ctx, listQuery{Sort: "seen", Desc: true, Limit: 50})
	if err == nil {
		_, err = d.absorb(ctx, asked, list, change{quiet: true})
	}
	if err != nil && ctx.Err() == nil {
		d.site.Host.Log().Warn("who was seen last could not be asked for; the job does it", "error", err)
	}
}
