package tunnel

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"mortise/core/fault"
)

// conn is one session, as database/sql wants it: used by one goroutine at a time.
type conn struct {
	nc      net.Conn
	r       *FrameReader
	out     []byte // the frame being sent, reused
	seq     uint64
	module  string
	migrate bool
	tx      txState
	bad     bool // something was lost between the two ends; never used again
	metas   map[string]*meta
}

// txState is where the transaction is; a transaction is told to the host with its first statement.
type txState byte

const (
	txNone         txState = iota
	txPendingWrite         // begun here, not yet there
	txPendingReadOnly
	txOpen
	txOver // ended by the host
)

var (
	_ driver.Conn            = (*conn)(nil)
	_ driver.ConnBeginTx     = (*conn)(nil)
	_ driver.ExecerContext   = (*conn)(nil)
	_ driver.QueryerContext  = (*conn)(nil)
	_ driver.Pinger          = (*conn)(nil)
	_ driver.Validator       = (*conn)(nil)
	_ driver.SessionResetter = (*conn)(nil)
)

var errTxOver = &Error{Kind: fault.Conflict.String(), Message: "the transaction is over: the store has rolled it back", TxOver: true}

// Prepare is local: the host keeps prepared statements by their text.
func (c *conn) Prepare(query string) (driver.Stmt, error) { return &stmt{conn: c, query: query}, nil }

// Close ends the session; the host rolls back what is open.
func (c *conn) Close() error {
	c.bad = true
	return c.nc.Close()
}

// IsValid is part of driver.Validator.
func (c *conn) IsValid() bool { return !c.bad && c.tx == txNone }

// ResetSession is part of driver.SessionResetter.
func (c *conn) ResetSession(context.Context) error {
	if !c.IsValid() {
		return driver.ErrBadConn
	}
	return nil
}

// Ping asks the host for an answer.
func (c *conn) Ping(ctx context.Context) error {
	_, err := c.done(ctx, c.begin(KindPing))
	return err
}

// Begin is part of driver.Conn.
func (c *conn) Begin() (driver.Tx, error) { return c.BeginTx(context.Background(), driver.TxOptions{}) }

// BeginTx notes that the next statement begins a transaction. Isolation is serializable whatever was asked for.
func (c *conn) BeginTx(_ context.Context, o driver.TxOptions) (driver.Tx, error) {
	switch sql.IsolationLevel(o.Isolation) {
	case sql.LevelDefault, sql.LevelSerializable:
	default:
		return nil, fmt.Errorf("tunnel: isolation level %s is not supported", sql.IsolationLevel(o.Isolation))
	}
	if c.tx != txNone {
		return nil, errors.New("tunnel: a transaction is open already")
	}
	c.tx = txPendingWrite
	if o.ReadOnly {
		c.tx = txPendingReadOnly
	}
	return tx{c}, nil
}

// tx is the open transaction of a conn.
type tx struct{ c *conn }

// Commit commits.
func (t tx) Commit() error {
	state := t.c.tx
	t.c.tx = txNone
	switch state {
	case txPendingWrite, txPendingReadOnly:
		return nil // nothing was done in it
	case txOpen:
		_, err := t.c.done(context.Background(), t.c.begin(KindCommit))
		return err
	}
	return errTxOver
}

// Rollback rolls back; it succeeds when the host has done so already.
func (t tx) Rollback() error {
	state := t.c.tx
	t.c.tx = txNone
	if state != txOpen || t.c.bad {
		return nil
	}
	_, err := t.c.done(context.Background(), t.c.begin(KindRollback))
	return err
}

// mode is what to tell the host about the transaction.
func (c *conn) mode() (TxMode, error) {
	switch c.tx {
	case txPendingWrite:
		return TxWrite, nil
	case txPendingReadOnly:
		return TxReadOnly, nil
	case txOpen:
		return TxInside, nil
	case txOver:
		return TxNone, errTxOver
	}
	return TxNone, nil
}

// begin starts a frame with a new sequence number.
func (c *conn) begin(kind Kind) []byte {
	c.seq++
	return binary.AppendUvarint(Begin(c.out, kind), c.seq)
}

// statement makes the frame of a Query or Exec.
func (c *conn) statement(kind Kind, query string, args []driver.NamedValue) ([]byte, error) {
	mode, err := c.mode()
	if err != nil {
		return nil, err
	}
	c.seq++
	return AppendStatement(Begin(c.out, kind), c.seq, mode, query, args)
}

