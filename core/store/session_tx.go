package store

import (
	"context"
	"errors"
	"time"

	"mortise/core/fault"
	"mortise/core/tunnel"
)

// transaction is the open transaction of a session. A write transaction holds the turn to write.
type transaction struct {
	conn      *conn // nil once the host has ended it; the module is told at its next request
	write     bool
	idle      time.Duration
	until     time.Time
	published bool
	before    schema // in migrate mode
	owns      func(table string) bool
	reason    error // why the host has ended it
}

// idleTill is when the host ends the transaction if no request comes.
func (tx *transaction) idleTill(now time.Time) time.Time {
	if till := now.Add(tx.idle); till.Before(tx.until) {
		return till
	}
	return tx.until
}

var (
	errTxIdle  = fault.New(fault.Timeout, "the transaction was rolled back: no statement came in time")
	errTxLong  = fault.New(fault.Timeout, "the transaction was rolled back: it took too long")
	errTxEnded = fault.New(fault.Conflict, "the transaction is over: the statement, or the store, has rolled it back")
	errNoTx    = fault.New(fault.Conflict, "no transaction is open")
	errTxMixed = errors.Join(errSession, errors.New("a request outside the open transaction"))
)

// do runs one request: it begins a transaction if asked to, has f make the answer while the session is watched, and sends it. An error
// ends the session.
func (s *session) do(seq uint64, mode tunnel.TxMode, f func(ctx context.Context) ([]byte, error)) error {
	limit := s.t.limits.Statement
	if s.migrate {
		limit = s.t.limits.MigrateStep
	}
	if s.tx != nil && s.tx.conn != nil {
		left := time.Until(s.tx.until)
		if left <= 0 {
			s.expire()
		}
		limit = min(limit, left)
	}
	ctx := s.watch.start(seq, limit)
	frame, err := s.inMode(ctx, mode, f)
	cause := s.watch.stop() // before the answer: what comes after it is the next request
	if err == nil && s.tx != nil && s.tx.conn != nil && s.tx.conn.db.AutoCommit() {
		err = errTxEnded // such as INSERT OR ROLLBACK
	}
	if err == nil {
		return s.send(frame)
	}
	if cause != nil && !errors.Is(err, errBusy) {
		err = cause
	}
	over := mode != tunnel.TxNone && (s.tx == nil || s.tx.conn == nil || s.tx.conn.db.AutoCommit())
	if over && s.tx != nil {
		_ = s.endTx(false) // rolling back reports nothing
	}
	return s.refuse(seq, err, over)
}

func (s *session) inMode(ctx context.Context, mode tunnel.TxMode, f func(ctx context.Context) ([]byte, error)) ([]byte, error) {
	switch {
	case mode == tunnel.TxInside && s.tx == nil:
		return nil, errNoTx
	case mode == tunnel.TxInside && s.tx.conn == nil:
		return nil, s.tx.reason
	case mode != tunnel.TxInside && s.tx != nil:
		return nil, errTxMixed
	case mode == tunnel.TxNone && s.migrate:
		return nil, fault.New(fault.Conflict, "migrations run in one transaction")
	case mode == tunnel.TxWrite || mode == tunnel.TxReadOnly:
		if err := s.beginTx(ctx, mode == tunnel.TxWrite); err != nil {
			return nil, err
		}
	}
	return f(ctx)
}

// acquire waits for the turn to write.
func (s *session) acquire(ctx context.Context) error {
	err := s.t.store.queue.acquire(ctx, s.t.options.Module)
	if errors.Is(err, errTooLong) {
		return errBusy
	}
	return err
}

