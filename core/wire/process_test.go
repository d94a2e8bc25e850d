package wire_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/core/wire"
)

func TestServe_ExplainsItselfWhenRunByHand(t *testing.T) {
	t.Parallel()
	out, err := exec.Command(probe).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 {
		t.Errorf("err = %v, want exit code 2", err)
	}
	for _, want := range []string{"probe", "1.0.0", "mortise module enable probe"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("output %q does not say %q", out, want)
		}
	}
}

func TestLaunch_DescribesTheProgramByItsManifest(t *testing.T) {
	t.Parallel()
	d := launch(t, options(t, "", nil)).Description()
	if d.ID != "probe" || d.Version != "1.0.0" || d.Contract != sdk.ContractVersion || d.ManifestDigest != ownManifest(t).Digest() {
		t.Errorf("description = %+v", d)
	}
	for _, c := range []string{"pages", "events", "jobs", "check", "services", "configure", "test_settings"} {
		if !d.Has(c) {
			t.Errorf("capability %s is missing in %v", c, d.Capabilities)
		}
	}
	if d.Has("migrations") {
		t.Error("the probe has no migrations")
	}
}

func TestLaunch_TakesARunFolderByARelativePath(t *testing.T) {
	t.Parallel()
	short := shortDir(t)
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	o := options(t, "", nil)
	if o.RunRoot, err = filepath.Rel(here, short); err != nil {
		t.Fatal(err)
	}
	p := launch(t, o)
	if !filepath.IsAbs(p.RunDir()) || filepath.Dir(p.RunDir()) != short {
		t.Errorf("the run folder is %s, want an absolute path in %s", p.RunDir(), short)
	}
	if p.Description().ID != "probe" {
		t.Errorf("description = %+v", p.Description())
	}
}

func body(t *testing.T, c *http.Client, method, path, send string, header http.Header) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://module"+path, strings.NewReader(send))
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(r.Header, header)
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

func data(t *testing.T, text string) map[string]any {
	t.Helper()
	var view struct{ Data map[string]any }
	if err := json.Unmarshal([]byte(text), &view); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return view.Data
}

func TestPages_TellTheHandlerWhoAsksAndHideTheHostsHeaders(t *testing.T) {
	t.Parallel()
	p := running(t, options(t, "", nil))
	_, text := body(t, pages(t, p), "GET", "/probe/who", "", http.Header{
		wire.IdentityHeader: {wire.EncodeIdentity(sdk.Identity{UserID: 7, Name: "Ann"})},
		wire.ClaimHeader:    {"claim-1"}, wire.RequestHeader: {"req-1"}, "Mortise-Else": {"x"},
	})
	got := data(t, text)
	if got["name"] != "Ann" || got["id"] != "req-1" || got["claim"] != "claim-1" {
		t.Errorf("data = %v", got)
	}
	if got["token"] != "" {
		t.Error("the handler sees the host's token")
	}
}

func TestPages_RefuseWhoeverHasNotTheToken(t *testing.T) {
	t.Parallel()
	p := running(t, options(t, "", nil))
	resp, _ := body(t, pages(t, p), "GET", "/probe/who", "", http.Header{wire.TokenHeader: {"wrong"}})
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("status = %d, want 401", resp.StatusCode)
	}
	info, err := os.Stat(p.RunDir())
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("run folder: %v, %v; want mode 0700", info, err)
	}
}

func TestPages_EchoWhileReading(t *testing.T) {
	t.Parallel()
	p := running(t, options(t, "", nil))
	send := strings.Repeat("0123456789abcdef", 64<<10) // 1 MiB
	if _, got := body(t, pages(t, p), "POST", "/probe/echo", send, nil); got != send {
		t.Errorf("%d of %d bytes came back", len(got), len(send))
	}
}

