package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/internal/particle"
)

// check is one question of a test with its answer.
type check struct {
	Title    string `json:"title"`
	Scope    string `json:"scope"`    // what an API user needs for it; "" when it needs none
	Result   string `json:"result"`   // good, warn, bad, skipped
	Sentence string `json:"sentence"` // what was found
}

// report is what a test has found.
type report struct {
	health    string
	problem   string
	sentence  string
	remedy    string
	username  string
	expiresAt *time.Time
	checks    []check
}

// warnBefore is how long before its end a token is reported.
const warnBefore = 14 * 24 * time.Hour

// test asks Particle everything that this module needs, until something is wrong with all of it. The order is from the
// address to the token to its scopes, so that the first bad answer is the cause.
func (m *Organizations) test(ctx context.Context, a *access) report {
	r := report{health: healthGood, username: a.Username}
	info, err := a.cloud.CurrentToken(ctx, a.token)
	switch {
	case err == nil:
		if !info.ExpiresAt.IsZero() {
			at := info.ExpiresAt.UTC()
			r.expiresAt = &at
		}
		r.add("Address and token", "", "good", m.lifeOf(r.expiresAt))
	case refused(err), particle.Is(err, particle.NotFound):
		// An API user may not be allowed to look at its own token; whether the token lives shows below.
		r.add("Address and token", "", "skipped", "Particle does not tell about this token; the questions below do.")
	default:
		r.fail("Address and token", "", err)
		return r
	}
	if user, err := a.cloud.User(ctx, a.token); err == nil {
		r.username = user.Username
	}
	list, err := a.cloud.Products(ctx, a.token)
	if err != nil {
		r.lack("See products", "products:list", err)
		if r.health == healthBad {
			return r
		}
	} else {
		r.add("See products", "products:list", "good", countOf(len(list), "product")+".")
	}
	m.testProduct(ctx, a, list, &r)
	r.conclude(m.now())
	return r
}

// testProduct tries one product, the default one if there is such: scopes are the same for all of them.
func (m *Organizations) testProduct(ctx context.Context, a *access, list []particle.Product, r *report) {
	if len(list) == 0 {
		_, err := a.cloud.Clients(ctx, a.token)
		r.ask("See OAuth clients", "clients:list", err)
		return
	}
	id := list[0].ID
	for _, p := range list {
		if p.ID == a.DefaultProduct {
			id = p.ID
		}
	}
	_, _, err := a.cloud.ProductDevices(ctx, a.token, id, particle.Page{Size: 1})
	r.ask("See devices", "devices:list", err)
	_, _, err = a.cloud.Customers(ctx, a.token, id, particle.Page{Size: 1})
	r.ask("See customers", "customers:list", err)
	_, err = a.in(id).Clients(ctx, a.token)
	r.ask("See OAuth clients", "clients:list", err)
	_, err = a.cloud.Team(ctx, a.token, id)
	r.ask("See the team", "teams.users:list", err)
}

func (r *report) add(title, scope, result, sentence string) {
	r.checks = append(r.checks, check{Title: title, Scope: scope, Result: result, Sentence: sentence})
}

// ask takes the answer to a question that no other depends on.
func (r *report) ask(title, scope string, err error) {
	if err == nil {
		r.add(title, scope, "good", "Allowed.")
		return
	}
	r.lack(title, scope, err)
}

// refused tells a "no" to one question from a token that is dead altogether. A 403 may have the body that is known from
// foreign devices; here no call is about one device.
func refused(err error) bool {
	var e *particle.Error
	if errors.As(err, &e) && e.Status == http.StatusForbidden {
		return true
	}
	return fault.Is(err, fault.Denied) && !particle.Is(err, particle.DeadToken)
}

// fail ends a test: nothing works.
func (r *report) fail(title, scope string, err error) {
	t := explain(err, scope)
	r.health, r.problem, r.sentence, r.remedy = healthBad, t.Kind, t.Sentence, t.Remedy
	r.add(title, scope, "bad", t.Sentence)
}

// lack takes a refusal of one question: a missing scope, unless it tells that nothing works.
func (r *report) lack(title, scope string, err error) {
	if !refused(err) && !particle.Is(err, particle.NotFound) {
		r.fail(title, scope, err)
		return
	}
	r.add(title, scope, "warn", "Not allowed: the credential lacks the scope "+scope+".")
}

