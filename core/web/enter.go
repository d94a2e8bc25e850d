package web

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"strings"

	"github.com/gofiber/fiber/v2"

	"mortise/core/fault"
)

// enter is where every request comes in: it gets its id, its headers, its visitor's address, and whatever goes wrong further
// in becomes an answer here.
func (s *Server) enter(c *fiber.Ctx) error {
	v := s.arrive(c)
	c.Context().SetUserValue(visitKey{}, v)
	s.protect(v)
	s.meters.inFlight.Inc()
	defer s.depart(v)
	if err := s.attend(v); err != nil {
		s.fail(v, err)
	}
	return nil
}

// attend runs the handlers and turns a panic into an error.
func (s *Server) attend(v *visit) (err error) {
	defer func() {
		if r := recover(); r != nil {
			s.o.Log.Error("a handler panicked", "request_id", v.id, "method", v.method, "path", v.shown(), "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			v.c.Response().Reset()
			s.protect(v)
			err = fault.New(fault.Internal, "panic")
		}
	}()
	if err := v.checkFraming(); err != nil {
		return err
	}
	if v.packed() {
		return &statusError{error: fault.New(fault.Invalid, "Send the request's body as it is, without a content encoding."), status: fiber.StatusUnsupportedMediaType}
	}
	if v.unsafe() {
		if wait, ok := s.limit.take(v.address, v.start); !ok {
			return later(fault.New(fault.TooMany, "Too many requests from your address. Wait a moment and try again."), wait)
		}
	}
	return v.c.Next()
}

// packed tells whether the request's body has a content encoding. No browser sends one, and fiber would unpack it on reading, to
// any size: a thousand times what the limits let in.
func (v *visit) packed() bool {
	for _, encoding := range v.c.Request().Header.PeekAll(fiber.HeaderContentEncoding) {
		if text := strings.TrimSpace(string(encoding)); text != "" && !strings.EqualFold(text, "identity") {
			return true
		}
	}
	return false
}

// arrive makes the visit. A request id from outside is not believed: it would let strangers write into our log's index.
func (s *Server) arrive(c *fiber.Ctx) *visit {
	v := &visit{c: c, s: s, id: newRequestID(), start: s.o.Now(), method: methodOf(c), surface: "site"}
	raw := string(c.Context().URI().PathOriginal())
	if v.path, v.honest = canonicalPath(raw); !v.honest {
		v.path = clip(strings.ToValidUTF8(raw, "?"), 256)
	}
	if v.path == "/admin" || strings.HasPrefix(v.path, "/admin/") {
		v.surface = "admin"
	}
	v.address, v.scheme = s.peers.who(c, s.tls, s.o.TrustedProxies)
	v.json = wantsJSON(c.Get(fiber.HeaderAccept))
	return v
}

// methodOf gives the method as text that stays: fiber's lies in a buffer that is used again.
func methodOf(c *fiber.Ctx) string {
	for _, known := range fiber.DefaultMethods {
		if c.Method() == known {
			return known
		}
	}
	return strings.Clone(c.Method())
}

func newRequestID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// protect sets the headers that every answer carries. A page replaces the content policy by its own; see frame.go.
func (s *Server) protect(v *visit) {
	h := &v.c.Response().Header
	h.Set("X-Request-Id", v.id)
	h.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	h.Set(fiber.HeaderReferrerPolicy, "same-origin")
	h.Set(fiber.HeaderXFrameOptions, "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set(fiber.HeaderPermissionsPolicy, "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	h.Set(fiber.HeaderContentSecurityPolicy, "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	if s.tls {
		h.Set(fiber.HeaderStrictTransportSecurity, "max-age=31536000")
	}
}

// depart counts and logs.
func (s *Server) depart(v *visit) {
	s.meters.inFlight.Dec()
	took := s.o.Now().Sub(v.start)
	status := v.c.Response().StatusCode()
	s.meters.observe(v.module, status, took)
	if s.o.Log.Enabled(context.Background(), slog.LevelDebug) {
		s.o.Log.Debug("request", "request_id", v.id, "method", v.method, "path", v.shown(), "status", status, "took", took, "module", v.module)
	}
}

// peers finds out where a request really comes from.
type peers struct{}

// who gives the visitor's address and scheme. The forwarding headers count only when the peer is a trusted proxy, and of
// X-Forwarded-For only the last address that is not one: everything before it may be the visitor's own invention. Some proxies add
// a line of their own below the visitor's instead of adding to it, so all lines are read as one list.
func (peers) who(c *fiber.Ctx, tls bool, trusted []netip.Prefix) (netip.Addr, string) {
	scheme := "http"
	if tls {
		scheme = "https"
	}
	address := addressOf(c.Context().RemoteAddr())
	if !contains(trusted, address) {
		return address, scheme
	}
	if proto := c.Get(fiber.HeaderXForwardedProto); proto == "http" || proto == "https" {
		scheme = strings.Clone(proto)
	}
	lines := c.Request().Header.PeekAll(fiber.HeaderXForwardedFor)
	hops := strings.Split(string(bytes.Join(lines, []byte(","))), ",")
	for i := len(hops) - 1; i >= 0 && i >= len(hops)-16; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		address = hop.Unmap()
		if !contains(trusted, address) {
			break
		}
	}
	return address, scheme
}

func addressOf(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

func contains(prefixes []netip.Prefix, a netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
