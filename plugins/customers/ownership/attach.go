package ownership

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gorm.io/gorm"

	"mortise/core/fault"
	"mortise/core/sdk/sdkdb"
	"mortise/plugins/customers/history"
	"mortise/plugins/customers/site"
	"mortise/plugins/internal/attachapi"
	"mortise/plugins/internal/particle"
)

// Attach says what is to be attached to whom.
type Attach struct {
	UserID      int64
	WorkspaceID int64
	ProductID   string // Particle's number
	Product     string // its name
	DeviceID    string
	Name        string        // of the device; "" if not known
	Given       bool          // Name was chosen for the customer: it goes before what the fleet calls the device
	By          history.Actor // who does it
}

// AttachIn attaches one device in the caller's transaction, with its history and its facts. Particle is not asked: that the
// device exists and is in the product is for the caller to know. Attaching again to the same person does nothing. After the
// commit call AfterAttach.
//
// Errors: fault.Invalid for an id that cannot be a device's; fault.Conflict when the device, or its product as a whole, is
// attached to somebody else, and when the person is not on the list of customers: people.Get puts a newcomer there.
func (o *Ownership) AttachIn(tx *gorm.DB, a Attach) (Attachment, error) {
	rows, err := o.attachAll(tx, []Attach{a})
	if err != nil {
		return Attachment{}, err
	}
	return rows[0].view(), nil
}

// DetachIn takes a device from a person in the caller's transaction. It can be undone, see UndoIn. After the commit call
// AfterDetach. fault.NotFound when the device is not attached to this person.
func (o *Ownership) DetachIn(tx *gorm.DB, deviceID string, userID int64, by history.Actor) (Attachment, error) {
	rows, err := o.detachAll(tx, userID, []string{deviceID}, by)
	if err != nil {
		return Attachment{}, err
	}
	return rows[0].view(), nil
}

// TransferIn gives a device of one person to another one in the caller's transaction. After the commit call AfterDetach with
// what was before, and AfterAttach with what is now. fault.Conflict when the device is not the first person's any more, or its
// product belongs to somebody else as a whole.
func (o *Ownership) TransferIn(tx *gorm.DB, deviceID string, from, to int64, by history.Actor) (before, now Attachment, err error) {
	deviceID = particle.NormalID(deviceID)
	rows, err := o.records.devicesIn(tx, []string{deviceID})
	if err != nil {
		return before, now, err
	}
	if len(rows) == 0 || rows[0].UserID != from || rows[0].DetachedAt != nil {
		return before, now, fault.New(fault.Conflict, "The device is not attached to this customer any more. Look at it again.")
	}
	if from == to {
		return before, now, fault.New(fault.Conflict, "The device is this customer's already.")
	}
	a := Attach{UserID: to, WorkspaceID: rows[0].WorkspaceID, ProductID: rows[0].ProductID, Product: rows[0].Product, DeviceID: deviceID, Name: rows[0].Name, By: by} // a name that was chosen for the one is not for the other
	gone, err := o.detachAll(tx, from, []string{deviceID}, by)
	if err != nil {
		return before, now, err
	}
	come, err := o.attachAll(tx, []Attach{a})
	if err != nil {
		return before, now, err
	}
	return gone[0].view(), come[0].view(), nil
}

// UndoIn attaches a detached device to the person who had it last, in the caller's transaction, as long as nobody else has it. After the commit call
// AfterAttach. fault.Conflict when it is too late.
func (o *Ownership) UndoIn(tx *gorm.DB, deviceID string, userID int64, by history.Actor) (Attachment, error) {
	rows, err := o.records.devicesIn(tx, []string{particle.NormalID(deviceID)})
	if err != nil {
		return Attachment{}, err
	}
	if len(rows) == 0 || rows[0].UserID != userID {
		return Attachment{}, fault.New(fault.Conflict, "It is too late to undo this: the device was given to another customer, or the customer's data were erased.")
	}
	d := rows[0]
	return o.AttachIn(tx, Attach{UserID: userID, WorkspaceID: d.WorkspaceID, ProductID: d.ProductID, Product: d.Product, DeviceID: d.DeviceID, Name: d.Name, Given: d.Given, By: by})
}

