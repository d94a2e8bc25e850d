package main

import (
	"context"
	"strings"
	"unicode"
	"unicode/utf8"

	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/productapi"
)

const (
	maxServedProducts = 2000 // of all workspaces, about 700 KiB
	maxServedOwned    = 100  // devices that are named for a customer
)

// serveProducts lists what is known of the products of all workspaces.
func (m *Organizations) serveProducts(ctx context.Context, _ struct{}) (out productapi.Products, err error) {
	list, err := m.records.workspaces(ctx)
	if err != nil {
		return out, err
	}
	byID := make(map[int64]workspaceView, len(list))
	for i := range list {
		byID[list[i].ID] = m.viewOf(&list[i])
	}
	rows, err := m.records.servedProducts(ctx, maxServedProducts+1)
	if err != nil {
		return out, err
	}
	if len(rows) > maxServedProducts {
		rows, out.More = rows[:maxServedProducts], true
	}
	out.Products = make([]productapi.ProductInfo, 0, len(rows))
	for _, p := range rows {
		w, ok := byID[p.WorkspaceID]
		if !ok {
			continue
		}
		out.Products = append(out.Products, productapi.ProductInfo{Product: productapi.Product{WorkspaceID: p.WorkspaceID, ProductID: p.ProductID}, Workspace: w.Name,
			BaseURL: w.BaseURL, Slug: p.Slug, Name: p.Name, PlatformID: p.PlatformID, Platform: particle.Device{PlatformID: p.PlatformID}.Platform(),
			Organization: p.Organization, Default: p.ProductID == w.DefaultProduct, Devices: p.Devices, Customers: p.Customers, Health: w.Health, Problem: w.Problem})
	}
	return out, nil
}

func (m *Organizations) serveCustomers(ctx context.Context, in productapi.CustomerQuery) (out productapi.Customers, err error) {
	page, err := pageIn(in.Page, in.PerPage)
	if err != nil {
		return out, err
	}
	out = productapi.Customers{Customers: []productapi.Customer{}, Pages: 1}
	t, err := m.with(ctx, in.Product)
	var list []particle.Customer
	if err == nil {
		list, out.Pages, err = t.cloud.Customers(ctx, t.token, t.key.product, page)
	}
	if err != nil {
		out.Pages = 1
		out.Outcome, err = m.tell(ctx, t, err)
		return out, err
	}
	for _, c := range list {
		owned := c.DeviceIDs[:min(len(c.DeviceIDs), maxServedOwned)]
		out.Customers = append(out.Customers, productapi.Customer{Username: c.Username, Devices: append([]string{}, owned...), DeviceCount: len(c.DeviceIDs)})
	}
	return out, nil
}

// usernameOf reads a customer's user name: an e-mail address, or another text without blanks.
func usernameOf(name string) (string, error) {
	hidden := strings.ContainsFunc(name, func(c rune) bool { return !unicode.IsPrint(c) || unicode.IsSpace(c) })
	if n := len(name); n < 1 || n > 254 || hidden {
		return "", wrongField("username", "a user name has 1 to 254 characters without blanks")
	}
	return strings.ToLower(name), nil
}

func (m *Organizations) serveCustomerDelete(ctx context.Context, in productapi.CustomerRef) (out productapi.Done, err error) {
	name, err := usernameOf(in.Username)
	if err != nil {
		return out, err
	}
	t, err := m.with(ctx, in.Product)
	if err == nil {
		err = t.cloud.DeleteCustomer(ctx, t.token, t.key.product, name)
	}
	out.Outcome, err = m.tell(ctx, t, err)
	return out, err
}

func (m *Organizations) serveCustomerPassword(ctx context.Context, in productapi.CustomerPassword) (out productapi.Done, err error) {
	name, err := usernameOf(in.Username)
	if err != nil {
		return out, err
	}
	if n := utf8.RuneCountInString(in.Password); n < 8 || n > 200 {
		return out, wrongField("password", "a password has 8 to 200 characters")
	}
	t, err := m.with(ctx, in.Product)
	if err == nil {
		err = t.cloud.SetCustomerPassword(ctx, t.token, t.key.product, name, in.Password)
	}
	out.Outcome, err = m.tell(ctx, t, err)
	return out, err
}
