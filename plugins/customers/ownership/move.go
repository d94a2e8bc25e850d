package ownership

import (
	"context"
	"net/http"
	"strconv"

	"gorm.io/gorm"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/core/sdk/sdkdb"
	"mortise/plugins/customers/history"
	"mortise/plugins/customers/site"
	"mortise/plugins/internal/attachapi"
)

// OnMove sets what else moves, in the same transaction, when the devices of a product go from one workspace to another. It is for before the
// first page.
func (o *Ownership) OnMove(do func(tx *gorm.DB, from, to int64, productID string) error) {
	o.moved = do
}

// targets are the products that what is attached of p can be moved to: of the same number, in other workspaces. None as long as a
// workspace of p's number has products, or Organizations does not answer.
func (o *Ownership) targets(ctx context.Context, p Product) ([]productView, error) {
	list := []productView{}
	if p.Known || p.Attached == 0 && p.GrantedTo == 0 {
		return list, nil
	}
	all, err := o.Products(ctx)
	if err != nil {
		return list, err
	}
	for _, one := range all {
		if one.Known && one.WorkspaceID == p.WorkspaceID {
			return []productView{}, nil
		}
		if one.Known && one.ProductID == p.ProductID {
			list = append(list, viewOf(one))
		}
	}
	return list, nil
}

// move moves what is attached of a product whose workspace is gone to the product of the same number in another workspace.
func (o *Ownership) move(w http.ResponseWriter, r *http.Request) {
	p, t, ok := o.productOf(w, r)
	if !ok {
		return
	}
	to, err := strconv.ParseInt(r.PostFormValue("to"), 10, 64)
	attached, bad := strconv.Atoi(r.PostFormValue("attached"))
	if err != nil || bad != nil || t != nil {
		sdk.Fail(w, r, fault.New(fault.Invalid, "The form is incomplete, or Organizations does not answer. Open the page again."))
		return
	}
	back := productPath(p.WorkspaceID, p.ProductID)
	if r.PostFormValue("confirm") == "" {
		sdk.Redirect(w, r, back, sdk.Message{Tone: sdk.Warn, Text: "Nothing was moved: confirm that both are the same product at the same cloud."})
		return
	}
	targets, err := o.targets(r.Context(), p)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	for _, target := range targets {
		if target.WorkspaceID == to {
			err = o.moveTo(r.Context(), p, target.Product, attached, byOf(r.Context()))
			if err == nil {
				o.site.Host.Log().Info("what is attached of a product was moved to another workspace", "product", p.ProductID, "from", p.WorkspaceID, "to", to)
				back = target.Path
				if err := o.site.Host.Secrets().Delete(r.Context(), secretClient, clientKey(p.WorkspaceID, p.ProductID)); err != nil {
					o.site.Host.Log().Warn("the OAuth client of a product that was moved is still sealed", "product", p.ProductID, "error", err)
				}
			}
			o.answer(w, r, err, back, "Moved to the workspace "+target.Workspace+".")
			return
		}
	}
	sdk.Fail(w, r, site.ErrNotFound)
}

// moveTo moves everything in one transaction. fault.Conflict when something was changed since the person looked, and when the
// two products do not go together.
func (o *Ownership) moveTo(ctx context.Context, p, target Product, attached int, by history.Actor) error {
	return o.transaction(ctx, func(tx *gorm.DB) error {
		devices, err := o.records.ofProduct(tx, p.WorkspaceID, p.ProductID)
		if err != nil {
			return err
		}
		holder, err := o.records.grantedTo(tx, p.WorkspaceID, p.ProductID)
		if err != nil {
			return err
		}
		if len(devices) != attached || len(devices) == 0 && holder == 0 {
			return fault.New(fault.Conflict, "Nothing was moved: it was moved or changed meanwhile.")
		}
		chosen, err := o.records.product(tx, target.WorkspaceID, p.ProductID)
		if err != nil {
			return err
		}
		was, err := o.records.product(tx, p.WorkspaceID, p.ProductID)
		if err != nil {
			return err
		}
		clash, err := o.records.clash(tx, p.WorkspaceID, target.WorkspaceID, p.ProductID)
		switch {
		case err != nil:
			return err
		case chosen.Version > 0 && chosen.Way != was.Way:
			return fault.New(fault.Conflict, "Nothing was moved: there the product has the way “%s”, here “%s”. Choose the same way there first.", wordsOf(chosen.Way).Title, wordsOf(was.Way).Title)
		case clash:
			return fault.New(fault.Conflict, "Nothing was moved: a whole product, or a shadow customer of the same person, is in the way in the workspace %s. Detach there first.", target.Workspace)
		}
		if err := o.takeAlong(tx, was, chosen, target, by); err != nil {
			return err
		}
		if o.moved != nil {
			if err := o.moved(tx, p.WorkspaceID, target.WorkspaceID, p.ProductID); err != nil {
				return err
			}
		}
		return o.tellMoved(tx, devices, holder, p, target, by)
	})
}

