package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/particle/particletest"
	"mortise/plugins/internal/tokenapi"
)

// tokens calls particle.token for a person.
func (b *bench) tokens(t *testing.T, person sdk.Identity) []tokenapi.Account {
	t.Helper()
	answer, err := b.module.Call(t.Context(), sdk.Call{Service: tokenapi.Service, Method: tokenapi.Get, Input: []byte("{}"), Caller: "devices", User: person})
	if err != nil {
		t.Fatal(err)
	}
	return answer.(tokenapi.Accounts).Accounts
}

func (b *bench) report(t *testing.T, person sdk.Identity, acc tokenapi.Account) (tokenapi.State, error) {
	t.Helper()
	input, _ := json.Marshal(tokenapi.Report{ID: acc.ID, Generation: acc.Generation})
	answer, err := b.module.Call(t.Context(), sdk.Call{Service: tokenapi.Service, Method: tokenapi.ReportDead, Input: input, Caller: "devices", User: person})
	if err != nil {
		return "", err
	}
	return answer.(tokenapi.Verdict).State, nil
}

func TestTokens_AreGivenToTheirPersonAlone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.link(t, ann)
	given := b.tokens(t, ann)
	if len(given) != 1 || given[0].AccessToken == "" || given[0].State != tokenapi.Active || given[0].BaseURL != b.url || given[0].Label != annParticle {
		t.Fatalf("given = %#v", given)
	}
	if list := b.tokens(t, bob); len(list) != 0 {
		t.Errorf("bob gets %#v", list)
	}
	if _, err := b.report(t, bob, given[0]); !fault.Is(err, fault.NotFound) {
		t.Errorf("bob reports ann's token: %v", err)
	}
	if b.tokens(t, ann)[0].State != tokenapi.Active {
		t.Error("bob's report killed ann's link")
	}
	for _, call := range []sdk.Call{
		{Service: tokenapi.Service, Method: tokenapi.Get, Caller: "devices"},
		{Service: tokenapi.Service, Method: "everything", Caller: "devices", User: ann},
		{Service: "particle.other", Method: tokenapi.Get, Caller: "devices", User: ann},
		{Service: tokenapi.Service, Method: tokenapi.ReportDead, Input: []byte(`{"account_id":1,"user_id":3}`), Caller: "devices", User: ann},
	} {
		if answer, err := b.module.Call(t.Context(), call); err == nil {
			t.Errorf("%s %s of %d gave %v", call.Service, call.Method, call.User.UserID, answer)
		}
	}
}

func TestTokens_OfAnotherCloudAreNotGiven(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.link(t, ann)
	b.Host.Set("base_url", "https://api.particle.io")
	if given := b.tokens(t, ann); given[0].State != tokenapi.Dead || given[0].AccessToken != "" {
		t.Errorf("given = %#v", given)
	}
}

func TestTokens_AreRenewedOnceForManyWhoWait(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.link(t, ann)
	first := b.tokens(t, ann)[0]
	before := b.cloud.Calls("POST /oauth/token")
	b.clock.forward(first.ExpiresAt.Sub(b.clock.now()) - time.Minute)
	var waiting sync.WaitGroup
	for range 10 {
		waiting.Go(func() {
			if given := b.tokens(t, ann)[0]; given.AccessToken == first.AccessToken || given.Generation == first.Generation {
				t.Error("an old token was given")
			}
		})
	}
	waiting.Wait()
	if n := b.cloud.Calls("POST /oauth/token") - before; n != 1 {
		t.Errorf("renewed %d times", n)
	}
}

