package particle

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// OAuthClient names an application at Particle. For linking it must be of type "web".
type OAuthClient struct {
	ID     string
	Secret string
}

// String hides the secret.
func (o OAuthClient) String() string { return "particle.OAuthClient(" + o.ID + ")" }

// GoString hides the secret.
func (o OAuthClient) GoString() string { return o.String() }

// LogValue hides the secret.
func (o OAuthClient) LogValue() slog.Value { return slog.StringValue(o.String()) }

// Token is what the token endpoint gave. It prints and logs as "particle.Token(hidden)".
type Token struct {
	AccessToken  string
	RefreshToken string    // "" when the token never expires or the cloud gave none
	Type         string    // lower case: "bearer"
	Scope        string    // such as "customer=ann@example.com"; usually ""
	ExpiresAt    time.Time // zero: never
}

// String hides the token.
func (t Token) String() string { return "particle.Token(hidden)" }

// GoString hides the token.
func (t Token) GoString() string { return t.String() }

// LogValue hides the token.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// AuthorizeURL is where the person's browser is sent to sign in at Particle and to consent.
//
// redirectURI must be the registered one, character for character. state comes back unescaped, so use only letters, digits,
// '-' and '_'. scope is free text and limits nothing; "" leaves it out. There is no PKCE: the cloud does not know it.
func (c *Client) AuthorizeURL(clientID, redirectURI, state, scope string) string {
	q := url.Values{"response_type": {"code"}, "client_id": {clientID}, "redirect_uri": {redirectURI}, "state": {state}}
	if scope != "" {
		q.Set("scope", scope)
	}
	return c.path("oauth", "authorize") + "?" + q.Encode()
}

// ReadCallback reads the query with which Particle sends the browser back.
//
// It returns the one-time code and the state, or an *Error: Refused when the person refused, otherwise what the cloud
// reported. An error redirect carries no state and a numeric "code" (an HTTP status), so the error is looked at first and
// a numeric code of three digits is never returned. Compare state with the stored one in constant time before Exchange.
func ReadCallback(query url.Values) (code, state string, err error) {
	const op = "read callback"
	state = query.Get("state")
	code = query.Get("code")
	if word := query.Get("error"); word != "" {
		status := 0
		if isStatus(code) {
			_, _ = fmt.Sscanf(code, "%d", &status)
		}
		a := answerError{text: query.Get("error_description"), isJSON: true}
		if isMachineWord(word) {
			a.code = word
		} else if a.text == "" {
			a.text = word
		}
		e := newError(classify(status, a, 0, 0), op)
		e.Code, e.Status, e.Description = a.code, status, clean(a.text, nil)
		return "", state, e
	}
	if code == "" || len(code) > 512 || isStatus(code) {
		e := newError(Invalid, op)
		e.Message, e.Hint = "Particle sent the browser back without a one-time code.", "Start linking again."
		return "", state, e
	}
	return code, state, nil
}

func isStatus(code string) bool {
	return len(code) == 3 && code[0] >= '1' && code[0] <= '9' && strings.Trim(code, "0123456789") == ""
}

// Exchange turns the one-time code of the callback into a token of the person who signed in. Call it once, at once: the
// code is good for about 30 seconds and one use, so a failure is never retried here.
//
// Error kinds: BadClient, BadClientType, BadRedirectURI, BadCode, ExpiredCode, Upstream, NoAnswer, Unreachable, NotParticle, RateLimited.
func (c *Client) Exchange(ctx context.Context, client OAuthClient, code, redirectURI string) (Token, error) {
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}}
	if redirectURI != "" {
		form.Set("redirect_uri", redirectURI)
	}
	return c.token(ctx, "exchange code", client, form)
}

// Refresh replaces a token by its refresh token, which is used up by it: store the new pair at once. BadRefresh, BadClient
// and BadClientType mean that the account must be linked again.
func (c *Client) Refresh(ctx context.Context, client OAuthClient, refreshToken string) (Token, error) {
	return c.token(ctx, "refresh token", client, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refreshToken}})
}

// Password signs in with name and password: for self-hosted clouds, which know no other way. Do not ask people for their
// Particle password where AuthorizeURL works. Error kinds also: BadCredentials, MFARequired (go on with SendOTP), SSORequired.
func (c *Client) Password(ctx context.Context, client OAuthClient, username, password string) (Token, error) {
	return c.token(ctx, "sign in", client, url.Values{"grant_type": {"password"}, "username": {username}, "password": {password}})
}

// SendOTP answers MFARequired with the six digits of the person's authenticator.
func (c *Client) SendOTP(ctx context.Context, client OAuthClient, mfaToken, otp string) (Token, error) {
	return c.token(ctx, "send one-time password", client, url.Values{"grant_type": {"urn:custom:mfa-otp"}, "mfa_token": {mfaToken}, "otp": {otp}})
}

// ClientCredentials gives a token of the client's owner: of the whole product for a client of a product.
func (c *Client) ClientCredentials(ctx context.Context, client OAuthClient) (Token, error) {
	return c.token(ctx, "sign in as client", client, url.Values{"grant_type": {"client_credentials"}})
}

// CustomerToken gives a token of one customer of the client's product. BadScope: no such customer.
func (c *Client) CustomerToken(ctx context.Context, client OAuthClient, customer string) (Token, error) {
	return c.token(ctx, "sign in customer", client, url.Values{"grant_type": {"client_credentials"}, "scope": {"customer=" + strings.ToLower(customer)}})
}

func (c *Client) token(ctx context.Context, op string, client OAuthClient, form url.Values) (Token, error) {
	if client.ID == "" {
		return Token{}, newError(BadClient, op)
	}
	asked := time.Now()
	body, err := c.do(ctx, call{op: op, method: http.MethodPost, url: c.path("oauth", "token"), client: client, form: form, timeout: c.timeouts.Token})
	if e, ok := err.(*Error); ok && e.Kind == NotFound { // the path is fixed, so this is another kind of server
		e.Kind = NotParticle
		e.Message, e.Hint = explanation(NotParticle)
	}
	if err != nil {
		return Token{}, err
	}
	return readToken(op, body, asked)
}

func readToken(op string, body []byte, asked time.Time) (Token, error) {
	var answer struct {
		AccessToken  string `json:"access_token"`
		RefreshToken text   `json:"refresh_token"`
		Type         text   `json:"token_type"`
		Scope        text   `json:"scope"`
		ExpiresIn    number `json:"expires_in"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.AccessToken == "" {
		return Token{}, unexpected(op, "token answer without an access token")
	}
	if strings.ContainsAny(answer.AccessToken, " \r\n\t") {
		return Token{}, unexpected(op, "access token is not one word")
	}
	t := Token{AccessToken: answer.AccessToken, RefreshToken: string(answer.RefreshToken), Type: strings.ToLower(string(answer.Type)), Scope: string(answer.Scope)}
	const century = 100 * 365 * 24 * 60 * 60
	if s := answer.ExpiresIn.value; answer.ExpiresIn.present && s > 0 && s < century {
		t.ExpiresAt = asked.Add(time.Duration(s) * time.Second).UTC().Truncate(time.Second)
	}
	return t, nil
}
