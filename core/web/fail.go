package web

import (
	"encoding/json"
	"errors"
	"html"
	"net/url"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"

	"mortise/core/fault"
	"mortise/core/identity"
	"mortise/core/sdk"
	"mortise/core/theme"
)

// problem is an error as the visitor gets it, after RFC 9457.
type problem struct {
	Title      string     `json:"title"`
	Status     int        `json:"status"`
	Kind       string     `json:"kind"`
	Fields     sdk.Fields `json:"fields,omitempty"`
	Reference  string     `json:"reference"`
	Permission string     `json:"missing_permission,omitempty"`
	RetryAfter int        `json:"retry_after,omitempty"` // seconds
}

// statusError gives an error another status than its kind has, with headers that go with it.
type statusError struct {
	error
	status int           // 0: as the kind says
	allow  string        // for the Allow header
	wait   time.Duration // for the Retry-After header
}

// Unwrap gives the error below.
func (e *statusError) Unwrap() error { return e.error }

// RetryAfter is when it makes sense to come back; 0 when that is not known.
func (e *statusError) RetryAfter() time.Duration { return e.wait }

// later says when it makes sense to come back.
func later(err error, wait time.Duration) error { return &statusError{error: err, wait: wait} }

// notAllowed is the answer to a method that a page does not have.
func notAllowed(allow string) error {
	return &statusError{error: fault.New(fault.Invalid, "This page does not answer that kind of request."), status: fiber.StatusMethodNotAllowed, allow: allow}
}

// badAnswer is the answer when a module said something that cannot be passed on.
func badAnswer(cause error) error {
	return &statusError{error: fault.Wrap(fault.Internal, cause, "the module's answer cannot be used"), status: fiber.StatusBadGateway}
}

// missingError says that a permission is missing.
type missingError struct {
	error
	permission string
}

// Unwrap gives the fault.
func (e *missingError) Unwrap() error { return e.error }

// refuse is the answer to a visitor without a permission: an invitation to sign in, or a refusal.
func (v *visit) refuse(permission string) error {
	if !v.signedIn {
		return fault.New(fault.SignedOut, "Sign in to see this page.")
	}
	return &missingError{error: fault.New(fault.Denied, "You are not allowed to see this page."), permission: permission}
}

var errNotFound = fault.New(fault.NotFound, "There is no page at this address.")

// fail is the one place where an error becomes a status and a page.
func (s *Server) fail(v *visit, err error) {
	v.recognizeOnce()
	p := v.problem(err)
	if p.Status >= 500 && p.Status != fiber.StatusServiceUnavailable && p.Status != fiber.StatusGatewayTimeout {
		s.o.Log.Error("a request failed", "request_id", v.id, "method", v.method, "path", v.shown(), "module", v.module, "status", p.Status, "error", err.Error())
	} else {
		s.o.Log.Debug("a request was refused", "request_id", v.id, "method", v.method, "path", v.shown(), "status", p.Status, "error", err.Error())
	}
	res := v.c.Response()
	res.ResetBody()
	res.SetStatusCode(p.Status)
	res.Header.Set(fiber.HeaderCacheControl, "no-store")
	if p.RetryAfter > 0 {
		res.Header.Set(fiber.HeaderRetryAfter, strconv.Itoa(p.RetryAfter))
	}
	var special *statusError
	if errors.As(err, &special) && special.allow != "" {
		res.Header.Set(fiber.HeaderAllow, special.allow)
	}
	switch {
	case v.json:
		v.problemJSON(p)
	case p.Status == fiber.StatusUnauthorized && !v.signedIn && (v.method == fiber.MethodGet || v.method == fiber.MethodHead):
		res.SetStatusCode(fiber.StatusSeeOther)
		res.Header.Set(fiber.HeaderLocation, "/login?next="+url.QueryEscape(localPath(v.location())))
	default:
		v.problemPage(p)
	}
}

