package particle

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
)

// Organization stands above products, for accounts whose plan has it.
type Organization struct {
	ID   string // 24 hex digits
	Slug string
	Name string
}

type organizationRow struct {
	ID   text `json:"id"`
	Slug text `json:"slug"`
	Name text `json:"name"`
}

func (r organizationRow) organization() Organization {
	return Organization{string(r.ID), string(r.Slug), string(r.Name)}
}

// Organizations lists the organizations of the token's owner: none for ordinary accounts.
//
// Source: GET /v1/orgs.
func (c *Client) Organizations(ctx context.Context, token string) ([]Organization, error) {
	const op = "list organizations"
	body, err := c.do(ctx, call{op: op, method: http.MethodGet, url: c.path("v1", "orgs"), token: token, timeout: c.timeouts.Call})
	if err != nil {
		return nil, err
	}
	rows, err := decodeList[organizationRow](op, body, "organizations", "orgs")
	if err != nil {
		return nil, err
	}
	list := make([]Organization, len(rows))
	for i, r := range rows {
		list[i] = r.organization()
	}
	return list, nil
}

// Organization describes one organization, named by its id or slug. NotFound: there is none, or the account is not in it.
//
// Source: GET /v1/orgs/{org}.
func (c *Client) Organization(ctx context.Context, token, org string) (Organization, error) {
	const op = "get organization"
	if err := notEmpty(op, org); err != nil {
		return Organization{}, err
	}
	body, err := c.do(ctx, call{op: op, method: http.MethodGet, url: c.path("v1", "orgs", org), token: token, timeout: c.timeouts.Call})
	if err != nil {
		return Organization{}, err
	}
	var row organizationRow
	if json.Unmarshal(oneIn(body, "organization"), &row) != nil || row.ID == "" {
		return Organization{}, unexpected(op, "answer without an organization")
	}
	return row.organization(), nil
}

// OrganizationProducts lists the products of an organization.
//
// Source: GET /v1/orgs/{org}/products.
func (c *Client) OrganizationProducts(ctx context.Context, token, org string) ([]Product, error) {
	const op = "list products of an organization"
	if err := notEmpty(op, org); err != nil {
		return nil, err
	}
	return c.products(ctx, op, c.path("v1", "orgs", org, "products"), token)
}

// AllProducts lists the products that the token reaches, on its own and through organizations, each once and by name. An
// organization that may not be read is left out; that the account's own products cannot be read is an error.
func (c *Client) AllProducts(ctx context.Context, token string) ([]Product, error) {
	list, err := c.Products(ctx, token)
	if err != nil {
		return nil, err
	}
	orgs, err := c.Organizations(ctx, token)
	if err != nil && !isRefusal(err) {
		return nil, err
	}
	for _, org := range orgs {
		more, err := c.OrganizationProducts(ctx, token, org.ID)
		if err != nil && !isRefusal(err) {
			return nil, err
		}
		for _, p := range more {
			if p.OrganizationID == "" {
				p.OrganizationID, p.Organization = org.ID, org.Name
			}
			if i := slices.IndexFunc(list, func(have Product) bool { return have.ID == p.ID }); i < 0 {
				list = append(list, p)
			} else if list[i].OrganizationID == "" {
				list[i].OrganizationID, list[i].Organization = p.OrganizationID, p.Organization
			}
		}
	}
	slices.SortStableFunc(list, func(a, b Product) int {
		return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name))
	})
	return list, nil
}

// isRefusal tells that the cloud knows the token and does not let it see this: not a fault, not a dead token.
func isRefusal(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	return e.Kind == Denied || e.Kind == MissingScope || e.Kind == NotFound
}
