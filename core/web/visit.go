package web

import (
	"context"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"mortise/core/identity"
	"mortise/core/sdk"
)

// visit is one request as the handlers see it. It ends with the handler: what a stream needs later is copied out.
type visit struct {
	c *fiber.Ctx
	s *Server

	id      string     // the request's id, quoted on error pages and in the log
	method  string     // GET, HEAD, POST …
	path    string     // canonical; see canonicalPath
	pattern string     // of the host's route; "" for a module's page
	honest  bool       // whether path has a canonical spelling
	address netip.Addr // the visitor's, behind trusted proxies
	scheme  string     // http or https, as the visitor's browser sees it
	start   time.Time
	json    bool // a program asks

	recognized bool
	who        identity.Principal
	signedIn   bool
	anchor     string // what the CSRF token is bound to: the session's id or the anonymous visitor's cookie

	surface string // "site" or "admin"
	module  string // whose page it is; "" for the host's
	nonce   string
}

type visitKey struct{}

// ctx carries the request's id to the log. It is not tied to fiber's context, which is used again after the request.
func (v *visit) ctx() context.Context {
	return sdk.WithRequest(context.Background(), sdk.Request{ID: v.id})
}

// shown is the path as the log may have it: one-time links are as good as passwords.
func (v *visit) shown() string {
	if strings.Contains(v.pattern, ":token") {
		return v.pattern
	}
	return v.path
}

// visitOf gives the visit that enter stored.
func visitOf(c *fiber.Ctx) *visit {
	v, _ := c.Context().UserValue(visitKey{}).(*visit)
	return v
}

// can tells whether the visitor has a permission. It asks memory only.
func (v *visit) can(permission string) bool {
	return v.signedIn && v.s.o.People.Can(v.who.User.Roles, permission)
}

// caller is the visitor as identity's flood control counts.
func (v *visit) caller() identity.Client {
	return identity.Client{Address: v.address, Agent: v.header(fiber.HeaderUserAgent)}
}

// actor is the visitor as somebody who changes things.
func (v *visit) actor() identity.Actor { return identity.ActorOf(v.who) }

// header gives a copy of a request header.
func (v *visit) header(name string) string { return strings.Clone(v.c.Get(name)) }

// param gives a decoded part of the path; "" when it cannot be decoded.
func (v *visit) param(name string) string {
	text, err := url.PathUnescape(v.c.Params(name))
	if err != nil {
		return ""
	}
	return strings.Clone(text)
}

// query gives a copy of one value of the query.
func (v *visit) query(name string) string { return strings.Clone(v.c.Query(name)) }

// queries gives a copy of the whole query; nil when there is none or it cannot be read.
func (v *visit) queries() url.Values {
	raw := v.c.Context().URI().QueryString()
	if len(raw) == 0 {
		return nil
	}
	values, err := url.ParseQuery(string(raw))
	if err != nil {
		return nil
	}
	return values
}

// location is the path with its query, to come back to.
func (v *visit) location() string {
	if raw := v.c.Context().URI().QueryString(); len(raw) > 0 {
		return v.path + "?" + string(raw)
	}
	return v.path
}

// unsafe tells whether the method may change something.
func (v *visit) unsafe() bool {
	switch v.method {
	case fiber.MethodGet, fiber.MethodHead, fiber.MethodOptions:
		return false
	}
	return true
}

// wantsJSON reads Accept the way sdk.WantsJSON does.
func wantsJSON(accept string) bool {
	return strings.Contains(accept, fiber.MIMEApplicationJSON) && !strings.Contains(accept, fiber.MIMETextHTML)
}
