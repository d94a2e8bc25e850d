package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/internal/particle"
)

// workspaceView is a workspace as pages and programs see it. It never holds the credential.
type workspaceView struct {
	ID             int64      `json:"id"`
	Name           string     `json:"name"`
	BaseURL        string     `json:"base_url"`
	Username       string     `json:"username"`
	HasCredential  bool       `json:"has_credential"`
	CredentialAt   *time.Time `json:"credential_at"` // when it was entered
	Health         string     `json:"health"`        // unknown, good, warn, bad
	Problem        string     `json:"problem"`
	Sentence       string     `json:"sentence"`
	Remedy         string     `json:"remedy"`
	CheckedAt      *time.Time `json:"checked_at"`
	ExpiresAt      *time.Time `json:"expires_at"` // null: never, or not known
	ProductsAt     *time.Time `json:"products_at"`
	Products       int        `json:"product_count"`
	DefaultProduct string     `json:"default_product"`
	Version        int64      `json:"version"`
	Path           string     `json:"path"`
}

func (m *Organizations) viewOf(w *workspace) workspaceView {
	v := workspaceView{ID: w.ID, Name: w.Name, BaseURL: w.BaseURL, Username: w.Username, HasCredential: w.CredentialAt != nil, CredentialAt: w.CredentialAt,
		Health: w.Health, Problem: w.Problem, Sentence: w.Sentence, Remedy: w.Remedy, CheckedAt: w.CheckedAt, ExpiresAt: w.ExpiresAt, ProductsAt: w.ProductsAt,
		DefaultProduct: w.DefaultProduct, Version: w.Version, Path: "/admin/organizations/workspaces/" + keyOf(w.ID)}
	if sentence, remedy, ending := ends(w.ExpiresAt, m.now()); ending && v.Health != healthBad {
		v.Health, v.Problem, v.Sentence, v.Remedy = healthWarn, "token_ends", sentence, remedy
	}
	return v
}

var topCrumb = sdk.Link{Title: "Workspaces", Path: "/admin/organizations"}

func crumbsOf(w *workspace, more ...sdk.Link) []sdk.Link {
	return append([]sdk.Link{topCrumb, {Title: w.Name, Path: "/admin/organizations/workspaces/" + keyOf(w.ID)}}, more...)
}

// workspaceOf finds the workspace of the path. It has answered when ok is false.
func (m *Organizations) workspaceOf(w http.ResponseWriter, r *http.Request) (*workspace, bool) {
	id, err := strconv.ParseInt(r.PathValue("workspace"), 10, 64)
	if err != nil || id <= 0 {
		sdk.Fail(w, r, fault.New(fault.NotFound, "There is no such workspace."))
		return nil, false
	}
	ws, err := m.records.workspace(r.Context(), id)
	if err != nil {
		sdk.Fail(w, r, err)
		return nil, false
	}
	return ws, true
}

func (m *Organizations) listWorkspaces(w http.ResponseWriter, r *http.Request) {
	list, err := m.records.workspaces(r.Context())
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	counts, err := m.records.countProducts(r.Context())
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	views := make([]workspaceView, 0, len(list))
	for i := range list {
		v := m.viewOf(&list[i])
		v.Products = counts[v.ID]
		views = append(views, v)
	}
	sdk.Render(w, r, sdk.View{Template: "workspaces", Title: "Workspaces", Data: map[string]any{"workspaces": views, "may_manage": canManage(r)}})
}

func (m *Organizations) showWorkspace(w http.ResponseWriter, r *http.Request) {
	ws, ok := m.workspaceOf(w, r)
	if !ok {
		return
	}
	counts, err := m.records.countProducts(r.Context())
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	checks := []check{}
	if ws.Checks != "" {
		if err := json.Unmarshal([]byte(ws.Checks), &checks); err != nil {
			sdk.Fail(w, r, err)
			return
		}
	}
	recent, _, err := m.records.operations(r.Context(), ws.ID, "", "", 1, 5)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	v := m.viewOf(ws)
	v.Products = counts[ws.ID]
	sdk.Render(w, r, sdk.View{Template: "workspace", Title: ws.Name, Breadcrumbs: []sdk.Link{topCrumb},
		Data: map[string]any{"workspace": v, "checks": checks, "operations": m.viewsOf(recent), "may_manage": canManage(r)}})
}

// workspaceForm is what a person enters. The token is never shown again, not even to the one who has just entered it.
type workspaceForm struct {
	Name    string `json:"name"`
	BaseURL string `json:"base_url"`
	Version int64  `json:"version"`
	Edit    bool   `json:"edit"`
	ID      int64  `json:"id"`
	token   string
}

