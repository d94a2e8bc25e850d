package ownership

import (
	"context"
	"strconv"
	"time"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/customers/history"
	"mortise/plugins/internal/attachapi"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/tokenapi"
)

// claimLife is how long a claim code is good.
const claimLife = time.Hour

// Claim is a claim code with what is needed to see whether it was used. It prints without the code.
type Claim struct {
	Code      string    // a secret: for the device alone, and for one use
	DeviceIDs []string  // what the owner has at Particle now; the new device is one that is not among them later
	Owner     string    // the owner's name at Particle: of the linked account, or of the shadow customer
	ExpiresAt time.Time // an hour from now
	Way       Way
}

// String hides the code.
func (Claim) String() string { return "ownership.Claim(hidden)" }

// GoString hides the code.
func (c Claim) GoString() string { return c.String() }

// ClaimCode makes a claim code with which a device that a person sets up becomes theirs at Particle. In the way account it is made with
// the account that the person of ctx has linked, so userID must be that person; in the way shadow with the token of the person's shadow customer,
// which is made if needed.
//
// Errors: fault.Conflict where the way is product, which needs none, and where the account or the client is missing; fault.Denied for
// another person's account; and Particle's.
func (o *Ownership) ClaimCode(ctx context.Context, userID, workspaceID int64, productID string) (Claim, error) {
	way, err := o.WayOf(ctx, workspaceID, productID)
	if err != nil {
		return Claim{}, err
	}
	switch way {
	case attachapi.Account:
		return o.accountClaim(ctx, userID, workspaceID, productID)
	case attachapi.Shadow:
		return o.shadowClaim(ctx, userID, workspaceID, productID)
	}
	return Claim{}, fault.New(fault.Conflict, "Devices of this product need no claim code: they stay unclaimed, and work as soon as they are attached.")
}

func (o *Ownership) shadowClaim(ctx context.Context, userID, workspaceID int64, productID string) (Claim, error) {
	p, err := o.Product(ctx, workspaceID, productID)
	if err != nil {
		return Claim{}, err
	}
	t, err := o.shadowToken(ctx, userID, workspaceID, productID, p.Name)
	if err != nil {
		return Claim{}, err
	}
	s, err := o.records.shadow(ctx, userID, workspaceID, productID)
	if err != nil {
		return Claim{}, err
	}
	code, err := o.claimWith(ctx, t, productID)
	if particle.Is(err, particle.DeadToken) { // revoked at Particle, not by this site
		if t, err = o.renewed(ctx, s); err == nil {
			code, err = o.claimWith(ctx, t, productID)
		}
	}
	if err != nil {
		return Claim{}, err
	}
	return Claim{Code: code.Code, DeviceIDs: code.DeviceIDs, Owner: s.Username, ExpiresAt: o.site.Now().Add(claimLife), Way: attachapi.Shadow}, nil
}

// claimWith asks for a claim code; productID "" is for an account.
func (o *Ownership) claimWith(ctx context.Context, t sealedToken, productID string) (particle.ClaimCode, error) {
	cloud, err := o.cloud(t.BaseURL)
	if err != nil {
		return particle.ClaimCode{}, err
	}
	if productID != "" {
		cloud = cloud.InProduct(productID)
	}
	return cloud.ClaimCode(ctx, t.AccessToken)
}

func (o *Ownership) accountClaim(ctx context.Context, userID, workspaceID int64, productID string) (Claim, error) {
	if sdk.UserFrom(ctx).UserID != userID {
		return Claim{}, fault.New(fault.Denied, "A claim code for a person's own Particle account can be made by this person only.")
	}
	p, err := o.Product(ctx, workspaceID, productID)
	if err != nil {
		return Claim{}, err
	}
	var linked tokenapi.Accounts
	if err := o.site.Host.Call(ctx, tokenapi.Service, tokenapi.Get, struct{}{}, &linked); err != nil {
		return Claim{}, err
	}
	for _, a := range linked.Accounts {
		if a.State != tokenapi.Active || a.BaseURL != p.BaseURL {
			continue
		}
		code, err := o.claimWith(ctx, sealedToken{AccessToken: a.AccessToken, BaseURL: a.BaseURL}, "")
		if particle.Is(err, particle.DeadToken) {
			report := tokenapi.Report{ID: a.ID, Generation: a.Generation}
			if err := o.site.Host.Call(ctx, tokenapi.Service, tokenapi.ReportDead, report, nil); err != nil {
				o.site.Host.Log().Warn("a dead link could not be reported", "account", a.ID, "error", err)
			}
			continue
		}
		if err != nil {
			return Claim{}, err
		}
		return Claim{Code: code.Code, DeviceIDs: code.DeviceIDs, Owner: a.Label, ExpiresAt: o.site.Now().Add(claimLife), Way: attachapi.Account}, nil
	}
	return Claim{}, fault.New(fault.Conflict, "Link your Particle account first: the device is to belong to it.")
}

func byOf(ctx context.Context) history.Actor { return history.By(ctx) }

func clientKey(workspaceID int64, productID string) string {
	return strconv.FormatInt(workspaceID, 10) + "/" + productID
}
