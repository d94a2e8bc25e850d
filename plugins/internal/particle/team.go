package particle

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
)

// TeamOf names whose team is meant: exactly one field is set, to a number, an id or a slug.
type TeamOf struct {
	Product      string
	Organization string
}

// TeamMember is a person or a program with rights on a product or an organization.
type TeamMember struct {
	Username   string
	Role       string
	Programmer bool // an API user: a program with a token, not a person

	ID      string
	Name    string   // friendly name of an API user
	Scopes  []string // of an API user; nil when the cloud does not say
	Invited bool     // has not accepted yet, as far as the cloud says
}

// APIUser is a program in a team. Its token never expires and cannot sign in anywhere.
type APIUser struct {
	Username string // such as "pump-cms+x1y2@api.particle.io"; names it in later calls
	Name     string
	Scopes   []string
	Token    string // only in the answers of CreateAPIUser and UpdateAPIUser: a secret, never shown again
}

// String hides the token.
func (u APIUser) String() string { return "particle.APIUser(" + u.Username + ")" }

// GoString hides the token.
func (u APIUser) GoString() string { return u.String() }

type memberRow struct {
	ID           text      `json:"_id"`
	OtherID      text      `json:"id"`
	Username     text      `json:"username"`
	Name         text      `json:"friendly_name"`
	Role         roleName  `json:"role"`
	Programmatic flag      `json:"is_programmatic"`
	Scopes       texts     `json:"scopes"`
	Status       text      `json:"status"`
	Invited      flag      `json:"invited"`
	Tokens       tokenText `json:"tokens"`
	Token        text      `json:"token"`
}

// roleName reads {"name":"Developer"} or "Developer".
type roleName string

func (n *roleName) UnmarshalJSON(raw []byte) error {
	var object struct {
		Name text `json:"name"`
	}
	if json.Unmarshal(raw, &object) == nil && object.Name != "" {
		*n = roleName(object.Name)
	} else {
		*n = roleName(rawText(raw))
	}
	return nil
}

// tokenText reads the first token of [{"token":"…"}] or ["…"].
type tokenText string

func (t *tokenText) UnmarshalJSON(raw []byte) error {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil || len(list) == 0 {
		return nil
	}
	var object struct {
		Token text `json:"token"`
	}
	if json.Unmarshal(list[0], &object) == nil && object.Token != "" {
		*t = tokenText(object.Token)
	} else {
		*t = tokenText(rawText(list[0]))
	}
	return nil
}

func (r memberRow) member() TeamMember {
	m := TeamMember{Username: string(r.Username), Role: string(r.Role), Programmer: r.Programmatic.value, ID: string(r.ID), Name: string(r.Name), Scopes: r.Scopes}
	if m.ID == "" {
		m.ID = string(r.OtherID)
	}
	m.Invited = r.Invited.value || r.Status == "invited" || r.Status == "pending"
	return m
}

func (r memberRow) apiUser() APIUser {
	u := APIUser{string(r.Username), string(r.Name), r.Scopes, string(r.Tokens)}
	if u.Token == "" {
		u.Token = string(r.Token)
	}
	return u
}

// teamPath is the address of a team or of one of its members.
func (c *Client) teamPath(of TeamOf, segments ...string) (string, error) {
	base := []string{"v1", "products", of.Product, "team"}
	switch {
	case of.Product == "" && of.Organization != "":
		base = []string{"v1", "orgs", of.Organization, "team"}
	case of.Product == "" || of.Organization != "":
		e := newError(Invalid, "find team")
		e.Message, e.Hint = "It is not clear whose team is meant.", "Name a product or an organization."
		return "", e
	}
	return c.path(append(base, segments...)...), nil
}

// Team lists a product's team. See TeamMembers.
func (c *Client) Team(ctx context.Context, token, product string) ([]TeamMember, error) {
	return c.TeamMembers(ctx, token, TeamOf{Product: product})
}

// TeamMembers lists people and API users.
//
// Source: GET /v1/products/{product}/team, GET /v1/orgs/{org}/team; a list or {"team":[…]}.
func (c *Client) TeamMembers(ctx context.Context, token string, of TeamOf) ([]TeamMember, error) {
	const op = "list team"
	target, err := c.teamPath(of)
	if err != nil {
		return nil, err
	}
	body, err := c.do(ctx, call{op: op, method: http.MethodGet, url: target, token: token, timeout: c.timeouts.Call})
	if err != nil {
		return nil, err
	}
	rows, err := decodeList[memberRow](op, body, "team", "members")
	if err != nil {
		return nil, err
	}
	list := make([]TeamMember, len(rows))
	for i, r := range rows {
		list[i] = r.member()
	}
	return list, nil
}

