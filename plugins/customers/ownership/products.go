package ownership

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"mortise/core/fault"
	"mortise/plugins/internal/attachapi"
	"mortise/plugins/internal/productapi"
)

// Product is a product of a workspace, with the way in which its devices are owned.
type Product struct {
	WorkspaceID  int64      `json:"workspace_id"`
	Workspace    string     `json:"workspace"` // its name
	BaseURL      string     `json:"base_url"`  // of the cloud
	ProductID    string     `json:"product_id"`
	Slug         string     `json:"slug"`
	Name         string     `json:"name"`
	PlatformID   int        `json:"platform_id"`
	Platform     string     `json:"platform"`
	Organization string     `json:"organization"`
	Default      bool       `json:"default"`
	Known        bool       `json:"known"`   // Organizations knows it; false: it is gone there, and something is attached all the same
	Health       string     `json:"health"`  // of the workspace
	Problem      string     `json:"problem"` // of the workspace; "" when all is well
	Total        *int       `json:"total"`   // devices in the product; nil: not known
	Way          Way        `json:"way"`
	Version      int64      `json:"version"` // of the choice
	ClientID     string     `json:"client_id"`
	ClientAt     *time.Time `json:"client_at"`
	ClientWrong  string     `json:"client_problem"` // what is wrong with the client; "" when all is well
	Attached     int        `json:"attached"`       // devices
	People       int        `json:"people"`         // customers who have some
	GrantedTo    int64      `json:"granted_to"`     // the customer who has the whole product; 0: nobody
	ChangedBy    string     `json:"changed_by"`
	ChangedAt    *time.Time `json:"changed_at"` // nil: nobody has chosen a way
}

func productOf(info productapi.ProductInfo) Product {
	return Product{WorkspaceID: info.WorkspaceID, Workspace: info.Workspace, BaseURL: info.BaseURL, ProductID: info.ProductID, Slug: info.Slug, Name: nameOf(info.Name, info.ProductID),
		PlatformID: info.PlatformID, Platform: info.Platform, Organization: info.Organization, Default: info.Default, Known: true, Health: info.Health, Problem: info.Problem,
		Total: info.Devices, Way: attachapi.Product}
}

// fill adds what is known here of a product.
func (p *Product) fill(row *productRow, u usage) {
	p.Attached, p.People, p.GrantedTo = u.Devices, u.People, u.GrantedTo
	if row == nil {
		return
	}
	p.Way, p.Version, p.ClientID, p.ClientAt, p.ClientWrong, p.ChangedBy = row.Way, row.Version, row.ClientID, row.ClientAt, row.ClientProblem, row.ChangedBy
	if !row.ChangedAt.IsZero() {
		at := row.ChangedAt
		p.ChangedAt = &at
	}
	if p.ClientID != "" && p.Known && row.ClientBaseURL != p.BaseURL {
		p.ClientWrong = "The client was made at another cloud than the workspace uses."
	}
}

// Products lists the products of all workspaces with their ways, and those that are known here alone. The error is the one of
// particle.product; what is known here is listed all the same.
func (o *Ownership) Products(ctx context.Context) ([]Product, error) {
	rows, err := o.records.products(ctx)
	if err != nil {
		return nil, err
	}
	usages, err := o.records.usages(ctx)
	if err != nil {
		return nil, err
	}
	chosen := make(map[productKey]*productRow, len(rows))
	for i := range rows {
		chosen[productKey{rows[i].WorkspaceID, rows[i].ProductID}] = &rows[i]
	}
	infos, failed := o.cloudOf.Products(ctx)
	list, seen := make([]Product, 0, len(infos)), map[productKey]bool{}
	for _, info := range infos {
		key := productKey{info.WorkspaceID, info.ProductID}
		p := productOf(info)
		p.fill(chosen[key], usages[key])
		list, seen[key] = append(list, p), true
	}
	for _, row := range rows {
		key := productKey{row.WorkspaceID, row.ProductID}
		if !seen[key] && (usages[key] != usage{} || failed != nil || row.ClientID != "") {
			p := Product{WorkspaceID: row.WorkspaceID, ProductID: row.ProductID, Name: nameOf(row.Name, row.ProductID)}
			p.fill(chosen[key], usages[key])
			list, seen[key] = append(list, p), true
		}
	}
	for key, u := range usages {
		if !seen[key] {
			p := Product{WorkspaceID: key.workspaceID, ProductID: key.productID, Name: nameOf(u.Product, key.productID), Way: attachapi.Product}
			p.fill(nil, u)
			list = append(list, p)
		}
	}
	slices.SortStableFunc(list, func(a, b Product) int { return cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) })
	return list, failed
}

// Product finds one product of a workspace. fault.NotFound when neither Organizations nor this module knows it; the error of
// particle.product when that does not answer, with what is known here.
func (o *Ownership) Product(ctx context.Context, workspaceID int64, productID string) (Product, error) {
	list, err := o.Products(ctx)
	for _, p := range list {
		if p.WorkspaceID == workspaceID && p.ProductID == productID {
			return p, err
		}
	}
	if err != nil {
		return Product{}, err
	}
	return Product{}, fault.New(fault.NotFound, "There is no such product. It may have been removed from its workspace.")
}
