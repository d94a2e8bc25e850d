package web

import (
	"bytes"

	"mortise/core/fault"
)

// ambiguous tells whether the headers of a request leave open where its body ends: two lengths, or a length beside chunks. A proxy in
// front may take the one and we the other, and then the end of one visitor's request is the beginning of another's (RFC 9112, 6.3).
func ambiguous(raw []byte) bool {
	lengths, codings := 0, 0
	for len(raw) > 0 {
		var line []byte
		line, raw, _ = bytes.Cut(raw, []byte("\n"))
		name, _, _ := bytes.Cut(line, []byte(":"))
		switch {
		case bytes.EqualFold(bytes.TrimSpace(name), []byte("Content-Length")):
			lengths++
		case bytes.EqualFold(bytes.TrimSpace(name), []byte("Transfer-Encoding")):
			codings++
		}
	}
	return lengths+codings > 1
}

var errAmbiguous = fault.New(fault.Invalid, "The request cannot be understood.")

// checkFraming refuses an ambiguous request, and closes its connection with whatever else is in it.
func (v *visit) checkFraming() error {
	if !ambiguous(v.c.Request().Header.RawHeaders()) {
		return nil
	}
	v.c.Context().SetConnectionClose()
	return &statusError{error: errAmbiguous, status: 400}
}