// InviteMember asks a person, who must have a Particle account, into the team; Particle sends the mail. An empty role leaves
// the choice to the cloud. Duplicate: the person is in the team or asked already.
//
// Source: POST …/team with username.
func (c *Client) InviteMember(ctx context.Context, token string, of TeamOf, username, role string) error {
	const op = "invite to team"
	if err := notEmpty(op, username); err != nil {
		return err
	}
	fields := map[string]any{"username": strings.TrimSpace(username)}
	if role != "" {
		fields["role"] = role
	}
	_, err := c.team(ctx, op, http.MethodPost, token, of, fields)
	return err
}

// SetMemberRole changes what a person may do.
//
// Source: PUT …/team/{username} with role.
func (c *Client) SetMemberRole(ctx context.Context, token string, of TeamOf, username, role string) error {
	const op = "change role"
	if err := notEmpty(op, username, role); err != nil {
		return err
	}
	_, err := c.team(ctx, op, http.MethodPut, token, of, map[string]any{"role": role}, username)
	return err
}

// RemoveMember takes a person or an API user out of the team. An API user's token ends with it.
//
// Source: DELETE …/team/{username}.
func (c *Client) RemoveMember(ctx context.Context, token string, of TeamOf, username string) error {
	const op = "remove from team"
	if err := notEmpty(op, username); err != nil {
		return err
	}
	_, err := c.team(ctx, op, http.MethodDelete, token, of, nil, username)
	return err
}

// CreateAPIUser makes an API user with the scopes, of which Scopes has a list. The answer alone holds its token.
//
// When the answer is lost (Error.Uncertain) the user may exist without a known token: find it by its name in TeamMembers, and
// renew it with UpdateAPIUser or remove it.
//
// Source: POST …/team with friendly_name and scopes.
func (c *Client) CreateAPIUser(ctx context.Context, token string, of TeamOf, name string, scopes []string) (APIUser, error) {
	const op = "create API user"
	if err := notEmpty(op, name, strings.Join(scopes, "")); err != nil {
		return APIUser{}, err
	}
	body, err := c.team(ctx, op, http.MethodPost, token, of, map[string]any{"friendly_name": name, "scopes": scopes})
	if err != nil {
		return APIUser{}, err
	}
	return readAPIUser(op, body, "created", name, scopes)
}

// UpdateAPIUser gives an API user a name and scopes. It always gets a new token and the old one is dead from then on, so the
// same call with the present name and scopes rotates the token.
//
// Source: PUT …/team/{username} with friendly_name and scopes.
func (c *Client) UpdateAPIUser(ctx context.Context, token string, of TeamOf, username, name string, scopes []string) (APIUser, error) {
	const op = "change API user"
	if err := notEmpty(op, username, name, strings.Join(scopes, "")); err != nil {
		return APIUser{}, err
	}
	body, err := c.team(ctx, op, http.MethodPut, token, of, map[string]any{"friendly_name": name, "scopes": scopes}, username)
	if err != nil {
		return APIUser{}, err
	}
	u, err := readAPIUser(op, body, "updated", name, scopes)
	if u.Username == "" {
		u.Username = username
	}
	return u, err
}

func (c *Client) team(ctx context.Context, op, method, token string, of TeamOf, fields map[string]any, segments ...string) ([]byte, error) {
	target, err := c.teamPath(of, segments...)
	if err != nil {
		return nil, err
	}
	r := call{op: op, method: method, url: target, token: token, timeout: c.timeouts.Call, plain: method == http.MethodDelete}
	if fields != nil {
		r.json = fields // scopes is a list, which a form cannot hold
	}
	return c.do(ctx, r)
}

// readAPIUser finds the user under key, under one of the other words that the cloud uses, or in the answer itself.
func readAPIUser(op string, body []byte, key, name string, scopes []string) (APIUser, error) {
	for _, k := range []string{key, "created", "updated", "user"} {
		var row memberRow
		if json.Unmarshal(oneIn(body, k), &row) != nil {
			continue
		}
		u := row.apiUser()
		if u.Token == "" {
			continue
		}
		if u.Name == "" {
			u.Name = name
		}
		if u.Scopes == nil {
			u.Scopes = scopes
		}
		return u, nil
	}
	return APIUser{}, unexpected(op, "answer without a token")
}
