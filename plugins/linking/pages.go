package main

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"mortise/core/fault"
	"mortise/core/sdk"
)

// accountView is a linked account as pages and programs see it.
type accountView struct {
	ID         int64      `json:"id"`
	Label      string     `json:"label"`
	State      string     `json:"state"` // active, ending, dead, other_cloud
	LinkedAt   time.Time  `json:"linked_at"`
	TokenAt    time.Time  `json:"token_at"`   // the present token's age counts from here
	ExpiresAt  *time.Time `json:"expires_at"` // null: never
	Renews     bool       `json:"renews"`     // it is renewed by itself before it ends
	LastUsedAt *time.Time `json:"last_used_at"`
	Devices    string     `json:"devices_path"`
	Unlink     string     `json:"unlink_path"`
}

func (m *Linking) viewOf(acc *account) accountView {
	v := accountView{ID: acc.ID, Label: acc.Username, State: "active", LinkedAt: acc.LinkedAt, TokenAt: acc.TokenAt, ExpiresAt: acc.ExpiresAt,
		Renews: acc.Renewable, LastUsedAt: acc.LastUsedAt, Devices: "/devices", Unlink: "/linking/particle/" + accountKey(acc.ID) + "/unlink"}
	switch {
	case acc.BaseURL != readSettings(m.host.Settings()).baseURL:
		v.State = "other_cloud"
	case acc.State == accountDead, acc.ExpiresAt != nil && m.now().After(*acc.ExpiresAt) && !acc.Renewable:
		v.State = "dead"
	case acc.ExpiresAt != nil && !acc.Renewable && m.now().Add(remindBefore).After(*acc.ExpiresAt):
		v.State = "ending"
	}
	return v
}

// attemptView is an attempt in a list.
type attemptView struct {
	Reference string     `json:"reference"`
	Outcome   string     `json:"outcome"` // open, linked, failed, abandoned
	Reason    string     `json:"reason"`
	Sentence  string     `json:"sentence"`
	Site      bool       `json:"site"`
	UserID    int64      `json:"user_id"`
	UserName  string     `json:"user_name"`
	Account   string     `json:"account"` // the Particle account that was linked
	StartedAt time.Time  `json:"started_at"`
	EndedAt   *time.Time `json:"ended_at"`
	Seconds   float64    `json:"seconds"` // from start to end; 0 when it has not ended
}

func viewOfAttempt(a *attempt, now time.Time) attemptView {
	v := attemptView{Reference: a.Reference, Outcome: a.Outcome, Reason: a.Reason, Site: a.Site, UserID: a.UserID, UserName: a.UserName,
		Account: a.Username, StartedAt: a.StartedAt, EndedAt: a.EndedAt}
	if v.Outcome == attemptOpen && now.After(a.Deadline) {
		v.Outcome = attemptAbandoned
	}
	if a.EndedAt != nil {
		v.Seconds = a.EndedAt.Sub(a.StartedAt).Round(100 * time.Millisecond).Seconds()
	}
	switch v.Outcome {
	case attemptLinked:
		v.Sentence = "Linked " + a.Username + "."
	case attemptFailed:
		v.Sentence = titleOf(a.Reason)
	case attemptAbandoned:
		v.Sentence = "No answer came back from Particle."
	default:
		v.Sentence = "Waiting for the answer from Particle."
	}
	return v
}

// titleOf is the short sentence of a failure by its id.
func titleOf(reason string) string {
	if f, ok := failureByID(reason); ok {
		return f.title
	}
	return "Linking did not work."
}

