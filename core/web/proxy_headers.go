package web

import (
	"net/url"
	"strings"

	"github.com/valyala/fasthttp"

	"mortise/core/router"
)

// The names of core/wire's headers, by which the host tells a module who asks.
const (
	tokenHeader    = "Mortise-Token"
	identityHeader = "Mortise-Identity"
	claimHeader    = "Mortise-Claim"
	requestHeader  = "Mortise-Request"
	hostPrefix     = "mortise-"
)

// Bounds of what a visitor's headers may add to a module's request.
const (
	headersLimit = 64
	valueLimit   = 4 << 10
)

// withheld are the headers of a visitor that a module never sees: credentials, what belongs to one connection, what the host says
// itself, and what only the host checks. Names are lower case.
var withheld = map[string]bool{
	"cookie": true, "authorization": true, "proxy-authorization": true, "x-csrf-token": true,
	"connection": true, "keep-alive": true, "proxy-connection": true, "te": true, "trailer": true, "transfer-encoding": true, "upgrade": true,
	"host": true, "content-length": true, "expect": true, "accept-encoding": true, "forwarded": true, "via": true, "x-real-ip": true,
	"x-request-id": true, "true-client-ip": true, "cf-connecting-ip": true, "http2-settings": true,
}

// passes tells whether a visitor's header goes on to a module.
func passes(name, value []byte) bool {
	if len(name) == 0 || len(name) > 64 || len(value) > valueLimit {
		return false
	}
	var lower [64]byte
	for i, b := range name {
		switch {
		case 'A' <= b && b <= 'Z':
			b += 'a' - 'A'
		case 'a' <= b && b <= 'z', '0' <= b && b <= '9', b == '-':
		default:
			return false // an underscore would be a hyphen to somebody
		}
		lower[i] = b
	}
	key := string(lower[:len(name)])
	if withheld[key] || strings.HasPrefix(key, hostPrefix) || strings.HasPrefix(key, "x-forwarded-") || strings.HasPrefix(key, "proxy-") {
		return false
	}
	return printable(value)
}

// printable tells whether a header's value is without control characters.
func printable(value []byte) bool {
	for _, b := range value {
		if b < 0x20 && b != '\t' || b == 0x7f {
			return false
		}
	}
	return true
}

// appendVisitorHeaders adds those of the visitor's headers that pass.
func appendVisitorHeaders(b []byte, h *fasthttp.RequestHeader) []byte {
	count := 0
	h.VisitAll(func(name, value []byte) {
		if count < headersLimit && passes(name, value) {
			count++
			b = appendHeader(b, string(name), value)
		}
	})
	return b
}

func appendHeader[T string | []byte](b []byte, name string, value T) []byte {
	b = append(b, name...)
	b = append(b, ": "...)
	b = append(b, value...)
	return append(b, "\r\n"...)
}

// allowedAnswer are the headers of a module's answer that reach the visitor as they are. Content-Type, Content-Length, Location,
// Cache-Control and sdk.FlashHeader are looked at one by one; nothing else passes, least of all cookies and policies.
var allowedAnswer = []string{
	"Content-Disposition", "ETag", "Last-Modified", "Retry-After", "Accept-Ranges", "Content-Range",
}

// copyAnswerHeaders passes on what may pass.
func copyAnswerHeaders(to, from *fasthttp.ResponseHeader) {
	for _, name := range allowedAnswer {
		if value := from.Peek(name); len(value) > 0 && len(value) <= 1024 && printable(value) {
			to.SetBytesV(name, value)
		}
	}
}

// cacheRule gives the Cache-Control of a module's file. What needs a permission is never for caches that others share.
func cacheRule(asked string, open bool) string {
	asked = strings.ToLower(strings.TrimSpace(asked))
	if asked == "" || len(asked) > 200 || !printable([]byte(asked)) {
		return "private, no-cache"
	}
	if open {
		return asked
	}
	kept := []string{"private"}
	for _, directive := range strings.Split(asked, ",") {
		directive = strings.TrimSpace(directive)
		if directive == "" || directive == "private" || strings.HasPrefix(directive, "public") || strings.HasPrefix(directive, "s-maxage") || strings.HasPrefix(directive, "private=") {
			continue
		}
		kept = append(kept, directive)
	}
	return strings.Join(kept, ", ")
}

// destination gives the Location that a module's redirect may have: a path of this site, or, for a page that is marked offsite,
// an address at one of the module's origins. ok is false for any other.
func destination(location string, offsite bool, entry *router.Entry) (string, bool) {
	if location == "" || len(location) > 4096 || !printable([]byte(location)) || strings.ContainsAny(location, " \\\"<>") {
		return "", false
	}
	u, err := url.Parse(location)
	if err != nil || u.User != nil {
		return "", false
	}
	if u.Scheme == "" && u.Host == "" {
		path, ok := canonicalPath(u.EscapedPath())
		if !ok || strings.HasPrefix(location, "//") {
			return "", false
		}
		u.Path, u.RawPath = "", ""
		return path + u.String(), true
	}
	if !offsite || u.Scheme != "https" && u.Scheme != "http" {
		return "", false
	}
	origin := strings.ToLower(u.Scheme + "://" + u.Host)
	for _, allowed := range entry.Egress {
		if strings.ToLower(allowed) == origin {
			return u.String(), true
		}
	}
	return "", false
}
