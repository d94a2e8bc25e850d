package core

import (
	"context"
	"crypto/tls"

	"mortise/core/fault"
	"mortise/core/services"
	"mortise/core/web"
)

// webOptions are the parts that the pages use.
func (h *Host) webOptions(o Options, claims *services.Claims, key []byte, certificate *tls.Config) web.Options {
	return web.Options{
		Log: h.log, PublicURL: h.URL(), Certificate: certificate, TrustedProxies: h.config.TrustedProxies, Key: key, MetricsToken: h.config.MetricsToken,
		People: h.people, Site: h.site, Theme: h.theme, Routes: h.router.Load, Modules: web.Supervised(h.supervisor),
		Claim: func(c web.Claim) string {
			return claims.Mint(services.Claim{UserID: c.UserID, Session: c.Session, Module: c.Module, RequestID: c.RequestID, ExpiresAt: c.ExpiresAt})
		},
		Ready: h.ready, Attention: h.attention, Demo: o.Demo,
		Admin: &web.Admin{
			Modules: h.modules, Book: h.book, Board: h.board, Help: h.help, Jobs: h.jobs, Outbox: h.outbox, Mail: h.mail, Version: Version,
		},
	}
}

// ready tells whether requests can be answered.
func (h *Host) ready(ctx context.Context) error {
	if !h.running.Load() {
		return fault.New(fault.Unavailable, "modules are starting")
	}
	if err := h.store.Read(ctx).Exec("SELECT 1").Error; err != nil {
		return fault.Wrap(fault.Unavailable, err, "the store does not answer")
	}
	return nil
}
