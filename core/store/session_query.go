package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"time"

	"github.com/mattn/go-sqlite3"

	"mortise/core/fault"
	"mortise/core/tunnel"
)

// Sizes of one answer. The first is small, because most results are; who asks for more wants much.
const (
	firstRows, firstBytes = 256, 64 << 10
	moreRows, moreBytes   = 1024, 256 << 10
	maxReturning          = 8 << 20 // bytes of a result that must be kept because the transaction is over: RETURNING
)

// cursor is the rest of a result.
type cursor struct {
	id      uint64
	conn    *conn
	stmt    *prepared
	rows    *sqlite3.SQLiteRows
	dest    []driver.Value
	pending bool // dest holds a row that was not sent yet
	sent    int  // bytes
}

// readConn is the session's own read-only connection.
func (s *session) readConn() (*conn, error) {
	if s.reader == nil {
		c, err := s.t.takeReader()
		if err != nil {
			return nil, err
		}
		s.reader = c
	}
	return s.reader, nil
}

// choose finds the connection for a statement: the transaction's, or the session's reader. nil means that it writes outside a
// transaction and needs the writer.
func (s *session) choose(sql []byte) (*conn, *prepared, error) {
	if s.tx != nil {
		p, err := s.tx.conn.prepare(sql)
		return s.tx.conn, p, err
	}
	c, err := s.readConn()
	if err != nil {
		return nil, nil, err
	}
	p, err := c.prepare(sql)
	if err != nil || !p.readOnly {
		return nil, nil, err
	}
	return c, p, nil
}

// alone runs f in a write transaction of its own.
func (s *session) alone(ctx context.Context, f func(c *conn) error) error {
	if err := s.acquire(ctx); err != nil {
		return err
	}
	defer s.t.store.queue.release()
	c, err := s.t.takeWriter()
	if err != nil {
		return err
	}
	defer s.t.giveWriter(c)
	if err := c.run(c.begin); err != nil {
		return err
	}
	if err := f(c); err != nil {
		return err
	}
	if c.db.AutoCommit() {
		return errTxEnded
	}
	return c.run(c.commit)
}

// checkAlone rolls back what a statement outside a transaction must not leave behind: SAVEPOINT begins one.
func (s *session) checkAlone(c *conn) error {
	if s.tx != nil || c.db.AutoCommit() {
		return nil
	}
	if !c.finish() {
		return errSession
	}
	return fault.New(fault.Conflict, "a savepoint needs a transaction")
}

// exec runs statements that give no rows, and makes the answer.
func (s *session) exec(ctx context.Context, st tunnel.Statement) ([]byte, error) {
	list := splitStatements(st.SQL)
	switch {
	case len(list) == 1:
		return s.execOne(ctx, st, list[0])
	case len(st.Args) > 0:
		return nil, &tunnel.Error{Code: int(sqlite3.ErrMisuse), ExtendedCode: int(sqlite3.ErrMisuse), Message: "several statements cannot have arguments"}
	}
	d := tunnel.Done{Seq: st.Seq}
	all := func(c *conn) error {
		for _, sql := range list {
			p, err := c.prepare(sql)
			if err != nil {
				return err
			}
			if err := c.step(ctx, p, nil, &d); err != nil {
				return err
			}
		}
		return nil
	}
	var err error
	if s.tx != nil {
		err = all(s.tx.conn)
	} else {
		err = s.alone(ctx, all)
	}
	d.Facts = nil // of several statements there are none: a cache must drop everything
	return s.done(d), err
}

func (s *session) execOne(ctx context.Context, st tunnel.Statement, sql []byte) ([]byte, error) {
	d := tunnel.Done{Seq: st.Seq}
	c, p, err := s.choose(sql)
	switch {
	case err != nil:
		return nil, err
	case c != nil:
		if err = c.step(ctx, p, st.Args, &d); err == nil {
			err = s.checkAlone(c)
		}
	default:
		err = s.execAlone(ctx, sql, st.Args, &d)
	}
	if err != nil {
		return nil, err
	}
	return s.done(d), nil
}

// execAlone runs one statement as a transaction of its own, which SQLite does by itself.
func (s *session) execAlone(ctx context.Context, sql []byte, args []driver.NamedValue, d *tunnel.Done) error {
	if err := s.acquire(ctx); err != nil {
		return err
	}
	defer s.t.store.queue.release()
	c, err := s.t.takeWriter()
	if err != nil {
		return err
	}
	defer s.t.giveWriter(c)
	p, err := c.prepare(sql)
	if err != nil {
		return err
	}
	return c.step(ctx, p, args, d)
}

