package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/mattn/go-sqlite3"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"mortise/core/fault"
)

// Options say where the store is.
type Options struct {
	Path string       // the file; it and its folder are made when missing
	Log  *slog.Logger // nil discards
}

// Open opens the store, making it when missing, and brings the host's own tables up to date. It refuses a store that a newer program
// wrote (ErrNewer).
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	steps, err := readSteps(embedded, "migrations")
	if err != nil {
		return nil, err
	}
	return open(ctx, o, steps)
}

// heapLimit is how much memory SQLite may take, in bytes; beyond it statements fail. Its page caches together need a few percent of it.
const heapLimit = 512 << 20

func open(ctx context.Context, o Options, steps []step) (_ *Store, err error) {
	if err := createFile(o.Path); err != nil {
		return nil, err
	}
	s := &Store{path: o.Path, log: o.Log, queue: newQueue(), closing: make(chan struct{})}
	defer func() {
		if err != nil {
			_ = s.Close() // the first error says what is wrong
		}
	}()
	if s.writerDB, s.writer, err = openPool(o.Path, false, 1); err != nil {
		return nil, err
	}
	// For all connections of this process: a module's statement can ask for any number of large values in one row.
	if _, err = s.writerDB.ExecContext(ctx, fmt.Sprintf(`PRAGMA hard_heap_limit = %d`, heapLimit)); err != nil {
		return nil, fmt.Errorf("limit SQLite's memory: %w", err)
	}
	if err = migrate(ctx, s.writerDB, steps); err != nil {
		return nil, err
	}
	if s.readerDB, s.reader, err = openPool(o.Path, true, max(4, 2*runtime.GOMAXPROCS(0))); err != nil {
		return nil, err
	}
	s.background.Go(s.checkpoints)
	return s, nil
}

// createFile makes the file with mode 0600 before SQLite does, which would leave it to the umask; the -wal and -shm files follow it.
func createFile(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make the store's folder: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("make the store's file: %w", err)
	}
	return f.Close()
}

// dsn is the connection string of one kind of connection. cacheKiB is the size of its page cache.
func dsn(path string, readOnly bool, cacheKiB int) string {
	q := url.Values{
		"_busy_timeout": {"5000"}, // for programs beside the host, such as sqlite3 or a backup; among our own the queue decides
		"_foreign_keys": {"on"},
		"_journal_mode": {"WAL"},
		"_synchronous":  {"NORMAL"}, // why: doc.go
		"_cache_size":   {strconv.Itoa(-cacheKiB)},
		"_txlock":       {"immediate"}, // a deferred transaction that turns into a writer fails at once, whatever busy_timeout says
	}
	if readOnly {
		q.Set("_query_only", "on")
		q.Set("_txlock", "deferred")
		q.Del("_journal_mode") // it is in the file
	}
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}
	return u.String()
}

// openPool opens one of the host's own pools with GORM on top.
func openPool(path string, readOnly bool, size int) (*sql.DB, *gorm.DB, error) {
	// Each connection remembers its prepared statements; GORM's SQL is very repetitive.
	db, err := sql.Open("sqlite3", dsn(path, readOnly, 8<<10)+"&_stmt_cache_size=100")
	if err != nil {
		return nil, nil, fmt.Errorf("open the store: %w", err)
	}
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	g, err := gormOver(db)
	if err != nil {
		_ = db.Close()
		return nil, nil, fmt.Errorf("open the store %s: %w", path, explain(err))
	}
	return db, g, nil
}

// gormOver gives GORM over a pool that is there.
func gormOver(pool gorm.ConnPool) (*gorm.DB, error) {
	return gorm.Open(sqlite.New(sqlite.Config{Conn: pool}), &gorm.Config{
		Logger:                 logger.Discard, // errors come back to the caller, who logs them
		SkipDefaultTransaction: true,
		TranslateError:         true,
		NowFunc:                func() time.Time { return time.Now().UTC() },
	})
}

// explain says what to do about errors that an operator can cause.
func explain(err error) error {
	var e sqlite3.Error
	if errors.As(err, &e) && e.Code == sqlite3.ErrNotADB {
		return fault.Wrap(fault.Conflict, err, "the file is not a SQLite database")
	}
	return err
}
