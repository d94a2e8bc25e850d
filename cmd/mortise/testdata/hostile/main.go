// Command hostile is a module program for the tests of cmd/mortise: one program, several modules. Which one it is says the module.yaml
// in its folder.
package main

import (
	"context"
	"database/sql"
	"log"
	"net/http"
	"os"

	"gorm.io/gorm"

	"mortise/core/manifest"
	"mortise/core/sdk"
	"mortise/core/sdk/sdkdb"
	"mortise/core/wire"
)

func main() {
	text, err := os.ReadFile("module.yaml") // the working folder of a module is its own
	if err != nil {
		log.Fatal(err)
	}
	m, err := manifest.Parse(text)
	if err != nil {
		log.Fatal(err)
	}
	b := base{id: m.ID}
	switch m.ID {
	case "neighbour":
		wire.Serve(&neighbour{base: b}, text)
	case "dying":
		wire.Serve(&dying{base: b}, text)
	case "steward":
		wire.Serve(&steward{base: b}, text)
	case "migrant":
		wire.Serve(&migrant{base: b}, text)
	default:
		wire.Serve(&hostile{base: b}, text)
	}
}

// base is what all of them have.
type base struct {
	id   string
	host sdk.Host
	db   *gorm.DB
	pool *sql.DB
}

func (b *base) Start(_ context.Context, host sdk.Host) (err error) {
	b.host = host
	if b.db, err = sdkdb.Open(host); err != nil {
		return err
	}
	b.pool, err = b.db.DB()
	return err
}

func (b *base) Stop(context.Context) error { return nil }

func (b *base) Migrations() []sdk.Migration {
	switch b.id {
	case "hostile":
		return steps(`CREATE TABLE hostile_rows (id INTEGER PRIMARY KEY, text TEXT)`)
	case "steward":
		return steps(`CREATE TABLE steward_heard (id INTEGER PRIMARY KEY, key TEXT UNIQUE, name TEXT, user_id INTEGER, access_token TEXT)`)
	case "neighbour":
		return steps(`CREATE TABLE neighbour_rows (id INTEGER PRIMARY KEY, batch INTEGER, text TEXT)`,
			`CREATE TABLE neighbour_heard (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT, name TEXT, subject TEXT, payload TEXT)`)
	}
	return nil
}

func steps(statements ...string) []sdk.Migration {
	return []sdk.Migration{{Number: 1, Name: "all tables", Up: func(ctx context.Context, tx *sql.Tx) error {
		for _, statement := range statements {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	}}}
}

// hostile is the one that does what it should not.
type hostile struct {
	base
}

func (h *hostile) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	mux := http.NewServeMux()
	mux.HandleFunc("/hostile/do/{case}", h.do)
	mux.HandleFunc("/hostile/raw/{case}", h.raw)
	mux.HandleFunc("/hostile/view/{case}", h.view)
	mux.HandleFunc("/hostile/file/{case}", h.file)
	mux.HandleFunc("/hostile/slow/{case}", h.slow)
	mux.HandleFunc("/hostile/hold/{case}", h.slow)
	mux.HandleFunc("/hostile/to", h.to)
	mux.HandleFunc("/hostile/offsite", h.to)
	mux.HandleFunc("/hostile/stream/{case}", h.stream)
	mux.ServeHTTP(w, r)
}

// migrant has the migration that stands in the file "migration" of its folder.
type migrant struct{ base }

func (m *migrant) Migrations() []sdk.Migration {
	text, err := os.ReadFile("migration")
	if err != nil {
		return nil
	}
	return []sdk.Migration{{Number: 1, Name: "reach beyond", Up: func(ctx context.Context, tx *sql.Tx) error {
		if string(text) == "panic" {
			panic("in the middle of a migration")
		}
		if string(text) == "exit" {
			_, _ = tx.ExecContext(ctx, `CREATE TABLE migrant_rows (id INTEGER)`)
			os.Exit(7)
		}
		_, err := tx.ExecContext(ctx, string(text))
		return err
	}}}
}
