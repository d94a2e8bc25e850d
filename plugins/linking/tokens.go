package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"mortise/core/fault"
	"mortise/plugins/internal/particle"
)

// The names of sealed values, as in module.yaml.
const (
	secretToken      = "token"
	secretRevocation = "revocation"
)

// sealed is what is kept of a token. Generation says to which state of the account's row it belongs. It prints as "sealed(hidden)".
type sealed struct {
	AccessToken  string     `json:"access_token"`
	RefreshToken string     `json:"refresh_token,omitempty"`
	IssuedAt     time.Time  `json:"issued_at"`
	ExpiresAt    *time.Time `json:"expires_at,omitempty"`
	Generation   int64      `json:"generation"`
}

// renewAhead is how long before its end a token is renewed while somebody waits for it. The job renews days earlier.
const renewAhead = 2 * time.Minute

// ending tells whether the token has ended or is about to. A token that lives for minutes only is not renewed all the time.
func (t sealed) ending(now time.Time) bool {
	if t.ExpiresAt == nil {
		return false
	}
	ahead := min(renewAhead, max(t.ExpiresAt.Sub(t.IssuedAt)/4, 0))
	return now.Add(ahead).After(*t.ExpiresAt)
}

// String hides the tokens.
func (sealed) String() string { return "sealed(hidden)" }

// GoString hides the tokens.
func (sealed) GoString() string { return "sealed(hidden)" }

func accountKey(id int64) string { return strconv.FormatInt(id, 10) }

// readToken unseals the token of an account. NotFound when it has none.
func (m *Linking) readToken(ctx context.Context, accountID int64) (sealed, error) {
	return m.unseal(ctx, secretToken, accountKey(accountID))
}

func (m *Linking) unseal(ctx context.Context, name, key string) (sealed, error) {
	text, err := m.host.Secrets().Get(ctx, name, key)
	if err != nil {
		return sealed{}, err
	}
	var t sealed
	if json.Unmarshal([]byte(text), &t) != nil || t.AccessToken == "" {
		return sealed{}, fault.New(fault.NotFound, "The sealed token cannot be read.") // without the decoder's words, which quote it
	}
	return t, nil
}

func (m *Linking) seal(ctx context.Context, name, key string, t sealed) error {
	text, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return m.host.Secrets().Set(ctx, name, key, string(text))
}

// sealToken seals a new token of the account and writes into acc (not into the store) what its row must say from now on.
func (m *Linking) sealToken(ctx context.Context, acc *account, token particle.Token) error {
	// From the clock, not from 1: should a store ever use an id again, the two accounts never share a generation.
	acc.Generation = max(acc.Generation+1, m.now().UnixMicro())
	acc.TokenAt, acc.ExpiresAt, acc.Renewable = m.now(), nil, token.RefreshToken != ""
	if !token.ExpiresAt.IsZero() {
		expires := token.ExpiresAt
		acc.ExpiresAt = &expires
	}
	t := sealed{AccessToken: token.AccessToken, RefreshToken: token.RefreshToken, IssuedAt: acc.TokenAt, ExpiresAt: acc.ExpiresAt, Generation: acc.Generation}
	if err := m.seal(ctx, secretToken, accountKey(acc.ID), t); err != nil {
		return fmt.Errorf("seal the token: %w", err)
	}
	return nil
}

// giveBack revokes a token that was not kept.
func (m *Linking) giveBack(ctx context.Context, cloud *particle.Client, token particle.Token) {
	m.behind(func(stop context.Context) {
		limited, cancel := context.WithTimeout(stop, m.limits.Token)
		defer cancel()
		if err := cloud.RevokeToken(limited, token.AccessToken); err != nil {
			m.host.Log().Warn("a token that was not kept could not be revoked", "error", err)
		}
	})
}

// supersede revokes the token that another one of the same account has replaced. acc is the account as it was then.
func (m *Linking) supersede(ctx context.Context, acc *account, old sealed) {
	key := newKey()
	err := m.seal(ctx, secretRevocation, key, old)
	if err == nil {
		err = m.records.queueRevocation(ctx, acc, key)
	}
	if err != nil {
		m.host.Log().Warn("a superseded token could not be put aside for revocation", "error", err)
		return
	}
	m.behind(func(stop context.Context) { _, _ = m.revoke(stop, key) }) // what fails is tried again by the job
}

// unlink takes an account away: its row and token at once, its token at Particle as soon as Particle answers. told says
// whether Particle has confirmed.
func (m *Linking) unlink(ctx context.Context, acc *account) (told bool, err error) {
	key, err := m.takeAway(ctx, acc)
	if err != nil || key == "" {
		return err == nil, err
	}
	told, err = m.revoke(ctx, key)
	if err != nil {
		m.host.Log().Warn("a token could not be revoked at once", "error", err)
	}
	return told, nil
}

