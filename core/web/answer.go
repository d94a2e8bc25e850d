package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/core/theme"
)

// render answers a page: drawn by the theme for a browser, its data for a program. The fields of the frame (visitor, menus,
// token …) are filled in here.
func (v *visit) render(p theme.Page) error {
	if v.json {
		return v.data(p.Status, p.Data)
	}
	return v.html(&p)
}

// again answers a form that could not be accepted: the same page with what is wrong beside the fields and the input kept. Other
// errors than those of the input go on to the error page; a program gets the problem.
func (v *visit) again(p theme.Page, err error) error {
	switch fault.KindOf(err) {
	case fault.Invalid, fault.Conflict, fault.TooMany, fault.Denied:
	default:
		return err
	}
	if v.json {
		return err
	}
	problem := v.problem(err)
	p.Status, p.FieldErrors = problem.Status, problem.Fields
	p.Message = &sdk.Message{Tone: sdk.Bad, Text: problem.Title}
	if problem.RetryAfter > 0 {
		v.c.Response().Header.Set(fiber.HeaderRetryAfter, fmt.Sprint(problem.RetryAfter))
	}
	return v.html(&p)
}

// html draws a page into the response.
func (v *visit) html(p *theme.Page) error {
	v.frame(p)
	res := v.c.Response()
	res.ResetBody()
	if err := v.s.o.Theme.Render(res.BodyWriter(), p); err != nil {
		res.ResetBody()
		return err
	}
	if p.Status == 0 {
		p.Status = fiber.StatusOK
	}
	res.SetStatusCode(p.Status)
	res.Header.SetContentType(fiber.MIMETextHTMLCharsetUTF8)
	res.Header.Set(fiber.HeaderContentSecurityPolicy, v.policy(p.Nonce))
	v.personal()
	v.pack()
	return nil
}

// packFrom is the size in bytes from which a page is worth compressing.
const packFrom = 2 << 10

// pack compresses a page for a browser that takes it. That no secret can be guessed from the size is the work of csrf's mask.
func (v *visit) pack() {
	res := v.c.Response()
	if len(res.Body()) < packFrom || v.method == fiber.MethodHead || !strings.Contains(v.c.Get(fiber.HeaderAcceptEncoding), "gzip") {
		return
	}
	res.SetBodyRaw(fasthttp.AppendGzipBytesLevel(nil, res.Body(), fasthttp.CompressBestSpeed))
	res.Header.Set(fiber.HeaderContentEncoding, "gzip")
}

// personal marks an answer that belongs to one visitor. The host's own pages about a person are not kept anywhere.
func (v *visit) personal() {
	h := &v.c.Response().Header
	if len(h.Peek(fiber.HeaderCacheControl)) == 0 {
		if v.module == "" && (v.signedIn || v.unsafe()) {
			h.Set(fiber.HeaderCacheControl, "no-store")
		} else {
			h.Set(fiber.HeaderCacheControl, "private, no-cache")
		}
	}
	h.Set(fiber.HeaderVary, "Accept, Cookie, Accept-Encoding")
	v.offerToken()
}

// offerToken gives programs the CSRF token with every answer to a GET.
func (v *visit) offerToken() {
	if !v.unsafe() {
		v.c.Response().Header.Set(csrfHeader, v.token())
	}
}

// data answers a program.
func (v *visit) data(status int, data any) error {
	if data == nil {
		data = struct{}{}
	}
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false) // nosniff and the type keep browsers from reading it as HTML
	if err := encoder.Encode(data); err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	return v.dataBytes(status, body.Bytes())
}

// dataBytes answers a program with finished JSON; body is kept.
func (v *visit) dataBytes(status int, body []byte) error {
	if status == 0 {
		status = fiber.StatusOK
	}
	res := v.c.Response()
	res.SetStatusCode(status)
	res.Header.SetContentType(fiber.MIMEApplicationJSON)
	res.SetBodyRaw(body)
	v.personal()
	return nil
}

// redirect sends the visitor to a path of this site after a change, with an optional message for the page that follows.
func (v *visit) redirect(path string, message ...sdk.Message) error {
	return v.redirectWith(path, nil, message...)
}

// redirectWith is redirect with more keys for programs.
func (v *visit) redirectWith(path string, more map[string]any, message ...sdk.Message) error {
	if v.json {
		answer := map[string]any{"redirect": path}
		for key, value := range more {
			answer[key] = value
		}
		if len(message) > 0 {
			answer["message"] = message[0]
		}
		return v.data(fiber.StatusOK, answer)
	}
	if len(message) > 0 {
		v.keepMessage(message[0])
	}
	res := v.c.Response()
	res.ResetBody()
	res.SetStatusCode(fiber.StatusSeeOther)
	res.Header.Set(fiber.HeaderLocation, path)
	res.Header.Set(fiber.HeaderCacheControl, "no-store")
	return nil
}
