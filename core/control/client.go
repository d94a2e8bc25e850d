package control

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"mortise/core/fault"
)

// Client is Operations on a running host.
type Client struct{ http *http.Client }

// Dial reaches the host of a data folder. The error is fault.Unavailable when none runs.
func Dial(ctx context.Context, dataDir string) (*Client, error) {
	path := SocketPath(dataDir)
	if target, err := os.Readlink(path); err == nil {
		path = target
	}
	dialer := net.Dialer{Timeout: 2 * time.Second}
	probe, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "no host runs with the data folder %s", dataDir)
	}
	_ = probe.Close()
	return &Client{http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dialer.DialContext(ctx, "unix", path) },
	}}}, nil
}

func (c *Client) do(ctx context.Context, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://host"+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make the request: %w", err)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "the host does not answer")
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusBadRequest {
		var p problem
		if err := json.NewDecoder(response.Body).Decode(&p); err != nil {
			return fault.New(fault.Internal, "the host answered status %d", response.StatusCode)
		}
		return &fault.Error{Kind: fault.ParseKind(p.Kind), Message: p.Message, Fields: p.Fields}
	}
	return json.NewDecoder(response.Body).Decode(out)
}

// Status asks the host.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	return s, c.do(ctx, http.MethodGet, "/status", nil, &s)
}

// Modules asks the host.
func (c *Client) Modules(ctx context.Context) (list []Module, err error) {
	return list, c.do(ctx, http.MethodGet, "/modules", nil, &list)
}

// Module asks the host.
func (c *Client) Module(ctx context.Context, id string) (m Module, err error) {
	return m, c.do(ctx, http.MethodGet, "/modules/"+url.PathEscape(id), nil, &m)
}

// Act asks the host.
func (c *Client) Act(ctx context.Context, id string, action Action, options ActOptions) (r Report, err error) {
	return r, c.do(ctx, http.MethodPost, "/modules/"+url.PathEscape(id)+"/"+url.PathEscape(string(action)), options, &r)
}

// Users asks the host.
func (c *Client) Users(ctx context.Context, search string) (list []User, err error) {
	return list, c.do(ctx, http.MethodGet, "/users?search="+url.QueryEscape(search), nil, &list)
}

// CreateUser asks the host.
func (c *Client) CreateUser(ctx context.Context, user NewUser) (u User, err error) {
	return u, c.do(ctx, http.MethodPost, "/users", user, &u)
}

// SetRole asks the host.
func (c *Client) SetRole(ctx context.Context, email, role string, give bool) (u User, err error) {
	return u, c.do(ctx, http.MethodPost, "/users/role", roleChange{Email: email, Role: role, Give: give}, &u)
}

// LoginLink asks the host.
func (c *Client) LoginLink(ctx context.Context, email string) (string, error) {
	var out loginLink
	err := c.do(ctx, http.MethodPost, "/users/login-link", loginLink{Email: email}, &out)
	return out.URL, err
}

// Backup asks the host.
func (c *Client) Backup(ctx context.Context, path string) error {
	var out backup
	return c.do(ctx, http.MethodPost, "/backup", backup{Path: path}, &out)
}

// RotateKey asks the host.
func (c *Client) RotateKey(ctx context.Context) (int, error) {
	var out rotation
	err := c.do(ctx, http.MethodPost, "/rotate-key", nil, &out)
	return out.Sealed, err
}

var _ Operations = (*Client)(nil)
