package ownership

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"gorm.io/gorm"

	"mortise/core/fault"
	"mortise/plugins/internal/attachapi"
	"mortise/plugins/internal/particle"
)

const (
	renewBefore = 14 * 24 * time.Hour // a token of 90 days is renewed this long before it ends
	dieWithin   = 5 * 24 * time.Hour  // one that ends sooner should have been renewed: needs attention
	renewMost   = 40                  // tokens in one run: Particle gives 100 in five minutes to an address
)

// sealedToken is what is kept of a token of a shadow customer. It prints as "sealedToken(hidden)".
type sealedToken struct {
	AccessToken string     `json:"access_token"`
	BaseURL     string     `json:"base_url"` // of the cloud that gave it: it is never sent to another one
	ExpiresAt   *time.Time `json:"expires_at,omitempty"`
}

// String hides the token.
func (sealedToken) String() string { return "sealedToken(hidden)" }

// GoString hides the token.
func (sealedToken) GoString() string { return "sealedToken(hidden)" }

// readToken unseals the token of a shadow customer. NotFound when it has none.
func (o *Ownership) readToken(ctx context.Context, username string) (sealedToken, error) {
	text, err := o.site.Host.Secrets().Get(ctx, secretShadow, username)
	if err != nil {
		return sealedToken{}, err
	}
	var t sealedToken
	if json.Unmarshal([]byte(text), &t) != nil || t.AccessToken == "" {
		return sealedToken{}, fault.New(fault.NotFound, "The sealed token cannot be read.") // without the decoder's words, which quote it
	}
	return t, nil
}

// keepToken seals a new token and notes it with its shadow customer. false: nobody wants it any more, and it is not kept.
func (o *Ownership) keepToken(ctx context.Context, username, baseURL string, token particle.Token) (bool, error) {
	ctx = context.WithoutCancel(ctx)
	t := sealedToken{AccessToken: token.AccessToken, BaseURL: baseURL}
	if !token.ExpiresAt.IsZero() {
		t.ExpiresAt = &token.ExpiresAt
	}
	text, err := json.Marshal(t)
	if err != nil {
		return false, err
	}
	if err := o.site.Host.Secrets().Set(ctx, secretShadow, username, string(text)); err != nil {
		return false, err
	}
	now := o.site.Now()
	kept, err := o.records.noteShadow(ctx, username, []string{shadowWanted, shadowReady}, map[string]any{"state": shadowReady, "problem": "", "token_at": &now, "expires_at": t.ExpiresAt})
	if err != nil || kept {
		return kept, err
	}
	return false, o.site.Host.Secrets().Delete(ctx, secretShadow, username)
}

// client is the OAuth client with which the shadow customers of a product are made.
type client struct {
	particle.OAuthClient
	cloud *particle.Client // in the product
	url   string
}

// sealedClient is what is kept of it. It prints as "sealedClient(hidden)".
type sealedClient struct {
	ID      string `json:"id"`
	Secret  string `json:"secret"`
	BaseURL string `json:"base_url"`
}

// String hides the secret.
func (sealedClient) String() string { return "sealedClient(hidden)" }

// GoString hides the secret.
func (sealedClient) GoString() string { return "sealedClient(hidden)" }

var errNoClient = fault.New(fault.Conflict, "The OAuth client for shadow customers is missing. Create one of type installed in Organizations, for this product, and use it for shadow customers.")

// clientOf unseals the client of a product; errNoClient when there is none.
func (o *Ownership) clientOf(ctx context.Context, workspaceID int64, productID string) (client, error) {
	text, err := o.site.Host.Secrets().Get(ctx, secretClient, clientKey(workspaceID, productID))
	if fault.Is(err, fault.NotFound) {
		return client{}, errNoClient
	}
	if err != nil {
		return client{}, err
	}
	var s sealedClient
	if json.Unmarshal([]byte(text), &s) != nil || s.ID == "" {
		return client{}, errNoClient
	}
	cloud, err := o.cloud(s.BaseURL)
	if err != nil {
		return client{}, err
	}
	return client{particle.OAuthClient{ID: s.ID, Secret: s.Secret}, cloud, s.BaseURL}, nil
}

