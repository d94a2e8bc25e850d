package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/core/theme"
	"mortise/core/web/upstream"
)

// Limits of a module's answer.
const (
	viewLimit     = 4 << 20   // a view's bytes
	problemLimit  = 64 << 10  // an error's
	bufferedLimit = 256 << 10 // a file up to this size is read whole before it is sent
	fileLimit     = 1 << 30   // a file's
	filePause     = 30 * time.Second
	fileTime      = 15 * time.Minute
)

// answer turns the module's answer into ours. handedOver tells that the answer goes on after this call and releases the exchange
// itself.
func (x *exchange) answer() (handedOver bool, err error) {
	status := x.res.Status()
	kind, _, _ := strings.Cut(string(x.res.Header.ContentType()), ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	if encoding := x.res.Header.ContentEncoding(); len(encoding) > 0 && string(encoding) != "identity" {
		return false, badAnswer(errors.New("the module sent a content encoding that nobody asked for"))
	}
	switch {
	case status >= 300 && status < 400 && status != fiber.StatusNotModified:
		err = x.redirect()
	case kind == sdk.ViewType:
		err = x.view()
	case kind == sdk.ProblemType:
		err = x.problem()
	case kind == "text/event-stream":
		return x.events()
	case kind == "text/html", kind == "application/xhtml+xml":
		err = badAnswer(errors.New("the module sent " + kind + "; pages are views"))
	default:
		return x.file(kind)
	}
	x.observe(err)
	return false, err
}

// observe tells the supervisor how it went: a failed answer counts as the module's error.
func (x *exchange) observe(err error) {
	status := x.v.c.Response().StatusCode()
	if err != nil {
		status = x.v.problem(err).Status
	}
	x.lease.Observe(status, x.v.s.o.Now().Sub(x.v.start))
}

// buffers keeps the memory that views are read into.
var buffers = newBufferPool()

// view reads a view and draws it, or answers its data to a program.
func (x *exchange) view() error {
	v := x.v
	if v.method == fiber.MethodHead {
		v.c.Status(x.res.Status())
		v.c.Response().Header.SetContentType(fiber.MIMETextHTMLCharsetUTF8)
		v.personal()
		return nil
	}
	buffer := buffers.get()
	body, err := x.res.ReadAll(*buffer, viewLimit)
	defer buffers.put(buffer, body)
	if err != nil {
		return x.unread(err)
	}
	view, raw, err := readView(body)
	if err != nil {
		return badAnswer(err)
	}
	status := x.res.Status()
	if x.page.Cache == "none" {
		v.c.Response().Header.Set(fiber.HeaderCacheControl, "no-store")
	}
	if v.json {
		if !json.Valid(raw) {
			return badAnswer(errors.New("the view's data is not JSON"))
		}
		return v.dataBytes(status, append(bytes.Clone(raw), '\n'))
	}
	data, err := theme.Decode(raw)
	if err != nil {
		return badAnswer(err)
	}
	page := theme.Page{
		Template: view.Template, Title: view.Title, Data: data, Status: status, Message: view.Message,
		Breadcrumbs: view.Breadcrumbs, FieldErrors: view.FieldErrors, Refresh: max(view.Refresh, 0),
	}
	if page.Title == "" {
		page.Title = x.page.Title
	}
	return v.html(&page)
}

// unread sorts out why a body could not be read.
func (x *exchange) unread(err error) error {
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return fault.Wrap(fault.Timeout, err, "%s did not answer in time. Try again in a moment.", x.entry.Manifest.Name)
	}
	if errors.Is(err, upstream.ErrTooLarge) {
		return badAnswer(err)
	}
	return later(fault.Wrap(fault.Unavailable, err, "%s is restarting. Try again in a moment.", x.entry.Manifest.Name), time.Second)
}

// problem turns what sdk.Fail wrote back into the error it was made of.
func (x *exchange) problem() error {
	body, err := x.res.ReadAll(nil, problemLimit)
	if err != nil && x.v.method != fiber.MethodHead {
		return x.unread(err)
	}
	var p struct {
		Title  string            `json:"title"`
		Kind   string            `json:"kind"`
		Fields map[string]string `json:"fields"`
		Cause  string            `json:"cause"`
	}
	if len(body) > 0 {
		if err := json.Unmarshal(body, &p); err != nil {
			return badAnswer(err)
		}
	}
	kind := fault.ParseKind(p.Kind)
	status := x.res.Status()
	if status < 400 {
		status = kind.Status()
	}
	failure := &fault.Error{Kind: kind, Message: clip(p.Title, 500), Fields: p.Fields, Cause: errors.New(clip(p.Cause, 4000))}
	special := &statusError{error: failure, status: status}
	if after, err := time.ParseDuration(string(x.res.Header.Peek(fiber.HeaderRetryAfter)) + "s"); err == nil && after > 0 && after <= 24*time.Hour {
		special.wait = after
	}
	return special
}

