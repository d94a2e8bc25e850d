package main

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"mortise/core/sdk"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/particle/particletest"
	"mortise/plugins/internal/productapi"
)

// failures are what Particle, or the way to it, may do, and the kinds it may be told as.
var failures = map[string]struct {
	rule  particletest.Rule
	kinds []particle.Kind
}{
	"500":      {particletest.Rule{Status: 500}, []particle.Kind{particle.Upstream, particle.Offline}},
	"503":      {particletest.Rule{Status: 503}, []particle.Kind{particle.Upstream}},
	"429":      {particletest.Rule{Status: 429}, []particle.Kind{particle.RateLimited}},
	"529":      {particletest.Rule{Status: 529}, []particle.Kind{particle.RateLimited}},
	"hang":     {particletest.Rule{Hang: true}, []particle.Kind{particle.NoAnswer}},
	"drop":     {particletest.Rule{Drop: true}, []particle.Kind{particle.Unreachable}},
	"html":     {particletest.Rule{HTML: true}, []particle.Kind{particle.NotParticle, particle.Upstream}},
	"not ok":   {particletest.Rule{NotOK: true}, []particle.Kind{particle.Invalid, particle.Upstream, particle.NotParticle}},
	"dead":     {particletest.Rule{Status: 401}, []particle.Kind{particle.DeadToken}},
	"not mine": {particletest.Rule{Status: 403}, []particle.Kind{particle.UnknownDevice, particle.Denied}},
}

func TestService_TellsEachFailureOfParticleByItsKind(t *testing.T) {
	t.Parallel()
	for name, f := range failures {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, c := serviceBench(t)
			if f.rule.Prefix = "/v1/products/"; f.rule.Hang {
				b.hurry(soon)
			}
			b.cloud.Faults.Set(particletest.Faults{Rules: []particletest.Rule{f.rule}})
			for method, call := range methods(c, lamps, unclaimed) {
				began := time.Now()
				err := call(t.Context())
				var e *particle.Error
				if !errors.As(err, &e) || !slices.Contains(f.kinds, e.Kind) {
					t.Errorf("%s: %v", method, err)
					continue
				}
				if e.Message == "" || e.Hint == "" || e.Op != method {
					t.Errorf("%s: %#v", method, *e)
				}
				if took := time.Since(began); took > 20*time.Second {
					t.Errorf("%s took %s", method, took)
				}
			}
			b.mustNotLeak(t, b.Host.LogText())
			b.cloud.Faults.Set(particletest.Faults{})
		})
	}
}

func TestService_NeverCallsAFunctionTwice(t *testing.T) {
	t.Parallel()
	for name, rule := range map[string]particletest.Rule{"500": {Status: 500}, "hang": {Hang: true}, "drop": {Drop: true}, "html": {HTML: true}, "429": {Status: 429}} {
		b, c := serviceBench(t)
		if rule.Hang {
			b.hurry(soon)
		}
		rule.Prefix, rule.Method, rule.After = "/v1/products/10001/devices/", "POST", true
		b.cloud.Faults.Set(particletest.Faults{Rules: []particletest.Rule{rule}})
		_, err := c.CallFunction(t.Context(), lamps, unclaimed, "led", "toggle")
		var e *particle.Error
		if !errors.As(err, &e) || name != "429" && name != "500" && !e.Uncertain() {
			t.Errorf("%s: %v", name, err)
		}
		if n := b.cloud.Called(unclaimed, "led"); n != 1 {
			t.Errorf("%s: the function ran %d times", name, n)
		}
	}
}

func TestService_AnswersInTimeWhateverTheDeviceDoes(t *testing.T) {
	t.Parallel()
	b, c := serviceBench(t)
	b.module.patience.answer = 300 * time.Millisecond
	b.hurry(particle.Timeouts{Device: time.Hour})
	b.cloud.SetLatency(unclaimed, time.Hour)
	for name, call := range methods(c, lamps, unclaimed) {
		if name != "variable" && name != "call" {
			continue
		}
		began := time.Now()
		if err := call(t.Context()); !particle.Is(err, particle.NoAnswer) || time.Since(began) > 20*time.Second {
			t.Errorf("%s: %v after %s", name, err, time.Since(began))
		}
	}
	if d := defaultPatience; d.answer >= 28*time.Second || deviceWait >= d.answer || productapi.MaxWait >= d.answer {
		t.Error("the defaults let the host give up first")
	}
}

func TestService_ARefusedCredentialIsKnownEverywhereAtOnce(t *testing.T) {
	t.Parallel()
	b, c := serviceBench(t)
	b.cloud.RevokeToken(b.token)
	if _, err := c.CallFunction(t.Context(), lamps, unclaimed, "led", "on"); !particle.Is(err, particle.DeadToken) {
		t.Fatal(err)
	}
	findings, err := b.module.Check(t.Context())
	if err != nil || len(findings) != 1 || findings[0].Level != sdk.LevelError || !strings.Contains(findings[0].Title, "401") {
		t.Errorf("%+v %v", findings, err)
	}
	list, err := c.Products(t.Context())
	if err != nil || list[0].Health != healthBad || list[0].Problem != string(particle.DeadToken) {
		t.Errorf("%+v %v", list, err)
	}
	if err := b.Host.Secrets().Delete(t.Context(), "credential", "1"); err != nil {
		t.Fatal(err)
	}
	before := b.upstream()
	if _, err := c.Device(t.Context(), lamps, unclaimed); !particle.Is(err, particle.DeadToken) || b.upstream() != before {
		t.Errorf("without a credential: %v", err)
	}
}

func TestService_NamesTheScopeThatIsMissing(t *testing.T) {
	t.Parallel()
	b, c := serviceBench(t)
	token := b.cloud.IssueAPIToken("10001", "devices:list", "products:list")
	a := b.Post(ada, first+"/edit", url.Values{"name": {"Garden"}, "base_url": {b.url}, "token": {token}, "version": {"1"}})
	if a.Location != first {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	for method, scope := range map[string]string{"call": "devices.function:call", "variable": "devices.variable:get", "device": "devices:get", "publish": "events:send"} {
		err := methods(c, lamps, unclaimed)[method](t.Context())
		var e *particle.Error
		if !errors.As(err, &e) || e.Kind != particle.MissingScope || e.Scope != scope || !strings.Contains(e.Hint, scope) {
			t.Errorf("%s: %v", method, err)
		}
	}
	if s, err := c.States(t.Context(), lamps, []string{unclaimed}); err != nil || len(s.Devices) != 1 {
		t.Errorf("states need devices:list alone: %+v %v", s, err)
	}
}
