package ownership

import (
	"context"
	"time"

	"mortise/core/fault"
	"mortise/plugins/internal/attachapi"
)

// Attachment is a device that is attached to a customer.
type Attachment struct {
	UserID      int64     `json:"user_id"`
	DeviceID    string    `json:"device_id"` // 24 hex digits, lower case
	Name        string    `json:"name"`      // of the device, as it was when it was attached; may be ""
	WorkspaceID int64     `json:"workspace_id"`
	ProductID   string    `json:"product_id"` // Particle's number
	Product     string    `json:"product"`    // its name
	Way         Way       `json:"way"`
	Version     int64     `json:"version"`
	AttachedAt  time.Time `json:"attached_at"`
}

// Grant is a whole product that is attached to a customer. Its way is always attachapi.Product.
type Grant struct {
	UserID      int64     `json:"user_id"`
	WorkspaceID int64     `json:"workspace_id"`
	ProductID   string    `json:"product_id"`
	Product     string    `json:"product"`
	AttachedAt  time.Time `json:"attached_at"`
}

func (a *attachment) view() Attachment {
	return Attachment{UserID: a.UserID, DeviceID: a.DeviceID, Name: a.Name, WorkspaceID: a.WorkspaceID, ProductID: a.ProductID, Product: a.Product,
		Way: a.Way, Version: a.Version, AttachedAt: a.AttachedAt}
}

func (g *grant) view() Grant {
	return Grant{UserID: g.UserID, WorkspaceID: g.WorkspaceID, ProductID: g.ProductID, Product: g.Product, AttachedAt: g.AttachedAt}
}

func (a *attachment) forService() attachapi.Attachment {
	return attachapi.Attachment{DeviceID: a.DeviceID, Name: a.Name, Given: a.Given, WorkspaceID: a.WorkspaceID, ProductID: a.ProductID, Product: a.Product, Way: a.Way, AttachedAt: a.AttachedAt}
}

func (g *grant) forService() attachapi.Grant {
	return attachapi.Grant{WorkspaceID: g.WorkspaceID, ProductID: g.ProductID, Product: g.Product, Way: attachapi.Product, AttachedAt: g.AttachedAt}
}

// OfPerson lists what is attached to a person: devices, then whole products, the oldest first.
func (o *Ownership) OfPerson(ctx context.Context, userID int64) ([]Attachment, []Grant, error) {
	rows, err := o.records.ofPerson(ctx, userID)
	if err != nil {
		return nil, nil, err
	}
	granted, err := o.records.grantsOf(ctx, userID)
	if err != nil {
		return nil, nil, err
	}
	devices, products := make([]Attachment, 0, len(rows)), make([]Grant, 0, len(granted))
	for i := range rows {
		devices = append(devices, rows[i].view())
	}
	for i := range granted {
		products = append(products, granted[i].view())
	}
	return devices, products, nil
}

// HoldersOf tells to whom devices are attached, by device id; those that are nobody's are left out.
func (o *Ownership) HoldersOf(ctx context.Context, deviceIDs []string) (map[string]int64, error) {
	list, err := o.records.holders(ctx, deviceIDs)
	if err != nil {
		return nil, err
	}
	holders := make(map[string]int64, len(list))
	for id, one := range list {
		holders[id] = one.Row.UserID
	}
	return holders, nil
}

// OfDevice tells to whom a device is attached; fault.NotFound when to nobody. A whole product that somebody has does not count.
func (o *Ownership) OfDevice(ctx context.Context, deviceID string) (Attachment, error) {
	row, err := o.records.device(ctx, deviceID)
	if err != nil {
		return Attachment{}, err
	}
	if row.DetachedAt != nil {
		return Attachment{}, fault.New(fault.NotFound, "The device is not attached to anybody.")
	}
	return row.view(), nil
}

// WayOf is the way of a product; attachapi.Product as long as nobody has chosen another one.
func (o *Ownership) WayOf(ctx context.Context, workspaceID int64, productID string) (Way, error) {
	row, err := o.records.product(o.site.DB.WithContext(ctx), workspaceID, productID)
	return row.Way, err
}