// ExecContext runs one statement. The queries that this package defines for its special requests are recognised here, because
// database/sql offers no other way into the connection of a *sql.Tx.
func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	var frame []byte
	var err error
	switch query {
	case PublishQuery:
		frame, err = c.publish(args)
	case appliedQuery:
		frame, err = c.applied(args)
	default:
		frame, err = c.statement(KindExec, query, args)
	}
	if err != nil {
		return nil, err
	}
	done, err := c.done(ctx, frame)
	if err != nil {
		return nil, err
	}
	return result{id: done.LastID, affected: done.Affected}, nil
}

// result is a driver.Result.
type result struct{ id, affected int64 }

func (r result) LastInsertId() (int64, error) { return r.id, nil }
func (r result) RowsAffected() (int64, error) { return r.affected, nil }

// done sends a frame and reads Done.
func (c *conn) done(ctx context.Context, frame []byte) (Done, error) {
	buf := getBuffer()
	defer putBuffer(buf)
	body, err := c.call(ctx, frame, KindDone, buf)
	if err != nil {
		return Done{}, err
	}
	done, err := ReadDone(body)
	done.Facts = nil // it was a part of the buffer
	if err != nil {
		c.bad = true
	}
	return done, err
}

// call sends a frame and reads the answer into buf. When ctx ends first, it asks the host to stop and still waits for the answer, so
// that the session stays usable.
func (c *conn) call(ctx context.Context, frame []byte, want Kind, buf *buffer) ([]byte, error) {
	if c.bad {
		return nil, driver.ErrBadConn
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	c.out = Finish(frame)
	if _, err := c.nc.Write(c.out); err != nil {
		c.bad = true
		if c.tx == txOpen {
			return nil, fault.Wrap(fault.Unavailable, err, "the connection to the store was lost")
		}
		return nil, driver.ErrBadConn // an incomplete frame is never executed, so database/sql may try another session
	}
	if cap(c.out) > 64<<10 {
		c.out = nil
	}
	if ctx.Done() == nil {
		return c.answer(want, buf)
	}
	cancelled := make(chan struct{})
	seq := c.seq
	stop := context.AfterFunc(ctx, func() {
		defer close(cancelled)
		c.cancel(seq)
	})
	body, err := c.answer(want, buf)
	if stop() {
		return body, err
	}
	<-cancelled
	if e := c.nc.SetReadDeadline(time.Time{}); e != nil {
		c.bad = true
	}
	if err != nil {
		return nil, ctx.Err()
	}
	return body, nil // it was done before it could be cancelled
}

// cancel asks the host to stop request seq. It runs beside call, which is reading.
func (c *conn) cancel(seq uint64) {
	_ = c.nc.SetReadDeadline(time.Now().Add(cancelTimeout)) // call finds out when this or the next fails
	frame := Finish(binary.AppendUvarint(Begin(nil, KindCancel), seq))
	_, _ = c.nc.Write(frame)
}

// answer reads the answer to the request sent last.
func (c *conn) answer(want Kind, buf *buffer) ([]byte, error) {
	kind, body, err := c.r.Read(buf.b, MaxAnswer)
	buf.b = body
	if err != nil {
		c.bad = true
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, fault.Wrap(fault.Timeout, err, "the store did not answer")
		}
		return nil, fault.Wrap(fault.Unavailable, err, "the connection to the store was lost")
	}
	seq := NewDecoder(body)
	if got := seq.Uvarint(); got != c.seq || (kind != want && kind != KindFail) {
		c.bad = true
		return nil, malformed("answer %q to request %d, expected %q to %d", kind, got, want, c.seq)
	}
	if kind == want {
		c.began()
		return body, nil
	}
	_, e, err := ReadError(body)
	if err != nil {
		c.bad = true
		return nil, err
	}
	if !e.TxOver {
		c.began()
	} else if c.tx != txNone {
		c.tx = txOver
	}
	return nil, e
}

// began notes that the host knows of the transaction.
func (c *conn) began() {
	if c.tx == txPendingWrite || c.tx == txPendingReadOnly {
		c.tx = txOpen
	}
}

// stmt is a statement that is prepared in the host only.
type stmt struct {
	conn  *conn
	query string
}

func (s *stmt) Close() error  { return nil }
func (s *stmt) NumInput() int { return -1 }

func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return s.conn.ExecContext(ctx, s.query, args)
}

func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return s.conn.QueryContext(ctx, s.query, args)
}

func (s *stmt) Exec(args []driver.Value) (driver.Result, error) {
	return s.ExecContext(context.Background(), named(args))
}

func (s *stmt) Query(args []driver.Value) (driver.Rows, error) {
	return s.QueryContext(context.Background(), named(args))
}

func named(args []driver.Value) []driver.NamedValue {
	list := make([]driver.NamedValue, len(args))
	for i, v := range args {
		list[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
	}
	return list
}
