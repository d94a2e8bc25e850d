package particle

import (
	"context"
	"net/http"
	"net/url"
)

// CheckClient tells whether linking can work with these values, without a person: nil, or an *Error whose Field names the
// value that is wrong. Call it for a button, not in a loop.
//
//	Field           kinds
//	base_url        Unreachable, NoAnswer, NotParticle
//	client_id       BadClient (unknown), BadClientType (not of type "web")
//	redirect_uri    BadRedirectURI (not the one that is registered)
//	client_secret   BadClient
//	""              the rest, such as Upstream and RateLimited: nothing is known about the values
//
// It opens the sign-in page, which names an unknown id and a foreign redirect URI, and then offers a code that cannot exist:
// the cloud checks id and secret, then the client's grants, and looks at the code last, so "Invalid code" means that all
// else is right. (Order of checks: npm @particle/oauth2-server, lib/grant.js.)
func (c *Client) CheckClient(ctx context.Context, client OAuthClient, redirectURI string) error {
	const op = "check client"
	if err := c.checkAuthorize(ctx, op, client.ID, redirectURI); err != nil {
		return blame(err)
	}
	_, err := c.token(ctx, op, client, url.Values{"grant_type": {"authorization_code"}, "code": {"check-of-the-client"}})
	if Is(err, BadCode) || Is(err, ExpiredCode) {
		return nil
	}
	if err == nil { // a server that gives tokens for nothing
		err = unexpected(op, "a made-up code was accepted")
	}
	if e, ok := err.(*Error); ok && e.Kind == BadClient {
		e.Field = "client_secret"
		e.Message, e.Hint = "The client secret is wrong.", "Copy it again from where the client was created; Particle shows it only once, so a lost secret needs a new client."
	}
	return blame(err)
}

// blame fills in Field by the kind, where it is not known better.
func blame(err error) error {
	e, ok := err.(*Error)
	if !ok || e.Field != "" {
		return err
	}
	switch e.Kind {
	case Unreachable, NoAnswer, NotParticle:
		e.Field = "base_url"
	case BadClient, BadClientType:
		e.Field = "client_id"
	case BadRedirectURI:
		e.Field = "redirect_uri"
	}
	return e
}

func (c *Client) checkAuthorize(ctx context.Context, op, clientID, redirectURI string) error {
	limited, cancel := context.WithTimeout(ctx, c.timeouts.Token)
	defer cancel()
	r := call{op: op, method: http.MethodGet, url: c.AuthorizeURL(clientID, redirectURI, "check", ""), timeout: c.timeouts.Token}
	_, err := c.do(limited, r)
	e, ok := err.(*Error)
	if !ok {
		return nil // JSON without an error: nothing to object to
	}
	switch {
	case e.Kind == NotParticle && (e.Status == http.StatusOK || e.Status == http.StatusFound || e.Status == http.StatusSeeOther):
		return nil // the sign-in page is HTML, or a redirect to it
	case e.Kind == BadClient:
		e.Message, e.Hint = "Particle does not know the client id.", "Copy the id, such as my-site-1234, from the client's page; it is neither an e-mail address nor a token."
	case e.Status == http.StatusNotFound:
		e.Kind = NotParticle
		e.Message, e.Hint = explanation(NotParticle)
	}
	return e
}
