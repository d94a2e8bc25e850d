package particle

import (
	"context"
	"errors"
	"slices"
	"time"
)

// TokenHealth is what the cloud lets a token see: the answer to "does this credential work, and for how long".
type TokenHealth struct {
	Username      string    // of the person; "" for an API user and for a product's own token
	ClientID      string    // the OAuth client that it was made with; "" when the cloud does not say
	ExpiresAt     time.Time // zero: never
	Scopes        []string  // of an API user, as the cloud tells; nil when it does not
	Organizations []Organization
	Products      []Product
	Missing       []string // scopes that were refused, or are suggested and absent from Scopes; sorted
}

// ExpiresWithin tells whether the token ends at most d after now.
func (h TokenHealth) ExpiresWithin(d time.Duration, now time.Time) bool {
	return !h.ExpiresAt.IsZero() && !h.ExpiresAt.After(now.Add(d))
}

// CheckToken tries what a token can do, by reading alone: about eight calls, for a button or a check now and then. product
// (number or slug) says where; "" takes the first product that the token reaches.
//
// A token that lives is no error, however little it may do: Missing tells. Otherwise the *Error's Field is "token"
// (DeadToken), "base_url" (Unreachable, NoAnswer, NotParticle), "product" (NotFound) or "" (RateLimited, Upstream).
func (c *Client) CheckToken(ctx context.Context, token, product string) (TokenHealth, error) {
	var h TokenHealth
	if err := notEmpty("look at token", token); err != nil {
		return h, withField(err, "token")
	}
	if err := c.checkOwner(ctx, token, &h); err != nil {
		return h, blameToken(err)
	}
	if err := c.checkProducts(ctx, token, &h); err != nil {
		return h, blameToken(err)
	}
	if product != "" {
		p, err := c.Product(ctx, token, product)
		switch {
		case err == nil:
			product = p.ID
		case Is(err, NotFound):
			return h, withField(err, "product")
		case h.refused(err) != nil:
			return h, blameToken(err)
		}
	} else if len(h.Products) > 0 {
		product = h.Products[0].ID
	}
	if product != "" {
		if err := c.checkReading(ctx, token, product, &h); err != nil {
			return h, blameToken(err)
		}
	}
	if h.Scopes != nil && !slices.Contains(h.Scopes, "*:*") {
		for _, name := range SuggestedScopes() {
			if !slices.Contains(h.Scopes, name) {
				h.Missing = append(h.Missing, name)
			}
		}
	}
	slices.Sort(h.Missing)
	h.Missing = slices.Compact(h.Missing)
	return h, nil
}

// refused notes a missing scope and returns nil for a refusal, err for anything else.
func (h *TokenHealth) refused(err error) error {
	if err == nil {
		return nil
	}
	var e *Error
	if !isRefusal(err) || !errors.As(err, &e) {
		return err
	}
	if e.Scope != "" {
		h.Missing = append(h.Missing, e.Scope)
	}
	return nil
}

func (c *Client) checkOwner(ctx context.Context, token string, h *TokenHealth) error {
	info, err := c.CurrentToken(ctx, token)
	if Is(err, NotFound) { // every version of the API has this address
		e := newError(NotParticle, "look at token")
		e.Cause = err
		return e
	}
	if err != nil && !isRefusal(err) {
		return err
	}
	h.ClientID, h.ExpiresAt, h.Scopes = info.ClientID, info.ExpiresAt, info.Scopes
	user, err := c.User(ctx, token)
	if err != nil && !isRefusal(err) {
		return err
	}
	h.Username = user.Username
	return nil
}

func (c *Client) checkProducts(ctx context.Context, token string, h *TokenHealth) error {
	var err error
	if h.Organizations, err = c.Organizations(ctx, token); err != nil && !isRefusal(err) {
		return err
	}
	h.Products, err = c.AllProducts(ctx, token)
	return h.refused(err)
}

// checkReading reads one row of everything that the product has.
func (c *Client) checkReading(ctx context.Context, token, product string, h *TokenHealth) error {
	one := Page{Number: 1, Size: 1}
	for _, read := range []func() error{
		func() error {
			_, _, err := c.ProductDevices(ctx, token, product, one)
			return err
		},
		func() error {
			_, _, err := c.Customers(ctx, token, product, one)
			return err
		},
		func() error {
			_, err := c.InProduct(product).Clients(ctx, token)
			return err
		},
		func() error {
			_, err := c.Team(ctx, token, product)
			return err
		},
	} {
		if err := h.refused(read()); err != nil {
			return err
		}
	}
	return nil
}

func blameToken(err error) error {
	switch KindOf(err) {
	case DeadToken:
		var e *Error
		if errors.As(err, &e) {
			e.Message, e.Hint = "Particle does not accept the access token.", "It may have expired or been replaced: make a new one and enter it here."
		}
		return withField(err, "token")
	case Unreachable, NoAnswer, NotParticle:
		return withField(err, "base_url")
	}
	return err
}

func withField(err error, field string) error {
	var e *Error
	if errors.As(err, &e) {
		e.Field = field
	}
	return err
}
