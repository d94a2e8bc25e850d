package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/internal/particle"
)

// begin opens an attempt and gives the address of Particle's sign-in page, or the failure that the person is shown.
func (m *Linking) begin(ctx context.Context, user sdk.Identity) (string, *attempt, *failure, error) {
	n, err := m.records.countOpen(ctx, user.UserID)
	if err != nil {
		return "", nil, nil, err
	}
	if n >= maxOpenAttempts {
		return "", nil, &tooManyOpen, nil
	}
	v, state := readSettings(m.host.Settings()), newState()
	now := m.now()
	a := &attempt{UserID: user.UserID, UserName: readable(user.Name, 100), StateHash: hashOf(state), Deadline: now.Add(stateLife), Outcome: attemptOpen, StartedAt: now}
	first := step{Name: "start", Result: stepDone, Sentence: "Linking a Particle account was started."}
	if err := m.records.open(ctx, a, first); err != nil {
		return "", nil, nil, err
	}
	if !v.complete() {
		return "", a, &notConfigured, m.records.fail(ctx, a, notConfigured, step{Name: "start", Result: stepFailed, Sentence: notConfigured.sentence})
	}
	cloud, err := m.cloud(v.baseURL)
	if err == nil {
		err = m.lookAhead(ctx, cloud, v)
	}
	if err != nil {
		f := failureOf(err)
		return "", a, &f, m.records.fail(ctx, a, f, failedStep("start", f, err))
	}
	target := cloud.AuthorizeURL(v.client.ID, m.redirectURI(), state, v.scope)
	return target, a, nil, m.records.note(ctx, a.ID, step{Name: "sent", Result: stepDone, Sentence: "The browser was sent to Particle's sign-in page.", Detail: "redirect URI " + m.redirectURI()})
}

// lookAhead opens Particle's sign-in page before the person is sent there. With an unknown client id or another redirect URI
// than the registered one Particle shows bare JSON in the browser and never sends anybody back, so nobody else could explain it.
func (m *Linking) lookAhead(ctx context.Context, cloud *particle.Client, v values) error {
	ctx, cancel := context.WithTimeout(ctx, m.limits.Token)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, cloud.AuthorizeURL(v.client.ID, m.redirectURI(), "look-ahead", v.scope), nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "text/html")
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		return unreached(ctx, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil {
		return unreached(ctx, err)
	}
	switch {
	case res.StatusCode == http.StatusTooManyRequests:
		return &particle.Error{Kind: particle.RateLimited, Op: "open sign-in page", Status: res.StatusCode}
	case res.StatusCode >= 500:
		return &particle.Error{Kind: particle.Upstream, Op: "open sign-in page", Status: res.StatusCode}
	case res.StatusCode == http.StatusNotFound:
		return &particle.Error{Kind: particle.NotParticle, Op: "open sign-in page", Status: res.StatusCode}
	case res.StatusCode != http.StatusBadRequest && res.StatusCode != http.StatusUnauthorized:
		return nil
	}
	var refusal struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal(body, &refusal) != nil || refusal.Error == "" {
		return &particle.Error{Kind: particle.NotParticle, Op: "open sign-in page", Status: res.StatusCode}
	}
	// The texts are those of error redirects, which the client can tell apart.
	_, _, err = particle.ReadCallback(url.Values{"error": {refusal.Error}, "error_description": {refusal.Description}, "code": {"400"}})
	return err
}

func unreached(ctx context.Context, err error) error {
	kind := particle.Unreachable
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		kind = particle.NoAnswer
	}
	var urlErr *url.Error
	if errors.As(err, &urlErr) {
		err = urlErr.Err // without the URL and the state in it
	}
	return &particle.Error{Kind: kind, Op: "open sign-in page", Cause: err}
}

// outcome is what the callback ended with: an account, or a failure with the attempt that it is filed under.
type outcome struct {
	attempt *attempt // nil when nothing could be filed
	failure *failure
	account *account
	devices int // that the account has; -1 when Particle could not tell
}