// takeAway erases the account here. It gives the key of the revocation that is left to do; "" when there was no token.
func (m *Linking) takeAway(ctx context.Context, acc *account) (string, error) {
	defer m.lockAccount(acc.ID)()
	key := ""
	t, err := m.readToken(ctx, acc.ID)
	switch {
	case err == nil:
		key = newKey()
		if err := m.seal(ctx, secretRevocation, key, t); err != nil {
			return "", err
		}
	case !fault.Is(err, fault.NotFound):
		return "", err
	}
	if err := m.records.remove(ctx, acc, key); err != nil {
		return "", err
	}
	return key, m.host.Secrets().Delete(ctx, secretToken, accountKey(acc.ID))
}

const (
	revokeLimit = 8 * time.Second    // for one try; a person may be waiting
	giveUpAfter = 7 * 24 * time.Hour // then the token is forgotten here, and ends at Particle by itself
)

// revoke tells Particle that the token under key is over, and forgets it. A dead token counts as told.
func (m *Linking) revoke(ctx context.Context, key string) (told bool, err error) {
	r, err := m.records.revocationOf(ctx, key)
	if fault.Is(err, fault.NotFound) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	t, err := m.unseal(ctx, secretRevocation, key)
	if err == nil {
		err = m.revokeAt(ctx, r.BaseURL, t)
	} else if fault.Is(err, fault.NotFound) {
		err = nil
	}
	if err != nil && m.now().Sub(r.CreatedAt) < giveUpAfter {
		wait := min(time.Minute<<min(r.Tries, 10), 12*time.Hour)
		if later := m.records.postpone(ctx, r, m.now().Add(wait)); later != nil {
			return false, later
		}
		return false, err
	}
	told = err == nil
	if err := m.host.Secrets().Delete(ctx, secretRevocation, key); err != nil {
		return told, err
	}
	return told, m.records.dropRevocation(ctx, r.ID)
}

func (m *Linking) revokeAt(ctx context.Context, baseURL string, t sealed) error {
	cloud, err := m.cloud(baseURL)
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, revokeLimit)
	defer cancel()
	return cloud.RevokeToken(limited, t.AccessToken)
}

// renew replaces the token of an account by its refresh token; one renewal of an account at a time, since Particle takes a
// refresh token once. The error is Particle's; BadRefresh, BadClient and BadClientType mean that only linking again helps.
func (m *Linking) renew(ctx context.Context, acc *account, t sealed) (sealed, error) {
	detached := context.WithoutCancel(ctx) // a visitor who leaves must not lose the new pair on its way
	fresh, err, _ := m.renewals.Do(accountKey(acc.ID), func() (any, error) {
		return m.renewOnce(detached, *acc, t)
	})
	if err != nil {
		return sealed{}, err
	}
	return fresh.(sealed), nil
}

func (m *Linking) renewOnce(ctx context.Context, acc account, t sealed) (sealed, error) {
	defer m.lockAccount(acc.ID)()
	if now, err := m.readToken(ctx, acc.ID); err != nil || now.Generation != t.Generation {
		return now, err // somebody else renewed, linked again or unlinked meanwhile
	}
	v := readSettings(m.host.Settings())
	if t.RefreshToken == "" || acc.ClientID != v.client.ID || acc.BaseURL != v.baseURL {
		return sealed{}, &particle.Error{Kind: particle.BadRefresh, Op: "refresh token"}
	}
	cloud, err := m.cloud(v.baseURL)
	if err != nil {
		return sealed{}, err
	}
	token, err := cloud.Refresh(ctx, v.client, t.RefreshToken)
	if err != nil {
		return sealed{}, err
	}
	was := acc.Generation
	if err := m.sealToken(ctx, &acc, token); err != nil {
		return sealed{}, err
	}
	if _, err := m.records.renewed(ctx, &acc, was); err != nil {
		return sealed{}, err
	}
	m.host.Log().Info("a link was renewed", "account", acc.ID)
	return sealed{AccessToken: token.AccessToken, RefreshToken: token.RefreshToken, IssuedAt: acc.TokenAt, ExpiresAt: acc.ExpiresAt, Generation: acc.Generation}, nil
}

// beyondRenewal tells that no further try of a renewal can help.
func beyondRenewal(err error) bool {
	switch particle.KindOf(err) {
	case particle.BadRefresh, particle.BadClientType, particle.DeadToken:
		return true
	}
	return false
}
