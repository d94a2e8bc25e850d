package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"syscall"

	"gorm.io/gorm"

	"mortise/core/sdk"
	"mortise/core/sdk/sdkdb"
)

// neighbour behaves, unless it is told to die while it writes.
type neighbour struct{ base }

func (n *neighbour) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	mux := http.NewServeMux()
	mux.HandleFunc("/neighbour", n.list)
	mux.HandleFunc("/neighbour/do/{case}", n.do)
	mux.ServeHTTP(w, r)
}

func (n *neighbour) list(w http.ResponseWriter, r *http.Request) {
	var rows, heard int64
	db := n.db.WithContext(r.Context())
	if err := db.Table("neighbour_rows").Count(&rows).Error; err != nil {
		sdk.Fail(w, r, err)
		return
	}
	if err := db.Table("neighbour_heard").Count(&heard).Error; err != nil {
		sdk.Fail(w, r, err)
		return
	}
	sdk.Render(w, r, sdk.View{Template: "list", Title: "Neighbour", Data: map[string]any{"rows": rows, "heard": heard}})
}

func (n *neighbour) do(w http.ResponseWriter, r *http.Request) {
	switch r.PathValue("case") {
	case "claim":
		answer(w, map[string]any{"claim": sdk.RequestFrom(r.Context()).Claim}, nil)
	case "secret":
		answer(w, nil, n.host.Secrets().Set(r.Context(), "token", "", r.FormValue("value")))
	case "batch":
		batch, _ := strconv.ParseInt(r.FormValue("batch"), 10, 64)
		size, _ := strconv.Atoi(r.FormValue("size"))
		answer(w, map[string]any{"batch": batch}, n.write(r.Context(), batch, size, r.FormValue("die") != ""))
	case "heard":
		var keys []map[string]any
		err := n.db.WithContext(r.Context()).Raw(`SELECT key, name, subject, payload FROM neighbour_heard ORDER BY id`).Scan(&keys).Error
		answer(w, map[string]any{"heard": keys}, err)
	case "batches":
		var batches []map[string]any
		err := n.db.WithContext(r.Context()).Raw(`SELECT batch, count(*) AS n FROM neighbour_rows GROUP BY batch`).Scan(&batches).Error
		answer(w, map[string]any{"batches": batches}, err)
	default:
		http.NotFound(w, r)
	}
}

// write writes all rows of a batch and its event, or nothing.
func (n *neighbour) write(ctx context.Context, batch int64, size int, die bool) error {
	return n.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		for i := range size {
			if err := tx.Exec(`INSERT INTO neighbour_rows (batch, text) VALUES (?, ?)`, batch, fmt.Sprint("row ", i)).Error; err != nil {
				return err
			}
			if die && i == size/2 {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
		}
		return sdkdb.Publish(tx, "neighbour.wrote", "batches", map[string]any{"batch": batch})
	})
}

// Deliver keeps each event once.
func (n *neighbour) Deliver(ctx context.Context, e sdk.Event) error {
	return n.db.WithContext(ctx).Exec(`INSERT INTO neighbour_heard (key, name, subject, payload)
		SELECT ?, ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM neighbour_heard WHERE key = ?)`, e.Key, e.Name, e.Subject, string(e.Payload), e.Key).Error
}

// Call says who calls for whom.
func (n *neighbour) Call(_ context.Context, c sdk.Call) (any, error) {
	return map[string]any{"caller": c.Caller, "user_id": c.User.UserID, "service": c.Service}, nil
}

// answer writes JSON: what happened, or the error in words.
func answer(w http.ResponseWriter, data map[string]any, err error) {
	if data == nil {
		data = map[string]any{}
	}
	data["error"] = ""
	if err != nil {
		data["error"] = err.Error()
	}
	body, _ := json.Marshal(data)
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
}
