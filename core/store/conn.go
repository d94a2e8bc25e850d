package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/mattn/go-sqlite3"

	"mortise/core/fault"
	"mortise/core/tunnel"
)

// conn is one SQLite connection of a module, confined by its authorizer. Used by one goroutine at a time.
type conn struct {
	db     *sqlite3.SQLiteConn
	auth   *authorizer
	cached map[string]*prepared
	oldest *prepared // ring of cached: oldest.prev is the newest
	since  time.Time // idle since

	begin, commit, rollback, changes *sqlite3.SQLiteStmt

	lent *lentPool // GORM for the host on this connection, once it was needed
}

// prepared is one prepared statement with what is known of it.
type prepared struct {
	text       string
	stmt       *sqlite3.SQLiteStmt
	readOnly   bool
	inputs     int
	facts      []byte // encoded
	header     []byte // encoded columns, once it ran
	first      *string
	busy       bool // a cursor is open on it
	loose      bool // not in the cache: close it after use
	prev, next *prepared
}

// The statements that a connection keeps, and how long in bytes one may be.
const maxPrepared, maxKeptSQL = 128, 16 << 10

// connKind is what a connection is for.
type connKind struct {
	write   bool
	migrate bool
}

// openConn opens a connection for a module.
func openConn(path string, kind connKind, auth *authorizer) (_ *conn, err error) {
	d := sqlite3.SQLiteDriver{}
	dc, err := d.Open(dsn(path, !kind.write, 2<<10))
	if err != nil {
		return nil, fmt.Errorf("open a connection: %w", err)
	}
	c := &conn{db: dc.(*sqlite3.SQLiteConn), auth: auth, cached: map[string]*prepared{}} //nolint:forcetypeassert // its driver makes no other
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	begin := "BEGIN"
	if kind.write {
		begin = "BEGIN IMMEDIATE"
	}
	for text, stmt := range map[string]**sqlite3.SQLiteStmt{begin: &c.begin, "COMMIT": &c.commit, "ROLLBACK": &c.rollback,
		"SELECT changes(), last_insert_rowid()": &c.changes} {
		s, err := c.db.Prepare(text)
		if err != nil {
			return nil, fmt.Errorf("prepare %s: %w", text, err)
		}
		*stmt = s.(*sqlite3.SQLiteStmt) //nolint:forcetypeassert // its driver makes no other
	}
	for id, limit := range map[int]int{
		sqlite3.SQLITE_LIMIT_LENGTH:              tunnel.MaxValue,
		sqlite3.SQLITE_LIMIT_SQL_LENGTH:          tunnel.MaxSQL,
		sqlite3.SQLITE_LIMIT_ATTACHED:            0,
		sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 500, // LIKE takes time by length of text times length of pattern, and cannot be interrupted
		sqlite3.SQLITE_LIMIT_COLUMN:              500,
		sqlite3.SQLITE_LIMIT_WORKER_THREADS:      0,
	} {
		c.db.SetLimit(id, limit)
	}
	if kind.migrate {
		auth.indexOf = c.indexTables()
	}
	c.db.RegisterAuthorizer(auth.check)
	return c, nil
}

// indexTables tells which table an index is on. An authorizer must not use its own connection, so this is read beforehand: an index
// that the migration itself makes is not in it.
func (c *conn) indexTables() func(string) string {
	tables := map[string]string{}
	rows, err := c.db.Query(`SELECT name, tbl_name FROM sqlite_master WHERE type = 'index'`, nil)
	if err != nil {
		return func(string) string { return "core_" } // deny all
	}
	defer rows.Close()
	dest := make([]driver.Value, 2)
	for rows.Next(dest) == nil {
		name, _ := dest[0].(string)
		tables[name], _ = dest[1].(string)
	}
	return func(index string) string { return tables[index] }
}

// prepare finds or makes the prepared statement for sql, which must be a single statement.
func (c *conn) prepare(sql []byte) (*prepared, error) {
	p, ok := c.cached[string(sql)]
	if ok && !p.busy {
		c.touch(p)
		return p, nil
	}
	fresh, err := c.compile(string(sql))
	if err != nil {
		return nil, err
	}
	if ok || len(sql) > maxKeptSQL { // the cached one has an open cursor, or it would take too much memory
		fresh.loose = true
		return fresh, nil
	}
	if len(c.cached) >= maxPrepared {
		c.evict()
	}
	c.cached[fresh.text] = fresh
	c.link(fresh)
	return fresh, nil
}

func (c *conn) compile(text string) (*prepared, error) {
	if len(splitStatements([]byte(text+";"))) == 0 {
		return nil, &tunnel.Error{Code: int(sqlite3.ErrMisuse), ExtendedCode: int(sqlite3.ErrMisuse), Message: "the statement is empty"}
	}
	facts := tunnel.Facts{Deterministic: true}
	c.auth.facts, c.auth.denied = &facts, ""
	s, err := c.db.Prepare(text)
	c.auth.facts = nil
	if err != nil {
		return nil, c.denial(err)
	}
	stmt := s.(*sqlite3.SQLiteStmt) //nolint:forcetypeassert // its driver makes no other
	return &prepared{text: text, stmt: stmt, readOnly: stmt.Readonly(), inputs: stmt.NumInput(), facts: tunnel.AppendFacts(nil, facts)}, nil
}

