package particle

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Customer is an end user of one product.
type Customer struct {
	ID        string
	Username  string // e-mail address or another unique text, always lower case
	FullName  string
	DeviceIDs []string
}

// Customers lists one page of a product's customers and says how many pages there are. Customers without a device may be
// missing from it, so absence proves nothing.
//
// Source: GET /v1/products/{product}/customers.
func (c *Client) Customers(ctx context.Context, token, product string, page Page) (list []Customer, pages int, err error) {
	const op = "list customers"
	if err := notEmpty(op, product); err != nil {
		return nil, 0, err
	}
	body, err := c.do(ctx, call{op: op, method: http.MethodGet, url: c.customerPath(product) + page.query(), token: token, timeout: c.timeouts.Call})
	if err != nil {
		return nil, 0, err
	}
	rows, err := decodeList[struct {
		ID       text  `json:"id"`
		Username text  `json:"username"`
		FullName text  `json:"full_name"`
		Devices  texts `json:"devices"`
	}](op, body, "customers")
	if err != nil {
		return nil, 0, err
	}
	list = make([]Customer, len(rows))
	for i, r := range rows {
		list[i] = Customer{string(r.ID), string(r.Username), string(r.FullName), r.Devices}
	}
	return list, totalPages(body), nil
}

// CreateCustomer makes a customer of the client's product and signs in as it. Without a password it is a shadow customer,
// which cannot sign in at Particle itself. The client must belong to the product.
//
// Source: POST /v1/products/{product}/customers with the client's Basic authentication; 201.
func (c *Client) CreateCustomer(ctx context.Context, client OAuthClient, product, email, password string) (Token, error) {
	const op = "create customer"
	if err := notEmpty(op, product, email, client.ID); err != nil {
		return Token{}, err
	}
	form := url.Values{"email": {strings.ToLower(strings.TrimSpace(email))}}
	if password == "" {
		form.Set("no_password", "true")
	} else {
		form.Set("password", password)
	}
	asked := time.Now()
	body, err := c.do(ctx, call{op: op, method: http.MethodPost, url: c.customerPath(product), client: client, form: form, timeout: c.timeouts.Token})
	if err != nil {
		return Token{}, err
	}
	return readToken(op, body, asked)
}

// SetCustomerPassword replaces the password of a customer that has one. The token must be a team member's.
//
// Source: PUT /v1/products/{product}/customers/{email}.
func (c *Client) SetCustomerPassword(ctx context.Context, token, product, email, password string) error {
	const op = "change customer password"
	if err := notEmpty(op, product, email, password); err != nil {
		return err
	}
	_, err := c.do(ctx, call{op: op, method: http.MethodPut, url: c.customerPath(product, strings.ToLower(email)), token: token,
		form: url.Values{"password": {password}}, timeout: c.timeouts.Call})
	return err
}

// DeleteCustomer removes a customer, its tokens and its pending claims.
//
// Source: DELETE /v1/products/{product}/customers/{email}.
func (c *Client) DeleteCustomer(ctx context.Context, token, product, email string) error {
	const op = "delete customer"
	if err := notEmpty(op, product, email); err != nil {
		return err
	}
	_, err := c.do(ctx, call{op: op, method: http.MethodDelete, url: c.customerPath(product, strings.ToLower(email)), token: token, timeout: c.timeouts.Call, plain: true})
	return err
}

func (c *Client) customerPath(product string, segments ...string) string {
	return c.path(append([]string{"v1", "products", product, "customers"}, segments...)...)
}
