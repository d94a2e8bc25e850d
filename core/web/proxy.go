package web

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"

	"mortise/core/fault"
	"mortise/core/manifest"
	"mortise/core/router"
	"mortise/core/sdk"
	"mortise/core/web/upstream"
)

// How long the host waits for a module that has just gone, and how long claims hold.
const (
	restartPatience = 2 * time.Second
	pageClaim       = 10 * time.Minute
	streamClaim     = time.Hour
)

// modulePage is the late catch-all: what is not the host's own is looked up in the modules' routes.
func (s *Server) modulePage(c *fiber.Ctx) error {
	v := visitOf(c)
	v.recognizeOnce()
	if !v.honest {
		return errNotFound
	}
	m := s.o.Routes().Match(v.method, v.path)
	switch m.Outcome {
	case router.Found:
		return s.answerPage(v, m.Entry, m.Page)
	case router.MethodNotAllowed:
		return notAllowed(m.Allow)
	case router.Moved:
		location := m.Location
		if raw := c.Context().URI().QueryString(); len(raw) > 0 {
			location += "?" + string(raw)
		}
		c.Response().Header.Set(fiber.HeaderLocation, location)
		c.Status(fiber.StatusPermanentRedirect)
		return nil
	}
	if trimmed := strings.TrimSuffix(v.path, "/"); trimmed != v.path && s.hasPage[trimmed] && !v.unsafe() {
		c.Response().Header.Set(fiber.HeaderLocation, trimmed)
		c.Status(fiber.StatusPermanentRedirect)
		return nil
	}
	if allow := s.allowedBy(v.path); allow != "" {
		return notAllowed(allow)
	}
	return errNotFound
}

// answerPage checks what the manifest says about a page and then asks the module.
func (s *Server) answerPage(v *visit, entry *router.Entry, page *manifest.Page) error {
	v.module = entry.Manifest.ID
	if !page.Public && !v.can(page.Permission) {
		return v.refuse(page.Permission)
	}
	if v.unsafe() {
		if int64(len(v.c.Body())) > page.Limit() {
			return fault.New(fault.TooLarge, "That is more than this page accepts.")
		}
		if err := v.checkForgery(); err != nil {
			return err
		}
	}
	if entry.State == router.Paused {
		return later(fault.New(fault.Unavailable, "%s is paused at the moment. Nothing is lost; please come back later.", entry.Manifest.Name), 2*time.Minute)
	}
	v.greet()
	x := &exchange{v: v, entry: entry, page: page}
	return x.run()
}

// exchange is one question to a module and its answer.
type exchange struct {
	v     *visit
	entry *router.Entry
	page  *manifest.Page
	lease Lease
	res   *upstream.Response
	live  *liveEntry // for a page that may stream
}

// run asks, answers and lets go of everything, unless the answer goes on as a stream.
func (x *exchange) run() error {
	handedOver := false
	defer func() {
		if !handedOver {
			x.release() // also after a panic
		}
	}()
	if x.page.Stream {
		live, err := x.v.s.live.enter(x.v)
		if err != nil {
			return err
		}
		x.live = live
	}
	err := x.ask()
	if err == nil {
		handedOver, err = x.answer()
	}
	return err
}

// release gives everything back; it may be called twice.
func (x *exchange) release() {
	if x.res != nil {
		x.res.Close()
		x.res = nil
	}
	if x.lease != nil {
		x.lease.Release()
		x.lease = nil
	}
	if x.live != nil {
		x.live.leave()
		x.live = nil
	}
}

func (x *exchange) acquire() (err error) {
	if x.page.Stream {
		x.lease, err = x.v.s.o.Modules.AcquireStream(x.entry.Manifest.ID)
	} else {
		x.lease, err = x.v.s.o.Modules.Acquire(x.entry.Manifest.ID)
	}
	return err
}

// headers keeps the buffers in which the header lines for modules are built.
var headers = sync.Pool{New: func() any { b := make([]byte, 0, 2<<10); return &b }}

// ask sends the request. A page that was asked for by GET or HEAD is asked for once more when the module went away before a byte
// of its answer: it has then done nothing that counts, and a module that crashed is back within a second or two.
func (x *exchange) ask() error {
	v := x.v
	err := x.acquire()
	if backSoon(err) { // nothing was sent yet, so any method may wait
		err = x.acquireAgain()
	}
	if err != nil {
		return err
	}
	err = x.send()
	var gone *upstream.ConnectionError
	if errors.As(err, &gone) && !v.unsafe() {
		v.s.meters.retries.WithLabelValues(v.module).Inc()
		x.lease.Release()
		x.lease = nil
		if err := x.acquireAgain(); err != nil {
			return err
		}
		err = x.send()
	}
	return x.explain(err)
}

