package particle

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// DefaultBaseURL is the hosted cloud.
const DefaultBaseURL = "https://api.particle.io"

// Options configure a Client. The zero value talks to the hosted cloud.
type Options struct {
	BaseURL    string       // "" means DefaultBaseURL; see ParseBaseURL for what is accepted
	HTTPClient *http.Client // for calls and streams; nil makes two of our own. Its Timeout must be 0, its CheckRedirect is replaced
	UserAgent  string       // "" means "mortise"
	Timeouts   Timeouts
}

// Timeouts bound the kinds of calls. Zero fields get the defaults.
type Timeouts struct {
	Connect    time.Duration // TCP and TLS; 10 s
	Token      time.Duration // OAuth and token endpoints, where a person waits in a redirect; 15 s
	Call       time.Duration // everything else; 20 s
	Device     time.Duration // calls for which the cloud waits for a device, up to 30 s there; 35 s
	StreamOpen time.Duration // until the first bytes of an event stream; 15 s
	StreamIdle time.Duration // silence after which a stream counts as dead; the cloud sends a byte about every 10 s; 30 s

	// KnownOffline parts the two meanings of the cloud's "timed out": answered sooner, the cloud knew that the device is
	// gone (Offline); later, it waited for it (DeviceTimeout). 2 s.
	KnownOffline time.Duration
}

func (t Timeouts) withDefaults() Timeouts {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&t.Connect, 10 * time.Second}, {&t.Token, 15 * time.Second}, {&t.Call, 20 * time.Second}, {&t.Device, 35 * time.Second},
		{&t.StreamOpen, 15 * time.Second}, {&t.StreamIdle, 30 * time.Second}, {&t.KnownOffline, 2 * time.Second},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	return t
}

// Client calls one Particle cloud. It holds no token: each call is given one. It is safe for concurrent use.
type Client struct {
	base      *url.URL
	product   string       // for device calls; "" means the devices that the token's owner has claimed
	calls     *http.Client // for everything but streams
	streams   *http.Client // apart, so that open streams never use up the connections of calls
	userAgent string
	timeouts  Timeouts
}

// New checks the options and makes a client. It does not connect.
func New(o Options) (*Client, error) {
	if o.BaseURL == "" {
		o.BaseURL = DefaultBaseURL
	}
	base, err := ParseBaseURL(o.BaseURL)
	if err != nil {
		return nil, err
	}
	if o.UserAgent == "" {
		o.UserAgent = "mortise"
	}
	c := &Client{base: base, userAgent: o.UserAgent, timeouts: o.Timeouts.withDefaults()}
	if o.HTTPClient != nil {
		c.calls, c.streams = withoutRedirects(*o.HTTPClient), withoutRedirects(*o.HTTPClient)
	} else {
		c.calls = withoutRedirects(http.Client{Transport: newTransport(c.timeouts)})
		c.streams = withoutRedirects(http.Client{Transport: newTransport(c.timeouts)})
	}
	return c, nil
}

// withoutRedirects keeps a token from being carried to wherever an answer points. The API has no redirects.
func withoutRedirects(h http.Client) *http.Client {
	h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	h.Jar = nil
	return &h
}

func newTransport(t Timeouts) *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: t.Connect}).DialContext,
		TLSHandshakeTimeout:    t.Connect,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           64,
		MaxIdleConnsPerHost:    32,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// Close drops idle connections. Calls in flight end by their own contexts.
func (c *Client) Close() {
	c.calls.CloseIdleConnections()
	c.streams.CloseIdleConnections()
}

// BaseURL is the cloud's address without a slash at its end.
func (c *Client) BaseURL() string { return c.base.String() }

// InProduct returns a client whose device calls go to the fleet of a product (its number or slug) instead of to the
// devices that the token's owner has claimed. There a device must be named by its id.
func (c *Client) InProduct(product string) *Client {
	d := *c
	d.product = product
	return &d
}

// ParseBaseURL reads a cloud's address as an administrator enters it: "https://api.particle.io", or a self-hosted server.
// Plain http would send tokens in the clear, so it is accepted only for private and loopback addresses and for names
// without a public suffix (localhost, cloud.local, a container's name). The error is an *Error of kind Invalid.
func ParseBaseURL(s string) (*url.URL, error) {
	bad := func(message, hint string) error {
		return &Error{Kind: Invalid, Op: "read base URL", Message: message, Hint: hint}
	}
	u, err := url.Parse(strings.TrimRight(strings.TrimSpace(s), "/"))
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, bad("The base URL is not a web address.", "Enter it like https://api.particle.io.")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" {
		return nil, bad("The base URL may not hold a user name, a query or a fragment.", "Enter it like https://api.particle.io.")
	}
	if u.Scheme == "http" && !isPrivateHost(u.Hostname()) {
		return nil, bad("The base URL is not encrypted.", "Use https; plain http is accepted for servers in your own network only.")
	}
	return u, nil
}

func isPrivateHost(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast()
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, suffix := range []string{".local", ".localhost", ".lan", ".internal", ".home.arpa"} {
		if strings.HasSuffix(host, suffix) {
			return true
		}
	}
	return !strings.Contains(host, ".")
}

// path joins escaped segments below the base URL.
func (c *Client) path(segments ...string) string {
	var b strings.Builder
	b.WriteString(c.base.String())
	for _, s := range segments {
		b.WriteByte('/')
		b.WriteString(escapeSegment(s))
	}
	return b.String()
}

// escapeSegment also escapes "." and "..", which a server or proxy would take as steps in the path.
func escapeSegment(s string) string {
	if s == "." || s == ".." {
		return strings.ReplaceAll(s, ".", "%2E")
	}
	return url.PathEscape(s)
}

// transportError turns what http.Client.Do returned into an *Error. ctx is the caller's, without our own limit.
func (c *Client) transportError(ctx context.Context, op string, err error, elapsed time.Duration) *Error {
	kind := Unreachable
	var netErr net.Error
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		kind = Cancelled
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout() && !isDialError(err):
		kind = NoAnswer
	}
	var urlErr *url.Error
	if errors.As(err, &urlErr) {
		err = urlErr.Err // without the URL, which adds nothing but length
	}
	e := newError(kind, op)
	e.Elapsed, e.Cause = elapsed, fmt.Errorf("%s: %w", c.base.Host, err)
	return e
}

func isDialError(err error) bool {
	var opErr *net.OpError
	return errors.As(err, &opErr) && opErr.Op == "dial"
}

func newError(kind Kind, op string) *Error {
	message, hint := explanation(kind)
	return &Error{Kind: kind, Op: op, Message: message, Hint: hint}
}
