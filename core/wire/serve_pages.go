package wire

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mortise/core/fault"
	"mortise/core/sdk"
)

// pageServer answers the host's page requests on the pages socket.
type pageServer struct {
	handler http.Handler // nil: the module has no pages
	token   [sha256.Size]byte
	log     *slog.Logger
	started atomic.Bool
	server  *http.Server

	mu       sync.Mutex
	streams  map[*answer]context.CancelCauseFunc
	draining bool
}

var errDraining = errors.New("the module is stopping")

func newPageServer(handler http.Handler, token string, log *slog.Logger) *pageServer {
	s := &pageServer{
		handler: handler, token: sha256.Sum256([]byte(token)), log: log,
		streams: map[*answer]context.CancelCauseFunc{},
	}
	s.server = &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		// No idle timeout: the host closes idle connections. Were both to do it, a request could meet a closing connection.
		MaxHeaderBytes: 64 << 10,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	return s
}

// listen opens the socket and answers until close.
func (s *pageServer) listen(path string) error {
	l, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("listen for pages: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return fmt.Errorf("listen for pages: %w", err)
	}
	go func() {
		if err := s.server.Serve(peerListener{l, s.log}); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("the pages socket failed", "error", err)
		}
	}()
	return nil
}

func (s *pageServer) close() { _ = s.server.Close() }

// drain ends the event streams, whose visitors connect again by themselves; other answers finish.
func (s *pageServer) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
	for _, cancel := range s.streams {
		cancel(errDraining)
	}
}

func (s *pageServer) trackStream(a *answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.streams[a] = a.cancel
	if s.draining {
		a.cancel(errDraining)
	}
}

func (s *pageServer) forgetStream(a *answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.streams, a)
}

// ServeHTTP checks that the host asks, tells the handler who asks, and answers a problem when the handler panics.
func (s *pageServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	got := sha256.Sum256([]byte(r.Header.Get(TokenHeader)))
	if subtle.ConstantTimeCompare(got[:], s.token[:]) != 1 {
		http.Error(w, "the host's token is missing", http.StatusUnauthorized)
		return
	}
	request, err := requestFromHeader(r.Header)
	if err != nil {
		http.Error(w, "the identity cannot be read", http.StatusBadRequest)
		return
	}
	// Without this, a handler that writes before it has read everything loses the rest of the body.
	_ = http.NewResponseController(w).EnableFullDuplex() // HTTP/1 always can
	ctx, cancel := context.WithCancelCause(sdk.WithRequest(r.Context(), request))
	a := &answer{ResponseWriter: w, pages: s, cancel: cancel}
	defer a.finish()
	// With full duplex the server does not read what a handler left of the body, and trips over it at the next request.
	defer drain(r.Body)
	r = r.WithContext(ctx)
	formFromJSON(r)
	switch {
	case s.handler == nil:
		sdk.Fail(a, r, fault.New(fault.NotFound, "There is no such page."))
	case !s.started.Load():
		sdk.Fail(a, r, fault.New(fault.Unavailable, "The module is starting."))
	default:
		s.serve(a, r, request.ID)
	}
}

func (s *pageServer) serve(a *answer, r *http.Request, id string) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(http.ErrAbortHandler)
		}
		s.log.Error("panic in a page", "method", r.Method, "path", clean(r.URL.Path, 512), "request_id", id,
			"panic", clean(sprint(p), 1<<10), "stack", string(debug.Stack()))
		if a.wrote {
			panic(http.ErrAbortHandler) // cuts the connection, so that the host sees an unfinished answer
		}
		clear(a.Header())
		sdk.Fail(a, r, fmt.Errorf("panic: %s", clean(sprint(p), 1<<10)))
	}()
	s.handler.ServeHTTP(a, r)
}

// drain reads the rest of a body. The host sends at most 16 MiB; what is longer costs the connection.
func drain(body io.Reader) {
	_, _ = io.CopyN(io.Discard, body, 17<<20) // EOF is what is wanted, and a broken body ends the connection by itself
}

func sprint(p any) string { return fmt.Sprint(p) }

func requestFromHeader(h http.Header) (sdk.Request, error) {
	request := sdk.Request{ID: h.Get(RequestHeader), Claim: h.Get(ClaimHeader)}
	if text := h.Get(IdentityHeader); text != "" {
		user, err := DecodeIdentity(text)
		if err != nil {
			return sdk.Request{}, err
		}
		request.User = user
	}
	for name := range h {
		if strings.HasPrefix(name, "Mortise-") {
			delete(h, name)
		}
	}
	return request, nil
}

// answer watches what a handler writes.
type answer struct {
	http.ResponseWriter
	pages  *pageServer
	cancel context.CancelCauseFunc
	wrote  bool
	stream bool
}

// finish releases what the answer holds.
func (a *answer) finish() {
	if a.stream {
		a.pages.forgetStream(a)
	}
	a.cancel(nil)
}

func (a *answer) WriteHeader(status int) {
	a.begin(status)
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) begin(status int) {
	if a.wrote || status < 200 {
		return
	}
	a.wrote = true
	if strings.HasPrefix(a.Header().Get("Content-Type"), "text/event-stream") {
		a.stream = true
		a.pages.trackStream(a)
	}
}

func (a *answer) Write(p []byte) (int, error) {
	a.begin(http.StatusOK)
	return a.ResponseWriter.Write(p)
}

// ReadFrom keeps the fast path of io.Copy.
func (a *answer) ReadFrom(r io.Reader) (int64, error) {
	a.begin(http.StatusOK)
	return io.Copy(a.ResponseWriter, r)
}

// Flush is for handlers that ask for an http.Flusher.
func (a *answer) Flush() {
	a.begin(http.StatusOK)
	_ = http.NewResponseController(a.ResponseWriter).Flush() // fails when the host is gone, which the next Write tells
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// peerListener lets in only connections of the host's user.
type peerListener struct {
	net.Listener
	log *slog.Logger
}

func (l peerListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if err := checkPeer(conn); err != nil {
			l.log.Warn("refused a connection to the pages socket", "error", err)
			_ = conn.Close()
			continue
		}
		return conn, nil
	}
}
