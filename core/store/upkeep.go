package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"mortise/core/fault"
)

const (
	checkpointEvery = 30 * time.Second
	walLimit        = 32 << 20 // bytes; SQLite's own checkpoint after 1000 pages keeps the log at about 4 MiB unless readers hold it
)

// checkpoints folds the write-ahead log into the file when it has grown: SQLite's automatic checkpoint never shortens it, and skips
// pages that some reader still needs. Here no writer comes in between.
func (s *Store) checkpoints() {
	tick := time.NewTicker(checkpointEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.closing:
			return
		case <-tick.C:
		}
		info, err := os.Stat(s.path + "-wal")
		if err != nil || info.Size() < walLimit {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), checkpointEvery)
		if err := s.Checkpoint(ctx); err != nil {
			s.log.Warn("the write-ahead log could not be folded in", "bytes", info.Size(), "error", err)
		}
		cancel()
	}
}

// Checkpoint folds the write-ahead log into the file and empties it.
func (s *Store) Checkpoint(ctx context.Context) error {
	if err := s.queue.acquire(ctx, hostID); err != nil {
		return err
	}
	defer s.queue.release()
	if _, err := s.writerDB.ExecContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return nil
}

// Backup writes a complete, compact copy of the store as of now to path, which must not exist. Writers go on meanwhile.
func (s *Store) Backup(ctx context.Context, path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o600) // VACUUM INTO takes an empty file, and this one nobody else can read
	if err != nil {
		return fault.Wrap(fault.Conflict, err, "the backup's file cannot be made")
	}
	if err := f.Close(); err != nil {
		return err
	}
	// A connection of its own, because VACUUM INTO is refused under query_only; it locks nobody out.
	db, _, err := openPool(s.path, false, 1)
	if err != nil {
		return errors.Join(err, os.Remove(path))
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, `VACUUM INTO ?`, path); err != nil {
		return errors.Join(fmt.Errorf("back up: %w", err), os.Remove(path))
	}
	return nil
}

// Check asks SQLite whether the file is sound. It reads all of it.
func (s *Store) Check(ctx context.Context) error {
	rows, err := s.readerDB.QueryContext(ctx, `PRAGMA quick_check(5)`)
	if err != nil {
		return fmt.Errorf("check: %w", err)
	}
	defer rows.Close()
	var found []error
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return fmt.Errorf("check: %w", err)
		}
		if line != "ok" {
			found = append(found, errors.New(line))
		}
	}
	return errors.Join(append(found, rows.Err())...)
}