// step runs a prepared statement to its end. Rows that it gives nobody asked for. It does not use go-sqlite3's Exec, which would stop at
// the first row and leave the statement running, with what it reads or has not committed; which starts a goroutine for each statement; and
// which may miss a cancellation.
func (c *conn) step(ctx context.Context, p *prepared, args []driver.NamedValue, d *tunnel.Done) error {
	defer c.done(p)
	if err := p.checkArgs(args); err != nil {
		return err
	}
	if err := drain(ctx, p.stmt, args, nil); err != nil {
		return c.denial(err)
	}
	d.Facts = p.facts
	if p.readOnly {
		return nil
	}
	return c.asHost(func() error {
		return drain(context.Background(), c.changes, nil, func(v []driver.Value) {
			d.Affected, _ = v[0].(int64)
			d.LastID, _ = v[1].(int64)
		})
	})
}

// drain runs a statement to its end.
func drain(ctx context.Context, stmt *sqlite3.SQLiteStmt, args []driver.NamedValue, f func([]driver.Value)) error {
	r, err := stmt.QueryContext(ctx, args)
	if err != nil {
		return err
	}
	dest := make([]driver.Value, len(r.Columns()))
	for {
		if err = r.Next(dest); err != nil {
			break
		}
		if f != nil {
			f(dest)
		}
	}
	_ = r.Close() // resetting reports the statement's last error again
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func (p *prepared) checkArgs(args []driver.NamedValue) error {
	if len(args) == p.inputs {
		return nil
	}
	return &tunnel.Error{Code: int(sqlite3.ErrRange), ExtendedCode: int(sqlite3.ErrRange), Message: "the statement has another number of arguments than placeholders"}
}

// query runs one statement that gives rows, and makes the answer with the first of them.
func (s *session) query(ctx context.Context, st tunnel.Statement) ([]byte, error) {
	list := splitStatements(st.SQL)
	if len(list) != 1 {
		return nil, &tunnel.Error{Code: int(sqlite3.ErrMisuse), ExtendedCode: int(sqlite3.ErrMisuse), Message: "a query is one statement"}
	}
	c, p, err := s.choose(list[0])
	if err != nil {
		return nil, err
	}
	if c == nil {
		return s.queryAlone(ctx, st, list[0])
	}
	cur, err := c.open(ctx, p, st)
	if err != nil {
		return nil, err
	}
	frame, end, err := s.first(cur, firstRows, firstBytes)
	if err != nil || end {
		cur.close()
		if err == nil {
			err = s.checkAlone(c)
		}
		return frame, err
	}
	if len(s.cursors) >= s.t.limits.Cursors {
		cur.close()
		return nil, fault.New(fault.TooMany, "%d results are open in this session already: read or close them first", len(s.cursors))
	}
	s.cursors[cur.id] = cur
	return frame, nil
}

// queryAlone runs a statement that writes and gives rows (RETURNING) as a transaction of its own. Its rows are kept, because nobody may
// hold the turn to write until the module has read them.
func (s *session) queryAlone(ctx context.Context, st tunnel.Statement, sql []byte) (frame []byte, err error) {
	err = s.alone(ctx, func(c *conn) error {
		p, err := c.prepare(sql)
		if err != nil {
			return err
		}
		cur, err := c.open(ctx, p, st)
		if err != nil {
			return err
		}
		defer cur.close()
		var end bool
		frame, end, err = s.first(cur, 1<<30, maxReturning)
		if err == nil && !end {
			err = fault.New(fault.TooLarge, "the rows that the statement returns are more than 8 MiB: use a transaction")
		}
		return err
	})
	return frame, err
}

// open starts a query.
func (c *conn) open(ctx context.Context, p *prepared, st tunnel.Statement) (*cursor, error) {
	if err := p.checkArgs(st.Args); err != nil {
		c.done(p)
		return nil, err
	}
	r, err := p.stmt.QueryContext(ctx, st.Args)
	if err != nil {
		c.done(p)
		return nil, c.denial(err)
	}
	p.busy = true
	return &cursor{id: st.Seq, conn: c, stmt: p, rows: r.(*sqlite3.SQLiteRows)}, nil //nolint:forcetypeassert // its driver makes no other
}

func (cur *cursor) close() {
	_ = cur.rows.Close() // resetting reports the statement's last error again
	cur.conn.done(cur.stmt)
}

// first makes the first answer of a query.
func (s *session) first(cur *cursor, maxRows, maxBytes int) (frame []byte, end bool, err error) {
	head := tunnel.RowsHead{Seq: cur.id, Flags: tunnel.FlagFirst, Columns: cur.stmt.columns(cur.rows), Facts: cur.stmt.facts}
	cur.dest = make([]driver.Value, len(cur.rows.Columns()))
	return s.rows(cur, head, maxRows, maxBytes)
}

// rows makes an answer with the next rows of a cursor.
func (s *session) rows(cur *cursor, head tunnel.RowsHead, maxRows, maxBytes int) (frame []byte, end bool, err error) {
	frame = tunnel.Begin(s.out, tunnel.KindRows)
	flags := len(frame) + uvarintLen(head.Seq)
	frame = tunnel.AppendRowsHead(frame, head)
	start := len(frame)
	for n := 0; ; n++ {
		if !cur.pending {
			if err := cur.rows.Next(cur.dest); errors.Is(err, io.EOF) {
				frame[flags] |= tunnel.FlagEnd
				return frame, true, nil
			} else if err != nil {
				return nil, false, err
			}
		}
		if n == maxRows || len(frame)-start >= maxBytes {
			cur.pending = true
			break
		}
		cur.pending = false
		if frame, err = appendRow(frame, cur.dest); err != nil {
			return nil, false, err
		}
		if cur.sent+len(frame)-start > s.t.limits.Result {
			return nil, false, fault.New(fault.TooLarge, "the result is more than %d MiB", s.t.limits.Result>>20)
		}
	}
	cur.sent += len(frame) - start
	return frame, false, nil
}

func uvarintLen(v uint64) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}

