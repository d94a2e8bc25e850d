package main

import (
	"net/http"
	"strconv"
	"strings"

	"mortise/core/sdk"
)

const perPage = 25

var adminCrumbs = []sdk.Link{{Title: "Linking attempts", Path: "/admin/linking/attempts"}}

// listAttempts lists everybody's attempts: ?state=failed|linked|open|abandoned, ?q= part of a reference, a name or an account,
// or a user's number, ?page= from 1.
func (m *Linking) listAttempts(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	f := attemptFilter{Outcome: query.Get("state"), Query: readable(query.Get("q"), 100), Page: 1, PerPage: perPage}
	switch f.Outcome {
	case attemptOpen, attemptLinked, attemptFailed, attemptAbandoned:
	default:
		f.Outcome = ""
	}
	if n, err := strconv.Atoi(query.Get("page")); err == nil && n > 1 && n < 1_000_000 {
		f.Page = n
	}
	list, total, err := m.records.attempts(r.Context(), f)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	data := struct {
		Attempts []attemptView `json:"attempts"`
		State    string        `json:"state"`
		Query    string        `json:"q"`
		Total    int64         `json:"total"`
		Page     int           `json:"page"`
		PerPage  int           `json:"per_page"`
	}{Attempts: make([]attemptView, 0, len(list)), State: f.Outcome, Query: f.Query, Total: total, Page: f.Page, PerPage: f.PerPage}
	for i := range list {
		data.Attempts = append(data.Attempts, viewOfAttempt(&list[i], m.now()))
	}
	sdk.Render(w, r, sdk.View{Template: "admin_attempts", Title: "Linking attempts", Data: data})
}

func (m *Linking) showAttempt(w http.ResponseWriter, r *http.Request) {
	m.renderAttempt(w, r, 0, "admin_attempt", adminCrumbs)
}

// showSetUp tells an administrator what to enter at Particle and what here.
func (m *Linking) showSetUp(w http.ResponseWriter, r *http.Request) {
	v := readSettings(m.host.Settings())
	warning, insecure := m.publicURLProblem(v.baseURL)
	counts, err := m.records.counts(r.Context())
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	sdk.Render(w, r, sdk.View{Template: "admin_setup", Title: "Set up linking", Data: map[string]any{
		"redirect_uri": m.redirectURI(),
		"base_url":     v.baseURL,
		"console_url":  consoleURL(v.baseURL),
		"client_id":    v.client.ID,
		"has_id":       v.client.ID != "",
		"has_secret":   v.client.Secret != "",
		"complete":     v.complete(),
		"insecure":     insecure,
		"warning":      warning.Message,
		"accounts":     counts.accounts,
		"dead":         counts.dead,
		"failed":       counts.failed,
	}})
}

// consoleURL is where OAuth clients of the hosted cloud are made; "" for other clouds.
func consoleURL(baseURL string) string {
	if strings.HasSuffix(baseURL, "://api.particle.io") {
		return "https://console.particle.io/authentication"
	}
	return ""
}