// redirect passes a module's redirect on. For a program it becomes an answer, because a client that follows redirects by itself
// would lose the message and read some page's data as the result.
func (x *exchange) redirect() error {
	v := x.v
	location := string(x.res.Header.Peek(fiber.HeaderLocation))
	path, ok := destination(location, x.page.Offsite, x.entry)
	if !ok {
		return badAnswer(errors.New("the module sent the visitor to an address that its manifest does not allow"))
	}
	var messages []sdk.Message
	if m, ok := parseFlash(string(x.res.Header.Peek(sdk.FlashHeader))); ok {
		messages = append(messages, m)
	}
	status := x.res.Status()
	if err := v.redirect(path, messages...); err != nil || v.json || v.unsafe() {
		return err // after a change it is always 303: 307 would have the browser post the form, with its token, once more
	}
	switch status {
	case fiber.StatusMovedPermanently, fiber.StatusFound, fiber.StatusSeeOther, fiber.StatusTemporaryRedirect, fiber.StatusPermanentRedirect:
		v.c.Status(status)
	}
	return nil
}

// file passes anything else on as it is, in a sandbox: whatever it contains runs nowhere and reaches nothing.
func (x *exchange) file(kind string) (handedOver bool, err error) {
	v, res := x.v, x.v.c.Response()
	length := x.res.Length()
	if length > fileLimit {
		err = badAnswer(upstream.ErrTooLarge)
		x.observe(err)
		return false, err
	}
	copyAnswerHeaders(&res.Header, x.res.Header)
	if kind == "" {
		kind = fiber.MIMEOctetStream
	}
	if asked := x.res.Header.ContentType(); printable(asked) && len(asked) <= 200 && len(asked) > 0 {
		res.Header.SetContentTypeBytes(asked)
	} else {
		res.Header.SetContentType(kind)
	}
	res.Header.Set(fiber.HeaderContentSecurityPolicy, "sandbox; default-src 'none'; frame-ancestors 'none'")
	res.Header.Set(fiber.HeaderCacheControl, cacheRule(string(x.res.Header.Peek(fiber.HeaderCacheControl)), x.page.Public))
	res.Header.Set(fiber.HeaderVary, "Accept, Cookie")
	v.offerToken()
	res.SetStatusCode(x.res.Status())
	if v.method == fiber.MethodHead {
		if length >= 0 {
			res.Header.SetContentLength(length)
		}
		res.SkipBody = true
		x.observe(nil)
		return false, nil
	}
	if length >= 0 && length <= bufferedLimit {
		body, err := x.res.ReadAll(nil, bufferedLimit)
		if err != nil {
			res.Reset()
			v.s.protect(v)
			err = x.unread(err)
		} else {
			res.SetBodyRaw(body)
		}
		x.observe(err)
		return false, err
	}
	first, err := x.firstPiece()
	if err != nil {
		res.Reset()
		v.s.protect(v)
		x.observe(err)
		return false, err
	}
	x.observe(nil)
	res.SetBodyStream(&fileBody{x: x, conn: v.c.Context().Conn(), until: time.Now().Add(fileTime), first: first}, length)
	return true, nil
}

// firstPiece reads the beginning of a long file while there is still time for an error page.
func (x *exchange) firstPiece() ([]byte, error) {
	piece := make([]byte, 4<<10)
	n, err := x.res.Read(piece)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, x.unread(err)
	}
	return piece[:n], nil
}

// fileBody hands a long file on piece by piece. It outlives the handler.
type fileBody struct {
	x     *exchange
	conn  deadliner
	until time.Time
	first []byte // what was read already
	read  int64
}

type deadliner interface{ SetWriteDeadline(time.Time) error }

// Read gives the next piece. Neither side may pause for long.
func (b *fileBody) Read(p []byte) (int, error) {
	if len(b.first) > 0 {
		n := copy(p, b.first)
		b.first = b.first[n:]
		b.read += int64(n)
		return n, nil
	}
	now := time.Now()
	if now.After(b.until) || b.read > fileLimit {
		return 0, upstream.ErrTooLarge
	}
	b.x.res.SetDeadline(now.Add(filePause))
	n, err := b.x.res.Read(p)
	b.read += int64(n)
	_ = b.conn.SetWriteDeadline(time.Now().Add(filePause)) // a closed connection fails at the write
	if err != nil && !errors.Is(err, io.EOF) {
		b.x.v.s.o.Log.Warn("a module's file broke off", "module", b.x.entry.Manifest.ID, "error", err.Error())
	}
	return n, err
}

// Close lets go of the module.
func (b *fileBody) Close() error {
	b.x.release()
	return nil
}
