package ownership

import (
	"context"
	"net/http"
	"time"

	"gorm.io/gorm"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/customers/history"
	"mortise/plugins/customers/site"
)

// shadowView is a shadow customer as the staff see it: never its token.
type shadowView struct {
	WorkspaceID int64      `json:"workspace_id"`
	ProductID   string     `json:"product_id"`
	Product     string     `json:"product"`
	Key         string     `json:"key"`
	Username    string     `json:"username"`
	State       string     `json:"state"` // wanted, ready, revoking, revoked
	Problem     string     `json:"problem"`
	TokenAt     *time.Time `json:"token_at"`
	ExpiresAt   *time.Time `json:"expires_at"`
	Ends        bool       `json:"ends"` // soon
	CreatedAt   time.Time  `json:"created_at"`
}

// Shadows lists the shadow customers of a person, without their tokens, as JSON for people.
func (o *Ownership) Shadows(ctx context.Context, userID int64) (any, error) {
	return o.shadowViews(ctx, userID)
}

func (o *Ownership) shadowViews(ctx context.Context, userID int64) ([]shadowView, error) {
	rows, err := o.records.shadowsOf(o.site.DB.WithContext(ctx), userID)
	if err != nil || len(rows) == 0 {
		return []shadowView{}, err
	}
	chosen, err := o.records.products(ctx)
	if err != nil {
		return nil, err
	}
	names := map[productKey]string{}
	for _, row := range chosen {
		names[productKey{row.WorkspaceID, row.ProductID}] = row.Name
	}
	views := make([]shadowView, 0, len(rows))
	for _, s := range rows {
		views = append(views, shadowView{WorkspaceID: s.WorkspaceID, ProductID: s.ProductID, Product: nameOf(names[productKey{s.WorkspaceID, s.ProductID}], s.ProductID),
			Key: clientKey(s.WorkspaceID, s.ProductID), Username: s.Username, State: s.State, Problem: s.Problem, TokenAt: s.TokenAt, ExpiresAt: s.ExpiresAt,
			Ends: s.ExpiresAt != nil && s.ExpiresAt.Before(o.site.Now().Add(dieWithin)), CreatedAt: s.CreatedAt})
	}
	return views, nil
}

// changeShadow renews or revokes the token of a customer's shadow customer.
func (o *Ownership) changeShadow(w http.ResponseWriter, r *http.Request) {
	p, ok := o.personOf(w, r)
	if !ok {
		return
	}
	key, ok := productKeyOf(r.PostFormValue("product"))
	if !ok {
		sdk.Fail(w, r, site.ErrNotFound)
		return
	}
	s, err := o.records.shadow(r.Context(), p.ID, key.workspaceID, key.productID)
	if err != nil {
		o.answer(w, r, err, "", "")
		return
	}
	back := personPath(p.ID) + "/devices"
	switch r.PostFormValue("action") {
	case "renew":
		o.answer(w, r, o.renewNow(r.Context(), s), back, "The shadow customer has a new token; the old one is revoked.")
	case "revoke":
		text, err := o.revokeNow(r.Context(), s)
		o.answer(w, r, err, back, text)
	default:
		sdk.Fail(w, r, fault.New(fault.Invalid, "Choose whether to renew or to revoke the token."))
	}
}

// renewNow gives a shadow customer a new token, and makes the customer if there is none at Particle.
func (o *Ownership) renewNow(ctx context.Context, s *shadow) error {
	by := byOf(ctx)
	if s.State == shadowReady {
		if err := o.renew(context.WithoutCancel(ctx), s); err != nil {
			return err
		}
	} else if _, err := o.shadowToken(ctx, s.UserID, s.WorkspaceID, s.ProductID, ""); err != nil {
		return err
	}
	return o.transaction(ctx, func(tx *gorm.DB) error {
		return history.Add(tx, history.Entry{UserID: s.UserID, Kind: "token_renewed", At: o.site.Now(), Sentence: "The token of the shadow customer was renewed."}.With(by))
	})
}

// revokeNow ends the token of a shadow customer: here at once, at Particle as soon as it answers.
func (o *Ownership) revokeNow(ctx context.Context, s *shadow) (text string, err error) {
	by := byOf(ctx)
	err = o.transaction(ctx, func(tx *gorm.DB) error {
		key := productKey{s.WorkspaceID, s.ProductID}
		now, err := o.records.shadowsIn(tx, key, []int64{s.UserID})
		if err != nil {
			return err
		}
		was, ok := now[s.UserID]
		if !ok || was.State == shadowRevoking || was.State == shadowRevoked {
			return fault.New(fault.Conflict, "There is no token (any more).")
		}
		was.State = shadowRevoking
		if err := o.records.saveShadows(tx, []shadow{was}); err != nil {
			return err
		}
		if err := o.records.addOperations(tx, []operation{o.newOperation(opShadowRevoke, key, "", s.Username, s.UserID, by)}); err != nil {
			return err
		}
		return history.Add(tx, history.Entry{UserID: s.UserID, Kind: "token_revoked", At: o.site.Now(), Sentence: "The token of the shadow customer was revoked."}.With(by))
	})
	if err != nil {
		return "", err
	}
	o.pursueSubjects(ctx, []shadow{*s})
	again, err := o.records.shadowNamed(ctx, s.Username)
	if err == nil && again != nil && again.State == shadowRevoked {
		return "The token is revoked. A new one is made when it is needed.", nil
	}
	return "The token is not used here any more. Particle has not confirmed yet that it is revoked; that is tried again by itself.", err
}
