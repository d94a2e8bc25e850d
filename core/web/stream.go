package web

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gofiber/fiber/v2"

	"mortise/core/fault"
)

// Limits of live streams.
const (
	streamTime     = time.Hour        // then the browser connects again, with a fresh look at who asks
	streamCheck    = 15 * time.Second // between looks at session and permission; a comment keeps proxies from closing
	streamWrite    = 30 * time.Second // for a browser to take a piece
	visitorStreams = 24               // open at once for one session, or one address when nobody is signed in
)

// streams counts the open streams of each visitor.
type streams struct {
	mu   sync.Mutex
	open map[string]int
}

func newStreams() *streams { return &streams{open: map[string]int{}} }

// liveEntry is one counted stream.
type liveEntry struct {
	all  *streams
	key  string
	once sync.Once
}

func (s *streams) enter(v *visit) (*liveEntry, error) {
	key := v.who.Session.ID
	if !v.signedIn {
		key = neighbourhood(v.address).String()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[key] >= visitorStreams {
		return nil, later(fault.New(fault.TooMany, "You have too many live pages open. Close some of them."), streamCheck)
	}
	s.open[key]++
	return &liveEntry{all: s, key: key}, nil
}

func (e *liveEntry) leave() {
	e.once.Do(func() {
		e.all.mu.Lock()
		defer e.all.mu.Unlock()
		if e.all.open[e.key]--; e.all.open[e.key] <= 0 {
			delete(e.all.open, e.key)
		}
	})
}

// lifeline ties a stream to the visitor who opened it: it ends when the browser leaves, the session ends, the person is blocked
// or loses the permission, the host stops, or the hour is over.
type lifeline struct {
	s          *Server
	ctx        context.Context
	cancel     context.CancelFunc
	stopHost   func() bool
	conn       net.Conn
	session    string // "" when nobody is signed in
	permission string // "" for a public page
	check      time.Time
	end        time.Time
	every      time.Duration
}

// lifeline begins one for the rest of the response. The connection is closed afterwards: it is watched for the browser's leaving.
func (v *visit) lifeline(permission string) *lifeline {
	now := time.Now()
	l := &lifeline{s: v.s, conn: v.c.Context().Conn(), permission: permission, every: v.s.o.StreamCheck, end: now.Add(streamTime)}
	if l.every <= 0 {
		l.every = streamCheck
	}
	l.check = now.Add(l.every)
	if v.signedIn {
		l.session = v.who.Session.ID
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.stopHost = context.AfterFunc(v.s.closing, l.cancel)
	v.c.Context().SetConnectionClose()
	_ = l.conn.SetReadDeadline(time.Time{}) // that of the request would end the watch
	go watch(l.conn, l.cancel)
	return l
}

// over ends the lifeline.
func (l *lifeline) over() {
	l.stopHost()
	l.cancel()
}

// holds tells whether the stream may go on.
func (l *lifeline) holds() bool {
	if l.ctx.Err() != nil || time.Now().After(l.end) {
		return false
	}
	if l.session == "" {
		return true
	}
	who, ok := l.s.o.People.Check(l.session)
	return ok && !who.User.Blocked && (l.permission == "" || l.s.o.People.Can(who.User.Roles, l.permission))
}

// due tells whether it is time for the next check, and sets the one after it.
func (l *lifeline) due() bool {
	now := time.Now()
	if now.Before(l.check) {
		return false
	}
	l.check = now.Add(l.every)
	return true
}

// prolong gives the browser time to take the next piece.
func (l *lifeline) prolong() { _ = l.conn.SetWriteDeadline(time.Now().Add(streamWrite)) } // a closed connection fails at the write

// watch calls left when the browser closes the connection. fasthttp notices that only when a write fails, which for a quiet
// stream is two keep-alives later; until then the module would go on working for nobody.
func watch(conn net.Conn, left func()) {
	encrypted := false
	if t, ok := conn.(*tls.Conn); ok {
		conn, encrypted = t.NetConn(), true
	}
	sys, ok := conn.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := sys.SyscallConn()
	if err != nil {
		return
	}
	var one [1]byte
	gone := false
	err = raw.Read(func(fd uintptr) bool {
		n, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR) {
			return false
		}
		// Over TLS the end is announced by bytes; a browser sends nothing else while it waits for events.
		gone = err != nil || n == 0 || encrypted
		return true
	})
	if gone || err != nil {
		left()
	}
}

// begin sets the headers of an event stream.
func (v *visit) beginEvents() {
	res := v.c.Response()
	res.ResetBody()
	res.SetStatusCode(fiber.StatusOK)
	res.Header.SetContentType("text/event-stream")
	res.Header.Set(fiber.HeaderCacheControl, "no-store")
	res.Header.Set("X-Accel-Buffering", "no") // nginx would hold events back
	res.ImmediateHeaderFlush = true
}

var keepAlive = []byte(": keep-alive\n")

// events lets a module's stream through.
func (x *exchange) events() (handedOver bool, err error) {
	if !x.page.Stream || x.v.method != fiber.MethodGet {
		err := badAnswer(errors.New("the module began a stream on a page that is not declared as one"))
		x.observe(err)
		return false, err
	}
	if x.res.Status() != fiber.StatusOK {
		err := badAnswer(fmt.Errorf("the module began a stream with status %d", x.res.Status()))
		x.observe(err)
		return false, err
	}
	x.observe(nil)
	permission := x.page.Permission
	r := &relay{x: x, life: x.v.lifeline(permission), res: x.res, lineStart: true}
	res := x.res
	r.stopWake = context.AfterFunc(r.life.ctx, res.Interrupt)
	done := x.lease.Done()
	go func() {
		select {
		case <-done:
			r.life.cancel()
		case <-r.life.ctx.Done():
		}
	}()
	x.v.s.meters.streams.WithLabelValues(x.entry.Manifest.ID).Inc()
	x.v.beginEvents()
	x.v.c.Response().SetBodyStream(r, -1)
	return true, nil
}

// relay is a module's event stream on its way to the browser. It outlives the handler.
type relay struct {
	x    *exchange
	life *lifeline
	res  interface {
		Read([]byte) (int, error)
		SetDeadline(time.Time)
	}
	stopWake  func() bool
	lineStart bool // the last byte ended a line, so that a comment can be put in
	once      sync.Once
}

// Read gives the next bytes, or a comment when the module has nothing to say for a while.
func (r *relay) Read(p []byte) (int, error) {
	for {
		if r.life.due() {
			if !r.life.holds() {
				return 0, io.EOF
			}
			if r.lineStart {
				r.life.prolong()
				return copy(p, keepAlive), nil
			}
		}
		// First the deadline, then the question whether to end: an interruption between the two is not lost.
		r.res.SetDeadline(r.life.check)
		if r.life.ctx.Err() != nil {
			return 0, io.EOF
		}
		n, err := r.res.Read(p)
		if n > 0 {
			r.lineStart = p[n-1] == '\n'
			r.life.prolong()
			return n, nil
		}
		var timeout interface{ Timeout() bool }
		if err != nil && !(errors.As(err, &timeout) && timeout.Timeout()) {
			return 0, io.EOF // broken or ended: either way the browser connects again
		}
	}
}

// Close lets go of the module, which learns by it that nobody listens.
func (r *relay) Close() error {
	r.once.Do(func() {
		r.life.over()
		r.stopWake()
		r.x.res.Abandon()
		r.x.v.s.meters.streams.WithLabelValues(r.x.entry.Manifest.ID).Dec()
		r.x.release()
	})
	return nil
}

// SendFunc sends one event; event "" is an unnamed message. data is encoded as JSON. It fails when the stream is over.
type SendFunc func(event string, data any) error

// stream answers with Server-Sent Events that the host itself makes. produce runs until its ctx ends or it has nothing more to
// say; it must not use the visit. permission is asked again every 15 seconds.
func (v *visit) stream(permission string, produce func(ctx context.Context, send SendFunc) error) error {
	entry, err := v.s.live.enter(v)
	if err != nil {
		return err
	}
	src := &source{life: v.lifeline(permission), entry: entry, lines: make(chan []byte, 16), meter: v.s.meters}
	log, id := v.s.o.Log, v.id
	go func() {
		defer close(src.lines)
		defer func() {
			if r := recover(); r != nil {
				log.Error("a live stream panicked", "request_id", id, "panic", fmt.Sprint(r))
			}
		}()
		if err := produce(src.life.ctx, src.send); err != nil && src.life.ctx.Err() == nil {
			log.Warn("a live stream ended", "request_id", id, "error", err.Error())
		}
	}()
	src.meter.streams.WithLabelValues("").Inc()
	v.beginEvents()
	v.c.Response().SetBodyStream(src, -1)
	return nil
}

// source is an event stream of the host.
type source struct {
	life    *lifeline
	entry   *liveEntry
	lines   chan []byte
	pending []byte
	meter   *meters
	once    sync.Once
}

func (s *source) send(event string, data any) error {
	body, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("encode the event %s: %w", event, err)
	}
	var b bytes.Buffer
	if event = strings.Map(dropBreaks, event); event != "" {
		b.WriteString("event: " + event + "\n")
	}
	b.WriteString("data: ")
	b.Write(body) // JSON has no line breaks
	b.WriteString("\n\n")
	select {
	case s.lines <- b.Bytes():
		return nil
	case <-s.life.ctx.Done():
		return s.life.ctx.Err()
	}
}

func dropBreaks(r rune) rune {
	if r == '\n' || r == '\r' {
		return -1
	}
	return r
}

// Read gives the next bytes.
func (s *source) Read(p []byte) (int, error) {
	for len(s.pending) == 0 {
		timer := time.NewTimer(time.Until(s.life.check))
		select {
		case line, more := <-s.lines:
			timer.Stop()
			if !more {
				return 0, io.EOF
			}
			s.pending = line
		case <-s.life.ctx.Done():
			timer.Stop()
			return 0, io.EOF
		case <-timer.C:
		}
		if s.life.due() {
			if !s.life.holds() {
				return 0, io.EOF
			}
			if len(s.pending) == 0 {
				s.pending = keepAlive
			}
		}
	}
	s.life.prolong()
	n := copy(p, s.pending)
	s.pending = s.pending[n:]
	return n, nil
}

// Close ends the producer.
func (s *source) Close() error {
	s.once.Do(func() {
		s.life.over()
		s.entry.leave()
		s.meter.streams.WithLabelValues("").Dec()
	})
	return nil
}