// finish takes Particle's answer. Each way through it ends an attempt, or files what came.
func (m *Linking) finish(ctx context.Context, user sdk.Identity, rawQuery string) (outcome, error) {
	ans, err := readAnswer(rawQuery)
	if err != nil {
		return m.strange(ctx, user, callbackMalformed, "The answer could not be read.")
	}
	if ans.state == "" {
		return m.finishWithoutState(ctx, user, ans)
	}
	a, err := m.records.byState(ctx, hashOf(ans.state))
	if fault.Is(err, fault.NotFound) {
		return m.strange(ctx, user, stateUnknown, "The mark in the answer is not one of this site, or was forgotten.")
	}
	if err != nil {
		return outcome{}, err
	}
	if a.UserID != user.UserID && user.SignedIn() {
		return m.foreign(ctx, user, a)
	}
	first, err := m.records.use(ctx, a.ID)
	if err != nil {
		return outcome{}, err
	}
	if !first {
		err := m.records.note(ctx, a.ID, step{Name: "again", Result: stepNote, Sentence: "The same answer came again and was not used a second time."})
		return outcome{attempt: a, failure: &stateReplayed}, err
	}
	return m.proceed(ctx, user, a, ans)
}

// finishWithoutState is for refusals, which come without the state: they can only belong to the person's newest open attempt.
// A code without a state is never exchanged.
func (m *Linking) finishWithoutState(ctx context.Context, user sdk.Identity, ans answer) (outcome, error) {
	if ans.err == nil || ans.code != "" {
		return m.strange(ctx, user, stateMissing, "A code came without the mark that this site had sent along.")
	}
	if !user.SignedIn() {
		return outcome{failure: &sessionEnded}, nil
	}
	a, err := m.records.newestOpen(ctx, user.UserID)
	if fault.Is(err, fault.NotFound) {
		f := failureOf(ans.err)
		return m.strange(ctx, user, f, f.sentence)
	}
	if err != nil {
		return outcome{}, err
	}
	if _, err := m.records.use(ctx, a.ID); err != nil {
		return outcome{}, err
	}
	return m.proceed(ctx, user, a, ans)
}

// proceed goes on with an attempt whose state has just been taken.
func (m *Linking) proceed(ctx context.Context, user sdk.Identity, a *attempt, ans answer) (outcome, error) {
	if !user.SignedIn() {
		return m.end(ctx, a, sessionEnded, step{Name: "consent", Result: stepFailed, Sentence: "The browser came back without a session on this site; the code was not used."})
	}
	if m.now().After(a.Deadline) {
		return m.end(ctx, a, stateExpired, step{Name: "state", Result: stepFailed, Sentence: stateExpired.sentence})
	}
	if ans.err != nil {
		f := failureOf(ans.err)
		return m.end(ctx, a, f, failedStep("consent", f, ans.err))
	}
	err := m.records.note(ctx, a.ID, step{Name: "consent", Result: stepDone, Sentence: "Access was allowed, and Particle sent a one-time code with the right mark."})
	if err != nil {
		return outcome{}, err
	}
	return m.exchange(ctx, a, ans.code)
}

// exchange turns the code into a token, asks whose it is, and keeps it.
func (m *Linking) exchange(ctx context.Context, a *attempt, code string) (outcome, error) {
	v := readSettings(m.host.Settings())
	cloud, err := m.cloud(v.baseURL)
	if err != nil {
		return m.refused(ctx, a, "token", err)
	}
	began := m.now()
	token, err := cloud.Exchange(ctx, v.client, code, m.redirectURI())
	if err != nil {
		return m.refused(ctx, a, "token", err)
	}
	err = m.records.note(ctx, a.ID, step{Name: "token", Result: stepDone, Sentence: "Particle gave a token for the code.", Millis: m.since(began)})
	if err != nil {
		return outcome{}, err
	}
	began = m.now()
	owner, err := cloud.User(ctx, token.AccessToken)
	if err != nil {
		m.giveBack(ctx, cloud, token)
		return m.refused(ctx, a, "account", err)
	}
	username := strings.ToLower(readable(owner.Username, 200))
	err = m.records.note(ctx, a.ID, step{Name: "account", Result: stepDone, Sentence: "The token belongs to the Particle account " + username + ".", Millis: m.since(began)})
	if err != nil {
		return outcome{}, err
	}
	return m.keep(ctx, a, v, cloud, token, username)
}