// attachAll attaches devices, each to its person; all or none.
func (o *Ownership) attachAll(tx *gorm.DB, list []Attach) ([]attachment, error) {
	if err := checkAll(list); err != nil {
		return nil, err
	}
	ids, users := make([]string, len(list)), []int64{}
	for i := range list {
		ids[i] = list[i].DeviceID
		if !slices.Contains(users, list[i].UserID) {
			users = append(users, list[i].UserID)
		}
	}
	if err := o.here(tx, users...); err != nil {
		return nil, err
	}
	known, err := o.knownIn(tx, ids)
	if err != nil {
		return nil, err
	}
	products, err := o.productsIn(tx, list)
	if err != nil {
		return nil, err
	}
	rows, fresh := make([]attachment, 0, len(list)), []attachment{}
	for i := range list {
		a := &list[i]
		old, ok := known[a.DeviceID]
		switch {
		case ok && old.DetachedAt == nil && old.UserID != a.UserID:
			return nil, fault.New(fault.Conflict, "The device %s is attached to another customer. Detach it there first, or transfer it.", a.DeviceID)
		case products[productKey{a.WorkspaceID, a.ProductID}].grantedTo(a.UserID):
			return nil, fault.New(fault.Conflict, "The product %s is attached to another customer as a whole, with all its devices. Detach it there first.", nameOf(a.Product, a.ProductID))
		case ok && old.DetachedAt == nil:
			rows = append(rows, old)
			continue
		}
		row := attachment{DeviceID: a.DeviceID, UserID: a.UserID, WorkspaceID: a.WorkspaceID, ProductID: a.ProductID, Product: a.Product, Name: a.Name, Given: a.Given && a.Name != "",
			Way: products[productKey{a.WorkspaceID, a.ProductID}].way, Version: old.Version + 1, AttachedAt: o.site.Now()}
		rows, fresh = append(rows, row), append(fresh, row)
	}
	if len(fresh) == 0 {
		return rows, nil
	}
	if err := o.room(tx, fresh); err != nil {
		return nil, err
	}
	return rows, o.writeAttached(tx, fresh, list[0].By)
}

// room refuses what would be more than is ever listed of one person: their pages would not know of the rest.
func (o *Ownership) room(tx *gorm.DB, fresh []attachment) error {
	more := map[int64]int{}
	for i := range fresh {
		more[fresh[i].UserID]++
	}
	for user, n := range more { // one, or the few of a transfer
		has, err := o.records.countOfPerson(tx, user)
		if err != nil {
			return err
		}
		if has+n > maxOfPerson {
			return fault.New(fault.Conflict, "One customer can have %d devices one by one; this one has %d, and these are %d more. Attach the whole product instead.", maxOfPerson, has, n)
		}
	}
	return nil
}

// here refuses to give anything to somebody who is gone: what erases a person has been there already, and comes no more.
func (o *Ownership) here(tx *gorm.DB, users ...int64) error {
	ok, err := o.records.allHere(tx, users)
	if err == nil && !ok {
		err = fault.New(fault.Conflict, "This customer is not here any more: the account was deleted, or it belongs to the staff now.")
	}
	return err
}

// checkAll brings what is to be attached into order, and refuses what cannot be.
func checkAll(list []Attach) error {
	seen := make(map[string]bool, len(list))
	for i := range list {
		a := &list[i]
		a.DeviceID = particle.NormalID(a.DeviceID)
		a.Name, a.Product = site.Readable(a.Name, 100), site.Readable(a.Product, 200)
		switch {
		case !isDeviceID(a.DeviceID):
			return fault.New(fault.Invalid, "%q is not the id of a device; expected 24 digits from 0 to 9 and a to f.", site.Readable(a.DeviceID, 60))
		case a.UserID <= 0 || a.WorkspaceID <= 0 || !isProductID(a.ProductID):
			return fault.New(fault.Invalid, "Choose a customer and a product.")
		case seen[a.DeviceID]:
			return fault.New(fault.Invalid, "The device %s is named twice.", a.DeviceID)
		}
		seen[a.DeviceID] = true
	}
	return nil
}

func isDeviceID(s string) bool { return len(s) == 24 && strings.Trim(s, "0123456789abcdef") == "" }

func isProductID(s string) bool {
	return s != "" && len(s) <= 18 && strings.Trim(s, "0123456789") == ""
}