// denial makes an error of the authorizer readable.
func (c *conn) denial(err error) error {
	var e sqlite3.Error
	if errors.As(err, &e) && e.Code == sqlite3.ErrAuth || c.auth.denied != "" {
		what := c.auth.denied
		if what == "" {
			what = err.Error()
		}
		return &tunnel.Error{Code: int(sqlite3.ErrAuth), ExtendedCode: int(sqlite3.ErrAuth),
			Message: fmt.Sprintf("module %s may not %s (%v)", c.auth.module, what, err)}
	}
	return err
}

// link puts p in as the newest.
func (c *conn) link(p *prepared) {
	if c.oldest == nil {
		p.prev, p.next, c.oldest = p, p, p
		return
	}
	p.prev, p.next = c.oldest.prev, c.oldest
	p.prev.next, p.next.prev = p, p
}

func (c *conn) unlink(p *prepared) {
	if p.next == p {
		c.oldest = nil
		return
	}
	p.prev.next, p.next.prev = p.next, p.prev
	if c.oldest == p {
		c.oldest = p.next
	}
}

// touch makes p the newest.
func (c *conn) touch(p *prepared) {
	switch p {
	case c.oldest.prev:
	case c.oldest:
		c.oldest = p.next // the ring stays as it is: the newest is before the oldest
	default:
		c.unlink(p)
		c.link(p)
	}
}

// evict drops the oldest statement that is not in use.
func (c *conn) evict() {
	for p, n := c.oldest, len(c.cached); n > 0; p, n = p.next, n-1 {
		if !p.busy {
			c.drop(p)
			return
		}
	}
}

func (c *conn) drop(p *prepared) {
	c.unlink(p)
	delete(c.cached, p.text)
	_ = p.stmt.Close() // finalizing reports the statement's last error again
}

// done is called when nobody reads from p any more.
func (c *conn) done(p *prepared) {
	p.busy = false
	if p.loose {
		_ = p.stmt.Close() // as in drop
	}
}

// columns gives the encoded header of rows. go-sqlite3 keeps the names of a prepared statement until the schema changes; while they are
// the same slice, so is the header.
func (p *prepared) columns(rows *sqlite3.SQLiteRows) []byte {
	names := rows.Columns()
	if len(names) > 0 && p.header != nil && p.first == &names[0] {
		return p.header
	}
	list := make([]tunnel.Column, len(names))
	for i, n := range names {
		list[i] = tunnel.Column{Name: n, Type: rows.ColumnTypeDatabaseTypeName(i)}
	}
	p.header = tunnel.AppendColumns(nil, list)
	if len(names) > 0 {
		p.first = &names[0]
	}
	return p.header
}

// asHost runs f with the authorizer lifted.
func (c *conn) asHost(f func() error) error {
	c.auth.host = true
	defer func() { c.auth.host = false }()
	return f()
}

// run executes one of the host's own statements.
func (c *conn) run(s *sqlite3.SQLiteStmt) error {
	return c.asHost(func() error {
		_, err := s.Exec(nil)
		return err
	})
}

// finish ends whatever transaction is open. False means that the connection must not be used again.
func (c *conn) finish() bool {
	if !c.db.AutoCommit() {
		_ = c.run(c.rollback) // AutoCommit tells whether it worked
	}
	return c.db.AutoCommit()
}

// exec runs a statement of the host with arguments.
func (c *conn) exec(ctx context.Context, sql string, args ...driver.Value) error {
	return c.asHost(func() error {
		_, err := c.db.ExecContext(ctx, sql, namedValues(args))
		return err
	})
}

func namedValues(args []driver.Value) []driver.NamedValue {
	list := make([]driver.NamedValue, len(args))
	for i, v := range args {
		list[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
	}
	return list
}

func (c *conn) close() {
	if c.lent != nil {
		_ = c.lent.DB.Close() // it lends this connection and has nothing of its own
	}
	for _, p := range c.cached {
		_ = p.stmt.Close() // as in drop
	}
	for _, s := range []*sqlite3.SQLiteStmt{c.begin, c.commit, c.rollback, c.changes} {
		if s != nil {
			_ = s.Close() // as in drop
		}
	}
	_ = c.db.Close() // nothing of ours is left open in it
}

// asTunnelError turns any error into what is sent to the module.
func asTunnelError(err error) *tunnel.Error {
	var t *tunnel.Error
	if errors.As(err, &t) {
		return t
	}
	var e sqlite3.Error
	if errors.As(err, &e) {
		return &tunnel.Error{Code: int(e.Code), ExtendedCode: int(e.ExtendedCode), SystemErrno: int(e.SystemErrno), Kind: sqliteKind(e), Message: e.Error()}
	}
	return &tunnel.Error{Kind: fault.KindOf(err).String(), Message: err.Error()}
}

// sqliteKind gives those errors of SQLite a kind that are not the author's mistake.
func sqliteKind(e sqlite3.Error) string {
	switch e.Code {
	case sqlite3.ErrBusy, sqlite3.ErrLocked, sqlite3.ErrFull:
		return fault.Unavailable.String()
	case sqlite3.ErrTooBig:
		return fault.TooLarge.String()
	}
	return fault.Internal.String()
}
