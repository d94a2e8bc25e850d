package ownership

import (
	"context"
	"slices"

	"gorm.io/gorm"

	"mortise/core/fault"
	"mortise/plugins/customers/history"
	"mortise/plugins/internal/attachapi"
)

// wayWords say what a way means, for the page on which one is chosen.
type wayWords struct {
	ID       Way      `json:"id"`
	Title    string   `json:"title"`
	Short    string   `json:"short"`
	Sentence string   `json:"sentence"`
	Follows  []string `json:"follows"`
}

var explainedWays = []wayWords{
	{attachapi.Product, "Unclaimed devices of the product", "Unclaimed", "Nobody owns the devices at Particle; the site controls them with the workspace's credential. Particle advises this for new products.", []string{
		"Nothing has to be set up: a device works for its customer as soon as it is attached.",
		"Unclaimed devices cannot subscribe to events. They publish events, and answer functions and variables.",
		"A whole product can be attached to one customer."}},
	{attachapi.Account, "The customer's own Particle account", "Own account", "The customer claims the device into a Particle account of their own and links that account here.", []string{
		"Each customer needs an account at Particle and has to link it; until then an attached device cannot be controlled here.",
		"The customer can use the device elsewhere too, in Particle's own apps and services.",
		"The device must be claimed with the customer's account: with a claim code when it is set up."}},
	{attachapi.Shadow, "A shadow customer", "Shadow customer", "The site makes a customer at Particle for each person, under a name that says nothing about them, and keeps its token sealed.", []string{
		"People need no account at Particle, and Particle learns no name and no address.",
		"Devices that were set up with a claim code belong to the shadow customer and may subscribe to its events.",
		"It needs an OAuth client of type installed of this product, handed over from Organizations."}},
}

func wordsOf(w Way) wayWords {
	i := slices.IndexFunc(explainedWays, func(x wayWords) bool { return x.ID == w })
	return explainedWays[max(i, 0)]
}

// changeWay gives a product another way, and everything that is attached of it with it. version is that of the choice which the person saw.
//
// Errors: fault.Conflict when somebody else has chosen meanwhile, or when the whole product is attached to a customer, which goes only
// with devices that stay unclaimed.
func (o *Ownership) changeWay(ctx context.Context, p Product, way Way, version int64, by history.Actor) error {
	return o.transaction(ctx, func(tx *gorm.DB) error {
		row, err := o.records.product(tx, p.WorkspaceID, p.ProductID)
		if err != nil {
			return err
		}
		if row.Version != version {
			return errChanged()
		}
		if row.Way == way {
			return nil
		}
		holder, err := o.records.grantedTo(tx, p.WorkspaceID, p.ProductID)
		if err != nil {
			return err
		}
		if holder != 0 && way != attachapi.Product {
			return fault.New(fault.Conflict, "The whole product is attached to a customer, which is possible only with unclaimed devices. Detach it there first.")
		}
		was := row.Way
		row.Way, row.Name, row.ChangedAt, row.ChangedBy = way, p.Name, o.site.Now(), by.Name
		if err := o.records.saveProduct(tx, &row); err != nil {
			return err
		}
		return o.switchAttached(tx, p, was, way, by)
	})
}

// switchAttached takes the attached devices of a product from one way to another.
func (o *Ownership) switchAttached(tx *gorm.DB, p Product, from, to Way, by history.Actor) error {
	if err := o.records.switchWay(tx, p.WorkspaceID, p.ProductID, to); err != nil {
		return err
	}
	devices, err := o.records.ofProduct(tx, p.WorkspaceID, p.ProductID)
	if err != nil {
		return err
	}
	counts, users := map[int64]int{}, []int64{}
	for i := range devices {
		d := &devices[i]
		if counts[d.UserID]++; counts[d.UserID] == 1 {
			users = append(users, d.UserID)
		}
		if err := publishDevice(tx, attachapi.DeviceAttached, d); err != nil { // who holds something open of it asks again
			return err
		}
	}
	entries := make([]history.Entry, 0, len(users))
	for _, user := range users {
		entries = append(entries, history.Entry{UserID: user, Kind: "way_changed", At: o.site.Now(),
			Sentence: countOf(counts[user], "device") + " of " + p.Name + ": from now on in the way “" + wordsOf(to).Title + "”."}.With(by))
	}
	if err := history.Add(tx, entries...); err != nil {
		return err
	}
	if shadowWay(from) {
		gone, err := o.records.shadowsOfProduct(tx, p.WorkspaceID, p.ProductID)
		if err != nil {
			return err
		}
		return o.dropShadows(tx, gone, p.Name, by)
	}
	if shadowWay(to) {
		return o.wantIn(tx, productKey{p.WorkspaceID, p.ProductID}, p.Name, users, by)
	}
	return nil
}

// consequences say what choosing another way leads to for what is attached already.
func consequences(p Product, to Way) []string {
	if p.Attached == 0 || to == p.Way {
		return nil
	}
	said := []string{countOf(p.Attached, "device") + " of " + countOf(p.People, "customer") + ": the new way counts for " + map[bool]string{true: "it", false: "all of them"}[p.Attached == 1] + ", at once."}
	if shadowWay(p.Way) {
		said = append(said, "The shadow customers of this product are deleted at Particle with their tokens, and the devices they had claimed have no owner any more.")
	}
	switch to {
	case attachapi.Product:
		said = append(said, "They are controlled with the workspace's credential and work without anybody doing anything.")
	case attachapi.Account:
		said = append(said, "Customers cannot control them until each has linked a Particle account and the device is claimed by it.")
	case attachapi.Shadow:
		said = append(said, "A shadow customer is made for each of these customers. The devices go on working with the workspace's credential; they become the shadow customer's when they are set up again with a claim code.")
	}
	return said
}