// doShadowCreate makes the shadow customer, or signs in as the one that exists, and seals its token.
func (o *Ownership) doShadowCreate(ctx context.Context, op *operation) error {
	s, err := o.records.shadowNamed(ctx, op.Subject)
	if err != nil {
		return err
	}
	if s == nil || s.State != shadowWanted {
		return o.end(ctx, op, opUndone, "The shadow customer is not needed any more, or has a token already.")
	}
	c, err := o.clientOf(ctx, op.WorkspaceID, op.ProductID)
	if errors.Is(err, errNoClient) {
		op.Sentence, op.NextAt = errNoClient.Message, o.site.Now().Add(waitClient)
		return o.records.saveOperation(ctx, op)
	}
	if err != nil {
		return err
	}
	token, created, err := c.cloud.EnsureCustomer(ctx, c.OAuthClient, op.ProductID, op.Subject, "")
	if err != nil {
		return o.createFailed(ctx, op, err)
	}
	kept, err := o.keepToken(ctx, op.Subject, c.url, token)
	switch {
	case err != nil:
		return err
	case !kept: // detached or erased while Particle was asked: deleting it there is recorded already, or its token ends here
		o.revokeQuietly(ctx, sealedToken{AccessToken: token.AccessToken, BaseURL: c.url})
		return o.end(ctx, op, opUndone, "The shadow customer is not needed any more.")
	}
	if err := o.clientWorks(ctx, op.WorkspaceID, op.ProductID); err != nil {
		return err
	}
	if created {
		return o.end(ctx, op, opDone, "The shadow customer exists at Particle, and its token is sealed here.")
	}
	return o.end(ctx, op, opDone, "The shadow customer was there already; its new token is sealed here.")
}

func (o *Ownership) clientWorks(ctx context.Context, workspaceID int64, productID string) error {
	return o.records.noteClient(ctx, workspaceID, productID, "")
}

// createFailed notes with the shadow customer, and with the client, what Particle said.
func (o *Ownership) createFailed(ctx context.Context, op *operation, err error) error {
	t := o.explainClient(err)
	ctx = context.WithoutCancel(ctx)
	if _, err := o.records.noteShadow(ctx, op.Subject, []string{shadowWanted}, map[string]any{"problem": t.Sentence}); err != nil {
		return err
	}
	if badClient(err) {
		if err := o.records.noteClient(ctx, op.WorkspaceID, op.ProductID, t.Sentence); err != nil {
			return err
		}
	}
	if mayHaveHappened(err) {
		return o.leave(ctx, op, t.Sentence+" It is tried again by itself; a customer that was made all the same is used then.")
	}
	return o.end(ctx, op, opFailed, t.Sentence+" "+t.Remedy)
}

func badClient(err error) bool {
	switch particle.KindOf(err) {
	case particle.BadClient, particle.BadClientType, particle.Denied, particle.MissingScope:
		return true
	}
	return false
}

// explainClient explains a failure of a call with the OAuth client, which the words of explain blame on the workspace.
func (o *Ownership) explainClient(err error) *trouble {
	t := explain(err)
	if badClient(err) {
		t.Sentence = "Particle does not accept the OAuth client for shadow customers."
		t.Remedy = "It was deleted, its type is not installed, it lacks rights, or it belongs to another product. Create a new one in Organizations and use it for shadow customers."
	}
	return t
}

// doShadowRevoke ends the token of a shadow customer at Particle. The customer stays.
func (o *Ownership) doShadowRevoke(ctx context.Context, op *operation) error {
	s, err := o.records.shadowNamed(ctx, op.Subject)
	if err != nil {
		return err
	}
	if s == nil || s.State != shadowRevoking {
		return o.end(ctx, op, opUndone, "The token is needed again, or the shadow customer is gone.")
	}
	t, err := o.readToken(ctx, op.Subject)
	if err == nil {
		err = o.revoke(ctx, t)
	} else if fault.Is(err, fault.NotFound) {
		err = nil
	}
	if err != nil {
		return o.refusedOrUnknown(ctx, op, err)
	}
	if err := o.site.Host.Secrets().Delete(ctx, secretShadow, op.Subject); err != nil {
		return err
	}
	fields := map[string]any{"state": shadowRevoked, "problem": "", "token_at": nil, "expires_at": nil}
	if _, err := o.records.noteShadow(context.WithoutCancel(ctx), op.Subject, []string{shadowRevoking}, fields); err != nil {
		return err
	}
	return o.end(ctx, op, opDone, "The token is revoked at Particle and erased here.")
}

// revoke ends a token at the cloud that gave it. A dead one counts as revoked.
func (o *Ownership) revoke(ctx context.Context, t sealedToken) error {
	cloud, err := o.cloud(t.BaseURL)
	if err != nil {
		return err
	}
	return cloud.RevokeToken(ctx, t.AccessToken)
}

