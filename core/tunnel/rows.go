package tunnel

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"io"
	"reflect"
	"strings"
	"sync"
)

// buffer holds one answer while its rows are read.
type buffer struct{ b []byte }

var buffers = sync.Pool{New: func() any { return &buffer{b: make([]byte, 0, 4<<10)} }}

func getBuffer() *buffer { return buffers.Get().(*buffer) } //nolint:forcetypeassert // nothing else is put

func putBuffer(b *buffer) {
	if cap(b.b) <= 256<<10 { // one huge answer must not stay for ever
		buffers.Put(b)
	}
}

// meta is what a query's columns are; the same for each run of the same text until the schema changes.
type meta struct {
	header []byte // as it came
	names  []string
	types  []string
}

// maxMetas and maxMetaSQL (bytes of a statement) bound what a session remembers of columns.
const maxMetas, maxMetaSQL = 256, 16 << 10

// QueryContext runs one statement that gives rows.
func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	frame, err := c.statement(KindQuery, query, args)
	if err != nil {
		return nil, err
	}
	buf := getBuffer()
	body, err := c.call(ctx, frame, KindRows, buf)
	if err != nil {
		putBuffer(buf)
		return nil, err
	}
	r := &rows{conn: c, ctx: ctx, cursor: c.seq, buf: buf}
	if err := r.first(query, body); err != nil {
		c.bad = true
		putBuffer(buf)
		return nil, err
	}
	return r, nil
}

// rows is the result of a query.
type rows struct {
	conn   *conn
	ctx    context.Context //nolint:containedctx // Next has none, and must ask for more rows
	cursor uint64
	meta   *meta
	facts  []byte
	buf    *buffer // what rows points into
	rows   []byte  // not yet read
	end    bool    // the host has no more
	closed bool
}

var (
	_ driver.RowsColumnTypeDatabaseTypeName = (*rows)(nil)
	_ driver.RowsColumnTypeNullable         = (*rows)(nil)
	_ driver.RowsColumnTypeScanType         = (*rows)(nil)
)

// first reads the first answer.
func (r *rows) first(query string, body []byte) error {
	head, data, err := ReadRowsHead(body)
	if err != nil {
		return err
	}
	if head.Flags&FlagFirst == 0 {
		return malformed("the first rows came without columns")
	}
	r.rows, r.end, r.facts = data, head.Flags&FlagEnd != 0, head.Facts
	if m := r.conn.metas[query]; m != nil && bytes.Equal(m.header, head.Columns) {
		r.meta = m
		return nil
	}
	columns, err := ReadColumns(head.Columns)
	if err != nil {
		return err
	}
	m := &meta{header: bytes.Clone(head.Columns)}
	for _, c := range columns {
		m.names, m.types = append(m.names, c.Name), append(m.types, c.Type)
	}
	r.meta = m
	if len(query) > maxMetaSQL {
		return nil
	}
	if len(r.conn.metas) >= maxMetas {
		clear(r.conn.metas)
	}
	r.conn.metas[query] = m
	return nil
}

// Facts tells which tables the statement read and wrote. It is for a cache on top of the driver, before the first Next.
func (r *rows) Facts() (Facts, error) { return ReadFacts(r.facts) }

// Columns are the columns' names.
func (r *rows) Columns() []string { return r.meta.names }

// Next reads the next row, asking the host for more when those here are used up.
func (r *rows) Next(dest []driver.Value) error {
	if r.closed {
		return io.EOF
	}
	for len(r.rows) == 0 {
		if r.end {
			return io.EOF
		}
		if err := r.more(); err != nil {
			return err
		}
	}
	row, rest, err := NextRow(r.rows)
	if err == nil {
		err = ReadRow(row, dest)
	}
	if err != nil {
		r.conn.bad = true
		return err
	}
	r.rows = rest
	return nil
}

func (r *rows) more() error {
	c := r.conn
	body, err := c.call(r.ctx, binary.AppendUvarint(c.begin(KindMore), r.cursor), KindRows, r.buf)
	if err != nil {
		var e *Error
		r.end = errors.As(err, &e) // the host has closed the cursor; after a cancellation it may still be open
		return err
	}
	head, data, err := ReadRowsHead(body)
	if err != nil || head.Flags&FlagFirst != 0 {
		c.bad = true
		return errors.Join(ErrProtocol, err)
	}
	r.rows, r.end = data, head.Flags&FlagEnd != 0
	return nil
}

// Close lets the host forget the rest.
func (r *rows) Close() error {
	if r.closed {
		return nil
	}
	r.closed = true
	putBuffer(r.buf)
	r.buf, r.rows = nil, nil
	if r.end || r.conn.bad {
		return nil
	}
	frame := Finish(binary.AppendUvarint(Begin(nil, KindClose), r.cursor))
	if _, err := r.conn.nc.Write(frame); err != nil {
		r.conn.bad = true
	}
	return nil
}

// ColumnTypeDatabaseTypeName is the declared type of a column, "" for an expression.
func (r *rows) ColumnTypeDatabaseTypeName(i int) string { return r.meta.types[i] }

// ColumnTypeNullable answers as go-sqlite3 does: SQLite does not tell.
func (r *rows) ColumnTypeNullable(int) (nullable, ok bool) { return true, true }

// ColumnTypeScanType answers by the declared type, with the rules of go-sqlite3, so that GORM sees the same.
func (r *rows) ColumnTypeScanType(i int) reflect.Type {
	t := strings.ToUpper(r.meta.types[i])
	switch {
	case strings.Contains(t, "INT"):
		return reflect.TypeFor[sql.NullInt64]()
	case t == "CLOB", t == "TEXT", strings.Contains(t, "CHAR"):
		return reflect.TypeFor[sql.NullString]()
	case t == "BLOB":
		return reflect.TypeFor[sql.RawBytes]()
	case t == "REAL", t == "FLOAT", strings.Contains(t, "DOUBLE"), t == "NUMERIC", strings.Contains(t, "DECIMAL"):
		return reflect.TypeFor[sql.NullFloat64]()
	case t == "DATE", t == "DATETIME", t == "TIMESTAMP":
		return reflect.TypeFor[sql.NullTime]()
	case t == "BOOLEAN":
		return reflect.TypeFor[sql.NullBool]()
	}
	return reflect.TypeFor[*any]()
}