// conclude says in a sentence what the checks add up to.
func (r *report) conclude(now time.Time) {
	if r.health == healthBad {
		return
	}
	var missing []string
	for _, c := range r.checks {
		if c.Result == "warn" {
			missing = append(missing, c.Scope)
		}
	}
	switch {
	case len(missing) > 0:
		r.health, r.problem = healthWarn, "missing_scope"
		r.sentence = "The credential works, but lacks the scope " + strings.Join(missing, ", ") + "."
		if len(missing) > 1 {
			r.sentence = "The credential works, but lacks the scopes " + strings.Join(missing, ", ") + "."
		}
		r.remedy = "Give them to the API user at Particle if you need what they are for. That makes a new token; enter it here."
	default:
		r.sentence = "The credential works."
	}
	if sentence, remedy, ending := ends(r.expiresAt, now); ending {
		r.health, r.problem, r.sentence, r.remedy = healthWarn, "token_ends", sentence, remedy
	}
}

// ends tells whether a token is about to end.
func ends(at *time.Time, now time.Time) (sentence, remedy string, ending bool) {
	if at == nil || now.Add(warnBefore).Before(*at) {
		return "", "", false
	}
	day := at.UTC().Format("2 January 2006")
	if now.After(*at) {
		return "The token has expired on " + day + ".", "Enter a new token. The token of an API user does not expire.", true
	}
	return "The token expires on " + day + ".", "Enter a new token before then. The token of an API user does not expire.", true
}

func (m *Organizations) lifeOf(at *time.Time) string {
	if at == nil {
		return "Accepted. The token does not expire."
	}
	return "Accepted. The token expires on " + at.Format("2 January 2006") + "."
}

// examine tests a workspace and notes what it finds.
func (m *Organizations) examine(ctx context.Context, w *workspace) error {
	r := report{health: healthBad}
	a, t := m.access(ctx, w)
	if t != nil {
		r.problem, r.sentence, r.remedy = t.Kind, t.Sentence, t.Remedy
	} else {
		limited, cancel := context.WithTimeout(ctx, testLimit)
		defer cancel()
		r = m.test(limited, a)
	}
	if r.problem == string(particle.Cancelled) {
		return ctx.Err()
	}
	checks, err := json.Marshal(r.checks)
	if err != nil {
		return err
	}
	now := m.now()
	w.Health, w.Problem, w.Sentence, w.Remedy, w.Checks, w.CheckedAt = r.health, r.problem, r.sentence, r.remedy, string(checks), &now
	fields := map[string]any{"health": w.Health, "problem": w.Problem, "sentence": w.Sentence, "remedy": w.Remedy, "checks": w.Checks, "checked_at": &now}
	if r.health != healthBad {
		w.ExpiresAt, w.Username = r.expiresAt, r.username
		fields["expires_at"], fields["username"] = w.ExpiresAt, w.Username
	}
	return m.records.note(context.WithoutCancel(ctx), w.ID, fields)
}

// testLimit bounds all calls of one test.
const testLimit = 40 * time.Second

// examineAll is the job: it finds a dying credential before somebody needs it.
func (m *Organizations) examineAll(ctx context.Context) error {
	list, err := m.records.workspaces(ctx)
	if err != nil {
		return err
	}
	for i := range list {
		if err := m.examine(ctx, &list[i]); err != nil {
			return err
		}
		if list[i].Health == healthBad {
			continue
		}
		if t := m.refresh(ctx, &list[i]); t != nil {
			m.host.Log().Warn("the products of a workspace could not be fetched", "workspace", list[i].ID, "reason", t.Kind)
		}
	}
	return nil
}

// Check tells the staff about credentials that are dead or dying, and of operations that only a person can judge.
func (m *Organizations) Check(ctx context.Context) ([]sdk.Finding, error) {
	list, err := m.records.workspaces(ctx)
	if err != nil {
		return nil, err
	}
	var findings []sdk.Finding
	for i := range list {
		w := &list[i]
		link := "/admin/organizations/workspaces/" + keyOf(w.ID)
		if sentence, remedy, ending := ends(w.ExpiresAt, m.now()); ending && w.Health != healthBad {
			findings = append(findings, sdk.Finding{Level: sdk.LevelWarning, Title: "Workspace " + w.Name + ": " + sentence, Remedy: remedy, Link: link})
		} else if w.Health == healthBad {
			findings = append(findings, sdk.Finding{Level: sdk.LevelError, Title: "Workspace " + w.Name + ": " + w.Sentence, Remedy: w.Remedy, Link: link})
		}
	}
	n, err := m.records.countOperations(ctx, opUnclear)
	if err != nil {
		return nil, err
	}
	if n > 0 {
		findings = append(findings, sdk.Finding{Level: sdk.LevelWarning, Title: countOf(int(n), "change") + " at Particle was cut short and needs a look.",
			Remedy: "Open it: it names what may be left over.", Link: "/admin/organizations/operations?state=" + opUnclear})
	}
	return findings, nil
}