func readWorkspaceForm(r *http.Request) workspaceForm {
	f := workspaceForm{Name: readable(r.PostFormValue("name"), 80), BaseURL: strings.TrimRight(strings.TrimSpace(r.PostFormValue("base_url")), "/"),
		token: strings.TrimSpace(r.PostFormValue("token"))}
	f.Version, _ = strconv.ParseInt(r.PostFormValue("version"), 10, 64)
	if f.BaseURL == "" {
		f.BaseURL = particle.DefaultBaseURL
	}
	return f
}

// wrong finds what cannot be right, without asking Particle. tokenNeeded is false when the kept one stays.
func (f workspaceForm) wrong(tokenNeeded bool) sdk.Fields {
	wrong := sdk.Fields{}
	if f.Name == "" {
		wrong["name"] = "give the workspace a name, such as the product line or the company"
	}
	if _, err := particle.ParseBaseURL(f.BaseURL); err != nil {
		var e *particle.Error
		if errors.As(err, &e) {
			wrong["base_url"] = strings.TrimSuffix(lowerFirst(e.Message), ".") + "; " + lowerFirst(e.Hint)
		}
	}
	switch t := f.token; {
	case t == "" && tokenNeeded:
		wrong["token"] = "enter the token of an API user, or an access token"
	case strings.Contains(t, "@"):
		wrong["token"] = "this looks like a user name; the token is what Particle shows once beside it, when the API user is made"
	case len(t) > 400 || strings.ContainsFunc(t, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune("[]<>\"'", c) }):
		wrong["token"] = "a token has no blanks, quotes or brackets; copy it again"
	}
	return wrong
}

func (m *Organizations) renderForm(w http.ResponseWriter, r *http.Request, f workspaceForm, wrong sdk.Fields, ws *workspace) {
	v := sdk.View{Template: "workspace_form", Title: "Add a workspace", Data: f, FieldErrors: wrong, Breadcrumbs: []sdk.Link{topCrumb}}
	if ws != nil {
		v.Title, v.Breadcrumbs = "Change "+ws.Name, crumbsOf(ws)
	}
	if len(wrong) > 0 {
		v.Status = http.StatusUnprocessableEntity
	}
	sdk.Render(w, r, v)
}

func (m *Organizations) newWorkspace(w http.ResponseWriter, r *http.Request) {
	m.renderForm(w, r, workspaceForm{BaseURL: particle.DefaultBaseURL}, nil, nil)
}

func (m *Organizations) addWorkspace(w http.ResponseWriter, r *http.Request) {
	f := readWorkspaceForm(r)
	if wrong := f.wrong(true); len(wrong) > 0 {
		m.renderForm(w, r, f, wrong, nil)
		return
	}
	ctx := context.WithoutCancel(r.Context())
	ws := &workspace{Name: f.Name, BaseURL: f.BaseURL, Health: healthUnknown, Version: 1, CreatedAt: m.now()}
	if err := m.records.create(ctx, ws); err != nil {
		m.formFault(w, r, f, err, nil)
		return
	}
	// A stop between these leaves a workspace without a credential, which its page and the overview say.
	if err := m.keepCredential(ctx, ws, f.token); err != nil {
		sdk.Fail(w, r, err)
		return
	}
	m.tryOut(ctx, w, r, ws, "The workspace is added. ")
}

func (m *Organizations) formFault(w http.ResponseWriter, r *http.Request, f workspaceForm, err error, ws *workspace) {
	if fields := fault.FieldsOf(err); len(fields) > 0 {
		m.renderForm(w, r, f, fields, ws)
		return
	}
	sdk.Fail(w, r, err)
}

func (m *Organizations) keepCredential(ctx context.Context, ws *workspace, token string) error {
	if err := m.host.Secrets().Set(ctx, "credential", keyOf(ws.ID), ws.BaseURL+" "+token); err != nil {
		return err
	}
	defer m.renewed(ws.ID)
	now := m.now()
	ws.CredentialAt, ws.APIUser = &now, ""
	return m.records.note(ctx, ws.ID, map[string]any{"credential_at": &now, "health": healthUnknown, "problem": "", "sentence": "", "remedy": "", "checks": "", "expires_at": nil, "username": "", "api_user": ""})
}

// tryOut tests a workspace, fetches its products and shows it.
func (m *Organizations) tryOut(ctx context.Context, w http.ResponseWriter, r *http.Request, ws *workspace, before string) {
	if err := m.examine(ctx, ws); err != nil {
		sdk.Fail(w, r, err)
		return
	}
	if ws.Health != healthBad {
		_ = m.refresh(ctx, ws) // its page says what is wrong
	}
	tone := sdk.Good
	switch ws.Health {
	case healthWarn:
		tone = sdk.Warn
	case healthBad:
		tone = sdk.Bad
	}
	sdk.Redirect(w, r, m.viewOf(ws).Path, sdk.Message{Tone: tone, Text: strings.TrimSpace(before + ws.Sentence + " " + ws.Remedy)})
}

