package particle

import (
	"context"
	"encoding/json"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// Types of OAuth clients.
const (
	ClientWeb       = "web"       // sign-in of people by Particle's page: linking
	ClientInstalled = "installed" // everything else, servers too
)

// Scopes of OAuth clients.
const (
	ScopeCustomersCreate = "customers:create" // may create customers and nothing else
	ScopeFull            = "none"             // for UpdateClient: takes the restriction away, so that the client has full rights
)

// ClientInfo is an OAuth client as the cloud lists it. Clients of an account and of a product are apart: with InProduct the
// methods below work on the product's.
type ClientInfo struct {
	ID          string
	Name        string
	Type        string // "web" for linking, "installed" for everything else
	RedirectURI string // of a web client
	Scope       string // "" means full rights
	Secret      string // only in the answer of CreateClient; never shown again
	ProductID   string // of a product's client, when the cloud says
}

// String hides the secret.
func (i ClientInfo) String() string { return "particle.ClientInfo(" + i.ID + ")" }

// GoString hides the secret.
func (i ClientInfo) GoString() string { return i.String() }

type clientRow struct {
	ID          text `json:"id"`
	Name        text `json:"name"`
	Type        text `json:"type"`
	RedirectURI text `json:"redirect_uri"`
	Scope       text `json:"scope"`
	Secret      text `json:"secret"`
	ProductID   text `json:"product_id"`
}

func (r clientRow) info() ClientInfo {
	return ClientInfo{string(r.ID), string(r.Name), string(r.Type), string(r.RedirectURI), string(r.Scope), string(r.Secret), string(r.ProductID)}
}

func (c *Client) clientPath(segments ...string) string {
	if c.product != "" {
		return c.path(append([]string{"v1", "products", c.product, "clients"}, segments...)...)
	}
	return c.path(append([]string{"v1", "clients"}, segments...)...)
}

// Clients lists the OAuth clients.
//
// Source: GET /v1/clients.
func (c *Client) Clients(ctx context.Context, token string) ([]ClientInfo, error) {
	const op = "list clients"
	body, err := c.do(ctx, call{op: op, method: http.MethodGet, url: c.clientPath(), token: token, timeout: c.timeouts.Call})
	if err != nil {
		return nil, err
	}
	rows, err := decodeList[clientRow](op, body, "clients")
	if err != nil {
		return nil, err
	}
	list := make([]ClientInfo, len(rows))
	for i, r := range rows {
		list[i] = r.info()
	}
	return list, nil
}

// CreateClient makes an OAuth client from Name, Type, RedirectURI and Scope. The answer alone holds the secret.
//
// Source: POST /v1/clients.
func (c *Client) CreateClient(ctx context.Context, token string, client ClientInfo) (ClientInfo, error) {
	const op = "create client"
	if err := notEmpty(op, client.Name, client.Type); err != nil {
		return ClientInfo{}, err
	}
	if client.Type == ClientWeb {
		if err := CheckRedirectURI(client.RedirectURI); err != nil {
			return ClientInfo{}, err
		}
	}
	form := url.Values{"name": {client.Name}, "type": {client.Type}}
	if client.RedirectURI != "" {
		form.Set("redirect_uri", client.RedirectURI)
	}
	if client.Scope != "" {
		form.Set("scope", client.Scope)
	}
	body, err := c.do(ctx, call{op: op, method: http.MethodPost, url: c.clientPath(), token: token, form: form, timeout: c.timeouts.Call})
	if err != nil {
		return ClientInfo{}, err
	}
	var row clientRow
	if json.Unmarshal(oneIn(body, "client"), &row) != nil || row.ID == "" {
		return ClientInfo{}, unexpected(op, "answer without a client")
	}
	return row.info(), nil
}

// UpdateClient changes name and scope ("" leaves one as it is; the scope "none" widens to full rights). Type and redirect URI
// cannot be changed: make a new client.
//
// Source: PUT /v1/clients/{id}.
func (c *Client) UpdateClient(ctx context.Context, token, id, name, scope string) error {
	const op = "change client"
	if err := notEmpty(op, id); err != nil {
		return err
	}
	form := url.Values{}
	if name != "" {
		form.Set("name", name)
	}
	if scope != "" {
		form.Set("scope", scope)
	}
	_, err := c.do(ctx, call{op: op, method: http.MethodPut, url: c.clientPath(id), token: token, form: form, timeout: c.timeouts.Call})
	return err
}

// DeleteClient removes an OAuth client. Its tokens may live on.
//
// Source: DELETE /v1/clients/{id}.
func (c *Client) DeleteClient(ctx context.Context, token, id string) error {
	const op = "delete client"
	if err := notEmpty(op, id); err != nil {
		return err
	}
	_, err := c.do(ctx, call{op: op, method: http.MethodDelete, url: c.clientPath(id), token: token, timeout: c.timeouts.Call, plain: true})
	return err
}

// CheckRedirectURI tells what is wrong with a redirect URI before it is registered for good: nil, or an *Error of kind Invalid
// whose Field is "redirect_uri". The cloud wants https; plain http is let through for this machine alone, where the hosted
// cloud may refuse it. It redirects by appending "?code=…", so a query would end up with two question marks.
func CheckRedirectURI(uri string) error {
	bad := func(message, hint string) error {
		return &Error{Kind: Invalid, Op: "check redirect URI", Field: "redirect_uri", Message: message, Hint: hint}
	}
	u, err := url.Parse(uri)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || strings.ContainsAny(uri, " \t\r\n"):
		return bad("The redirect URI is not a web address.", "Enter it like https://example.org/callback.")
	case u.User != nil:
		return bad("The redirect URI may not hold a user name.", "Enter it like https://example.org/callback.")
	case u.RawQuery != "" || u.ForceQuery:
		return bad("The redirect URI may not have a query string.", "Leave out the question mark and what follows it.")
	case u.Fragment != "" || strings.Contains(uri, "#"):
		return bad("The redirect URI may not have a fragment.", "Leave out the # and what follows it.")
	case u.Scheme == "http" && !IsLoopbackRedirect(uri):
		return bad("The redirect URI is not encrypted.", "Use https; plain http is for addresses of this machine, such as http://localhost.")
	}
	return nil
}

// IsLoopbackRedirect tells that a redirect URI leads to the machine of whoever opens it: good for trying, not for customers.
func IsLoopbackRedirect(uri string) bool {
	u, err := url.Parse(uri)
	if err != nil {
		return false
	}
	host := strings.ToLower(u.Hostname())
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}
