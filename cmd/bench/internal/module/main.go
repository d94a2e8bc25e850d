// Command module is the measured module: a page with one query, the same with eight, and pages that measure from inside its process.
//
// It reads its manifest from the file beside it instead of embedding it, so that one program can serve several ids.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"sync/atomic"
	"time"

	"gorm.io/gorm"

	"mortise/cmd/bench/internal/items"
	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/core/sdk/sdkdb"
	"mortise/core/wire"
)

func main() {
	program, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	manifest, err := os.ReadFile(filepath.Join(filepath.Dir(program), "module.yaml"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	wire.Serve(&module{}, manifest)
}

// module has the page's data.
type module struct {
	db  *gorm.DB
	id  string
	mux *http.ServeMux
	n   atomic.Uint64 // of requests
}

// Migrations makes the table and fills it. The copies of this module under other ids get a few rows: what is measured of them is how
// long enabling takes.
func (m *module) Migrations() []sdk.Migration {
	return []sdk.Migration{sdkdb.Migration(1, "create items", func(tx *gorm.DB) error {
		if err := tx.AutoMigrate(&items.Item{}); err != nil {
			return err
		}
		rows := items.FewRows
		if tx.NamingStrategy.TableName("items") == "bench_items" {
			rows = items.Rows
		}
		return items.Fill(tx, rows)
	})}
}

func (m *module) Start(_ context.Context, host sdk.Host) (err error) {
	m.id = host.ModuleID()
	m.mux = http.NewServeMux()
	m.mux.HandleFunc("GET /"+m.id+"/items", m.list)
	m.mux.HandleFunc("GET /"+m.id+"/query", m.query)
	m.mux.HandleFunc("GET /"+m.id+"/profile", m.profile)
	m.db, err = sdkdb.Open(host)
	return err
}

func (m *module) Stop(context.Context) error { return nil }

func (m *module) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.mux.ServeHTTP(w, r) }

// listData is the view's data.
type listData struct {
	Items  []items.View `json:"items"`
	Looked []items.View `json:"looked"`
}

func (m *module) list(w http.ResponseWriter, r *http.Request) {
	list, looked, err := items.Page(r.Context(), m.db, number(r, "queries", 1, 50), m.n.Add(1))
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	sdk.Render(w, r, sdk.View{Template: "list", Title: "Sensors", Data: listData{items.Views(list), items.Views(looked)}})
}

// query measures the tunnel from inside: the time of a query of so many rows, one after the other.
func (m *module) query(w http.ResponseWriter, r *http.Request) {
	db, err := m.db.DB()
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	lasting := time.Duration(number(r, "ms", 1000, 20_000)) * time.Millisecond
	times, err := items.Measure(r.Context(), db, m.id+"_items", number(r, "rows", 1, items.Rows), lasting)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(times) // the reader is gone when this fails
}

// profile gives the process's CPU profile of the next seconds.
func (m *module) profile(w http.ResponseWriter, r *http.Request) {
	var b bytes.Buffer
	if err := pprof.StartCPUProfile(&b); err != nil {
		sdk.Fail(w, r, fault.Wrap(fault.Conflict, err, "A profile is being taken already."))
		return
	}
	select {
	case <-time.After(time.Duration(number(r, "seconds", 3, 60)) * time.Second):
	case <-r.Context().Done():
	}
	pprof.StopCPUProfile()
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(b.Bytes()) // the reader is gone when this fails
}

// number reads a number of the query, between 1 and most; byDefault when there is none.
func number(r *http.Request, name string, byDefault, most int) int {
	n, err := strconv.Atoi(r.URL.Query().Get(name))
	if err != nil || n < 1 || n > most {
		return byDefault
	}
	return n
}