func (v *visit) problem(err error) problem {
	err = fromFiber(err)
	kind := fault.KindOf(err)
	p := problem{Status: kind.Status(), Kind: kind.String(), Fields: fault.FieldsOf(err), Reference: v.id}
	var wait time.Duration
	var special *statusError
	if errors.As(err, &special) {
		if special.status != 0 {
			p.Status = special.status
		}
		wait = max(wait, special.wait)
	}
	var asked interface{ RetryAfter() time.Duration }
	if errors.As(err, &asked) {
		wait = max(wait, asked.RetryAfter())
	}
	message, visible := fault.Visible(err)
	if !visible {
		message = "Something went wrong on our side."
	}
	p.Title = message
	if wait > 0 {
		p.RetryAfter = int((wait + time.Second - 1) / time.Second)
	} else if p.Status == fiber.StatusServiceUnavailable {
		p.RetryAfter = 30
	}
	var missing *missingError
	if errors.As(err, &missing) && v.can(identity.AdminAccess) {
		p.Permission = missing.permission
	}
	return p
}

// fromFiber gives fiber's own errors, which come from requests that cannot be read, a kind.
func fromFiber(err error) error {
	var f *fiber.Error
	if !errors.As(err, &f) {
		return err
	}
	switch f.Code {
	case fiber.StatusNotFound:
		return errNotFound
	case fiber.StatusRequestEntityTooLarge:
		return fault.New(fault.TooLarge, "That is more than this page accepts.")
	case fiber.StatusRequestTimeout:
		return &statusError{error: fault.New(fault.Timeout, "The request took too long to arrive."), status: f.Code}
	case fiber.StatusRequestHeaderFieldsTooLarge:
		return &statusError{error: fault.New(fault.TooLarge, "The request's headers are too large."), status: f.Code}
	}
	return &statusError{error: fault.Wrap(fault.Invalid, err, "The request cannot be understood."), status: fiber.StatusBadRequest}
}

func (v *visit) problemJSON(p problem) {
	body, _ := json.Marshal(p) // texts and numbers always encode
	v.c.Response().Header.SetContentType(sdk.ProblemType)
	v.c.Response().SetBodyRaw(body)
}

// problemPage draws the themed error page, and a bare one when even the theme fails.
func (v *visit) problemPage(p problem) {
	data := map[string]any{
		"status": p.Status, "kind": p.Kind, "title": p.Title, "message": p.Title, "reference": p.Reference,
		"missing_permission": p.Permission, "retry_after": p.RetryAfter, "home": "/", "signed_in": v.signedIn, "path": v.path,
	}
	page := theme.Page{Template: "error", Title: headline(p.Status), Data: data, Status: p.Status, FieldErrors: p.Fields}
	module := v.module
	v.module = "" // the page is the host's, whoever failed
	if !v.can(identity.AdminAccess) {
		v.surface = theme.SurfaceSite // the frame of the admin pages is for those who may see it
	}
	err := v.html(&page)
	v.module = module
	if err == nil {
		return
	}
	v.s.o.Log.Error("the error page failed", "request_id", v.id, "error", err.Error())
	v.c.Response().Header.SetContentType(fiber.MIMETextHTMLCharsetUTF8)
	v.c.Response().SetBodyString("<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>" + html.EscapeString(headline(p.Status)) +
		"</title><h1>" + html.EscapeString(headline(p.Status)) + "</h1><p>" + html.EscapeString(p.Title) + "</p><p>Reference " + p.Reference + "</p>")
}

// headline is the heading of an error page.
func headline(status int) string {
	switch status {
	case fiber.StatusUnauthorized:
		return "Please sign in"
	case fiber.StatusForbidden:
		return "Not allowed"
	case fiber.StatusNotFound:
		return "Page not found"
	case fiber.StatusMethodNotAllowed, fiber.StatusBadRequest, fiber.StatusUnsupportedMediaType:
		return "That did not work"
	case fiber.StatusConflict:
		return "Not possible right now"
	case fiber.StatusRequestEntityTooLarge:
		return "Too large"
	case fiber.StatusUnprocessableEntity:
		return "Please check your input"
	case fiber.StatusTooManyRequests:
		return "Too many attempts"
	case fiber.StatusServiceUnavailable:
		return "Not available at the moment"
	case fiber.StatusGatewayTimeout:
		return "No answer in time"
	}
	return "Something went wrong"
}

// lastResort answers what never reached enter: requests that fasthttp could not read.
func (s *Server) lastResort(c *fiber.Ctx, err error) error {
	v := visitOf(c)
	if v == nil {
		v = s.arrive(c)
		s.protect(v)
	}
	s.fail(v, err)
	return nil
}