// takeAlong moves the rows, and the way with them when none was chosen in the other workspace: it counts there for what is attached already.
func (o *Ownership) takeAlong(tx *gorm.DB, was, chosen productRow, target Product, by history.Actor) error {
	there, err := o.records.ofProduct(tx, target.WorkspaceID, target.ProductID)
	if err != nil {
		return err
	}
	if err := o.records.moveProduct(tx, was.WorkspaceID, target.WorkspaceID, target.ProductID); err != nil {
		return err
	}
	if chosen.Version > 0 || was.Version == 0 {
		return nil
	}
	before := chosen.Way
	chosen.Way, chosen.Name, chosen.ChangedAt, chosen.ChangedBy = was.Way, target.Name, o.site.Now(), by.Name
	if err := o.records.saveProduct(tx, &chosen); err != nil || len(there) == 0 || before == was.Way {
		return err
	}
	return o.switchAttached(tx, target, before, was.Way, by)
}

// tellMoved writes history and facts: who holds something open of a device asks again.
func (o *Ownership) tellMoved(tx *gorm.DB, devices []attachment, holder int64, p, target Product, by history.Actor) error {
	users := map[int64]bool{}
	for i := range devices {
		d := devices[i]
		users[d.UserID] = true
		if err := publishDevice(tx, attachapi.DeviceDetached, &d); err != nil {
			return err
		}
		d.WorkspaceID = target.WorkspaceID
		if err := publishDevice(tx, attachapi.DeviceAttached, &d); err != nil {
			return err
		}
	}
	if holder != 0 {
		users[holder] = true
		fact := attachapi.ProductFact{UserID: holder, WorkspaceID: p.WorkspaceID, ProductID: p.ProductID}
		if err := sdkdb.Publish(tx, attachapi.ProductDetached, subjectOf(holder), fact); err != nil {
			return err
		}
		fact.WorkspaceID = target.WorkspaceID
		if err := sdkdb.Publish(tx, attachapi.ProductAttached, subjectOf(holder), fact); err != nil {
			return err
		}
	}
	entries := make([]history.Entry, 0, len(users))
	for user := range users {
		entries = append(entries, history.Entry{UserID: user, Kind: "product_moved", At: o.site.Now(), Sentence: p.Name + ": from now on through the workspace " + target.Workspace + "."}.With(by))
	}
	return history.Add(tx, entries...)
}

// clash tells whether what is attached of a product in two workspaces does not go together: whole products beside devices, or two
// shadow customers of one person. A device is attached once, so devices never clash.
func (s *records) clash(tx *gorm.DB, from, to int64, productID string) (bool, error) {
	var n int64
	err := tx.Raw(`SELECT (SELECT count(*) FROM customers_grants WHERE workspace_id = @to AND product_id = @product) +
		(SELECT count(*) FROM customers_grants g JOIN customers_attachments a ON a.product_id = g.product_id AND a.workspace_id = @to AND a.detached_at IS NULL
			WHERE g.workspace_id = @from AND g.product_id = @product) +
		(SELECT count(*) FROM customers_shadows s JOIN customers_shadows o ON o.user_id = s.user_id AND o.product_id = s.product_id AND o.workspace_id = @to
			WHERE s.workspace_id = @from AND s.product_id = @product)`, map[string]any{"from": from, "to": to, "product": productID}).Scan(&n).Error
	return n > 0, err
}

// moveProduct gives everything of a product another workspace.
func (s *records) moveProduct(tx *gorm.DB, from, to int64, productID string) error {
	for _, table := range []any{&grant{}, &shadow{}, &operation{}, &reset{}} {
		if err := tx.Model(table).Where("workspace_id = ? AND product_id = ?", from, productID).Update("workspace_id", to).Error; err != nil {
			return err
		}
	}
	if err := tx.Where("workspace_id = ? AND product_id = ?", from, productID).Delete(&productRow{}).Error; err != nil {
		return err
	}
	return tx.Model(&attachment{}).Where("workspace_id = ? AND product_id = ?", from, productID).
		Updates(map[string]any{"workspace_id": to, "version": gorm.Expr("version + 1")}).Error
}
