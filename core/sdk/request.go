package sdk

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"mortise/core/fault"
)

// Identity is who asks. The host has established it; it cannot be forged by a visitor or by another module.
type Identity struct {
	UserID      int64    `json:"user_id"` // 0: nobody is signed in
	Name        string   `json:"name"`
	Roles       []string `json:"roles"`
	Permissions []string `json:"permissions"` // those of this module's own that the person has
	Locale      string   `json:"locale"`      // such as "en"
	TimeZone    string   `json:"time_zone"`   // such as "Europe/Berlin"
}

// SignedIn tells whether anybody is.
func (i Identity) SignedIn() bool { return i.UserID != 0 }

// Can tells whether the person has a permission of this module, such as "devices.control".
func (i Identity) Can(permission string) bool { return slices.Contains(i.Permissions, permission) }

// Location is the person's time zone; UTC when it is unknown.
func (i Identity) Location() *time.Location {
	if loc, err := time.LoadLocation(i.TimeZone); err == nil {
		return loc
	}
	return time.UTC
}

// Request is what the host says of the request besides who asks.
type Request struct {
	ID    string // quoted on error pages and in the log
	User  Identity
	Claim string // the host's proof of User, handed back with calls on the user's behalf; opaque
}

type requestKey struct{}

// WithRequest is for the process boundary and for tests.
func WithRequest(ctx context.Context, r Request) context.Context {
	return context.WithValue(ctx, requestKey{}, r)
}

// RequestFrom gives what WithRequest put into ctx; zero when there is none.
func RequestFrom(ctx context.Context) Request {
	r, _ := ctx.Value(requestKey{}).(Request)
	return r
}

// UserFrom tells who asks.
func UserFrom(ctx context.Context) Identity { return RequestFrom(ctx).User }

// The media types by which a module's answer tells the host what to do with it. Any other answer passes through as it is.
const (
	ViewType    = "application/vnd.mortise.view+json"
	ProblemType = "application/problem+json"
)

// FlashHeader carries the one-line message for the next page: the tone, a space, and the percent-encoded text.
const FlashHeader = "Mortise-Flash"

// View is what a handler answers for a page. The host renders it with the theme for a browser, and answers Data alone to a
// program that asks for application/json. The JSON keys of Data are the names in the template.
type View struct {
	Template    string   `json:"template"`               // the name of a file in templates/, without ".html"
	Title       string   `json:"title"`                  // the page's heading and the window's title
	Data        any      `json:"data"`                   // anything that encodes as a JSON object
	Status      int      `json:"status,omitempty"`       // HTTP status; 0 means 200
	Message     *Message `json:"message,omitempty"`      // the line at the top
	Breadcrumbs []Link   `json:"breadcrumbs,omitempty"`  // from the top to the parent of this page
	Refresh     int      `json:"refresh,omitempty"`      // reload after so many seconds where there is no script; 0: never
	FieldErrors Fields   `json:"field_errors,omitempty"` // form field to what is wrong with it
}

// Fields are messages by form field.
type Fields map[string]string

// Link is a path with its words.
type Link struct {
	Title string `json:"title"`
	Path  string `json:"path"`
}

// Tone is the colour of a message.
type Tone string

// The tones.
const (
	Good Tone = "good"
	Info Tone = "info"
	Warn Tone = "warn"
	Bad  Tone = "bad"
)

// Message is the line at the top of a page after an action.
type Message struct {
	Tone Tone   `json:"tone"`
	Text string `json:"text"`
}

// Render answers a page.
func Render(w http.ResponseWriter, r *http.Request, v View) {
	if v.Data == nil {
		v.Data = struct{}{}
	}
	body, err := json.Marshal(v)
	if err != nil {
		Fail(w, r, fault.Wrap(fault.Internal, err, "encode the view %s", v.Template))
		return
	}
	w.Header().Set("Content-Type", ViewType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body))) // net/http would send what is longer than 2 KiB in chunks
	status := v.Status
	if status == 0 {
		status = http.StatusOK
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // the host is gone when this fails; nobody is left to tell
}

// Redirect sends the visitor to path (of this site, or of a host the page's manifest entry allows) after a change, with an
// optional message for the page that follows.
func Redirect(w http.ResponseWriter, r *http.Request, path string, message ...Message) {
	if len(message) > 0 {
		w.Header().Set(FlashHeader, string(message[0].Tone)+" "+url.QueryEscape(message[0].Text))
	}
	w.Header().Set("Location", path)
	w.WriteHeader(http.StatusSeeOther)
}

// Problem body of Fail, after RFC 9457.
type problemBody struct {
	Title  string            `json:"title"`
	Status int               `json:"status"`
	Kind   string            `json:"kind"`
	Fields map[string]string `json:"fields,omitempty"`
	Cause  string            `json:"cause,omitempty"` // for the host's log; never shown
}

// Fail answers err as the themed error page (or as JSON). The visitor reads the message of a fault; of any other error only
// that something went wrong, with a reference to quote. The log has everything.
func Fail(w http.ResponseWriter, r *http.Request, err error) {
	kind := fault.KindOf(err)
	message, visible := fault.Visible(err)
	if !visible {
		message = "Something went wrong."
	}
	body, _ := json.Marshal(problemBody{ // strings and numbers always encode
		Title: message, Status: kind.Status(), Kind: kind.String(), Fields: fault.FieldsOf(err), Cause: err.Error(),
	})
	w.Header().Set("Content-Type", ProblemType)
	w.WriteHeader(kind.Status())
	_, _ = w.Write(body)
}

// WantsJSON tells whether a program asks; handlers rarely need it, because Render answers both.
func WantsJSON(r *http.Request) bool {
	accept := r.Header.Get("Accept")
	return strings.Contains(accept, "application/json") && !strings.Contains(accept, "text/html")
}