// revokeQuietly ends a token that is not used any more. What fails ends by itself after at most 90 days.
func (o *Ownership) revokeQuietly(ctx context.Context, t sealedToken) {
	if err := o.revoke(context.WithoutCancel(ctx), t); err != nil {
		o.site.Host.Log().Warn("a token that was replaced could not be revoked", "error", err)
	}
}

// renewEnding renews the tokens that end soon, as many as Particle gives at once.
func (o *Ownership) renewEnding(ctx context.Context) error {
	list, err := o.records.endingShadows(ctx, o.site.Now().Add(renewBefore), renewMost)
	if err != nil {
		return err
	}
	for i := range list {
		if ctx.Err() != nil {
			return nil
		}
		err := o.renew(ctx, &list[i])
		if err == nil {
			continue
		}
		o.site.Host.Log().Warn("the token of a shadow customer was not renewed", "shadow", list[i].ID, "error", err)
		if particle.Is(err, particle.RateLimited) || badClient(err) && particle.Is(err, particle.BadClient) {
			return nil // ten failures in a row would lock this server's address out
		}
	}
	return nil
}

// renew replaces the token of a shadow customer by a new one, and revokes the old one.
func (o *Ownership) renew(ctx context.Context, listed *shadow) error {
	defer o.locks.lock(listed.Username)()
	s, err := o.records.shadowNamed(ctx, listed.Username)
	if err != nil || s == nil || s.State != shadowReady {
		return err
	}
	c, err := o.clientOf(ctx, s.WorkspaceID, s.ProductID)
	if err != nil {
		return err
	}
	old, err := o.readToken(ctx, s.Username)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	token, err := c.cloud.CustomerToken(ctx, c.OAuthClient, s.Username)
	if particle.Is(err, particle.BadScope) { // deleted at Particle, not by this site: it is made again
		token, _, err = c.cloud.EnsureCustomer(ctx, c.OAuthClient, s.ProductID, s.Username, "")
	}
	if err != nil {
		problem := o.explainClient(err).Sentence
		if _, noted := o.records.noteShadow(context.WithoutCancel(ctx), s.Username, []string{shadowReady}, map[string]any{"problem": problem}); noted != nil {
			return noted
		}
		return err
	}
	kept, err := o.keepToken(ctx, s.Username, c.url, token)
	if err != nil {
		return err
	}
	if !kept {
		old = sealedToken{AccessToken: token.AccessToken, BaseURL: c.url}
	}
	if old.AccessToken != "" && (!kept || old.AccessToken != token.AccessToken) {
		o.revokeQuietly(ctx, old)
	}
	return o.clientWorks(ctx, s.WorkspaceID, s.ProductID)
}

// shadowToken gives the token of a person's shadow customer; it is made when there is none. Errors: errNoClient, Particle's, and
// fault.Unavailable when it takes longer.
func (o *Ownership) shadowToken(ctx context.Context, userID, workspaceID int64, productID, product string) (sealedToken, error) {
	key := productKey{workspaceID, productID}
	s, err := o.records.shadow(ctx, userID, workspaceID, productID)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return sealedToken{}, err
	}
	if err == nil && s.State == shadowReady {
		if t, err := o.readToken(ctx, s.Username); err == nil && (t.ExpiresAt == nil || o.site.Now().Before(*t.ExpiresAt)) {
			return t, nil
		}
		return o.renewed(ctx, s)
	}
	if _, err := o.clientOf(ctx, workspaceID, productID); err != nil {
		return sealedToken{}, err
	}
	err = o.transaction(ctx, func(tx *gorm.DB) error {
		if err := o.here(tx, userID); err != nil {
			return err
		}
		return o.wantIn(tx, key, product, []int64{userID}, byOf(ctx))
	})
	if err != nil {
		return sealedToken{}, err
	}
	o.pursue(ctx, userID)
	if s, err = o.records.shadow(ctx, userID, workspaceID, productID); err != nil {
		return sealedToken{}, err
	}
	if s.State != shadowReady {
		return sealedToken{}, fault.New(fault.Unavailable, "%s", sentenceOr(s.Problem, "The customer at Particle is being made.")+" Try again in a minute.")
	}
	return o.readToken(ctx, s.Username)
}

func (o *Ownership) renewed(ctx context.Context, s *shadow) (sealedToken, error) {
	if err := o.renew(ctx, s); err != nil {
		return sealedToken{}, err
	}
	return o.readToken(ctx, s.Username)
}

func sentenceOr(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// shadowWay tells whether a product's devices are owned by shadow customers.
func shadowWay(w Way) bool { return w == attachapi.Shadow }
