package web

import (
	"net/url"
	"strings"

	"github.com/gofiber/fiber/v2"

	"mortise/core/fault"
)

// The names under which a CSRF token travels. Every answer to a GET of a page carries the header, so that programs get it too.
const (
	csrfHeader = "X-CSRF-Token"
	csrfField  = "_csrf"
)

// token gives the CSRF token for forms of this answer.
func (v *visit) token() string {
	v.greet()
	return v.s.sign.csrf(v.anchor)
}

var errForged = fault.New(fault.Denied, "This form is no longer valid. Open the page again and repeat what you did.")

// checkForgery refuses a request that another site may have made in the visitor's name: one that the browser says comes from
// elsewhere, and one without a token bound to the visitor's own cookie.
func (v *visit) checkForgery() error {
	if !v.sameOrigin() {
		return errForged
	}
	token := v.c.Get(csrfHeader)
	if token == "" {
		token = v.field(csrfField)
	}
	if v.anchor == "" || token == "" || !v.s.sign.csrfMatches(v.anchor, token) {
		return errForged
	}
	return nil
}

// sameOrigin reads what the browser says about where a request comes from. Programs say nothing; for them the token decides.
func (v *visit) sameOrigin() bool {
	switch site := v.c.Get("Sec-Fetch-Site"); site {
	case "", "same-origin", "none":
	default:
		return false
	}
	origin := v.c.Get(fiber.HeaderOrigin)
	if origin == "" {
		return true
	}
	if origin == v.s.origin {
		return true
	}
	return origin == v.scheme+"://"+v.c.Get(fiber.HeaderHost)
}

// originOf is scheme://host[:port] of an address.
func originOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return ""
	}
	return strings.ToLower(u.Scheme + "://" + u.Host)
}