func TestPages_AnswerAProblemWhenAHandlerPanicsAndLiveOn(t *testing.T) {
	t.Parallel()
	log := newLines()
	p := running(t, options(t, "", log.add))
	c := pages(t, p)
	resp, text := body(t, c, "GET", "/probe/panic", "", http.Header{wire.RequestHeader: {"req-9"}})
	if resp.StatusCode != 500 || resp.Header.Get("Content-Type") != sdk.ProblemType {
		t.Errorf("answer = %d %s %s", resp.StatusCode, resp.Header.Get("Content-Type"), text)
	}
	line := log.wait(t, "about the panic", says("panic in a page"))
	if attrs := attrsOf(line); attrs["request_id"] != "req-9" || !strings.Contains(attrs["stack"], "misbehave") {
		t.Errorf("attrs = %v, want request id and stack", attrs)
	}
	r, err := c.Get("http://module/probe/late-panic")
	if err == nil {
		_, err = io.ReadAll(r.Body)
		_ = r.Body.Close()
	}
	if err == nil {
		t.Error("an answer that broke off looks complete")
	}
	if resp, _ := body(t, c, "GET", "/probe/who", "", nil); resp.StatusCode != 200 {
		t.Errorf("status after the panics = %d", resp.StatusCode)
	}
}

func attrsOf(line wire.Line) map[string]string {
	attrs := map[string]string{}
	for _, a := range line.Attrs {
		attrs[a.Key] = a.Value.String()
	}
	return attrs
}