func (m *Organizations) editWorkspace(w http.ResponseWriter, r *http.Request) {
	ws, ok := m.workspaceOf(w, r)
	if !ok {
		return
	}
	m.renderForm(w, r, workspaceForm{Name: ws.Name, BaseURL: ws.BaseURL, Version: ws.Version, Edit: true, ID: ws.ID}, nil, ws)
}

func (m *Organizations) saveWorkspace(w http.ResponseWriter, r *http.Request) {
	ws, ok := m.workspaceOf(w, r)
	if !ok {
		return
	}
	f := readWorkspaceForm(r)
	f.Edit, f.ID = true, ws.ID
	moved := f.BaseURL != ws.BaseURL
	wrong := f.wrong(moved || ws.CredentialAt == nil)
	if moved && f.token == "" {
		wrong["token"] = "with another address, enter the token anew: the kept one is never sent to another cloud"
	}
	if len(wrong) > 0 {
		m.renderForm(w, r, f, wrong, ws)
		return
	}
	ctx := context.WithoutCancel(r.Context())
	if err := m.records.change(ctx, ws.ID, f.Version, map[string]any{"name": f.Name, "base_url": f.BaseURL}); err != nil {
		m.formFault(w, r, f, err, ws)
		return
	}
	ws.Name, ws.BaseURL, ws.Version = f.Name, f.BaseURL, f.Version+1
	if f.token == "" {
		sdk.Redirect(w, r, m.viewOf(ws).Path, sdk.Message{Tone: sdk.Good, Text: "The workspace is changed."})
		return
	}
	if err := m.keepCredential(ctx, ws, f.token); err != nil {
		sdk.Fail(w, r, err)
		return
	}
	m.tryOut(ctx, w, r, ws, "The workspace is changed. ")
}

func (m *Organizations) testWorkspace(w http.ResponseWriter, r *http.Request) {
	if ws, ok := m.workspaceOf(w, r); ok {
		m.tryOut(r.Context(), w, r, ws, "")
	}
}

func (m *Organizations) confirmRemove(w http.ResponseWriter, r *http.Request) {
	if ws, ok := m.workspaceOf(w, r); ok {
		m.renderRemove(w, r, ws, nil)
	}
}

func (m *Organizations) renderRemove(w http.ResponseWriter, r *http.Request, ws *workspace, wrong sdk.Fields) {
	v := sdk.View{Template: "workspace_remove", Title: "Remove " + ws.Name, Breadcrumbs: crumbsOf(ws), FieldErrors: wrong, Data: map[string]any{"workspace": m.viewOf(ws)}}
	if len(wrong) > 0 {
		v.Status = http.StatusUnprocessableEntity
	}
	sdk.Render(w, r, v)
}

func (m *Organizations) removeWorkspace(w http.ResponseWriter, r *http.Request) {
	ws, ok := m.workspaceOf(w, r)
	if !ok {
		return
	}
	if strings.TrimSpace(r.PostFormValue("confirm")) != ws.Name {
		m.renderRemove(w, r, ws, sdk.Fields{"confirm": "type the name of the workspace exactly as it is shown"})
		return
	}
	ctx := context.WithoutCancel(r.Context())
	if err := m.host.Secrets().Delete(ctx, "credential", keyOf(ws.ID)); err != nil {
		sdk.Fail(w, r, err)
		return
	}
	defer m.removed(ws.ID)
	if err := m.records.remove(ctx, ws.ID); err != nil {
		sdk.Fail(w, r, err)
		return
	}
	sdk.Redirect(w, r, "/admin/organizations", sdk.Message{Tone: sdk.Good, Text: "The workspace " + ws.Name + " and its credential are erased here. At Particle nothing was changed."})
}

// readable is what a person typed, on one line, without what cannot be seen, at most n characters.
func readable(text string, n int) string {
	text = strings.Join(strings.FieldsFunc(text, func(c rune) bool { return unicode.IsSpace(c) || !unicode.IsPrint(c) }), " ")
	if runes := []rune(text); len(runes) > n {
		text = string(runes[:n])
	}
	return text
}

func lowerFirst(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToLower(text[:1]) + text[1:]
}

// countOf is "1 device", "3 devices".
func countOf(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return strconv.Itoa(n) + " " + noun
}

// pageOf reads ?page=.
func pageOf(r *http.Request) int {
	if n, err := strconv.Atoi(r.URL.Query().Get("page")); err == nil && n > 1 && n < 1_000_000 {
		return n
	}
	return 1
}
