package main

import (
	"strings"
	"time"

	"mortise/plugins/internal/particle"
)

// deviceView is a device as pages and programs see it.
type deviceView struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"` // never empty
	Type      string     `json:"type"` // "Photon", "Argon", "Platform 99"
	Platform  int        `json:"platform_id"`
	Online    bool       `json:"online"`
	Status    string     `json:"status"` // Online, Offline, Unknown
	LastHeard *time.Time `json:"last_heard"`
	Stale     bool       `json:"stale"`      // last known, because the cloud did not answer
	AccountID int64      `json:"account_id"` // 0 for a device of the maker's
	Account   string     `json:"account"`    // the Particle user name; "" for a device of the maker's
	Through   string     `json:"through"`    // account or product: what it is controlled through
	Origin    string     `json:"origin"`     // the Particle user name, or the product's name
	Absent    *trouble   `json:"absent"`     // why it cannot be used at all; null when it can
	Path      string     `json:"path"`
	Cellular  bool       `json:"cellular"`
	Mode      string     `json:"mode"` // "safe_mode" when the device runs without its program
	Serial    string     `json:"serial_number"`
	System    string     `json:"system_version"`
	Firmware  int        `json:"firmware_version"`
	Product   string     `json:"product_id"` // "" for devices without a product
	Handshake *time.Time `json:"last_handshake"`
	Notes     string     `json:"notes"`
	Functions int        `json:"function_count"`
	Variables int        `json:"variable_count"`
}

func viewOf(h holding, d particle.Device) deviceView {
	v := deviceView{ID: strings.ToLower(d.ID), Name: nameOf(d), Type: d.Platform(), Platform: d.PlatformID, Online: d.Online, Status: onlineWord(d.Online),
		Stale: h.stale, AccountID: h.origin().AccountID, Through: h.origin().Kind, Origin: h.origin().Label, Path: "/devices/" + strings.ToLower(d.ID), Cellular: d.Cellular,
		Serial: d.Serial, System: d.System, Firmware: d.Firmware, LastHeard: momentOf(d.LastHeard), Handshake: momentOf(d.Handshake),
		Notes: d.Notes, Functions: len(d.Functions), Variables: len(d.Variables)}
	if d.Status == "safe_mode" {
		v.Mode = d.Status
	}
	if v.Through == fromAccount {
		v.Account = v.Origin
	}
	if d.Firmware > 0 || v.Through == fromProduct {
		v.Product = d.ProductID
	}
	if d.PlatformID == unknownPlatform {
		v.Type, v.Platform = "", 0
	}
	if a, ok := h.source.(*absent); ok {
		v.Absent = a.why
	}
	if h.stale {
		v.Status = "Unknown"
	}
	return v
}

func momentOf(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