func TestPages_EndStreamsWhenTheVisitorLeavesAndWhenTheModuleDrains(t *testing.T) {
	t.Parallel()
	p := running(t, options(t, "", nil))
	c := pages(t, p)
	cancelled := func() string { _, text := body(t, c, "GET", "/probe/cancelled", "", nil); return text }
	ctx, leave := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "GET", "http://module/probe/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	leave()
	_ = resp.Body.Close()
	waitFor(t, "the end of the first stream", 5*time.Second, func() bool { return cancelled() == "1" })

	second, err := c.Get("http://module/probe/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = second.Body.Close() }()
	if err := p.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(second.Body); err != nil {
		t.Errorf("the stream broke off: %v; want a clean end", err)
	}
	if got := cancelled(); got != "2" {
		t.Errorf("%s streams ended, want 2", got)
	}
}

func TestHost_OffersItsServicesWithFaultsKept(t *testing.T) {
	t.Parallel()
	site := &services{}
	o := options(t, "", nil)
	o.Services = site
	p := running(t, o)
	_, text := body(t, pages(t, p), "GET", "/probe/services", "", http.Header{wire.ClaimHeader: {"claim-2"}, wire.RequestHeader: {"req-2"}})
	got := data(t, text)
	for key, want := range map[string]any{
		"publish": "", "call": "", "user": "Ann", "user_err": "", "missing": "not_found", "list": float64(1), "set": "", "secret": "s3cret", "mail": "",
	} {
		if got[key] != want {
			t.Errorf("%s = %v, want %v", key, got[key], want)
		}
	}
	if out, _ := got["out"].(map[string]any); out["did"] != "other.thing.do 5" {
		t.Errorf("call gave %v", got["out"])
	}
	if !strings.Contains(got["missing_text"].(string), "There is no user 8.") {
		t.Errorf("the fault's message is lost: %v", got["missing_text"])
	}
	if len(site.published) != 1 || site.published[0] != `probe probe.done x/1 {"n":1}` {
		t.Errorf("published %q", site.published)
	}
	if len(site.claims) != 1 || site.claims[0] != "claim-2" || site.requests[0] != "req-2" {
		t.Errorf("claims %q of requests %q, want those of the page", site.claims, site.requests)
	}
}

func TestProcess_CarriesSettingsEventsJobsAndCalls(t *testing.T) {
	t.Parallel()
	p := running(t, options(t, "", nil))
	ctx := t.Context()
	_, text := body(t, pages(t, p), "GET", "/probe/settings", "", nil)
	if got := data(t, text)["now"]; got != `map[string]interface {}{"count":5, "list":[]string{"a", "b"}, "word":"tree"}` {
		t.Errorf("settings arrived as %v", got)
	}
	if applied, err := p.Configure(ctx, map[string]any{"word": "leaf"}); !applied || err != nil {
		t.Errorf("configure = %v, %v", applied, err)
	}
	_, err := p.Configure(ctx, map[string]any{"word": "bad"})
	if fault.KindOf(err) != fault.Invalid || fault.FieldsOf(err)["word"] != "not this one" {
		t.Errorf("err = %#v, want the module's fault with its fields", err)
	}
	if problems, err := p.TestSettings(ctx, nil); err != nil || len(problems) != 1 || problems[0].Key != "word" {
		t.Errorf("test = %v, %v", problems, err)
	}
	var refusal *sdk.RefuseError
	if err := p.Deliver(ctx, sdk.Event{Name: "user.will_be_deleted", Subject: "user/1"}); !errors.As(err, &refusal) || refusal.Reason != "They still owe user/1" {
		t.Errorf("deliver = %v, want a refusal", err)
	}
	if err := p.Deliver(ctx, sdk.Event{Name: "user.deleted", Time: time.Now()}); err != nil {
		t.Error(err)
	}
	out, err := p.Call(wire.WithRequestID(ctx, "req-3"), sdk.Call{Service: "probe.echo", Method: "say", Input: []byte(`{"a":1}`), Caller: "other", User: sdk.Identity{Name: "Ann"}}, "claim-3")
	if err != nil || string(out) != `{"caller":"other","claim":"claim-3","input":{"a":1},"request":"req-3","user":"Ann"}` {
		t.Errorf("call = %s, %v", out, err)
	}
	_, err = p.Call(ctx, sdk.Call{Service: "probe.echo", Method: "fail"}, "")
	if message, _ := fault.Visible(err); message != "That does not work." || fault.FieldsOf(err)["arg"] != "too long" {
		t.Errorf("err = %v, want the provider's fault", err)
	}
}

func TestProcess_BoundsJobsAndSurvivesPanics(t *testing.T) {
	t.Parallel()
	log := newLines()
	p := running(t, options(t, "check-panics", log.add))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.RunJob(ctx, "wait"); !fault.Is(err, fault.Timeout) {
		t.Errorf("err = %v, want a timeout", err)
	}
	if err := p.RunJob(t.Context(), "panic"); err == nil {
		t.Error("a job that panics succeeds")
	}
	if _, err := p.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "check is broken") {
		t.Errorf("err = %v, want the panic's words", err)
	}
	log.wait(t, "with the stack", says("panic in a handler"))
	select {
	case <-p.Exited():
		t.Error("the process died of a panic in a handler")
	default:
	}
}

func TestProcess_EndsByItselfWhenStopped(t *testing.T) {
	t.Parallel()
	p := running(t, options(t, "", nil))
	begin := time.Now()
	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if e := p.Exit(); e.Code != 0 || e.Signal != "" {
		t.Errorf("the process %s, want code 0", e)
	}
	if took := time.Since(begin); took > time.Second {
		t.Errorf("stopping took %s", took)
	}
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(p.RunDir()), "*"))
	if len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestProcess_GivesAnAllowListedEnvironment(t *testing.T) {
	t.Setenv("MORTISE_SECRET_OF_THE_HOST", "1")
	p := running(t, options(t, "", nil))
	_, env := body(t, pages(t, p), "GET", "/probe/env", "", nil)
	if strings.Contains(env, "SECRET_OF_THE_HOST") || strings.Contains(env, p.PagesToken()) {
		t.Errorf("the environment has what it must not have: %s", env)
	}
	if !strings.Contains(env, "PATH=") || !strings.Contains(env, "TMPDIR="+p.RunDir()) {
		t.Errorf("the environment lacks PATH or TMPDIR: %s", env)
	}
}