func nameOf(name, id string) string {
	if name == "" {
		return id
	}
	return name
}

// productKey names a product.
type productKey struct {
	workspaceID int64
	productID   string
}

// productFacts is what decides about attaching a product's devices.
type productFacts struct {
	way  Way
	user int64 // to whom the whole product is attached; 0: nobody
}

// grantedTo tells that somebody else than the person has the whole product.
func (f productFacts) grantedTo(userID int64) bool { return f.user != 0 && f.user != userID }

func (o *Ownership) knownIn(tx *gorm.DB, ids []string) (map[string]attachment, error) {
	known := make(map[string]attachment, len(ids))
	for part := range slices.Chunk(ids, queryBatch) {
		rows, err := o.records.devicesIn(tx, part)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			known[row.DeviceID] = row
		}
	}
	return known, nil
}

func (o *Ownership) productsIn(tx *gorm.DB, list []Attach) (map[productKey]productFacts, error) {
	facts := map[productKey]productFacts{}
	for i := range list {
		key := productKey{list[i].WorkspaceID, list[i].ProductID}
		if _, done := facts[key]; done {
			continue
		}
		row, err := o.records.product(tx, key.workspaceID, key.productID)
		if err != nil {
			return nil, err
		}
		user, err := o.records.grantedTo(tx, key.workspaceID, key.productID)
		if err != nil {
			return nil, err
		}
		facts[key] = productFacts{row.Way, user}
	}
	return facts, nil
}

// writeAttached writes rows that are new, with all that belongs to them.
func (o *Ownership) writeAttached(tx *gorm.DB, rows []attachment, by history.Actor) error {
	if err := o.records.saveDevices(tx, rows); err != nil {
		return err
	}
	entries := make([]history.Entry, 0, len(rows))
	for i := range rows {
		d := &rows[i]
		entries = append(entries, history.Entry{UserID: d.UserID, DeviceID: d.DeviceID, Kind: "attached", At: d.AttachedAt, Sentence: "The device " + d.words() + " was attached."}.With(by))
		if err := publishDevice(tx, attachapi.DeviceAttached, d); err != nil {
			return err
		}
	}
	if err := history.Add(tx, entries...); err != nil {
		return err
	}
	if err := o.wantShadows(tx, rows, by); err != nil {
		return err
	}
	return o.countDevices(tx, rows)
}

// words name a device in a sentence.
func (a *attachment) words() string {
	if a.Name == "" {
		return a.DeviceID + " of " + nameOf(a.Product, a.ProductID)
	}
	return a.Name + " (" + a.DeviceID + ") of " + nameOf(a.Product, a.ProductID)
}

func publishDevice(tx *gorm.DB, fact string, d *attachment) error {
	return sdkdb.Publish(tx, fact, subjectOf(d.UserID), attachapi.DeviceFact{UserID: d.UserID, DeviceID: d.DeviceID, WorkspaceID: d.WorkspaceID, ProductID: d.ProductID, Way: d.Way})
}

func subjectOf(userID int64) string { return "user/" + strconv.FormatInt(userID, 10) }

// detachAll takes devices from a person; all or none.
func (o *Ownership) detachAll(tx *gorm.DB, userID int64, ids []string, by history.Actor) ([]attachment, error) {
	known, err := o.knownIn(tx, ids)
	if err != nil {
		return nil, err
	}
	now := o.site.Now()
	rows, entries := make([]attachment, 0, len(ids)), make([]history.Entry, 0, len(ids))
	for _, id := range ids {
		d, ok := known[particle.NormalID(id)]
		if !ok || d.UserID != userID || d.DetachedAt != nil {
			return nil, fault.New(fault.NotFound, "The device %s is not attached to this customer.", site.Readable(id, 60))
		}
		delete(known, d.DeviceID) // an id that comes twice is not found the second time
		d.DetachedAt, d.Version = &now, d.Version+1
		rows = append(rows, d)
		entries = append(entries, history.Entry{UserID: userID, DeviceID: d.DeviceID, Kind: "detached", At: now, Sentence: "The device " + d.words() + " was detached."}.With(by))
		if err := publishDevice(tx, attachapi.DeviceDetached, &d); err != nil {
			return nil, err
		}
	}
	if err := o.records.saveDevices(tx, rows); err != nil {
		return nil, err
	}
	if err := history.Add(tx, entries...); err != nil {
		return nil, err
	}
	if err := o.releaseShadows(tx, rows, by); err != nil {
		return nil, err
	}
	return rows, o.countDevices(tx, rows)
}

