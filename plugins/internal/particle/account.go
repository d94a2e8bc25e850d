package particle

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// User is the owner of a token.
type User struct {
	Username  string // usually an e-mail address
	FirstName string
	LastName  string
}

// User asks whose token it is. It is not promised to work for a customer's token.
//
// Source: GET /v1/user.
func (c *Client) User(ctx context.Context, token string) (User, error) {
	const op = "get user"
	body, err := c.do(ctx, call{op: op, method: http.MethodGet, url: c.path("v1", "user"), token: token, timeout: c.timeouts.Token})
	if err != nil {
		return User{}, err
	}
	var answer struct {
		Username text `json:"username"`
		Info     struct {
			First text `json:"first_name"`
			Last  text `json:"last_name"`
		} `json:"account_info"`
	}
	if json.Unmarshal(body, &answer) != nil || answer.Username == "" {
		return User{}, unexpected(op, "answer without a user name")
	}
	return User{string(answer.Username), string(answer.Info.First), string(answer.Info.Last)}, nil
}

// TokenInfo describes a token without naming it.
type TokenInfo struct {
	ClientID  string
	Scopes    []string
	ExpiresAt time.Time // zero: never
}

// CurrentToken asks about the token itself: the cheapest way to learn whether it lives. DeadToken when it does not.
//
// Source: GET /v1/access_tokens/current.
func (c *Client) CurrentToken(ctx context.Context, token string) (TokenInfo, error) {
	const op = "look at token"
	body, err := c.do(ctx, call{op: op, method: http.MethodGet, url: c.path("v1", "access_tokens", "current"), token: token, timeout: c.timeouts.Token})
	if err != nil {
		return TokenInfo{}, err
	}
	var answer tokenRow
	if json.Unmarshal(body, &answer) != nil {
		return TokenInfo{}, unexpected(op, "answer is not a token's description")
	}
	return answer.info(), nil
}

// RevokeToken ends the token at Particle. A token that is dead already is a success.
//
// Source: DELETE /v1/access_tokens/current. The form with the token in the path is not used: paths are logged.
func (c *Client) RevokeToken(ctx context.Context, token string) error {
	_, err := c.do(ctx, call{op: "revoke token", method: http.MethodDelete, url: c.path("v1", "access_tokens", "current"), token: token, timeout: c.timeouts.Token, plain: true})
	if Is(err, DeadToken) {
		return nil
	}
	return err
}

// ListTokens lists the tokens of an account by its password, as clouds before late 2024 and self-hosted ones do. The hosted
// cloud has removed it.
//
// Source: GET /v1/access_tokens with Basic authentication of the account.
func (c *Client) ListTokens(ctx context.Context, username, password string) ([]TokenInfo, error) {
	const op = "list tokens"
	body, err := c.do(ctx, call{op: op, method: http.MethodGet, url: c.path("v1", "access_tokens"), user: [2]string{username, password}, timeout: c.timeouts.Token})
	if err != nil {
		return nil, err
	}
	list, err := decodeList[tokenRow](op, body, "access_tokens", "tokens")
	if err != nil {
		return nil, err
	}
	infos := make([]TokenInfo, len(list))
	for i, row := range list {
		infos[i] = row.info()
	}
	return infos, nil
}

type tokenRow struct {
	Client    text   `json:"client"`
	ClientID  text   `json:"client_id"`
	Scopes    texts  `json:"scopes"`
	ExpiresAt moment `json:"expires_at"`
	Expires   moment `json:"expires"`
}

func (r tokenRow) info() TokenInfo {
	i := TokenInfo{ClientID: string(r.Client), Scopes: r.Scopes, ExpiresAt: r.ExpiresAt.Time}
	if i.ClientID == "" {
		i.ClientID = string(r.ClientID)
	}
	if i.ExpiresAt.IsZero() {
		i.ExpiresAt = r.Expires.Time
	}
	return i
}

// decodeList reads a list that stands alone or under one of the keys; entries that are not objects are left out.
func decodeList[T any](op string, body []byte, keys ...string) ([]T, error) {
	raws, ok := listIn(body, keys...)
	if !ok {
		return nil, unexpected(op, "answer holds no list")
	}
	list := make([]T, 0, len(raws))
	for _, raw := range raws {
		var row T
		if json.Unmarshal(raw, &row) == nil {
			list = append(list, row)
		}
	}
	return list, nil
}
