package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"mortise/core/sdk"
	"mortise/plugins/internal/moduletest"
	"mortise/plugins/internal/particle/particletest"
)

func TestLinking_GoesThroughParticlesPagesAndEndsLinked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	at := b.start(t, ann)
	q := at.Query()
	if q.Get("client_id") != "site-1234" || q.Get("redirect_uri") != callback || q.Get("response_type") != "code" || len(q.Get("state")) != 43 {
		t.Fatalf("sent to %s", at)
	}
	a := b.Get(ann, "/linking/particle/callback?"+visit(t, at, "allow"))
	if a.Status != http.StatusSeeOther || a.Location != "/linking" || !strings.Contains(a.Flash, "good") || !strings.Contains(a.Flash, annParticle) {
		t.Fatalf("callback answered %d %s %q: %s", a.Status, a.Location, a.Flash, a.Body)
	}
	var page struct {
		Accounts []accountView `json:"accounts"`
		Attempts []attemptView `json:"attempts"`
	}
	if err := b.Get(ann, "/linking").Decode(&page); err != nil {
		t.Fatal(err)
	}
	if len(page.Accounts) != 1 || page.Accounts[0].Label != annParticle || page.Accounts[0].State != "active" || !page.Accounts[0].Renews {
		t.Errorf("accounts = %+v", page.Accounts)
	}
	if len(page.Attempts) != 1 || page.Attempts[0].Outcome != attemptLinked {
		t.Errorf("attempts = %+v", page.Attempts)
	}
	if events := b.Host.Events("linking.account_linked"); len(events) != 1 || events[0].Subject != "user/2" {
		t.Errorf("events = %+v", events)
	}
	if names := stepNames(t, b, page.Attempts[0].Reference); names != "start:done sent:done consent:done token:done account:done saved:done devices:done" {
		t.Errorf("steps = %s", names)
	}
}

func stepNames(t *testing.T, b *bench, reference string) string {
	t.Helper()
	var page struct{ Steps []stepView }
	if err := b.Get(admin, "/admin/linking/attempts/"+reference).Decode(&page); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range page.Steps {
		names = append(names, s.Name+":"+s.Result)
		if s.Sentence == "" || s.At.IsZero() {
			t.Errorf("step %s says nothing: %+v", s.Name, s)
		}
	}
	return strings.Join(names, " ")
}

// lastFailure is what the callback's page says.
func lastFailure(t *testing.T, a moduletest.Answer) failedData {
	t.Helper()
	if a.View.Template != "failed" {
		t.Fatalf("answered %d %s %q: %s", a.Status, a.Location, a.View.Template, a.Body)
	}
	var data failedData
	if err := a.Decode(&data); err != nil {
		t.Fatal(err)
	}
	if data.Title == "" || data.Sentence == "" || data.Remedy == "" {
		t.Errorf("a failure without words: %+v", data)
	}
	return data
}

func TestLinking_ExplainsEachFailureOnAPageAndToTheStaff(t *testing.T) {
	t.Parallel()
	faults := func(f particletest.Faults) func(*bench) { return func(b *bench) { b.cloud.Faults.Set(f) } }
	rule := func(r particletest.Rule) func(*bench) {
		return faults(particletest.Faults{Rules: []particletest.Rule{r}})
	}
	for _, tc := range []struct {
		name   string
		change func(*bench) // between start and callback
		reason string
		site   bool
		last   string // step
	}{
		{"the secret is wrong", func(b *bench) { b.Host.Set("client_secret", "wrong") }, "bad_client", true, "token:failed"},
		{"the code is used up", func(b *bench) { b.cloud.Faults.Set(particletest.Faults{CodeExpired: true}) }, "expired_code", false, "token:failed"},
		{"Particle answers 500", rule(particletest.Rule{Prefix: "/oauth/token", Status: 500}), "upstream", false, "token:failed"},
		{"Particle hangs", rule(particletest.Rule{Prefix: "/oauth/token", Hang: true}), "no_answer", false, "token:failed"},
		{"Particle cuts the connection", rule(particletest.Rule{Prefix: "/oauth/token", Drop: true}), "unreachable", true, "token:failed"},
		{"Particle says 429", rule(particletest.Rule{Prefix: "/oauth/token", Status: 429}), "rate_limited", false, "token:failed"},
		{"a proxy answers HTML", rule(particletest.Rule{Prefix: "/oauth/token", HTML: true, Status: 200}), "not_particle", true, "token:failed"},
		{"the answer is cut", faults(particletest.Faults{Truncated: true}), "not_particle", true, "token:failed"},
		{"the token is refused at once", rule(particletest.Rule{Prefix: "/v1/user", Status: 401}), "token_refused", false, "account:failed"},
		{"the client is of another type", func(b *bench) {
			b.Host.Set("client_id", "installed-1")
			b.Host.Set("client_secret", "other")
		}, "bad_client_type", true, "token:failed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			at := b.start(t, ann)
			code := b.cloud.IssueCode(annParticle, "site-1234")
			tc.change(b)
			a := b.Get(ann, "/linking/particle/callback?code="+code+"&state="+at.Query().Get("state"))
			data := lastFailure(t, a)
			if data.Reason != tc.reason || data.Told != tc.site || data.Reference == "" || a.Status < 400 {
				t.Errorf("status %d, %+v", a.Status, data)
			}
			if steps := stepNames(t, b, data.Reference); !strings.HasSuffix(steps, tc.last) {
				t.Errorf("steps = %s", steps)
			}
			if own := b.Get(ann, "/linking/attempts/"+data.Reference); own.Status != http.StatusOK || strings.Contains(own.Body, `"detail"`) {
				t.Errorf("own attempt: %d %s", own.Status, own.Body)
			}
			events := b.Host.Events("linking.attempt_failed")
			if len(events) != 1 || !strings.Contains(string(events[0].Payload), tc.reason) {
				t.Errorf("events = %+v", events)
			}
			findings, err := b.module.Check(t.Context())
			if err != nil || (len(findings) > 0) != tc.site {
				t.Errorf("findings = %+v, %v", findings, err)
			}
			assertNoSecrets(t, b, code, at.Query().Get("state"))
		})
	}
}