func TestReports_RenewWhatCanBeRenewedAndBuryTheRest(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.link(t, ann)
	given := b.tokens(t, ann)[0]
	if state, err := b.report(t, ann, given); err != nil || state != tokenapi.Active || b.tokens(t, ann)[0].Generation != given.Generation {
		t.Errorf("a living token: %s %v", state, err)
	}
	b.cloud.Faults.Set(particletest.Faults{Rules: []particletest.Rule{{Prefix: "/v1/access_tokens", Status: 401}}})
	if state, err := b.report(t, ann, given); err != nil || state != tokenapi.Active {
		t.Errorf("one that can be renewed: %s %v", state, err)
	}
	fresh := b.tokens(t, ann)[0]
	if fresh.AccessToken == given.AccessToken {
		t.Error("it was not renewed")
	}
	if state, err := b.report(t, ann, given); err != nil || state != tokenapi.Active || b.tokens(t, ann)[0].AccessToken != fresh.AccessToken {
		t.Errorf("a report about an older token changed something: %s %v", state, err)
	}
	b.cloud.RevokeTokens(annParticle)
	if state, err := b.report(t, ann, fresh); err != nil || state != tokenapi.Dead {
		t.Errorf("one that is over: %s %v", state, err)
	}
	if _, err := b.report(t, ann, fresh); err != nil {
		t.Error(err)
	}
	if mails := b.Host.Mails(); len(mails) != 1 || mails[0].UserID != ann.UserID || !strings.Contains(mails[0].Text, "https://site.example/linking") {
		t.Errorf("mails = %+v", mails)
	}
	if events := b.Host.Events("linking.account_dead"); len(events) != 1 {
		t.Errorf("events = %+v", events)
	}
	var page struct{ Accounts []accountView }
	if err := b.Get(ann, "/linking").Decode(&page); err != nil || page.Accounts[0].State != "dead" {
		t.Errorf("page = %+v, %v", page, err)
	}
	b.cloud.Faults.Set(particletest.Faults{})
	b.link(t, ann)
	if list := b.tokens(t, ann); len(list) != 1 || list[0].State != tokenapi.Active || list[0].ID != given.ID {
		t.Errorf("after linking again: %#v", list)
	}
}

func TestUnlink_RevokesAtParticleAndErasesHere(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.link(t, ann)
	given := b.tokens(t, ann)[0]
	path := "/linking/particle/" + accountKey(given.ID) + "/unlink"
	if a := b.Get(ann, path); a.View.Template != "unlink" {
		t.Fatalf("confirmation answered %d %s", a.Status, a.Body)
	}
	for _, other := range []string{"/linking/particle/999/unlink", "/linking/particle/x/unlink", "/linking/particle/-1/unlink"} {
		if a := b.Post(ann, other, url.Values{}); a.Status != http.StatusNotFound {
			t.Errorf("%s answered %d", other, a.Status)
		}
	}
	if a := b.Post(bob, path, url.Values{}); a.Status != http.StatusNotFound {
		t.Errorf("bob unlinks ann: %d", a.Status)
	}
	a := b.Post(ann, path, url.Values{})
	if a.Status != http.StatusSeeOther || !strings.HasPrefix(a.Flash, "good ") {
		t.Fatalf("answered %d %q %s", a.Status, a.Flash, a.Body)
	}
	for _, token := range b.cloud.Tokens(annParticle) {
		if token.Token == given.AccessToken {
			t.Error("the token lives on at Particle")
		}
	}
	if len(b.Host.Sealed(secretToken))+len(b.Host.Sealed(secretRevocation)) != 0 || len(b.tokens(t, ann)) != 0 {
		t.Error("something is left here")
	}
	if events := b.Host.Events("linking.account_unlinked"); len(events) != 1 || events[0].Subject != "user/2" {
		t.Errorf("events = %+v", events)
	}
}

func TestUnlink_GoesOnTryingToRevokeWhileParticleIsAway(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.link(t, ann)
	given := b.tokens(t, ann)[0]
	b.cloud.Faults.Set(particletest.Faults{Rules: []particletest.Rule{{Prefix: "/v1/", Status: 500}}})
	a := b.Post(ann, "/linking/particle/"+accountKey(given.ID)+"/unlink", url.Values{})
	if a.Status != http.StatusSeeOther || !strings.HasPrefix(a.Flash, "warn ") || len(b.tokens(t, ann)) != 0 || len(b.Host.Sealed(secretToken)) != 0 {
		t.Fatalf("answered %d %q", a.Status, a.Flash)
	}
	if err := b.module.Run(t.Context(), "revoke"); err != nil {
		t.Fatal(err)
	}
	b.cloud.Faults.Set(particletest.Faults{})
	b.clock.forward(time.Hour)
	if err := b.module.Run(t.Context(), "revoke"); err != nil {
		t.Fatal(err)
	}
	for _, token := range b.cloud.Tokens(annParticle) {
		if token.Token == given.AccessToken {
			t.Error("the token lives on at Particle")
		}
	}
	if n := len(b.Host.Sealed(secretRevocation)); n != 0 {
		t.Errorf("%d tokens wait on", n)
	}
}

func TestUnlink_ForgetsATokenThatCannotBeRevokedForAWeek(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.link(t, ann)
	b.cloud.Faults.Set(particletest.Faults{Rules: []particletest.Rule{{Prefix: "/v1/", Status: 500}}})
	b.Post(ann, "/linking/particle/"+accountKey(b.tokens(t, ann)[0].ID)+"/unlink", url.Values{})
	b.clock.forward(giveUpAfter + time.Hour)
	if err := b.module.Run(t.Context(), "revoke"); err != nil {
		t.Fatal(err)
	}
	if n := len(b.Host.Sealed(secretRevocation)); n != 0 {
		t.Errorf("%d tokens wait on", n)
	}
}

