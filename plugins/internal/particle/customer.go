package particle

import (
	"context"
	"errors"
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
	rows, err := decodeList[customerRow](op, body, "customers")
	if err != nil {
		return nil, 0, err
	}
	return customersOf(rows), totalPages(body), nil
}

type customerRow struct {
	ID       text  `json:"id"`
	Username text  `json:"username"`
	FullName text  `json:"full_name"`
	Devices  texts `json:"devices"`
}

func customersOf(rows []customerRow) []Customer {
	list := make([]Customer, 0, len(rows))
	for _, r := range rows {
		if r.Username != "" {
			list = append(list, Customer{string(r.ID), strings.ToLower(string(r.Username)), string(r.FullName), r.Devices})
		}
	}
	return list
}

// EachCustomer visits all customers that the cloud lists, page by page. It ends with visit's error or after 400 pages of 100.
func (c *Client) EachCustomer(ctx context.Context, token, product string, visit func(Customer) error) error {
	for n := 1; n <= maxPages; n++ {
		list, pages, err := c.Customers(ctx, token, product, Page{Number: n, Size: walkSize})
		if err != nil {
			return err
		}
		for _, customer := range list {
			if err := visit(customer); err != nil {
				return err
			}
		}
		if n >= pages || len(list) == 0 {
			return nil
		}
	}
	return nil
}

// FindCustomer looks for a customer in the whole list, since the cloud has no way to ask for one. Not found proves nothing,
// see Customers.
func (c *Client) FindCustomer(ctx context.Context, token, product, username string) (found Customer, ok bool, err error) {
	username = strings.ToLower(strings.TrimSpace(username))
	err = c.EachCustomer(ctx, token, product, func(customer Customer) error {
		if customer.Username == username {
			found, ok = customer, true
			return errFound
		}
		return nil
	})
	if errors.Is(err, errFound) {
		err = nil
	}
	return found, ok, err
}

var errFound = errors.New("found")

// CountCustomers counts the customers that the cloud lists, without reading them all.
func (c *Client) CountCustomers(ctx context.Context, token, product string) (int, error) {
	return count(func(p Page) (int, int, error) {
		list, pages, err := c.Customers(ctx, token, product, p)
		return len(list), pages, err
	})
}

// CreateCustomer makes a customer of the client's product and signs in as it. Without a password it is a shadow customer,
// which cannot sign in at Particle itself; email may then be any text of its own, such as an id at this site. The client
// must belong to the product. Duplicate: it exists.
//
// Source: POST /v1/products/{product}/customers with the client's Basic authentication; 201.
func (c *Client) CreateCustomer(ctx context.Context, client OAuthClient, product, email, password string) (Token, error) {
	const op = "create customer"
	if err := notEmpty(op, product, email, client.ID); err != nil {
		return Token{}, err
	}
	return c.createCustomer(ctx, call{op: op, url: c.customerPath(product), client: client}, email, password)
}

// CreateCustomerByTeam makes a customer with a team member's token instead of a client.
//
// Source: POST /v1/products/{product}/customers with a bearer token; 201.
func (c *Client) CreateCustomerByTeam(ctx context.Context, token, product, email, password string) (Token, error) {
	const op = "create customer"
	if err := notEmpty(op, product, email, token); err != nil {
		return Token{}, err
	}
	return c.createCustomer(ctx, call{op: op, url: c.customerPath(product), token: token}, email, password)
}

func (c *Client) createCustomer(ctx context.Context, r call, email, password string) (Token, error) {
	r.method, r.timeout = http.MethodPost, c.timeouts.Token
	r.form = url.Values{"email": {strings.ToLower(strings.TrimSpace(email))}}
	if password == "" {
		r.form.Set("no_password", "true")
	} else {
		r.form.Set("password", password)
	}
	asked := time.Now()
	body, err := c.do(ctx, r)
	if err != nil {
		return Token{}, err
	}
	return readToken(r.op, body, asked)
}

// EnsureCustomer makes a customer or, when it exists or its making had an uncertain end, signs in as it. It may be repeated
// after a crash. created tells that this call made it for certain.
//
// What the cloud answers for a customer that exists is not documented, so any refusal of the request itself leads to the
// question for its token; when that fails too, the first error is returned.
func (c *Client) EnsureCustomer(ctx context.Context, client OAuthClient, product, email, password string) (t Token, created bool, err error) {
	t, err = c.CreateCustomer(ctx, client, product, email, password)
	if err == nil {
		return t, true, nil
	}
	var e *Error
	if !errors.As(err, &e) || ctx.Err() != nil || !(e.Kind == Duplicate || e.Kind == Invalid && e.Status != 0 || e.Uncertain() && e.Kind != Unreachable) {
		return Token{}, false, err
	}
	t, again := c.CustomerToken(ctx, client, strings.ToLower(strings.TrimSpace(email)))
	if again != nil {
		return Token{}, false, err
	}
	return t, false, nil
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
