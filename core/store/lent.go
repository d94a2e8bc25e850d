package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"

	"gorm.io/gorm"
)

// lentPool lends a module's write connection to the host, in the middle of the module's transaction: GORM wants a pool, so this is one of
// exactly one connection. GORM takes it for a transaction (because of Commit and Rollback), and nests by savepoints.
type lentPool struct {
	*sql.DB
	gorm *gorm.DB
}

var errNotYours = errors.New("the transaction is the module's and cannot be ended here")

// Commit is refused.
func (*lentPool) Commit() error { return errNotYours }

// Rollback is refused.
func (*lentPool) Rollback() error { return errNotYours }

// lend gives GORM on c for the host. Use it inside asHost only.
func (c *conn) lend() (*gorm.DB, error) {
	if c.lent != nil {
		return c.lent.gorm, nil
	}
	pool := &lentPool{DB: sql.OpenDB(lender{c})}
	pool.SetMaxOpenConns(1)
	g, err := gormOver(pool)
	if err != nil {
		_ = pool.DB.Close()
		return nil, err
	}
	pool.gorm, c.lent = g, pool
	return g, nil
}

// lender is a connector that always gives the same connection.
type lender struct{ c *conn }

func (l lender) Connect(context.Context) (driver.Conn, error) { return lentConn(l), nil }
func (l lender) Driver() driver.Driver                        { return lentDriver{} }

type lentDriver struct{}

func (lentDriver) Open(string) (driver.Conn, error) { return nil, errNotYours }

// lentConn is the connection without the right to close it or to begin and end transactions.
type lentConn struct{ c *conn }

func (l lentConn) Prepare(query string) (driver.Stmt, error) { return l.c.db.Prepare(query) }
func (l lentConn) Close() error                              { return nil }
func (l lentConn) Begin() (driver.Tx, error)                 { return nil, errNotYours }

func (l lentConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	return l.c.db.ExecContext(ctx, query, args)
}

func (l lentConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	return l.c.db.QueryContext(ctx, query, args)
}
