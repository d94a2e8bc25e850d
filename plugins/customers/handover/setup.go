package handover

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/customers/ownership"
	"mortise/plugins/customers/site"
	"mortise/plugins/internal/attachapi"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/productapi"
	"mortise/plugins/internal/tokenapi"
)

const (
	codeTime = time.Hour
	maxCodes = 20 // claim codes of one person within codeTime
)

// mine finds the device of ?device= among those that are attached to the visitor. It has answered when ok is false.
func (h *Handover) mine(w http.ResponseWriter, r *http.Request) (a ownership.Attachment, ok bool) {
	if !may(w, r, mayOwn) {
		return a, false
	}
	if id := r.URL.Query().Get("device"); particle.IsDeviceID(id) {
		a, err := h.owners.OfDevice(r.Context(), particle.NormalID(id))
		if err != nil && !fault.Is(err, fault.NotFound) {
			sdk.Fail(w, r, err)
			return a, false
		}
		if err == nil && a.UserID == sdk.UserFrom(r.Context()).UserID {
			return a, true
		}
	}
	sdk.Fail(w, r, site.ErrNotFound)
	return a, false
}

// showSetup explains how a device is set up that must be claimed at Particle too: ?device= its id. Where none must be, it leads on.
func (h *Handover) showSetup(w http.ResponseWriter, r *http.Request) {
	a, ok := h.mine(w, r)
	if !ok {
		return
	}
	if a.Way == attachapi.Product {
		sdk.Redirect(w, r, h.onwards(r.Context(), a))
		return
	}
	h.renderSetup(w, r, a, nil, "")
}

// makeCode makes a claim code and shows it. It is nowhere kept: opening the page again makes no code, and the form makes another one.
func (h *Handover) makeCode(w http.ResponseWriter, r *http.Request) {
	a, ok := h.mine(w, r)
	if !ok {
		return
	}
	err := h.count(r.Context(), tryCode, maxCodes, codeTime, "You have asked for many codes within an hour. Wait a while.")
	var claim ownership.Claim
	if err == nil {
		claim, err = h.owners.ClaimCode(r.Context(), a.UserID, a.WorkspaceID, a.ProductID)
	}
	if err != nil {
		message, visible := fault.Visible(err)
		if !visible {
			sdk.Fail(w, r, err)
			return
		}
		h.renderSetup(w, r, a, nil, message)
		return
	}
	h.renderSetup(w, r, a, &claim, "")
}

// The states of a device that is being set up.
const (
	setupWaiting   = "waiting"
	setupElsewhere = "elsewhere" // claimed at Particle by somebody else, such as the maker at the bench
	setupArrived   = "arrived"   // claimed by the person
	setupOnline    = "online"    // and connected
	setupUnknown   = "unknown"   // Particle could not be asked
)

func (h *Handover) renderSetup(w http.ResponseWriter, r *http.Request, a ownership.Attachment, claim *ownership.Claim, trouble string) {
	data := map[string]any{"device_id": a.DeviceID, "name": a.Name, "product": a.Product, "way": a.Way, "state": h.setupState(r, a), "trouble": trouble, "code": "", "until": nil,
		"path": setupPath + "?device=" + a.DeviceID, "device_path": h.site.DevicesPath(r.Context(), a.DeviceID), "site": h.site.Host.Site().Name}
	if claim != nil {
		data["code"], data["until"] = claim.Code, claim.ExpiresAt
	}
	sdk.Render(w, r, sdk.View{Template: "setup_page", Title: "Set your device up", Data: data})
}

// setupState tells how far a device is. That somebody owns it says little: it may still be the maker, who tested it.
func (h *Handover) setupState(r *http.Request, a ownership.Attachment) string {
	states, err := h.fleet.States(r.Context(), productapi.Product{WorkspaceID: a.WorkspaceID, ProductID: a.ProductID}, []string{a.DeviceID})
	if err != nil || len(states.Devices) == 0 {
		return setupUnknown
	}
	d := states.Devices[0]
	if d.Owner == "" {
		return setupWaiting
	}
	names, err := h.namesAtParticle(r.Context(), a)
	switch {
	case err != nil:
		return setupUnknown
	case !slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(name, d.Owner) }):
		return setupElsewhere
	case d.Online:
		return setupOnline
	}
	return setupArrived
}

// namesAtParticle are the user names under which the person's devices of a product can stand at Particle: those of the linked accounts,
// or that of the shadow customer.
func (h *Handover) namesAtParticle(ctx context.Context, a ownership.Attachment) (names []string, err error) {
	if a.Way == attachapi.Account {
		var linked tokenapi.Accounts
		if err := h.site.Host.Call(ctx, tokenapi.Service, tokenapi.Get, struct{}{}, &linked); err != nil {
			return nil, err
		}
		for _, account := range linked.Accounts {
			names = append(names, account.Label)
		}
		return names, nil
	}
	shadows, err := h.owners.Shadows(ctx, a.UserID)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(shadows)
	if err != nil {
		return nil, err
	}
	var list []struct {
		productapi.Product
		Username string `json:"username"`
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, err
	}
	for _, s := range list {
		if s.WorkspaceID == a.WorkspaceID && s.ProductID == a.ProductID {
			names = append(names, s.Username)
		}
	}
	return names, nil
}
