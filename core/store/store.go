package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"gorm.io/gorm"

	"mortise/core/fault"
)

// Store is the open database. Safe for concurrent use.
type Store struct {
	path string
	log  *slog.Logger

	queue              *queue
	writerDB, readerDB *sql.DB
	writer, reader     *gorm.DB

	closing    chan struct{}
	closeOnce  sync.Once
	closeErr   error
	background sync.WaitGroup
}

// queueWait bounds how long a write waits for its turn.
const queueWait = 30 * time.Second

type writingKey struct{}

// Read gives GORM over the read-only pool. Writing through it fails.
func (s *Store) Read(ctx context.Context) *gorm.DB { return s.reader.WithContext(ctx) }

// Write runs fn in one write transaction, when it is the host's turn. The transaction is committed when fn returns nil and rolled back
// when it returns an error or panics. fn must be short: nobody else writes meanwhile. It must not call Write, which could never get its
// turn; with the context of tx that fails at once. Errors: fault.Unavailable when the turn does not come within 30 s, the error of ctx,
// and whatever fn returned.
func (s *Store) Write(ctx context.Context, fn func(tx *gorm.DB) error) error {
	return s.writeAs(ctx, hostID, fn)
}

// WriteFor is Write on behalf of a module: it takes the module's turn. When the module itself holds the writer, in a transaction that
// may well be waiting for this very call, it fails after a second with fault.Conflict instead of waiting for ever.
func (s *Store) WriteFor(ctx context.Context, module string, fn func(tx *gorm.DB) error) error {
	if s.HoldsWriter(module) {
		wait, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		err := s.queue.acquire(wait, module)
		if err == nil {
			defer s.queue.release()
			return s.transact(ctx, fn)
		}
		if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
			return fault.Wrap(fault.Conflict, err, "module %s has a write transaction open: finish it first, or publish inside it", module)
		}
		return err
	}
	return s.writeAs(ctx, module, fn)
}

func (s *Store) writeAs(ctx context.Context, who string, fn func(tx *gorm.DB) error) error {
	if ctx.Value(writingKey{}) == s {
		return fault.New(fault.Internal, "a write inside a write would wait for itself")
	}
	wait, cancel := context.WithTimeoutCause(ctx, queueWait, errBusy)
	defer cancel()
	if err := s.queue.acquire(wait, who); err != nil {
		return err
	}
	defer s.queue.release()
	return s.transact(ctx, fn)
}

var errBusy = fault.New(fault.Unavailable, "the store is busy: no turn to write within %s", queueWait)

// transact runs fn in a transaction on the host's write connection. The caller holds the turn. The transaction does not carry ctx, only
// its statements do: otherwise database/sql would roll back in the background, when the next writer may already have begun.
func (s *Store) transact(ctx context.Context, fn func(tx *gorm.DB) error) (err error) {
	t, err := s.writerDB.BeginTx(context.Background(), nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	done := false
	defer func() {
		if !done {
			_ = t.Rollback() // the error of fn is the one that matters
		}
	}()
	tx := s.writer.WithContext(context.WithValue(ctx, writingKey{}, s))
	tx.Statement.ConnPool = t
	if err := fn(tx); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	done = true
	if err := t.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// HoldsWriter tells whether the module is in a write transaction at this moment. A host service that writes on the module's behalf
// would wait for it, and it perhaps for the service: see WriteFor.
func (s *Store) HoldsWriter(module string) bool {
	holder, _, _ := s.queue.current()
	return holder == module
}

// Close refuses new writes, waits for the running one, and closes the file. Close the tunnels first.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		close(s.closing)
		s.queue.close()
		s.background.Wait()
		var errs []error
		if s.readerDB != nil {
			errs = append(errs, s.readerDB.Close())
		}
		if s.writerDB != nil {
			// The last connection to close folds the WAL into the file.
			errs = append(errs, s.writerDB.Close())
		}
		s.closeErr = errors.Join(errs...)
	})
	return s.closeErr
}

// Path is the file of the store.
func (s *Store) Path() string { return s.path }

// Size is what the store takes on disk, in bytes, with its write-ahead log.
func (s *Store) Size() (int64, error) {
	var total int64
	for _, suffix := range []string{"", "-wal"} {
		info, err := os.Stat(s.path + suffix)
		if errors.Is(err, os.ErrNotExist) && suffix != "" {
			continue
		}
		if err != nil {
			return 0, err
		}
		total += info.Size()
	}
	return total, nil
}
