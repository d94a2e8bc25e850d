package handover

import (
	"net/http"
	"time"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/customers/ownership"
	"mortise/plugins/customers/site"
	"mortise/plugins/internal/attachapi"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/productapi"
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
		sdk.Redirect(w, r, "/devices/"+a.DeviceID)
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
	setupWaiting = "waiting"
	setupArrived = "arrived" // claimed at Particle
	setupOnline  = "online"  // and connected
	setupUnknown = "unknown" // Particle could not be asked
)

func (h *Handover) renderSetup(w http.ResponseWriter, r *http.Request, a ownership.Attachment, claim *ownership.Claim, trouble string) {
	data := map[string]any{"device_id": a.DeviceID, "name": a.Name, "product": a.Product, "way": a.Way, "state": h.setupState(r, a), "trouble": trouble, "code": "", "until": nil,
		"path": setupPath + "?device=" + a.DeviceID, "device_path": "/devices/" + a.DeviceID, "site": h.site.Host.Site().Name}
	if claim != nil {
		data["code"], data["until"] = claim.Code, claim.ExpiresAt
	}
	sdk.Render(w, r, sdk.View{Template: "setup_page", Title: "Set your device up", Data: data})
}

func (h *Handover) setupState(r *http.Request, a ownership.Attachment) string {
	states, err := h.fleet.States(r.Context(), productapi.Product{WorkspaceID: a.WorkspaceID, ProductID: a.ProductID}, []string{a.DeviceID})
	switch {
	case err != nil || len(states.Devices) == 0:
		return setupUnknown
	case states.Devices[0].Owner == "":
		return setupWaiting
	case states.Devices[0].Online:
		return setupOnline
	}
	return setupArrived
}
