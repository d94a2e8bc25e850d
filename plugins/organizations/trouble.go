package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"mortise/core/fault"
	"mortise/plugins/internal/particle"
)

// trouble is why Particle did not do what was asked, for people and programs. nil: all is well.
type trouble struct {
	Kind     string `json:"kind"` // no_credential, or a kind of package particle
	Scope    string `json:"scope,omitempty"`
	Sentence string `json:"sentence"`
	Remedy   string `json:"remedy"`
	Edit     bool   `json:"edit"` // the remedy is at the workspace's credential
	fault    fault.Kind
}

const noCredential = "no_credential"

// explain puts an error of a call that needs a scope into words.
func explain(err error, scope string) *trouble {
	var e *particle.Error
	if !errors.As(err, &e) {
		message, visible := fault.Visible(err)
		if !visible {
			message = "Something went wrong here."
		}
		return &trouble{Kind: fault.KindOf(err).String(), Sentence: message, Remedy: "Try again; the log of the site tells more.", fault: fault.KindOf(err)}
	}
	t := &trouble{Kind: string(e.Kind), Sentence: e.Message, Remedy: e.Hint, fault: fault.KindOf(err)}
	switch {
	case e.Kind == particle.DeadToken:
		t.Sentence, t.Edit = "Particle refuses the credential of this workspace (401).", true
		t.Remedy = "The token is wrong, was revoked, or has expired. Enter a new one."
		if strings.Contains(strings.ToLower(e.Description), "expired") {
			t.Sentence = "The credential of this workspace has expired (401)."
			t.Remedy = "Enter a new token. The token of an API user does not expire."
		}
	case refused(err):
		t.Kind, t.fault = string(particle.Denied), fault.Denied
		t.Scope, t.Edit = scope, true
		t.Sentence = "The credential may not do this (403): it lacks the scope " + scope + ", or it belongs to another product or account."
		t.Remedy = "Give the API user this scope at Particle. That makes a new token; enter it here."
		if scope == "" {
			t.Sentence = "The credential may not do this (403)."
			t.Remedy = "Use a token with the right to it."
		}
	case e.Kind == particle.NotParticle:
		t.Edit = true
	case e.Kind == particle.RateLimited:
		t.Sentence = "Particle asks this site to slow down (429)."
		if e.RetryAfter > 0 {
			t.Remedy = "Wait " + e.RetryAfter.Round(time.Second).String() + " and try again."
		}
	}
	return t
}

// err gives the trouble as a fault, for answers that are an error page.
func (t *trouble) err() error {
	return fault.New(t.fault, "%s %s", t.Sentence, t.Remedy)
}

// access is a workspace that can be worked with: its cloud and its token.
type access struct {
	*workspace
	cloud *particle.Client
	token string

	sealedFor string // the API user that the token was sealed for; "" when a person entered it
}

// in is the cloud as seen from a product; "" means the account itself.
func (a *access) in(productID string) *particle.Client {
	if productID == "" {
		return a.cloud
	}
	return a.cloud.InProduct(productID)
}

// access unseals the credential of a workspace.
func (m *Organizations) access(ctx context.Context, w *workspace) (*access, *trouble) {
	sealed, err := m.host.Secrets().Get(ctx, "credential", keyOf(w.ID))
	// A token is sealed with the address it was entered for, so that it is never sent to another one.
	address, rest, _ := strings.Cut(sealed, " ")
	token, username, _ := strings.Cut(rest, " ")
	if fault.Is(err, fault.NotFound) || err == nil && address != w.BaseURL {
		return nil, &trouble{Kind: noCredential, Sentence: "The workspace has no credential.", Remedy: "Enter the token of an API user.", Edit: true, fault: fault.Conflict}
	}
	if err != nil {
		return nil, explain(err, "")
	}
	cloud, err := m.cloud(w.BaseURL)
	if err != nil {
		return nil, explain(err, "")
	}
	return &access{workspace: w, cloud: cloud, token: token, sealedFor: username}, nil
}

// troubleIn explains an error, and marks the workspace when its token is dead, so that it is known everywhere at once.
func (m *Organizations) troubleIn(ctx context.Context, w *workspace, err error, scope string) *trouble {
	t := explain(err, scope)
	if particle.Is(err, particle.DeadToken) {
		now := m.now()
		err := m.records.note(context.WithoutCancel(ctx), w.ID, map[string]any{"health": healthBad, "problem": t.Kind, "sentence": t.Sentence, "remedy": t.Remedy, "checked_at": &now})
		if err != nil {
			m.host.Log().Warn("the health of a workspace could not be noted", "workspace", w.ID, "error", err)
		}
	}
	return t
}