// assertNoSecrets looks through the log, the events and the attempts for what must not be there.
func assertNoSecrets(t *testing.T, b *bench, secrets ...string) {
	t.Helper()
	secrets = append(secrets, "s3cret-of-the-site")
	for _, token := range b.cloud.Tokens(annParticle) {
		secrets = append(secrets, token.Token)
	}
	text := b.Host.LogText() + b.Get(admin, "/admin/linking/attempts").Body
	var list struct{ Attempts []attemptView }
	if err := b.Get(admin, "/admin/linking/attempts").Decode(&list); err != nil {
		t.Fatal(err)
	}
	for _, a := range list.Attempts {
		text += b.Get(admin, "/admin/linking/attempts/"+a.Reference).Body
	}
	for _, e := range b.Host.Events("") {
		text += string(e.Payload)
	}
	for _, s := range secrets {
		if strings.Contains(text, s) {
			t.Errorf("%q is visible", s)
		}
	}
}

func TestLinking_TellsBeforeTheBrowserLeavesWhatParticleWouldShowAsBareJSON(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ key, value, reason string }{
		"an unknown client id":   {"client_id", "unknown-99", "bad_client"},
		"another redirect URI":   {"client_id", "elsewhere-1", "bad_redirect_uri"},
		"a closed port":          {"base_url", "http://127.0.0.1:1", "unreachable"},
		"a missing secret":       {"client_secret", "", "not_configured"},
		"a malformed base URL":   {"base_url", "http://8.8.8.8", "callback_malformed"},
		"a malformed client id!": {"client_id", "!", "bad_client"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.cloud.AddClient(particletest.Client{ID: "elsewhere-1", Secret: "x", RedirectURIs: []string{"https://elsewhere.example/callback"}})
			b.Host.Set(tc.key, tc.value)
			data := lastFailure(t, b.Post(ann, "/linking/particle/start", url.Values{}))
			if data.Reason != tc.reason || data.Reference == "" {
				t.Errorf("%+v", data)
			}
		})
	}
}

func TestLinking_TakesARefusalThatComesWithoutState(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	at := b.start(t, ann)
	a := b.Get(ann, "/linking/particle/callback?"+visit(t, at, "deny"))
	data := lastFailure(t, a)
	if data.Reason != "refused" || a.Status != http.StatusForbidden {
		t.Errorf("%d %+v", a.Status, data)
	}
	if steps := stepNames(t, b, data.Reference); steps != "start:done sent:done consent:failed" {
		t.Errorf("steps = %s", steps)
	}
	if data := lastFailure(t, b.comeBack(ann, at)); data.Reason != "state_replayed" {
		t.Errorf("after a refusal the state still works: %+v", data)
	}
}

func TestLinking_UsesAStateOnceForItsOwnPersonAndInTime(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	exchanges := func() int { return b.cloud.Calls("POST /oauth/token") }

	spent := b.start(t, ann)
	if a := b.comeBack(ann, spent); a.Status != http.StatusSeeOther {
		t.Fatal(a.Body)
	}
	before := exchanges()
	if data := lastFailure(t, b.comeBack(ann, spent)); data.Reason != "state_replayed" || data.Linked != annParticle {
		t.Errorf("replayed: %+v", data)
	}
	foreign := b.start(t, ann)
	if data := lastFailure(t, b.comeBack(bob, foreign)); data.Reason != "state_foreign" || data.Attempt == "" {
		t.Errorf("foreign: %+v", data)
	}
	if data := lastFailure(t, b.comeBack(ann, foreign)); data.Reason != "state_replayed" {
		t.Errorf("a state that somebody else showed still works: %+v", data)
	}
	lost := b.start(t, ann)
	a := b.comeBack(nobody, lost)
	if data := lastFailure(t, a); data.Reason != "session_ended" || data.SignIn == "" || data.Retry || a.Status != http.StatusUnauthorized {
		t.Errorf("without session: %d %+v", a.Status, data)
	}
	for query, reason := range map[string]string{
		"code=abc&state=" + newState(): "state_unknown",
		"code=abc":                     "state_missing",
		"code=abc&code=def&state=x":    "callback_malformed",
		"":                             "callback_malformed",
		"error=access_denied&code=500": "refused",
		"code=500&state=x":             "state_unknown",
	} {
		if data := lastFailure(t, b.Get(ann, "/linking/particle/callback?"+query)); data.Reason != reason || data.Reference == "" {
			t.Errorf("%q: %+v", query, data)
		}
	}
	late := b.start(t, ann)
	b.clock.forward(11 * time.Minute)
	if data := lastFailure(t, b.comeBack(ann, late)); data.Reason != "state_expired" {
		t.Errorf("late: %+v", data)
	}
	if n := exchanges(); n != before {
		t.Errorf("%d codes were exchanged", n-before)
	}
}

