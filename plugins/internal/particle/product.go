package particle

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
)

// Product is a fleet of devices with its own clients, customers and team.
type Product struct {
	ID             string
	Slug           string
	Name           string
	Description    string
	PlatformID     int
	Organization   string // its name or slug, as the cloud says
	OrganizationID string
	Owner          string   // user name of who made it
	Groups         []string // names of the groups of its devices
}

type productRow struct {
	ID             text   `json:"id"`
	Slug           text   `json:"slug"`
	Name           text   `json:"name"`
	Description    text   `json:"description"`
	PlatformID     number `json:"platform_id"`
	Org            text   `json:"org"`
	Organization   text   `json:"organization"`
	OrganizationID text   `json:"organization_id"`
	User           text   `json:"user"`
	Groups         texts  `json:"groups"`
}

func (r productRow) product() Product {
	p := Product{string(r.ID), string(r.Slug), string(r.Name), string(r.Description), int(r.PlatformID.value), string(r.Org), string(r.OrganizationID),
		string(r.User), r.Groups}
	if p.Organization == "" {
		p.Organization = string(r.Organization)
	}
	return p
}

// Products lists the products that the token's owner may see.
//
// Source: GET /v1/products.
func (c *Client) Products(ctx context.Context, token string) ([]Product, error) {
	return c.products(ctx, "list products", c.path("v1", "products"), token)
}

// UserProducts lists the products that belong to the token's owner alone, without an organization.
//
// Source: GET /v1/user/products.
func (c *Client) UserProducts(ctx context.Context, token string) ([]Product, error) {
	return c.products(ctx, "list products", c.path("v1", "user", "products"), token)
}

func (c *Client) products(ctx context.Context, op, target, token string) ([]Product, error) {
	body, err := c.do(ctx, call{op: op, method: http.MethodGet, url: target, token: token, timeout: c.timeouts.Call})
	if err != nil {
		return nil, err
	}
	rows, err := decodeList[productRow](op, body, "products")
	if err != nil {
		return nil, err
	}
	list := make([]Product, len(rows))
	for i, r := range rows {
		list[i] = r.product()
	}
	return list, nil
}

// Product describes one product, named by its number or slug. The answer has been an object and a list of one.
//
// Source: GET /v1/products/{product}.
func (c *Client) Product(ctx context.Context, token, product string) (Product, error) {
	const op = "get product"
	if err := notEmpty(op, product); err != nil {
		return Product{}, err
	}
	body, err := c.do(ctx, call{op: op, method: http.MethodGet, url: c.path("v1", "products", product), token: token, timeout: c.timeouts.Call})
	if err != nil {
		return Product{}, err
	}
	var row productRow
	if json.Unmarshal(oneIn(body, "product"), &row) != nil || row.ID == "" {
		return Product{}, unexpected(op, "answer without a product")
	}
	return row.product(), nil
}

// Page says which part of a long list to get. The zero value is the first 25.
type Page struct {
	Number int // from 1
	Size   int // default 25
}

func (p Page) query() string { return "?" + p.values().Encode() }

// values sends the size under both of its names: documentation and SDK differ.
func (p Page) values() url.Values {
	if p.Number < 1 {
		p.Number = 1
	}
	if p.Size < 1 {
		p.Size = 25
	}
	size := strconv.Itoa(p.Size)
	return url.Values{"page": {strconv.Itoa(p.Number)}, "perPage": {size}, "per_page": {size}}
}

func totalPages(body []byte) int {
	var answer struct {
		Meta struct {
			Total number `json:"total_pages"`
		} `json:"meta"`
	}
	if json.Unmarshal(body, &answer) != nil || answer.Meta.Total.value < 1 {
		return 1
	}
	return int(min(answer.Meta.Total.value, 1<<20))
}

// ProductDevices lists one page of a product's fleet and says how many pages there are. FindProductDevices can do more.
//
// Source: GET /v1/products/{product}/devices.
func (c *Client) ProductDevices(ctx context.Context, token, product string, page Page) (list []Device, pages int, err error) {
	found, err := c.FindProductDevices(ctx, token, product, DeviceQuery{Page: page})
	return found.Devices, found.Pages, err
}