// keep seals the token, makes the account active and looks whether devices can be seen.
func (m *Linking) keep(ctx context.Context, a *attempt, v values, cloud *particle.Client, token particle.Token, username string) (outcome, error) {
	acc, err := m.records.prepare(ctx, a.UserID, username, v.baseURL, v.client.ID)
	if err == nil {
		err = m.saveLinked(ctx, a, acc, v, token)
	}
	if err != nil {
		m.giveBack(ctx, cloud, token)
		m.host.Log().Error("a link could not be kept", "reference", a.Reference, "error", err)
		return m.end(ctx, a, saveFailed, step{Name: "saved", Result: stepFailed, Sentence: saveFailed.sentence})
	}
	out := outcome{attempt: a, account: acc, devices: -1}
	began := m.now()
	devices, err := cloud.Devices(ctx, token.AccessToken)
	st := step{Name: "devices", Result: stepDone, Sentence: "Particle shows " + countOf(len(devices), "device") + " with this link.", Millis: m.since(began)}
	if err != nil {
		st.Result, st.Sentence, st.Detail = stepNote, "The link works, but Particle did not list the devices just now.", detailOf(err)
	} else {
		out.devices = len(devices)
	}
	return out, m.records.note(ctx, a.ID, st)
}

func (m *Linking) saveLinked(ctx context.Context, a *attempt, acc *account, v values, token particle.Token) error {
	defer m.lockAccount(acc.ID)()
	before := *acc
	old, err := m.readToken(ctx, acc.ID)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	acc.BaseURL, acc.ClientID = v.baseURL, v.client.ID
	if err := m.sealToken(ctx, acc, token); err != nil {
		return err
	}
	saved := step{Name: "saved", Result: stepDone, Sentence: "The token was sealed, and the account is linked."}
	if err := m.records.linked(ctx, acc, a, saved); err != nil {
		return err
	}
	if old.AccessToken != "" && old.AccessToken != token.AccessToken {
		m.supersede(ctx, &before, old) // otherwise every new link would leave one more live token at Particle
	}
	return nil
}

// refused ends the attempt with what Particle, or the way to it, reported.
func (m *Linking) refused(ctx context.Context, a *attempt, name string, err error) (outcome, error) {
	f := failureOf(err)
	return m.end(ctx, a, f, failedStep(name, f, err))
}

func (m *Linking) end(ctx context.Context, a *attempt, f failure, last step) (outcome, error) {
	if f.site {
		m.host.Log().Warn("linking fails by the site's settings or network", "reason", f.id, "reference", a.Reference)
	}
	return outcome{attempt: a, failure: &f}, m.records.fail(ctx, a, f, last)
}

// strange files an answer that belongs to no attempt, so that the person has a reference to quote. Without a session nothing is
// filed: otherwise anybody could fill the table.
func (m *Linking) strange(ctx context.Context, user sdk.Identity, f failure, sentence string) (outcome, error) {
	if !user.SignedIn() {
		return outcome{failure: &f}, nil
	}
	now := m.now()
	n, err := m.records.countStrange(ctx, user.UserID)
	if err != nil || n >= maxStrange {
		return outcome{failure: &f}, err
	}
	a := &attempt{UserID: user.UserID, UserName: readable(user.Name, 100), Deadline: now, Outcome: attemptOpen, StartedAt: now}
	first := step{Name: "consent", Result: stepNote, Sentence: "An answer from Particle arrived that fits no open attempt."}
	if err := m.records.open(ctx, a, first); err != nil {
		return outcome{}, err
	}
	return m.end(ctx, a, f, step{Name: "state", Result: stepFailed, Sentence: sentence})
}

// foreign files an answer whose state is somebody else's under the visitor, and notes it with its owner. The state is spent:
// whoever passed it on cannot use it any more.
func (m *Linking) foreign(ctx context.Context, user sdk.Identity, a *attempt) (outcome, error) {
	first, err := m.records.use(ctx, a.ID)
	if err != nil {
		return outcome{}, err
	}
	seen := step{Name: "state", Result: stepFailed, Sentence: "The answer arrived in another person's session, so it was not used."}
	if first && a.Outcome == attemptOpen {
		_, err = m.end(ctx, a, stateForeign, seen)
	} else {
		err = m.records.note(ctx, a.ID, seen)
	}
	if err != nil {
		return outcome{}, err
	}
	return m.strange(ctx, user, stateForeign, stateForeign.sentence)
}

func (m *Linking) since(began time.Time) int64 { return m.now().Sub(began).Milliseconds() }

func failedStep(name string, f failure, err error) step {
	st := step{Name: name, Result: stepFailed, Sentence: f.title + " " + f.sentence, Detail: detailOf(err)}
	var e *particle.Error
	if errors.As(err, &e) {
		st.Millis = e.Elapsed.Milliseconds()
	}
	return st
}

// detailOf is what the staff may read of an error: the client takes secrets out of it.
func detailOf(err error) string { return readable(err.Error(), 400) }