func TestLinking_LetsOnlyOneOfManyEqualCallbacksThrough(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	at := b.start(t, ann)
	code := b.cloud.IssueCode(annParticle, "site-1234")
	answers := make(chan int, 8)
	for range 8 {
		go func() {
			answers <- b.Get(ann, "/linking/particle/callback?code="+code+"&state="+at.Query().Get("state")).Status
		}()
	}
	linked := 0
	for range 8 {
		if <-answers == http.StatusSeeOther {
			linked++
		}
	}
	if linked != 1 || b.cloud.Calls("POST /oauth/token") != 1 {
		t.Errorf("%d linked, %d exchanges", linked, b.cloud.Calls("POST /oauth/token"))
	}
}

func TestLinking_DoesNotSpendTheCodeOnHEAD(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	at := b.start(t, ann)
	code := b.cloud.IssueCode(annParticle, "site-1234")
	path := "/linking/particle/callback?code=" + code + "&state=" + at.Query().Get("state")
	if a := b.Do(ann, http.MethodHead, path, nil, "text/html"); a.Status != http.StatusMethodNotAllowed {
		t.Errorf("HEAD answered %d", a.Status)
	}
	if a := b.Get(ann, path); a.Status != http.StatusSeeOther {
		t.Errorf("GET after HEAD answered %d: %s", a.Status, a.Body)
	}
}

func TestLinking_RevokesTheTokenThatANewLinkReplaces(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.link(t, ann)
	var old sealed
	for _, text := range b.Host.Sealed(secretToken) {
		_ = json.Unmarshal([]byte(text), &old)
	}
	b.link(t, ann)
	moduletest.Eventually(t, "the old token is revoked", func() bool {
		for _, token := range b.cloud.Tokens(annParticle) {
			if token.Token == old.AccessToken {
				return false
			}
		}
		return len(b.Host.Sealed(secretRevocation)) == 0
	})
	if n := len(b.Host.Sealed(secretToken)); n != 1 {
		t.Errorf("%d tokens are sealed", n)
	}
}

func TestLinking_BoundsTheAttemptsOfOnePerson(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for range maxOpenAttempts {
		b.start(t, ann)
	}
	if a := b.Post(ann, "/linking/particle/start", url.Values{}); a.Status != http.StatusTooManyRequests {
		t.Errorf("answered %d", a.Status)
	}
	for range maxStrange + 5 {
		b.Get(ann, "/linking/particle/callback?code=abc&state="+newState())
	}
	var list struct{ Total int }
	if err := b.Get(admin, "/admin/linking/attempts").Decode(&list); err != nil || list.Total != maxOpenAttempts+maxStrange {
		t.Errorf("%d attempts are filed, %v", list.Total, err)
	}
	b.start(t, bob)
}

func TestAttempts_AreSeenByTheirPersonAndTheStaffAlone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.link(t, ann)
	b.Host.Set("client_secret", "wrong")
	failed := lastFailure(t, b.comeBack(ann, b.start(t, ann)))
	for who, want := range map[*sdk.Identity]int{&ann: 200, &bob: 404, &nobody: 401} {
		if a := b.Get(*who, failed.Attempt); a.Status != want {
			t.Errorf("%s: %d, want %d", who.Name, a.Status, want)
		}
		if a := b.Get(*who, "/admin/linking/attempts"); a.Status == http.StatusOK {
			t.Errorf("%s sees everybody's attempts", who.Name)
		}
	}
	for query, want := range map[string]int{"": 2, "?state=failed": 1, "?state=linked": 1, "?state=open": 0, "?q=" + strings.ToLower(failed.Reference): 1,
		"?q=ANN": 2, "?q=2": 2, "?q=777777777": 0, "?q=%25": 0, "?q=_": 0, "?page=2": 0, "?page=x": 2} {
		var list struct{ Attempts []attemptView }
		if err := b.Get(admin, "/admin/linking/attempts"+query).Decode(&list); err != nil || len(list.Attempts) < want || want == 0 && len(list.Attempts) > 0 {
			t.Errorf("%q lists %d, want %d (%v)", query, len(list.Attempts), want, err)
		}
	}
}
