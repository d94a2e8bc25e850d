package ownership

import (
	"context"
	"slices"
	"strings"

	"gorm.io/gorm"

	"mortise/core/fault"
	"mortise/plugins/customers/history"
	"mortise/plugins/customers/site"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/productapi"
)

// Many is a list of devices of one product that are to be attached to one person.
type Many struct {
	UserID      int64
	WorkspaceID int64
	ProductID   string
	Product     string   // its name
	DeviceIDs   []string // at most MostAtOnce
	By          history.Actor
}

// MostAtOnce is how many devices AttachMany takes.
const MostAtOnce = 2000

// AttachMany attaches devices after Particle has said that all of them are in the product: all or none, in one transaction. It then does at once
// what that needs at Particle, as AfterAttach. attached is how many were not attached to the person before.
//
// Errors: fault.Invalid naming the ids that are not in the product, fault.Conflict as AttachIn, and Particle's when it cannot be
// asked; nothing is changed then.
func (o *Ownership) AttachMany(ctx context.Context, m Many) (attached int, err error) {
	ids := make([]string, 0, len(m.DeviceIDs))
	for _, id := range m.DeviceIDs {
		if id = particle.NormalID(id); !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 || len(ids) > MostAtOnce {
		return 0, fault.New(fault.Invalid, "Choose 1 to %d devices; these are %d.", MostAtOnce, len(ids))
	}
	names, err := o.namesAtParticle(ctx, productapi.Product{WorkspaceID: m.WorkspaceID, ProductID: m.ProductID}, ids)
	if err != nil {
		return 0, err
	}
	list := make([]Attach, 0, len(ids))
	for _, id := range ids {
		list = append(list, Attach{UserID: m.UserID, WorkspaceID: m.WorkspaceID, ProductID: m.ProductID, Product: m.Product, DeviceID: id, Name: names[id], By: m.By})
	}
	var last Attachment
	began := o.site.Now()
	err = o.transaction(ctx, func(tx *gorm.DB) error {
		rows, err := o.attachAll(tx, list)
		if err != nil {
			return err
		}
		attached = 0
		for i := range rows {
			if !rows[i].AttachedAt.Before(began) {
				attached++
			}
		}
		last = rows[len(rows)-1].view()
		return nil
	})
	if err != nil {
		return 0, err
	}
	o.AfterAttach(ctx, last)
	return attached, nil
}

// namesAtParticle gives the names of devices, all of which must be in the product.
func (o *Ownership) namesAtParticle(ctx context.Context, p productapi.Product, ids []string) (map[string]string, error) {
	names, missing := make(map[string]string, len(ids)), []string{}
	for _, id := range ids {
		if !isDeviceID(id) {
			return nil, fault.New(fault.Invalid, "%q is not the id of a device; expected 24 digits from 0 to 9 and a to f.", site.Readable(id, 60))
		}
	}
	for part := range slices.Chunk(ids, productapi.MaxStates) {
		states, err := o.cloudOf.States(ctx, p, part)
		if err != nil {
			return nil, err
		}
		for _, d := range states.Devices {
			names[d.ID] = d.Name
		}
		missing = append(missing, states.Missing...)
		if len(states.Missing)+len(states.Devices) < len(part) { // an id in neither list: Particle could not be asked
			if states.Why != nil {
				return nil, states.Why.Err("look for devices")
			}
			return nil, fault.New(fault.Unavailable, "Particle has not said in time whether these devices are in the product. Nothing was changed; try again.")
		}
	}
	if len(missing) > 0 {
		return nil, notInProduct(missing)
	}
	return names, nil
}

func notInProduct(missing []string) error {
	if len(missing) == 1 {
		return fault.New(fault.Invalid, "The device %s is not in this product. Check the id, or add the device to the product at Particle first. Nothing was attached.", missing[0])
	}
	more := ""
	shown := missing
	if len(shown) > 5 {
		shown, more = shown[:5], ", …"
	}
	return fault.New(fault.Invalid, "%d devices are not in this product: %s%s. Check the ids, or add them to the product at Particle first. Nothing was attached.", len(missing), strings.Join(shown, ", "), more)
}