// backSoon tells from Acquire's error whether the module is about to run again, such as after its first crash. Visitors then wait
// that moment and never learn of it; a module that is kept down for longer is refused at once, so that requests do not pile up.
func backSoon(err error) bool {
	var after interface{ RetryAfter() time.Duration }
	if !errors.As(err, &after) {
		return false
	}
	wait := after.RetryAfter()
	return wait > 0 && wait <= restartPatience
}

// acquireAgain waits, within bounds, until the module runs.
func (x *exchange) acquireAgain() error {
	ctx, cancel := context.WithTimeout(x.v.ctx(), restartPatience)
	defer cancel()
	if err := x.v.s.o.Modules.WaitRunning(ctx, x.v.module); err != nil {
		return err
	}
	return x.acquire()
}

// explain gives an error of the transport its kind.
func (x *exchange) explain(err error) error {
	if err == nil {
		return nil
	}
	x.lease.Observe(fiber.StatusBadGateway, x.v.s.o.Now().Sub(x.v.start))
	name := x.entry.Manifest.Name
	var timeout interface{ Timeout() bool }
	var gone *upstream.ConnectionError
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		x.v.s.o.Log.Warn("a module did not answer in time", "request_id", x.v.id, "module", x.v.module, "path", x.v.path)
		return fault.Wrap(fault.Timeout, err, "%s did not answer in time. Try again in a moment.", name)
	case errors.As(err, &gone):
		x.v.s.o.Log.Warn("a module went away during a request", "request_id", x.v.id, "module", x.v.module, "path", x.v.path, "error", err.Error())
		return later(fault.Wrap(fault.Unavailable, err, "%s is restarting. Try again in a moment.", name), time.Second)
	}
	return badAnswer(err)
}

// send makes one attempt.
func (x *exchange) send() error {
	v := x.v
	buffer := headers.Get().(*[]byte)
	lines, err := x.headerLines((*buffer)[:0])
	if err == nil {
		req := upstream.Request{Method: v.method, Target: v.target(), Header: lines}
		if v.unsafe() {
			req.Body = v.c.Body()
		}
		x.res, err = v.s.pages.of(x.lease).Do(time.Now().Add(x.page.TimeLimit()), &req)
	}
	*buffer = lines[:0]
	headers.Put(buffer)
	return err
}

// target is the canonical path with the query as it came.
func (v *visit) target() string {
	raw := v.c.Context().URI().QueryString()
	if len(raw) == 0 || !printable(raw) {
		return v.path
	}
	for _, b := range raw {
		if b == ' ' || b >= 0x80 {
			return v.path + "?" + v.c.Context().QueryArgs().String() // encoded anew
		}
	}
	return v.path + "?" + string(raw)
}

// headerLines gives the visitor's headers that may pass and what the host says itself.
func (x *exchange) headerLines(b []byte) ([]byte, error) {
	v := x.v
	b = appendVisitorHeaders(b, &v.c.Request().Header)
	b = appendHeader(b, tokenHeader, x.lease.Token())
	b = appendHeader(b, requestHeader, v.id)
	b = appendHeader(b, "X-Forwarded-Proto", v.scheme)
	if _, host, ok := strings.Cut(v.s.origin, "://"); ok { // the site's own: the visitor's Host header may name any
		b = appendHeader(b, "X-Forwarded-Host", host)
	}
	who, err := json.Marshal(x.identity())
	if err != nil {
		return b, fmt.Errorf("encode the identity: %w", err)
	}
	b = append(b, identityHeader...)
	b = append(b, ": "...)
	b = base64.RawURLEncoding.AppendEncode(b, who)
	b = append(b, "\r\n"...)
	if v.signedIn {
		valid := pageClaim
		if x.page.Stream {
			valid = streamClaim
		}
		b = appendHeader(b, claimHeader, v.s.o.Claim(Claim{
			UserID: v.who.User.ID, Session: v.who.Session.ID, Module: v.module, RequestID: v.id, ExpiresAt: time.Now().Add(valid),
		}))
	}
	return b, nil
}

// identity is the visitor as this module may know them: with its own permissions alone.
func (x *exchange) identity() sdk.Identity {
	v := x.v
	who := sdk.Identity{Roles: []string{}, Permissions: []string{}, Locale: "en", TimeZone: "UTC"}
	if !v.signedIn {
		return who
	}
	u := &v.who.User
	who.UserID, who.Name, who.Roles = u.ID, u.Name, u.Roles
	if u.Locale != "" {
		who.Locale = u.Locale
	}
	if u.TimeZone != "" {
		who.TimeZone = u.TimeZone
	}
	for i := range x.entry.Manifest.Permissions {
		if id := x.entry.Manifest.Permissions[i].ID; v.can(id) {
			who.Permissions = append(who.Permissions, id)
		}
	}
	return who
}
