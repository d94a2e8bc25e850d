package sdkdb

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
	"gorm.io/gorm/schema"

	"mortise/core/sdk"
	"mortise/core/tunnel"
)

// The pool of one module. The host allows 8 sessions; two are left for a connection that the author opens beside GORM.
const (
	maxConns    = 6
	maxIdleTime = time.Minute
)

// Open gives GORM over the module's own tables. Call it once, in Start. Errors: fault.Unavailable when the store cannot be reached.
//
// Duplicate keys come back as gorm.ErrDuplicatedKey, violated references as gorm.ErrForeignKeyViolated.
func Open(host sdk.Host) (*gorm.DB, error) {
	pool := sql.OpenDB(host.Store())
	pool.SetMaxOpenConns(maxConns)
	pool.SetMaxIdleConns(maxConns)
	pool.SetConnMaxIdleTime(maxIdleTime)
	db, err := over(pool, host.ModuleID())
	if err != nil {
		_ = pool.Close() // err says what is wrong
		return nil, err
	}
	context.AfterFunc(host.Context(), func() { _ = pool.Close() }) // the process is about to end
	return db, nil
}

// over gives GORM on a pool or on a transaction.
func over(pool gorm.ConnPool, module string) (*gorm.DB, error) {
	db, err := gorm.Open(sqlite.New(sqlite.Config{Conn: pool}), &gorm.Config{
		NamingStrategy:         schema.NamingStrategy{TablePrefix: module + "_", IdentifierMaxLength: 64},
		SkipDefaultTransaction: true,
		TranslateError:         true,
		Logger:                 logger.Discard, // an error comes back to the caller, who knows what it means
		NowFunc:                func() time.Time { return time.Now().UTC() },
	})
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	return db, nil
}

// Migration makes a step of a migration that is written with GORM.
func Migration(number int, name string, up func(tx *gorm.DB) error) sdk.Migration {
	return sdk.Migration{Number: number, Name: name, Up: func(ctx context.Context, tx *sql.Tx) error {
		db, err := over(tx, tunnel.ModuleFrom(ctx))
		if err != nil {
			return err
		}
		return up(db.WithContext(ctx))
	}}
}

// Publish puts a fact into the outbox. When tx is a transaction, the fact is published if and when it commits, and not at all when it
// rolls back. name is one that the manifest publishes, subject what it is about, at most 200 bytes; payload is encoded as JSON, at
// most 64 KiB. Errors: fault.Denied for another name, fault.Invalid, fault.TooLarge; the transaction should then be rolled back.
func Publish(tx *gorm.DB, name, subject string, payload any) error {
	body, err := json.Marshal(payload)
	if err != nil {
		return fmt.Errorf("encode the payload of %s: %w", name, err)
	}
	_, err = tx.Statement.ConnPool.ExecContext(tx.Statement.Context, tunnel.PublishQuery, name, subject, body)
	if err != nil {
		return fmt.Errorf("publish %s: %w", name, err)
	}
	return nil
}