func appendRow(b []byte, values []driver.Value) ([]byte, error) {
	b, at := tunnel.BeginRow(b)
	for _, v := range values {
		var err error
		if b, err = tunnel.AppendValue(b, v); err != nil {
			return nil, err
		}
	}
	return tunnel.FinishRow(b, at), nil
}

// more answers with the next rows of an open cursor.
func (s *session) more(seq, id uint64) error {
	cur := s.cursors[id]
	if cur == nil {
		return s.refuse(seq, fault.New(fault.Conflict, "the result is not open any more"), false)
	}
	limit := s.t.limits.Statement
	if s.tx != nil {
		limit = min(limit, max(time.Until(s.tx.until), time.Millisecond))
	}
	s.watch.start(seq, limit)
	frame, end, err := s.rows(cur, tunnel.RowsHead{Seq: seq}, moreRows, moreBytes)
	cause := s.watch.stop()
	if err != nil || end {
		s.closeCursor(id)
	}
	if err == nil {
		return s.send(frame)
	}
	if cause != nil {
		err = cause
	}
	over := s.tx != nil && s.tx.conn != nil && s.tx.conn.db.AutoCommit()
	if over {
		_ = s.endTx(false) // rolling back reports nothing
	}
	return s.refuse(seq, err, over)
}

func (s *session) closeCursor(id uint64) {
	if cur := s.cursors[id]; cur != nil {
		delete(s.cursors, id)
		cur.close()
	}
}

// closeCursors closes those on c.
func (s *session) closeCursors(c *conn) {
	for id, cur := range s.cursors {
		if cur.conn == c {
			s.closeCursor(id)
		}
	}
}

// publish stores an event in the module's transaction, or in one of its own.
func (s *session) publish(ctx context.Context, e tunnel.Event) ([]byte, error) {
	if s.t.options.Publish == nil {
		return nil, fault.New(fault.Denied, "events cannot be published here")
	}
	store := func(c *conn) error {
		return c.asHost(func() error {
			db, err := c.lend()
			if err != nil {
				return err
			}
			return s.t.options.Publish(ctx, db.WithContext(ctx), s.t.options.Module, e.Name, e.Subject, e.Payload)
		})
	}
	var err error
	switch {
	case s.tx == nil:
		err = s.alone(ctx, store)
		if err == nil && s.t.options.OnCommit != nil {
			s.t.options.OnCommit()
		}
	case !s.tx.write:
		err = fault.New(fault.Conflict, "the transaction is read-only")
	default:
		err = store(s.tx.conn)
		s.tx.published = s.tx.published || err == nil
	}
	if err != nil {
		return nil, err
	}
	s.t.counts.events.Add(1)
	return s.done(tunnel.Done{Seq: e.Seq}), nil
}

// applied records a step of the migration in the transaction that migrates.
func (s *session) applied(ctx context.Context, a tunnel.Applied) ([]byte, error) {
	if !s.migrate {
		return nil, fault.New(fault.Denied, "this session is not for migrating")
	}
	if a.Number < 1 || a.Name == "" {
		return nil, fault.New(fault.Invalid, "a migration has a number from 1 and a name")
	}
	err := s.tx.conn.exec(ctx, `INSERT INTO core_module_migrations (module, number, name, applied_at) VALUES (?, ?, ?, ?)`,
		s.t.options.Module, a.Number, a.Name, time.Now().UTC())
	var e sqlite3.Error
	if errors.As(err, &e) && e.Code == sqlite3.ErrConstraint {
		return nil, fault.Wrap(fault.Conflict, err, "migration %d was applied before", a.Number)
	}
	if err != nil {
		return nil, err
	}
	return s.done(tunnel.Done{Seq: a.Seq}), nil
}