func TestErasedPerson_LeavesNothingBehind(t *testing.T) {
	t.Parallel()
	for _, fact := range []string{"user.deleted", "user.erase_requested"} {
		t.Run(fact, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.link(t, ann)
			b.link(t, bob)
			token := b.tokens(t, ann)[0].AccessToken
			for range 2 { // facts arrive at least once
				if err := b.module.Deliver(t.Context(), sdk.Event{Name: fact, Subject: "user/2", Payload: []byte(`{"user_id":2}`)}); err != nil {
					t.Fatal(err)
				}
			}
			var list struct{ Attempts []attemptView }
			if err := b.Get(admin, "/admin/linking/attempts").Decode(&list); err != nil {
				t.Fatal(err)
			}
			if len(list.Attempts) != 1 || list.Attempts[0].UserID != bob.UserID || len(b.Host.Sealed(secretToken)) != 1 || len(b.tokens(t, bob)) != 1 {
				t.Errorf("attempts = %+v, %d tokens", list.Attempts, len(b.Host.Sealed(secretToken)))
			}
			if b.cloud.RevokeToken(token) || len(b.Host.Sealed(secretRevocation)) != 0 || len(b.tokens(t, ann)) != 0 {
				t.Error("Particle still had the token, or something of it is left here")
			}
			if n := len(b.Host.Events("linking.account_unlinked")); n != 1 {
				t.Errorf("%d facts were published", n)
			}
		})
	}
}

func TestErasedPerson_KeepsOnlyWhatMustStillBeRevoked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.link(t, ann)
	b.cloud.Faults.Set(particletest.Faults{Rules: []particletest.Rule{{Prefix: "/v1/", Status: 500}}})
	for range 2 {
		if err := b.module.Deliver(t.Context(), sdk.Event{Name: "user.erase_requested", Subject: "user/2"}); err != nil {
			t.Fatal(err)
		}
	}
	if len(b.Host.Sealed(secretToken)) != 0 || len(b.Host.Sealed(secretRevocation)) != 1 {
		t.Errorf("sealed: %d tokens, %d revocations", len(b.Host.Sealed(secretToken)), len(b.Host.Sealed(secretRevocation)))
	}
	b.cloud.Faults.Set(particletest.Faults{})
	b.clock.forward(time.Hour)
	if err := b.module.Run(t.Context(), "revoke"); err != nil {
		t.Fatal(err)
	}
	if n := len(b.Host.Sealed(secretRevocation)); n != 0 {
		t.Errorf("%d tokens wait on", n)
	}
}

func TestErasedPerson_ASlowCloudKeepsNoTokenHere(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.link(t, ann)
	first := b.tokens(t, ann)[0]
	token, err := b.module.readToken(t.Context(), first.ID)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		acc := account{UserID: ann.UserID, Username: fmt.Sprintf("more%d@particle.example", i), BaseURL: b.url, ClientID: "site-1234", State: accountActive, LinkedAt: b.clock.now(), TokenAt: b.clock.now()}
		if err := b.module.records.db.Create(&acc).Error; err != nil {
			t.Fatal(err)
		}
		if err := b.module.seal(t.Context(), secretToken, accountKey(acc.ID), token); err != nil {
			t.Fatal(err)
		}
	}
	b.cloud.Faults.Set(particletest.Faults{Rules: []particletest.Rule{{Prefix: "/v1/", Hang: true}}})
	limited, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := b.module.Deliver(limited, sdk.Event{Name: "user.deleted", Subject: "user/2"}); err != nil {
		t.Error(err)
	}
	if tokens, waiting := len(b.Host.Sealed(secretToken)), len(b.Host.Sealed(secretRevocation)); tokens != 0 || waiting != 4 {
		t.Errorf("sealed: %d tokens, %d revocations", tokens, waiting)
	}
}