func (s *session) beginTx(ctx context.Context, write bool) error {
	l := s.t.limits
	tx := &transaction{write: write, idle: l.TxIdle, until: time.Now().Add(l.TxTotal)}
	switch {
	case s.migrate:
		return s.beginMigration(ctx, tx)
	case write:
		if err := s.acquire(ctx); err != nil {
			return err
		}
		c, err := s.t.takeWriter()
		if err == nil {
			err = c.run(c.begin)
			if err != nil {
				s.t.giveWriter(c)
			}
		}
		if err != nil {
			s.t.store.queue.release()
			return err
		}
		tx.conn, tx.until = c, time.Now().Add(l.TxTotal) // waiting for the turn does not count
	default:
		c, err := s.readConn()
		if err != nil {
			return err
		}
		if err := c.run(c.begin); err != nil {
			return err
		}
		tx.conn = c
	}
	s.tx = tx
	return nil
}

// beginMigration begins a transaction on a connection of its own, with the rules for migrating.
func (s *session) beginMigration(ctx context.Context, tx *transaction) error {
	others, err := s.t.store.migratedModules(ctx)
	if err != nil {
		return err
	}
	tx.write, tx.owns, tx.idle = true, ownership(s.t.options.Module, others), s.t.limits.MigrateStep
	auth := &authorizer{module: s.t.options.Module, owns: tx.owns, exists: s.t.store.exists, migrate: true}
	if err := s.acquire(ctx); err != nil {
		return err
	}
	tx.until = time.Now().Add(s.t.limits.MigrateAll)
	c, err := openConn(s.t.store.path, connKind{write: true, migrate: true}, auth)
	if err == nil {
		if err = c.run(c.begin); err == nil {
			tx.before, err = c.readSchema(ctx)
		}
		if err != nil {
			c.close()
		}
	}
	if err != nil {
		s.t.store.queue.release()
		return err
	}
	tx.conn, s.tx = c, tx
	return nil
}

// finishTx answers Commit and Rollback.
func (s *session) finishTx(seq uint64, commit bool) error {
	switch {
	case s.tx == nil && commit:
		return s.refuse(seq, errNoTx, true)
	case s.tx == nil || s.tx.conn == nil && !commit: // the host has rolled back already
		s.tx = nil
	case s.tx.conn == nil:
		reason := s.tx.reason
		s.tx = nil
		return s.refuse(seq, reason, true)
	default:
		if err := s.endTx(commit); err != nil {
			return s.refuse(seq, err, true)
		}
	}
	return s.send(s.done(tunnel.Done{Seq: seq}))
}

// endTx commits or rolls back and gives the connection and the turn back. After an error nothing was committed.
func (s *session) endTx(commit bool) error {
	tx := s.tx
	s.tx = nil
	if tx == nil || tx.conn == nil {
		return nil
	}
	c := tx.conn
	s.closeCursors(c)
	var err error
	if commit {
		err = s.commit(tx)
	}
	if !commit || err != nil {
		s.t.counts.rolledBack.Add(1)
	}
	switch {
	case s.migrate:
		c.finish()
		c.close()
		s.t.store.queue.release()
	case tx.write:
		s.t.giveWriter(c)
		s.t.store.queue.release()
	case !c.finish(): // s.reader
		c.close()
		s.reader = nil
	}
	if commit && err == nil && tx.published && s.t.options.OnCommit != nil {
		s.t.options.OnCommit()
	}
	return err
}

func (s *session) commit(tx *transaction) error {
	if s.migrate {
		after, err := tx.conn.readSchema(context.Background())
		if err != nil {
			return err
		}
		if err := compareSchemas(tx.before, after, s.t.options.Module, tx.owns, s.t.listed); err != nil {
			return err
		}
	}
	if tx.conn.db.AutoCommit() {
		return errTxEnded
	}
	return tx.conn.run(tx.conn.commit)
}

// expire ends what the module has left open for too long: its transaction, or results outside one. It is told at its next request.
func (s *session) expire() {
	s.t.counts.timeouts.Add(1)
	if s.tx == nil || s.tx.conn == nil {
		s.closeCursors(s.reader)
		return
	}
	reason := errTxIdle
	if !time.Now().Before(s.tx.until) {
		reason = errTxLong
	}
	s.t.warn("a transaction of the module was rolled back", "reason", reason.Message)
	_ = s.endTx(false) // rolling back reports nothing
	s.tx = &transaction{reason: reason}
}
