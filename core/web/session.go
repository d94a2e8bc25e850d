package web

import (
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"mortise/core/identity"
)

// The cookies. Over TLS they carry the __Host- prefix: the browser then takes them only with Secure, Path=/ and without Domain,
// so that no other host of the same domain can plant one.
const (
	sessionCookie = "session"
	visitorCookie = "visitor"
	flashCookie   = "flash"
)

// sessionLifetime is how long a browser keeps the session's cookie. The session itself ends earlier, when identity says so.
const sessionLifetime = 90 * 24 * time.Hour

func (s *Server) cookieName(name string) string {
	if s.tls {
		return "__Host-" + name
	}
	return name
}

// setCookie sends a cookie that scripts cannot read. lifetime 0 keeps it until the browser closes; a negative one deletes it.
func (v *visit) setCookie(name, value string, lifetime time.Duration) {
	cookie := fiber.Cookie{
		Name: v.s.cookieName(name), Value: value, Path: "/", Secure: v.s.tls, HTTPOnly: true, SameSite: fiber.CookieSameSiteLaxMode,
	}
	switch {
	case lifetime < 0:
		cookie.Expires = time.Unix(0, 0)
	case lifetime > 0:
		cookie.MaxAge = int(lifetime / time.Second)
	default:
		cookie.SessionOnly = true
	}
	v.c.Cookie(&cookie)
}

// recognizeOnce finds out who asks: a live session, or an anonymous visitor with a cookie of ours, or somebody new.
func (v *visit) recognizeOnce() {
	if v.recognized {
		return
	}
	v.recognized = true
	if token := v.c.Cookies(v.s.cookieName(sessionCookie)); token != "" && len(token) <= 128 {
		if who, ok := v.s.o.People.Authenticate(token); ok {
			v.who, v.signedIn, v.anchor = who, true, who.Session.ID
			return
		}
	}
	if signed := v.c.Cookies(v.s.cookieName(visitorCookie)); signed != "" && len(signed) <= 128 {
		if value, ok := v.s.sign.open("visitor", signed); ok {
			v.anchor = strings.Clone(value)
		}
	}
}

// greet makes sure that there is something to bind a CSRF token to. It is called for pages only, never for assets.
func (v *visit) greet() {
	if v.anchor != "" {
		return
	}
	v.anchor = randomText(16)
	v.setCookie(visitorCookie, v.s.sign.sign("visitor", v.anchor), 0)
}

// welcome starts a session. Its token is always new: what the browser sent before is worth nothing afterwards.
func (v *visit) welcome(in identity.SignedIn) {
	v.who, v.signedIn, v.anchor = in.Principal, true, in.Session.ID
	v.setCookie(sessionCookie, in.Token, sessionLifetime)
	v.setCookie(visitorCookie, "", -1)
	v.c.Response().Header.Set(csrfHeader, v.token()) // the one before is worth nothing now
}

// farewell takes the session's cookie away.
func (v *visit) farewell() {
	v.who, v.signedIn, v.anchor = identity.Principal{}, false, ""
	v.setCookie(sessionCookie, "", -1)
}
