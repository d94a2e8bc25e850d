package particle

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
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
}

func (r clientRow) info() ClientInfo {
	return ClientInfo{string(r.ID), string(r.Name), string(r.Type), string(r.RedirectURI), string(r.Scope), string(r.Secret)}
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
