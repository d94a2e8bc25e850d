package web

import (
	"github.com/gofiber/fiber/v2"

	"mortise/core/fault"
)

// access says what a route of the host demands of the visitor before its handler runs.
type access uint8

const (
	public     access = iota // everybody
	signedIn                 // anybody who is signed in
	permission               // who has the route's permission
	machine                  // programs without a session: no cookie, no CSRF token; the handler decides
)

var accessNames = [...]string{"public", "signed_in", "permission", "machine"}

// route is one URL of the host.
type route struct {
	method, path string
	access       access
	permission   string // for access permission
	handle       func(*visit) error
}

// RouteInfo describes a route, for tests and for the status page.
type RouteInfo struct {
	Method     string `json:"method"`
	Path       string `json:"path"` // with fiber's ":name" parameters
	Access     string `json:"access"`
	Permission string `json:"permission,omitempty"`
}

// Routes gives every URL of the host with what it demands.
func (s *Server) Routes() []RouteInfo {
	all := make([]RouteInfo, len(s.routes))
	for i, r := range s.routes {
		all[i] = RouteInfo{Method: r.method, Path: r.path, Access: accessNames[r.access], Permission: r.permission}
	}
	return all
}

// group builds routes that demand the same.
type group struct {
	access     access
	permission string
	routes     []route
}

func (g *group) get(path string, handle func(*visit) error)  { g.add(fiber.MethodGet, path, handle) }
func (g *group) post(path string, handle func(*visit) error) { g.add(fiber.MethodPost, path, handle) }

func (g *group) add(method, path string, handle func(*visit) error) {
	g.routes = append(g.routes, route{method: method, path: path, access: g.access, permission: g.permission, handle: handle})
}

// allRoutes is every URL of the host.
func (s *Server) allRoutes() []route {
	machines := &group{access: machine}
	machines.get("/healthz", s.healthz)
	machines.get("/readyz", s.readyz)
	machines.get("/metrics", s.metrics)
	machines.get("/assets/*", s.asset)
	machines.get("/favicon.ico", s.favicon)
	machines.get("/favicon.svg", s.favicon)
	machines.get("/robots.txt", s.robots)
	machines.get("/manifest.webmanifest", s.webManifest)

	everybody := &group{access: public}
	everybody.get("/", s.home)
	everybody.get("/login", s.loginForm)
	everybody.post("/login", s.login)
	everybody.post("/logout", s.logout)
	everybody.get("/register", s.registerForm)
	everybody.post("/register", s.register)
	everybody.get("/password/forgot", s.forgotForm)
	everybody.post("/password/forgot", s.forgot)
	everybody.get("/password/reset/:token", s.resetForm)
	everybody.post("/password/reset/:token", s.reset)
	everybody.get("/setup/:token", s.setupForm)
	everybody.post("/setup/:token", s.setup)
	everybody.get("/login-link/:token", s.linkForm)
	everybody.post("/login-link/:token", s.link)

	own := &group{access: signedIn}
	own.get("/account", s.account)
	own.post("/account", s.accountSave)
	own.post("/account/email", s.accountEmail)
	own.post("/account/password", s.accountPassword)
	own.post("/account/sessions/end", s.sessionsEnd)
	own.post("/account/sessions/:id/end", s.sessionEnd)
	own.get("/account/delete", s.accountDeleteForm)
	own.post("/account/delete", s.accountDelete)

	if s.o.Admin == nil {
		return join(machines, everybody, own)
	}
	return append(join(machines, everybody, own), s.adminRoutes()...)
}

func join(groups ...*group) []route {
	var all []route
	for _, g := range groups {
		all = append(all, g.routes...)
	}
	return all
}

// handle wraps a route's handler in the checks that it demands.
func (s *Server) handle(r *route) fiber.Handler {
	return func(c *fiber.Ctx) error {
		v := visitOf(c)
		v.pattern = r.path
		if r.access == machine {
			return r.handle(v)
		}
		v.recognizeOnce()
		switch {
		case r.access == signedIn && !v.signedIn:
			return fault.New(fault.SignedOut, "Sign in to see this page.")
		case r.access == permission && !v.can(r.permission):
			return v.refuse(r.permission)
		}
		if v.unsafe() {
			if err := v.checkForgery(); err != nil {
				return err
			}
		}
		return r.handle(v)
	}
}

// allowedBy gives the methods of the host's routes that have path, for the answer to another method; "" when there are none.
func (s *Server) allowedBy(path string) string {
	allow := ""
	for i := range s.routes {
		r := &s.routes[i]
		if r.path == path || fiber.RoutePatternMatch(path, r.path, fiber.Config{CaseSensitive: true, StrictRouting: true}) {
			if allow != "" {
				allow += ", "
			}
			allow += r.method
			if r.method == fiber.MethodGet {
				allow += ", " + fiber.MethodHead
			}
		}
	}
	return allow
}