func TestJobs_RenewRemindBuryAndForget(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.link(t, ann)
	first := b.tokens(t, ann)[0]
	run := func(job string) {
		t.Helper()
		if err := b.module.Run(t.Context(), job); err != nil {
			t.Fatal(err)
		}
	}
	b.clock.forward(first.ExpiresAt.Sub(b.clock.now()) - 10*24*time.Hour)
	run("renew")
	if b.tokens(t, ann)[0].Generation != first.Generation {
		t.Error("renewed too early")
	}
	b.clock.forward(4 * 24 * time.Hour)
	run("renew")
	second := b.tokens(t, ann)[0]
	if second.Generation == first.Generation || len(b.Host.Mails()) != 0 {
		t.Error("not renewed in time")
	}
	b.Host.Set("client_id", "another-5") // a refresh token works for its own client alone
	b.clock.forward(second.ExpiresAt.Sub(b.clock.now()) - 5*24*time.Hour)
	run("renew")
	run("renew")
	if mails := b.Host.Mails(); len(mails) != 1 || !strings.Contains(mails[0].Subject, "ends soon") {
		t.Errorf("mails = %+v", mails)
	}
	b.clock.forward(6 * 24 * time.Hour)
	run("renew")
	if mails := b.Host.Mails(); len(mails) != 2 || b.tokens(t, ann)[0].State != tokenapi.Dead {
		t.Errorf("mails = %+v", mails)
	}
	run("retention")
	var list struct{ Total int }
	if err := b.Get(admin, "/admin/linking/attempts").Decode(&list); err != nil || list.Total != 0 {
		t.Errorf("%d attempts after %v", list.Total, b.clock.now())
	}
	if err := b.module.Run(t.Context(), "unknown"); err == nil {
		t.Error("an unknown job ran")
	}
}

func TestSettings_TestSaysWhichValueIsWrong(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.cloud.AddClient(particletest.Client{ID: "elsewhere-1", Secret: "x", RedirectURIs: []string{"https://elsewhere.example/callback"}})
	for name, tc := range map[string]struct {
		change  sdk.Settings
		key     string
		mention string
	}{
		"all is right":       {},
		"wrong secret":       {sdk.Settings{"client_secret": "nope"}, "client_secret", "secret"},
		"unknown id":         {sdk.Settings{"client_id": "nobody-1"}, "client_id", "id"},
		"other type":         {sdk.Settings{"client_id": "installed-1", "client_secret": "other"}, "client_id", "web"},
		"other redirect URI": {sdk.Settings{"client_id": "elsewhere-1", "client_secret": "x"}, "", callback},
		"nobody there":       {sdk.Settings{"base_url": "http://127.0.0.1:1"}, "base_url", "reached"},
		"an e-mail address":  {sdk.Settings{"client_id": "ann@example.com"}, "client_id", "e-mail"},
		"a token":            {sdk.Settings{"client_id": strings.Repeat("a1", 20)}, "client_id", "token"},
		"brackets":           {sdk.Settings{"client_secret": "[abc]"}, "client_secret", "brackets"},
		"no secret":          {sdk.Settings{"client_secret": ""}, "client_secret", "missing"},
		"not encrypted":      {sdk.Settings{"base_url": "http://8.8.8.8"}, "base_url", "https"},
	} {
		settings := b.Host.Settings()
		for key, value := range tc.change {
			settings[key] = value
		}
		problems, err := b.module.TestSettings(t.Context(), settings)
		if err != nil {
			t.Fatal(err)
		}
		if tc.mention == "" {
			if len(problems) != 0 {
				t.Errorf("%s: %+v", name, problems)
			}
			continue
		}
		if len(problems) != 1 || problems[0].Key != tc.key || !strings.Contains(problems[0].Message, tc.mention) {
			t.Errorf("%s: %+v", name, problems)
		}
	}
}

func TestSetUp_ShowsTheRedirectURIAsItMustBeRegistered(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if a := b.Get(admin, "/admin/linking"); a.Status != http.StatusOK || !strings.Contains(a.Body, callback) || strings.Contains(a.Body, "s3cret") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := b.Get(ann, "/admin/linking"); a.Status != http.StatusForbidden {
		t.Errorf("a customer gets %d", a.Status)
	}
}

func TestStop_WaitsForWhatWasBegun(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.cloud.Faults.Set(particletest.Faults{Rules: []particletest.Rule{{Prefix: "/v1/access_tokens", Latency: 100 * time.Millisecond}}})
	client, err := b.module.cloud(b.url)
	if err != nil {
		t.Fatal(err)
	}
	token := b.cloud.IssueToken(annParticle, "site-1234")
	b.module.giveBack(t.Context(), client, particle.Token{AccessToken: token})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := b.module.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	for _, left := range b.cloud.Tokens(annParticle) {
		if left.Token == token {
			t.Error("stopped before the token was given back")
		}
	}
	b.module.behind(func(context.Context) { t.Error("something began after the stop") })
}