// countDevices tells the list of customers how many devices each of the rows' people has now.
func (o *Ownership) countDevices(tx *gorm.DB, rows []attachment) error {
	done := map[int64]bool{}
	for i := range rows {
		if id := rows[i].UserID; !done[id] {
			done[id] = true
			if err := o.countOf(tx, id); err != nil {
				return err
			}
		}
	}
	return nil
}

// countOf counts a person's devices for the list of customers; a whole product counts as one.
func (o *Ownership) countOf(tx *gorm.DB, userID int64) error {
	n, err := o.records.countOfPerson(tx, userID)
	if err != nil {
		return err
	}
	return o.people.SetDevices(tx, userID, n)
}

// GrantIn attaches a whole product to one person in the caller's transaction: every device in it, also those that come later.
// Doing so again does nothing. fault.Conflict when the product has another way than attachapi.Product, or when it or a device
// of it is attached to somebody else.
func (o *Ownership) GrantIn(tx *gorm.DB, userID, workspaceID int64, productID, product string, by history.Actor) error {
	row, err := o.records.product(tx, workspaceID, productID)
	if err != nil {
		return err
	}
	if row.Way != attachapi.Product {
		return fault.New(fault.Conflict, "Only a product whose devices stay unclaimed can be attached as a whole: in the other ways each device must be claimed by itself.")
	}
	holder, err := o.records.grantedTo(tx, workspaceID, productID)
	switch {
	case err != nil || holder == userID:
		return err
	case holder != 0:
		return fault.New(fault.Conflict, "The product %s is attached to another customer already.", nameOf(product, productID))
	}
	if err := o.here(tx, userID); err != nil {
		return err
	}
	others, err := o.records.countOthers(tx, userID, workspaceID, productID)
	if err != nil {
		return err
	}
	if others > 0 {
		return fault.New(fault.Conflict, "%s attached to other customers: all of %s cannot be one customer's. Detach these first.", devicesAre(others), nameOf(product, productID))
	}
	g := grant{UserID: userID, WorkspaceID: workspaceID, ProductID: productID, Product: site.Readable(product, 200), AttachedAt: o.site.Now()}
	if err := o.records.saveGrant(tx, &g); err != nil {
		return err
	}
	return o.granted(tx, &g, attachapi.ProductAttached, "product_attached", "All devices of the product "+nameOf(g.Product, productID)+" were attached.", by)
}

// UngrantIn takes a whole product from a person in the caller's transaction. fault.NotFound when the person does not have it.
func (o *Ownership) UngrantIn(tx *gorm.DB, userID, workspaceID int64, productID string, by history.Actor) (Grant, error) {
	g, err := o.records.dropGrant(tx, userID, workspaceID, productID)
	if err != nil {
		return Grant{}, err
	}
	return g.view(), o.granted(tx, g, attachapi.ProductDetached, "product_detached", "The product "+nameOf(g.Product, productID)+" was detached.", by)
}

func (o *Ownership) granted(tx *gorm.DB, g *grant, fact, kind, sentence string, by history.Actor) error {
	if err := history.Add(tx, history.Entry{UserID: g.UserID, Kind: kind, Sentence: sentence, At: o.site.Now()}.With(by)); err != nil {
		return err
	}
	if err := sdkdb.Publish(tx, fact, subjectOf(g.UserID), attachapi.ProductFact{UserID: g.UserID, WorkspaceID: g.WorkspaceID, ProductID: g.ProductID}); err != nil {
		return err
	}
	return o.countOf(tx, g.UserID)
}

// devicesAre makes "1 device is" and "3 devices are".
func devicesAre[N int | int64](n N) string {
	if n == 1 {
		return "1 device is"
	}
	return fmt.Sprintf("%d devices are", n)
}

// transaction runs several changes as one.
func (o *Ownership) transaction(ctx context.Context, do func(tx *gorm.DB) error) error {
	return o.site.DB.WithContext(ctx).Transaction(do)
}
