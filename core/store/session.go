package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"os"
	"runtime/debug"
	"time"

	"github.com/mattn/go-sqlite3"

	"mortise/core/fault"
	"mortise/core/tunnel"
)

// session is one connection of a module: it reads a request, does it, answers, all in one goroutine.
type session struct {
	t        *Tunnel
	nc       net.Conn
	r        *tunnel.FrameReader
	in, out  []byte // frames, reused
	args     []driver.NamedValue
	admitted bool // guarded by the tunnel's mu
	migrate  bool
	watch    *watch

	reader  *conn // kept for the life of the session, once it was needed
	tx      *transaction
	cursors map[uint64]*cursor

	deadline  time.Time // of reading, as set on nc
	writeTill time.Time // deadline of writing, as set on nc
}

func newSession(t *Tunnel, nc net.Conn) *session {
	return &session{t: t, nc: nc, r: tunnel.NewFrameReader(nc), cursors: map[uint64]*cursor{}}
}

// errSession ends the session after the answer.
var errSession = errors.New("the session is over")

// maxKept bounds the buffers that a session keeps between requests.
const maxKept = 256 << 10

func (s *session) serve() {
	defer s.end()
	defer func() {
		if p := recover(); p != nil { // whatever a module sent, the host goes on
			s.t.log.Error("a session with the store panicked", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	if err := s.hello(); err != nil {
		s.t.warn("a session with the store was refused", "error", err)
		return
	}
	s.watch = newWatch(s)
	for {
		s.expectRequest()
		kind, body, err := s.r.Read(s.in, tunnel.MaxRequest)
		if cap(body) <= maxKept {
			s.in = body
		}
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, tunnel.ErrProtocol):
			s.expire()
			continue
		default:
			if !errors.Is(err, io.EOF) && s.t.ctx.Err() == nil {
				s.t.warn("a session with the store ended badly", "error", err)
			}
			return
		}
		if err := s.handle(kind, body); err != nil {
			if !errors.Is(err, errGone) && !errors.Is(err, errSession) && s.t.ctx.Err() == nil {
				s.t.warn("a session with the store ended badly", "error", err)
			}
			return
		}
		if cap(s.out) > maxKept {
			s.out = nil
		}
	}
}

// hello lets the caller prove who it is.
func (s *session) hello() error {
	if err := checkPeer(s.nc, s.t.options.AllowPID); err != nil {
		return err
	}
	if err := s.nc.SetDeadline(time.Now().Add(helloTimeout)); err != nil {
		return err
	}
	kind, body, err := s.r.Read(nil, tunnel.MaxHello)
	if err != nil {
		return err
	}
	if kind != tunnel.KindHello {
		return tunnel.ErrProtocol
	}
	version, bearer, err := tunnel.ReadHello(body)
	if err != nil {
		return err
	}
	if version != tunnel.Version {
		err = fault.New(fault.Conflict, "the store speaks version %d of the tunnel, the module %d", tunnel.Version, version)
	} else {
		s.migrate, err = s.t.admit(s, bearer)
	}
	if err != nil {
		_ = s.send(tunnel.AppendError(tunnel.Begin(s.out, tunnel.KindFail), 0, asTunnelError(err))) // err is the one to report
		return err
	}
	welcome := tunnel.Welcome{Version: tunnel.Version, Migrate: s.migrate, Module: s.t.options.Module}
	if err := s.send(tunnel.AppendWelcome(tunnel.Begin(s.out, tunnel.KindWelcome), welcome)); err != nil {
		return err
	}
	return s.nc.SetReadDeadline(time.Time{})
}

// end gives everything back. Whatever is open is rolled back.
func (s *session) end() {
	_ = s.nc.Close() // the peer may have done so
	if s.watch != nil {
		s.watch.close()
	}
	if s.tx != nil {
		_ = s.endTx(false) // rolling back reports nothing
	}
	s.closeCursors(s.reader)
	if s.reader != nil {
		s.t.giveReader(s.reader)
	}
}

// expectRequest sets how long the next request may take to come: not for ever in a transaction or with an unread result.
func (s *session) expectRequest() {
	var till time.Time
	switch {
	case s.tx != nil && s.tx.conn != nil:
		till = s.tx.idleTill(time.Now())
	case len(s.cursors) > 0: // they keep the write-ahead log from being emptied
		till = time.Now().Add(s.t.limits.TxTotal)
	}
	if till.Equal(s.deadline) {
		return
	}
	s.deadline = till
	_ = s.nc.SetReadDeadline(till) // the read that follows fails when this does
}

// writeTimeout is how long an answer may take to be read. It is set ahead for many answers at once.
const writeTimeout = 20 * time.Second

// send finishes and writes a frame.
func (s *session) send(frame []byte) error {
	s.out = tunnel.Finish(frame)
	if now := time.Now(); s.writeTill.Sub(now) < writeTimeout/2 {
		s.writeTill = now.Add(writeTimeout)
		if err := s.nc.SetWriteDeadline(s.writeTill); err != nil {
			return err
		}
	}
	if len(s.out) > tunnel.MaxAnswer {
		return tunnel.ErrProtocol
	}
	_, err := s.nc.Write(s.out)
	return err
}

// handle does one request. An error ends the session; what went wrong with the request itself has been answered.
func (s *session) handle(kind tunnel.Kind, body []byte) error {
	switch kind {
	case tunnel.KindQuery, tunnel.KindExec:
		st, err := tunnel.ReadStatement(body, s.args)
		if err != nil {
			return err
		}
		defer s.forgetArgs(st.Args)
		if kind == tunnel.KindQuery {
			s.t.counts.queries.Add(1)
			return s.do(st.Seq, st.Tx, func(ctx context.Context) ([]byte, error) { return s.query(ctx, st) })
		}
		s.t.counts.execs.Add(1)
		return s.do(st.Seq, st.Tx, func(ctx context.Context) ([]byte, error) { return s.exec(ctx, st) })
	case tunnel.KindMore:
		seq, cursor, err := tunnel.ReadTwo(body)
		if err != nil {
			return err
		}
		return s.more(seq, cursor)
	case tunnel.KindClose:
		cursor, err := tunnel.ReadSeq(body)
		if err != nil {
			return err
		}
		s.closeCursor(cursor)
		return nil
	case tunnel.KindPublish:
		e, err := tunnel.ReadEvent(body)
		if err != nil {
			return err
		}
		return s.do(e.Seq, e.Tx, func(ctx context.Context) ([]byte, error) { return s.publish(ctx, e) })
	case tunnel.KindApplied:
		a, err := tunnel.ReadApplied(body)
		if err != nil {
			return err
		}
		return s.do(a.Seq, a.Tx, func(ctx context.Context) ([]byte, error) { return s.applied(ctx, a) })
	}
	seq, err := tunnel.ReadSeq(body)
	if err != nil {
		return err
	}
	switch kind {
	case tunnel.KindCommit, tunnel.KindRollback:
		return s.finishTx(seq, kind == tunnel.KindCommit)
	case tunnel.KindPing:
		return s.send(s.done(tunnel.Done{Seq: seq}))
	case tunnel.KindCancel: // the request was done before this came
		return nil
	}
	return tunnel.ErrProtocol
}

func (s *session) forgetArgs(args []driver.NamedValue) {
	clear(args)
	if cap(args) <= 256 {
		s.args = args
	}
}

// refuse answers that a request failed. txOver says that the transaction it was in is gone.
func (s *session) refuse(seq uint64, err error, txOver bool) error {
	s.t.counts.failed.Add(1)
	e := *asTunnelError(err)
	e.TxOver = txOver
	if e.Code == int(sqlite3.ErrAuth) {
		s.t.counts.denied.Add(1)
		s.t.warn("a statement of the module was denied", "error", e.Message)
	}
	if errors.Is(err, errTooLong) {
		s.t.counts.timeouts.Add(1)
	}
	if sendErr := s.send(tunnel.AppendError(tunnel.Begin(s.out, tunnel.KindFail), seq, &e)); sendErr != nil {
		return sendErr
	}
	if errors.Is(err, errGone) || errors.Is(err, errSession) {
		return err
	}
	return nil
}

func (s *session) done(d tunnel.Done) []byte {
	return tunnel.AppendDone(tunnel.Begin(s.out, tunnel.KindDone), d)
}