func (m *Linking) listAccounts(w http.ResponseWriter, r *http.Request) {
	user := sdk.UserFrom(r.Context())
	list, err := m.records.accounts(r.Context(), user.UserID)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	recent, _, err := m.records.attempts(r.Context(), attemptFilter{UserID: user.UserID, Page: 1, PerPage: 5})
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	data := struct {
		Configured bool          `json:"configured"`
		Cloud      string        `json:"cloud"`
		Accounts   []accountView `json:"accounts"`
		Attempts   []attemptView `json:"attempts"`
	}{Configured: readSettings(m.host.Settings()).complete(), Cloud: readSettings(m.host.Settings()).baseURL, Accounts: []accountView{}, Attempts: []attemptView{}}
	for i := range list {
		data.Accounts = append(data.Accounts, m.viewOf(&list[i]))
	}
	for i := range recent {
		data.Attempts = append(data.Attempts, viewOfAttempt(&recent[i], m.now()))
	}
	sdk.Render(w, r, sdk.View{Template: "accounts", Title: "Linked accounts", Data: data})
}

func (m *Linking) startLinking(w http.ResponseWriter, r *http.Request) {
	target, a, f, err := m.begin(r.Context(), sdk.UserFrom(r.Context()))
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	if f != nil {
		m.showFailure(w, r, outcome{attempt: a, failure: f})
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	sdk.Redirect(w, r, target)
}

// callbackLimit bounds the work of one callback: the exchange, the question whose token it is, and the first look at devices.
const callbackLimit = 40 * time.Second

func (m *Linking) comeBack(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet { // HEAD is asked by link checkers; it must not spend the code
		w.Header().Set("Allow", http.MethodGet)
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	// A person who closes the page must not lose the token between the exchange and the sealing.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), callbackLimit)
	defer cancel()
	out, err := m.finish(ctx, sdk.UserFrom(ctx), r.URL.RawQuery)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	if out.failure != nil {
		m.showFailure(w, r, out)
		return
	}
	text := "Your Particle account " + out.account.Username + " is linked."
	if out.devices >= 0 {
		text += " It has " + countOf(out.devices, "device") + "."
	}
	w.Header().Set("Cache-Control", "no-store")
	sdk.Redirect(w, r, "/linking", sdk.Message{Tone: sdk.Good, Text: text})
}

// failedData is what the page of a failure, and a program, gets.
type failedData struct {
	Reason    string `json:"reason"`
	Title     string `json:"title"`
	Sentence  string `json:"sentence"`
	Remedy    string `json:"remedy"`
	Told      bool   `json:"told"`      // the site's staff have been told
	Reference string `json:"reference"` // "" when nothing was filed
	Attempt   string `json:"attempt_path"`
	SignIn    string `json:"sign_in_path"`
	Retry     bool   `json:"retry"`  // trying again at once may help
	Linked    string `json:"linked"` // of a repeated answer: the account that it linked the first time
}

func (m *Linking) showFailure(w http.ResponseWriter, r *http.Request, out outcome) {
	f := out.failure
	user := sdk.UserFrom(r.Context())
	data := failedData{Reason: f.id, Title: f.title, Sentence: f.sentence, Remedy: f.remedy, Told: f.site, Retry: user.SignedIn()}
	if f.signIn || !user.SignedIn() {
		data.SignIn = "/login?next=/linking"
	}
	if a := out.attempt; a != nil {
		data.Reference = a.Reference
		if user.SignedIn() && a.UserID == user.UserID {
			data.Attempt = "/linking/attempts/" + a.Reference
		}
		if f.id == stateReplayed.id && a.Outcome == attemptLinked && a.UserID == user.UserID {
			data.Linked = a.Username
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	view := sdk.View{Template: "failed", Title: f.title, Status: f.status, Data: data}
	if user.SignedIn() {
		view.Breadcrumbs = crumbs
	}
	sdk.Render(w, r, view)
}

var crumbs = []sdk.Link{{Title: "Linked accounts", Path: "/linking"}}

// ownAccount finds the account of the path among the visitor's own. It has answered when ok is false.
func (m *Linking) ownAccount(w http.ResponseWriter, r *http.Request) (*account, bool) {
	id, err := strconv.ParseInt(r.PathValue("account"), 10, 64)
	if err != nil || id <= 0 {
		sdk.Fail(w, r, fault.New(fault.NotFound, "You have no such linked account."))
		return nil, false
	}
	acc, err := m.records.account(r.Context(), sdk.UserFrom(r.Context()).UserID, id)
	if err != nil {
		sdk.Fail(w, r, err)
		return nil, false
	}
	return acc, true
}

func (m *Linking) confirmUnlink(w http.ResponseWriter, r *http.Request) {
	acc, ok := m.ownAccount(w, r)
	if !ok {
		return
	}
	sdk.Render(w, r, sdk.View{Template: "unlink", Title: "Unlink " + acc.Username, Breadcrumbs: crumbs,
		Data: map[string]any{"account": m.viewOf(acc)}})
}

func (m *Linking) unlinkAccount(w http.ResponseWriter, r *http.Request) {
	acc, ok := m.ownAccount(w, r)
	if !ok {
		return
	}
	told, err := m.unlink(context.WithoutCancel(r.Context()), acc)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	message := sdk.Message{Tone: sdk.Good, Text: "The link to " + acc.Username + " is gone: revoked at Particle and erased here."}
	if !told {
		message = sdk.Message{Tone: sdk.Warn, Text: "The link to " + acc.Username +
			" is erased here. Particle could not be told just now; this site goes on trying to revoke the access there."}
	}
	sdk.Redirect(w, r, "/linking", message)
}

func (m *Linking) showOwnAttempt(w http.ResponseWriter, r *http.Request) {
	m.renderAttempt(w, r, sdk.UserFrom(r.Context()).UserID, "attempt", crumbs)
}

// stepView is one line of a timeline. detail is for the staff alone.
type stepView struct {
	Name     string    `json:"name"`
	Title    string    `json:"title"`
	Result   string    `json:"result"` // done, failed, note
	Sentence string    `json:"sentence"`
	Detail   string    `json:"detail,omitempty"`
	At       time.Time `json:"at"`
	Millis   int64     `json:"milliseconds"`
}

var stepTitles = map[string]string{"start": "Start", "sent": "Sent to Particle", "consent": "Consent", "state": "Check of the answer", "token": "Token", "account": "Account",
	"saved": "Saved", "devices": "Devices", "again": "Repeated"}

// renderAttempt shows one attempt: of userID, or for 0 anybody's, with what only the staff may read.
func (m *Linking) renderAttempt(w http.ResponseWriter, r *http.Request, userID int64, template string, above []sdk.Link) {
	reference, ok := readReference(r.PathValue("reference"))
	if !ok {
		sdk.Fail(w, r, fault.New(fault.NotFound, "There is no attempt with this reference."))
		return
	}
	a, steps, err := m.records.attempt(r.Context(), reference, userID)
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	staff := template == "admin_attempt"
	data := struct {
		Attempt attemptView `json:"attempt"`
		Steps   []stepView  `json:"steps"`
		Remedy  string      `json:"remedy"`
	}{Attempt: viewOfAttempt(a, m.now()), Steps: make([]stepView, 0, len(steps)), Remedy: remedyOf(a, staff)}
	for _, s := range steps {
		v := stepView{Name: s.Name, Title: stepTitles[s.Name], Result: s.Result, Sentence: s.Sentence, At: s.At, Millis: s.Millis}
		if staff {
			v.Detail = s.Detail
		}
		data.Steps = append(data.Steps, v)
	}
	sdk.Render(w, r, sdk.View{Template: template, Title: "Attempt " + a.Reference, Breadcrumbs: above, Data: data})
}

func remedyOf(a *attempt, staff bool) string {
	if a.Outcome != attemptFailed {
		return ""
	}
	if staff && staffRemedies[a.Reason] != "" {
		return staffRemedies[a.Reason]
	}
	f, _ := failureByID(a.Reason)
	return f.remedy
}

// countOf is "1 device", "3 devices".
func countOf(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return strconv.Itoa(n) + " " + noun
}
