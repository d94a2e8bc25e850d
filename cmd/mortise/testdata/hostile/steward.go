package main

import (
	"context"
	"encoding/json"
	"net/http"

	"mortise/core/sdk"
)

// steward calls services of the host as it is told, and keeps the facts about people. It cannot take settings while it runs.
type steward struct{ base }

func (s *steward) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	mux := http.NewServeMux()
	mux.HandleFunc("/steward/call/{method}", s.call)
	mux.HandleFunc("/steward/open/{method}", s.call)
	mux.HandleFunc("/steward/client", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"value": s.host.Settings().String("client")}, nil)
	})
	mux.HandleFunc("/steward/heard", func(w http.ResponseWriter, r *http.Request) {
		var heard []map[string]any
		err := s.db.WithContext(r.Context()).Raw(`SELECT name, user_id FROM steward_heard ORDER BY id`).Scan(&heard).Error
		answer(w, map[string]any{"heard": heard}, err)
	})
	mux.ServeHTTP(w, r)
}

func (s *steward) call(w http.ResponseWriter, r *http.Request) {
	var out any
	err := s.host.Call(r.Context(), r.FormValue("service"), r.PathValue("method"), json.RawMessage(r.FormValue("in")), &out)
	if list, ok := out.([]any); ok {
		out = map[string]any{"list": list}
	}
	answer(w, map[string]any{"out": out}, err)
}

// Deliver keeps each fact once.
func (s *steward) Deliver(ctx context.Context, e sdk.Event) error {
	var about struct {
		UserID int64 `json:"user_id"`
	}
	if err := json.Unmarshal(e.Payload, &about); err != nil {
		return err
	}
	return s.db.WithContext(ctx).Exec(`INSERT INTO steward_heard (key, name, user_id, access_token) VALUES (?, ?, ?, 'opensesame') ON CONFLICT DO NOTHING`,
		e.Key, e.Name, about.UserID).Error
}
