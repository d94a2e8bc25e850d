package ownership

import (
	"crypto/rand"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"

	"gorm.io/gorm"

	"mortise/plugins/customers/history"
	"mortise/plugins/customers/site"
	"mortise/plugins/internal/attachapi"
)

// newUsername makes the name of a shadow customer: it says nothing about the person, and is lower case, as Particle makes all.
func (o *Ownership) newUsername() string {
	host := "site.invalid"
	if u, err := url.Parse(o.site.Host.Site().PublicURL); err == nil && u.Hostname() != "" {
		host = strings.ToLower(u.Hostname())
	}
	return newUUID() + "@" + host
}

// newUUID makes a random UUID (version 4).
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// byProduct groups the rows of the way shadow: for each product the people in it.
func byProduct(rows []attachment) map[productKey][]int64 {
	people := map[productKey][]int64{}
	for i := range rows {
		key := productKey{rows[i].WorkspaceID, rows[i].ProductID}
		if rows[i].Way == attachapi.Shadow && !slices.Contains(people[key], rows[i].UserID) {
			people[key] = append(people[key], rows[i].UserID)
		}
	}
	return people
}

// wantShadows records, in the transaction that attaches devices, the shadow customers that are needed for them.
func (o *Ownership) wantShadows(tx *gorm.DB, rows []attachment, by history.Actor) error {
	for key, users := range byProduct(rows) {
		if err := o.wantIn(tx, key, rows[0].Product, users, by); err != nil {
			return err
		}
	}
	return nil
}

// wantIn records the shadow customers that people need in one product, as far as they do not have one that is ready.
func (o *Ownership) wantIn(tx *gorm.DB, key productKey, product string, users []int64, by history.Actor) error {
	for part := range slices.Chunk(users, queryBatch) {
		known, err := o.records.shadowsIn(tx, key, part)
		if err != nil {
			return err
		}
		wanted, names := make([]shadow, 0, len(part)), make([]string, 0, len(part))
		for _, user := range part {
			s, ok := known[user]
			if ok && s.State == shadowReady {
				continue
			}
			if !ok {
				s = shadow{UserID: user, WorkspaceID: key.workspaceID, ProductID: key.productID, Username: o.newUsername(), CreatedAt: o.site.Now()}
			}
			s.State = shadowWanted
			wanted, names = append(wanted, s), append(names, s.Username)
		}
		running, err := o.records.runningSubjects(tx, opShadowCreate, names)
		if err != nil {
			return err
		}
		ops := make([]operation, 0, len(wanted))
		for _, s := range wanted {
			if !running[s.Username] {
				ops = append(ops, o.newOperation(opShadowCreate, key, product, s.Username, s.UserID, by))
			}
		}
		if err := o.records.saveShadows(tx, wanted); err != nil {
			return err
		}
		if err := o.records.addOperations(tx, ops); err != nil {
			return err
		}
	}
	return nil
}

// newOperation makes one that nobody has begun by a form.
func (o *Ownership) newOperation(kind string, key productKey, product, subject string, customerID int64, by history.Actor) operation {
	now := o.site.Now()
	return operation{Once: site.Once(), Kind: kind, WorkspaceID: key.workspaceID, ProductID: key.productID, Product: product, Subject: subject, CustomerID: customerID,
		State: opRunning, Sentence: "Has begun.", ByID: by.ID, ByName: by.Name, NextAt: now, StartedAt: now}
}

// releaseShadows records, in the transaction that detaches devices, that they are released at Particle, and that the tokens of people
// who have none left are revoked.
func (o *Ownership) releaseShadows(tx *gorm.DB, rows []attachment, by history.Actor) error {
	for key, users := range byProduct(rows) {
		known, err := o.records.shadowsIn(tx, key, users)
		if err != nil {
			return err
		}
		still, err := o.records.stillShadowed(tx, key, users)
		if err != nil {
			return err
		}
		ops := []operation{}
		for i := range rows {
			d := &rows[i]
			s, ok := known[d.UserID]
			if !ok || d.Way != attachapi.Shadow || key != (productKey{d.WorkspaceID, d.ProductID}) {
				continue
			}
			op := o.newOperation(opDeviceRelease, key, d.Product, d.DeviceID, d.UserID, by)
			op.Owner = s.Username
			ops = append(ops, op)
		}
		revoked := []shadow{}
		for _, s := range known {
			if still[s.UserID] {
				continue
			}
			s.State = shadowRevoking
			revoked = append(revoked, s)
			ops = append(ops, o.newOperation(opShadowRevoke, key, rows[0].Product, s.Username, s.UserID, by))
		}
		if err := o.records.saveShadows(tx, revoked); err != nil {
			return err
		}
		if err := o.records.addOperations(tx, ops); err != nil {
			return err
		}
	}
	return nil
}

// dropShadows takes shadow customers away here and records that they are deleted at Particle. Deleting one there releases its
// devices and ends its tokens.
func (o *Ownership) dropShadows(tx *gorm.DB, rows []shadow, product string, by history.Actor) error {
	for part := range slices.Chunk(rows, queryBatch) {
		ids, ops := make([]int64, 0, len(part)), make([]operation, 0, len(part))
		for _, s := range part {
			ids = append(ids, s.ID)
			ops = append(ops, o.newOperation(opShadowDelete, productKey{s.WorkspaceID, s.ProductID}, product, s.Username, s.UserID, by))
		}
		if err := o.records.dropShadows(tx, ids); err != nil {
			return err
		}
		if err := o.records.addOperations(tx, ops); err != nil {
			return err
		}
	}
	return nil
}
