package ownership

import (
	"context"
	"fmt"
	"strings"

	"gorm.io/gorm"

	"mortise/core/sdk"
	"mortise/core/sdk/sdkdb"
	"mortise/plugins/customers/history"
	"mortise/plugins/customers/people"
	"mortise/plugins/customers/site"
	"mortise/plugins/internal/attachapi"
)

// Deliver hears of people who are gone or want to be forgotten.
func (o *Ownership) Deliver(ctx context.Context, event sdk.Event) error {
	if event.Name != "user.deleted" && event.Name != "user.erase_requested" {
		return nil
	}
	userID, ok := site.PersonOf(event)
	if !ok {
		o.site.Host.Log().Warn("a deletion without a readable subject was skipped", "subject", event.Subject)
		return nil
	}
	return o.Forget(ctx, userID)
}

// Forget takes a person out: their devices and products are detached for good, and their shadow customers are deleted here at once and
// at Particle as recorded operations, which hold nothing about the person. Repeating it does no harm. It does not wait for Particle beyond
// a few seconds.
func (o *Ownership) Forget(ctx context.Context, userID int64) error {
	var gone []shadow
	err := o.transaction(ctx, func(tx *gorm.DB) error {
		devices, grants, err := o.records.eraseAttachments(tx, userID)
		if err != nil {
			return err
		}
		if gone, err = o.records.shadowsOf(tx, userID); err != nil {
			return err
		}
		if err := o.forgetAttached(tx, devices, grants); err != nil {
			return err
		}
		for i := range gone {
			if err := o.dropShadows(tx, gone[i:i+1], "", history.Actor{}); err != nil {
				return err
			}
		}
		if len(devices)+len(grants) > 0 {
			if err := o.people.SetDevices(tx, userID, 0); err != nil {
				return err
			}
		}
		return o.records.forgetIn(tx, userID)
	})
	if err != nil {
		return err
	}
	// No token outlives its customer here; Particle's are ended by deleting the customer there.
	for _, s := range gone {
		if err := o.site.Host.Secrets().Delete(ctx, secretShadow, s.Username); err != nil {
			return err
		}
	}
	o.pursueSubjects(ctx, gone)
	return nil
}

// forgetAttached tells of devices whose customer is gone. Their history goes on without the customer.
func (o *Ownership) forgetAttached(tx *gorm.DB, devices []attachment, grants []grant) error {
	entries := make([]history.Entry, 0, len(devices))
	for i := range devices {
		d := &devices[i]
		entries = append(entries, history.Entry{DeviceID: d.DeviceID, Kind: "detached", At: o.site.Now(), Sentence: "The device " + d.words() + " was detached: its customer's data were erased."})
		if err := publishDevice(tx, attachapi.DeviceDetached, d); err != nil {
			return err
		}
	}
	for i := range grants {
		g := &grants[i]
		fact := attachapi.ProductFact{UserID: g.UserID, WorkspaceID: g.WorkspaceID, ProductID: g.ProductID}
		if err := sdkdb.Publish(tx, attachapi.ProductDetached, subjectOf(g.UserID), fact); err != nil {
			return err
		}
	}
	return history.Add(tx, entries...)
}

// Check tells the staff what only they can put right. It asks nobody but the store.
func (o *Ownership) Check(ctx context.Context) ([]sdk.Finding, error) {
	unclear, err := o.records.countOperations(ctx, opUnclear)
	if err != nil {
		return nil, err
	}
	list := []sdk.Finding{}
	if unclear > 0 {
		list = append(list, sdk.Finding{Level: sdk.LevelWarning, Title: countOf(unclear, "change") + " at Particle could not be finished, and it is not clear whether it happened.",
			Remedy: "Look at each, and try it again when Particle can be reached.", Link: "/admin/customers/operations?state=" + opUnclear})
	}
	failed, err := o.records.countFailedShadows(ctx)
	if err != nil {
		return nil, err
	}
	if failed > 0 {
		list = append(list, sdk.Finding{Level: sdk.LevelWarning, Title: countOf(failed, "shadow customer") + " could not be made: Particle refused.",
			Remedy: "Look at what it said, put it right, and try again.", Link: "/admin/customers/operations?state=" + opFailed})
	}
	dying, err := o.records.countDying(ctx, o.site.Now().Add(dieWithin))
	if err != nil {
		return nil, err
	}
	if dying > 0 {
		list = append(list, sdk.Finding{Level: sdk.LevelError, Title: countOf(dying, "token") + " of shadow customers ends within five days, or has ended, and was not renewed.",
			Remedy: "Check the OAuth client of the product: renewing works with it alone.", Link: "/admin/customers/products"})
	}
	return o.checkClients(ctx, list)
}

func (o *Ownership) checkClients(ctx context.Context, list []sdk.Finding) ([]sdk.Finding, error) {
	rows, err := o.records.products(ctx)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		if !shadowWay(row.Way) {
			continue
		}
		link := productPath(row.WorkspaceID, row.ProductID)
		switch {
		case row.ClientID == "":
			list = append(list, sdk.Finding{Level: sdk.LevelError, Title: "The product " + nameOf(row.Name, row.ProductID) + " has no OAuth client for its shadow customers.",
				Remedy: "Create one of type installed in Organizations and use it for shadow customers.", Link: link})
		case row.ClientProblem != "":
			list = append(list, sdk.Finding{Level: sdk.LevelError, Title: "Particle does not accept the OAuth client of the product " + nameOf(row.Name, row.ProductID) + ".",
				Remedy: "Create a new one in Organizations and use it for shadow customers.", Link: link})
		}
		if len(list) >= 20 {
			break
		}
	}
	return list, nil
}

// countOf makes "1 device" and "3 devices".
func countOf[N int | int64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func productPath(workspaceID int64, productID string) string {
	return "/admin/customers/products/" + clientKey(workspaceID, productID)
}

func personPath(userID int64) string {
	return "/admin/customers/people/" + strings.TrimPrefix(subjectOf(userID), "user/")
}

var _ people.Owner = (*Ownership)(nil)
