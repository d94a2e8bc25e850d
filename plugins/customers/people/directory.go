package people

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gorm.io/gorm"

	"mortise/core/fault"
	"mortise/plugins/customers/history"
	"mortise/plugins/customers/site"
)

// Directory finds and makes customers. It is what the other parts use, and safe for concurrent use.
type Directory struct {
	site     *site.Site
	store    store
	accounts accounts
	owner    Owner // nil: nobody has devices

	clock  atomic.Int64 // see tick
	glance atomic.Int64 // when glanceAt was last used, as Unix seconds
	gone   sync.Map     // number of an account that was deleted to the tick at which it was heard
}

// Owner is the part that knows what devices people have.
type Owner interface {
	// CountDevices tells within a transaction how many devices people have; who has none may be left out.
	CountDevices(tx *gorm.DB, userIDs []int64) (map[int64]int, error)
	// Follows says in sentences what deleting a person leads to, such as "3 devices are detached."
	Follows(ctx context.Context, userID int64) ([]string, error)
	// Forget detaches everything of a person who is gone. Repeating it does no harm.
	Forget(ctx context.Context, userID int64) error
}

// NewDirectory makes one. Start is called before it is used.
func NewDirectory(s *site.Site) *Directory {
	return &Directory{site: s, store: store{s.DB}, accounts: accounts{s.Host}}
}

// SetOwner tells who knows the devices. It is called before the module serves its first page.
func (d *Directory) SetOwner(o Owner) { d.owner = o }

// Start goes on with the clock where the last run left it.
func (d *Directory) Start(ctx context.Context) error {
	last, err := d.store.lastRead(ctx)
	if err != nil {
		return err
	}
	d.clock.Store(last)
	return nil
}

// tick gives a moment after all that were given before: what the site was asked at a later tick is newer.
func (d *Directory) tick() int64 {
	for {
		last := d.clock.Load()
		next := max(last+1, time.Now().UnixNano())
		if d.clock.CompareAndSwap(last, next) {
			return next
		}
	}
}

// Get finds a customer by the number of the account. fault.NotFound when there is none, also for staff. Who is not on the list yet,
// because thousands of facts wait before theirs, is asked for.
func (d *Directory) Get(ctx context.Context, id int64) (Person, error) {
	r, err := d.store.person(ctx, id)
	if fault.Is(err, fault.NotFound) {
		if err := d.meet(ctx, id); err != nil {
			return Person{}, err
		}
		r, err = d.store.person(ctx, id)
	}
	if err != nil {
		return Person{}, err
	}
	return r.person(), nil
}

// meet takes one account into the list. site.ErrNotFound when there is none, or when it is not a customer's.
func (d *Directory) meet(ctx context.Context, id int64) error {
	began := d.tick()
	a, err := d.accounts.get(ctx, id)
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Denied) {
		return site.ErrNotFound
	}
	if err != nil {
		return err
	}
	_, err = d.absorb(ctx, began, []account{a}, change{at: d.site.Now(), quiet: true})
	return err
}

// Search finds up to n customers (1 to 100) whose name or address has all words of text, by name.
func (d *Directory) Search(ctx context.Context, text string, n int) ([]Person, error) {
	list, err := d.store.list(ctx, query{Words: words(text), Limit: min(max(n, 1), 100)})
	if err != nil {
		return nil, err
	}
	found := make([]Person, 0, len(list))
	for i := range list {
		found = append(found, list[i].person())
	}
	return found, nil
}

// ErrStaff is the answer of Ensure for an address whose owner is more than a customer.
var ErrStaff = fault.New(fault.Conflict, "This address belongs to somebody of the staff, who cannot be a customer at the same time. Use another address, or take the other roles away from the account first.")

var errLongAddress = fault.InvalidFields("Please correct what is marked.", map[string]string{"email": "An e-mail address has at most 254 characters."})

// Ensure finds the customer with an address, or makes one for the person whose request ctx is of. With invite an invitation is
// mailed, unless the customer has a password already; one who is there without a password gets a new link. Repeating it does no harm.
//
// Errors: fault.Invalid with the fields name and email, ErrStaff, fault.Conflict for a blocked customer who is to be invited,
// fault.TooMany when too many mails were sent.
func (d *Directory) Ensure(ctx context.Context, name, email string, invite bool) (p Person, created bool, err error) {
	began, by := d.site.Now(), history.By(ctx)
	id, created, mailed, err := d.ensure(ctx, name, email, invite)
	if err != nil {
		return Person{}, false, err
	}
	if err := d.refresh(ctx, id, change{by: by, invited: mailed, at: d.site.Now(), since: began, kinds: added}); err != nil {
		return Person{}, false, err
	}
	p, err = d.Get(ctx, id)
	return p, created, err
}

// added are the kinds of entries that making or inviting a customer leads to.
var added = []string{kindMade, kindInvited}

func (d *Directory) ensure(ctx context.Context, name, email string, invite bool) (id int64, created, mailed bool, err error) {
	if len(email) > mostAddress {
		return 0, false, false, errLongAddress
	}
	if invite {
		done, err := d.accounts.invite(ctx, name, email)
		if fault.Is(err, fault.Conflict) {
			if _, findErr := d.accounts.find(ctx, email); fault.Is(findErr, fault.Denied) {
				err = ErrStaff
			}
		}
		return done.ID, done.Created, done.Invited, err
	}
	id, err = d.accounts.create(ctx, name, email)
	if _, wrong := fault.FieldsOf(err)["email"]; !wrong {
		return id, err == nil, false, err
	}
	switch found, findErr := d.accounts.find(ctx, email); { // the address is taken, or is none
	case findErr == nil:
		return found.ID, false, false, nil
	case fault.Is(findErr, fault.Denied):
		return 0, false, false, ErrStaff
	case !fault.Is(findErr, fault.NotFound):
		return 0, false, false, findErr
	}
	return 0, false, false, err
}

// ByEmail finds the customer with an address. fault.NotFound when there is none here.
func (d *Directory) ByEmail(ctx context.Context, email string) (Person, error) {
	r, err := d.store.byEmail(ctx, strings.ToLower(strings.TrimSpace(email)))
	if err != nil {
		return Person{}, err
	}
	return r.person(), nil
}

// SetDevices notes how many devices a person has, in the transaction that has changed it.
func (d *Directory) SetDevices(tx *gorm.DB, userID int64, n int) error {
	return d.store.setDevices(tx, userID, n)
}

// Forget erases what this part keeps about a person: the place in the list, the notes, and what imports say. While the account
// exists, the next comparison puts the person back into the list.
func (d *Directory) Forget(ctx context.Context, userID int64) error {
	d.gone.Store(userID, d.tick())
	return d.store.forget(ctx, []int64{userID})
}

// Erase is Forget for a person whose account stays: they keep their place in the list. Putting them back later would be told in the
// history, as of a newcomer, and be one more thing to erase.
func (d *Directory) Erase(ctx context.Context, userID int64) error {
	return d.store.erase(ctx, []int64{userID}, true)
}
