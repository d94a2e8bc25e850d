package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// Limits of what a browser may send and how long it may take.
const (
	bodyLimit      = 16 << 20 // no page can ask for more
	formLimit      = 1 << 20  // the host's own forms
	headLimit      = 16 << 10 // request line and headers
	readTimeout    = 30 * time.Second
	writeTimeout   = 60 * time.Second // without progress; downloads and streams prolong it
	idleTimeout    = 75 * time.Second
	maxConnections = 20_000
)

// Server is the web layer of one site. Use New.
type Server struct {
	o       Options
	app     *fiber.App
	sign    signer
	tls     bool   // whether visitors come over https
	origin  string // of PublicURL
	routes  []route
	hasPage map[string]bool // the host's own pages that answer GET
	limit   *rateLimiter
	peers   peers
	meters  *meters
	live    *streams
	pages   clients

	closing context.Context // ends when the streams shall end
	close   context.CancelFunc
	once    sync.Once

	mu       sync.Mutex
	listener net.Listener // of Serve, nil before
}

// New puts the web layer together. Nothing listens yet.
func New(o Options) (*Server, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	s := &Server{
		o: o, sign: signer{key: o.Key}, origin: originOf(o.PublicURL), tls: strings.HasPrefix(o.PublicURL, "https://") || o.Certificate != nil,
		limit: newRateLimiter(20, 120), meters: newMeters(o.Metrics), live: newStreams(),
	}
	s.closing, s.close = context.WithCancel(context.Background())
	s.routes = s.allRoutes()
	s.hasPage = make(map[string]bool, len(s.routes))
	s.app = fiber.New(fiber.Config{
		AppName: "mortise", DisableStartupMessage: true, CaseSensitive: true, StrictRouting: true, ErrorHandler: s.lastResort,
		BodyLimit: bodyLimit, ReadBufferSize: headLimit, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		Concurrency: maxConnections, DisablePreParseMultipartForm: true, // modules get bodies as they came
		DisableDefaultContentType: true, ServerHeader: "",
	})
	s.app.Server().HeaderReceived = s.headerReceived
	s.app.Use(s.enter)
	for i := range s.routes {
		r := &s.routes[i]
		s.app.Add(r.method, r.path, s.handle(r))
		if r.method == fiber.MethodGet {
			s.app.Add(fiber.MethodHead, r.path, s.handle(r))
			s.hasPage[r.path] = true
		}
	}
	s.app.Use(s.modulePage)
	return s, nil
}

// headerReceived bounds the body before it is read: what no page wants never occupies memory.
func (s *Server) headerReceived(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	if ambiguous(h.RawHeaders()) {
		return fasthttp.RequestConfig{MaxRequestBodySize: 1} // nothing is waited for; see checkFraming
	}
	if h.IsGet() || h.IsHead() {
		return fasthttp.RequestConfig{MaxRequestBodySize: 64 << 10}
	}
	limit := int64(formLimit)
	path, _, _ := strings.Cut(string(h.RequestURI()), "?")
	if path, ok := canonicalPath(path); ok {
		if m := s.o.Routes().Match(string(h.Method()), path); m.Page != nil {
			limit = max(min(m.Page.Limit(), bodyLimit), 1)
		}
	}
	return fasthttp.RequestConfig{MaxRequestBodySize: int(limit)}
}

// Serve answers requests that come in on ln, until Shutdown.
func (s *Server) Serve(ln net.Listener) error {
	if s.o.Certificate != nil {
		config := s.o.Certificate.Clone()
		config.NextProtos = []string{"http/1.1"} // fasthttp speaks nothing else
		ln = tls.NewListener(ln, config)
	}
	if !s.listen(ln) {
		_ = ln.Close()
		return nil
	}
	err := s.app.Listener(ln)
	if s.closing.Err() != nil || errors.Is(err, net.ErrClosed) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("serve %s: %w", ln.Addr(), err)
	}
	return nil
}

// Shutdown stops listening, ends the streams at once, and waits for the other requests until ctx ends.
func (s *Server) Shutdown(ctx context.Context) error {
	s.once.Do(s.close)
	err := s.app.ShutdownWithContext(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil {
		_ = s.listener.Close() // the library does not know it yet when Serve has only just begun, and would listen for ever
	}
	if err != nil {
		return fmt.Errorf("stop the web server: %w", err)
	}
	return nil
}

// listen remembers the listener for Shutdown. ok is false when that has been there already.
func (s *Server) listen(ln net.Listener) (ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listener = ln
	return s.closing.Err() == nil
}

// Test answers one request without a listener, for tests. timeout 0 waits for ever.
func (s *Server) Test(r *http.Request, timeout time.Duration) (*http.Response, error) {
	if timeout == 0 {
		return s.app.Test(r, -1)
	}
	return s.app.Test(r, int(timeout/time.Millisecond))
}
