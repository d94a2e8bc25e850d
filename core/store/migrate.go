package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed migrations
var embedded embed.FS

// step is one file of migrations/.
type step struct {
	number   int
	name     string // the file's name without ".sql"
	text     string
	checksum string // SHA-256 of text, hexadecimal
}

// readSteps lists the *.sql files of dir by number.
func readSteps(files fs.FS, dir string) ([]step, error) {
	names, err := fs.Glob(files, path.Join(dir, "*.sql"))
	if err != nil {
		return nil, err
	}
	steps := make([]step, 0, len(names))
	for _, file := range names {
		text, err := fs.ReadFile(files, file)
		if err != nil {
			return nil, err
		}
		name := strings.TrimSuffix(path.Base(file), ".sql")
		digits, _, ok := strings.Cut(name, "_")
		number, err := strconv.Atoi(digits)
		if err != nil || !ok || number < 1 {
			return nil, fmt.Errorf("migration %s: expected a name such as 0001_users.sql", file)
		}
		sum := sha256.Sum256(text)
		steps = append(steps, step{number: number, name: name, text: string(text), checksum: hex.EncodeToString(sum[:])})
	}
	slices.SortFunc(steps, func(a, b step) int { return cmp.Compare(a.number, b.number) })
	for i := 1; i < len(steps); i++ {
		if steps[i].number == steps[i-1].number {
			return nil, fmt.Errorf("migrations %s and %s have the same number", steps[i-1].name, steps[i].name)
		}
	}
	return steps, nil
}

// ErrNewer means that a newer program has changed the store in a way that this one does not know.
var ErrNewer = errors.New("the store was written by a newer version of this program: put that program back, or restore a backup")

// migrate applies the steps that the store has not seen, each in a transaction of its own.
func migrate(ctx context.Context, db *sql.DB, steps []step) error {
	const table = `CREATE TABLE IF NOT EXISTS core_migrations (
		number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at DATETIME NOT NULL)`
	if _, err := db.ExecContext(ctx, table); err != nil {
		return fmt.Errorf("create core_migrations: %w", err)
	}
	applied, err := appliedSteps(ctx, db)
	if err != nil {
		return err
	}
	for _, s := range steps {
		sum, done := applied[s.number]
		delete(applied, s.number)
		switch {
		case !done:
			if err := applyStep(ctx, db, s); err != nil {
				return fmt.Errorf("migration %s: %w", s.name, err)
			}
		case sum != s.checksum:
			return fmt.Errorf("migration %s is not the one that was applied to this store: its text has changed", s.name)
		}
	}
	for number := range applied {
		return fmt.Errorf("migration %d is unknown here: %w", number, ErrNewer)
	}
	return nil
}

func appliedSteps(ctx context.Context, db *sql.DB) (map[int]string, error) {
	rows, err := db.QueryContext(ctx, `SELECT number, checksum FROM core_migrations`)
	if err != nil {
		return nil, fmt.Errorf("read core_migrations: %w", err)
	}
	defer rows.Close()
	applied := map[int]string{}
	for rows.Next() {
		var number int
		var sum string
		if err := rows.Scan(&number, &sum); err != nil {
			return nil, fmt.Errorf("read core_migrations: %w", err)
		}
		applied[number] = sum
	}
	return applied, rows.Err()
}

func applyStep(ctx context.Context, db *sql.DB, s step) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after Commit
	if _, err := tx.ExecContext(ctx, s.text); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO core_migrations (number, name, checksum, applied_at) VALUES (?, ?, ?, ?)`,
		s.number, s.name, s.checksum, time.Now().UTC())
	if err != nil {
		return err
	}
	return tx.Commit()
}
