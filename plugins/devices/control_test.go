package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"mortise/plugins/internal/moduletest"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/particle/particletest"
	"mortise/plugins/internal/tokenapi"
)

func (b *bench) callFn(t *testing.T, id, name, arg string) (callData, int) {
	t.Helper()
	a := b.Do(ann, "POST", "/devices/"+id+"/functions/"+name, url.Values{"arg": {arg}}, "application/json")
	return decode[callData](t, a), a.Status
}

func TestFunction_SwitchesTheLampAndTellsTheAnswer(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	v, status := b.callFn(t, lamp, "led", "on")
	if status != http.StatusOK || v.State != "done" || !v.OK || v.ReturnValue == nil || *v.ReturnValue != 1 || v.Argument != "on" || v.Tile.Tile != "fn-led" || v.DeviceID != lamp {
		t.Errorf("%d %+v", status, v)
	}
	moduletest.Eventually(t, "the value follows", func() bool {
		return findVariable(decode[deviceData](t, b.Get(ann, "/devices/"+lamp)).Variables, "led").Text == "on"
	})
	data := decode[deviceData](t, b.Get(ann, "/devices/"+lamp))
	for _, f := range data.Functions {
		if f.Name == "led" && (f.Call == nil || f.Call.State != "done") {
			t.Errorf("the page that follows shows %+v", f.Call)
		}
	}
}

func TestFunction_ExplainsEachFailureAndNeverCallsTwice(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		id, fn   string
		faults   particletest.Faults
		state    string
		kind     particle.Kind
		status   int
		mentions string
		called   int
	}{
		{name: "offline", id: cellar, fn: "led", state: "failed", kind: particle.Offline, status: 503, mentions: "Cellar pump is offline"},
		{name: "timeout", id: slow, fn: "led", state: "accepted", kind: particle.DeviceTimeout, status: 504, mentions: "did not answer in time"},
		{name: "unknown function", id: lamp, fn: "nope", state: "failed", kind: particle.NotFound, status: 404, mentions: "no function named"},
		{name: "slow down", id: lamp, fn: "led", faults: particletest.Faults{Rules: []particletest.Rule{{Prefix: "/v1/devices/" + lamp, Status: 429}}}, state: "failed", kind: particle.RateLimited, status: 429, mentions: "slow down"},
		{name: "cloud down", id: lamp, fn: "led", faults: particletest.Faults{Rules: []particletest.Rule{{Prefix: "/v1/devices/" + lamp, Status: 503}}}, state: "failed", kind: particle.Upstream, status: 502, mentions: "problem of its own"},
		{name: "cloud hangs", id: lamp, fn: "led", faults: particletest.Faults{Rules: []particletest.Rule{{Prefix: "/v1/devices/" + lamp, Hang: true}}}, state: "sent", kind: particle.NoAnswer, status: 504, mentions: "did not answer"},
		{name: "dead token", id: lamp, fn: "led", faults: particletest.Faults{Rules: []particletest.Rule{{Prefix: "/v1/devices/" + lamp, Status: 401}}}, state: "failed", kind: particle.DeadToken, status: 409, mentions: "does not accept the link"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.Get(ann, "/devices")
			b.cloud.Faults.Set(tc.faults)
			before := b.cloud.Calls("POST /v1/devices/{id}/{name}")
			v, status := b.callFn(t, tc.id, tc.fn, "on")
			if status != tc.status || v.State != tc.state || v.Kind != string(tc.kind) || v.OK || v.ReturnValue != nil || !strings.Contains(v.Message, tc.mentions) || v.Remedy == "" || v.Relink != (tc.kind == particle.DeadToken) {
				t.Errorf("%d %+v", status, v)
			}
			if n := b.cloud.Calls("POST /v1/devices/{id}/{name}") - before; n > 1 {
				t.Errorf("called %d times", n)
			}
		})
	}
}

func TestFunction_ShowsANegativeAnswerAsTheDevicesOwn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	v, status := b.callFn(t, lamp, "check", "")
	if status != http.StatusOK || v.State != "done" || *v.ReturnValue != -7 || v.Tone != "warn" || !strings.Contains(v.Message, "negative") {
		t.Errorf("%d %+v", status, v)
	}
}

func TestFunction_RefusesBadNamesAndArgumentsWithoutACall(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Get(ann, "/devices")
	before := b.upstream()
	for name, arg := range map[string]string{"led": strings.Repeat("x", 1025), "a%20b": "", "%C3%A4": "", strings.Repeat("f", 65): ""} {
		if v, status := b.callFn(t, lamp, name, arg); status < 400 || v.State != "failed" || v.Message == "" {
			t.Errorf("%s: %d %+v", name, status, v)
		}
	}
	if n := b.upstream() - before; n != 0 {
		t.Errorf("%d calls went out", n)
	}
}

func TestFunction_AfterARenewalAsksForAnotherTry(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Get(ann, "/devices")
	b.linked.renew = func(tokenapi.Account) string { return b.cloud.IssueToken(annParticle, "site-1234") }
	b.cloud.RevokeTokens(annParticle)
	v, status := b.callFn(t, lamp, "led", "on")
	if status != http.StatusServiceUnavailable || v.Kind != "renewed" || b.cloud.Called(lamp, "led") != 0 {
		t.Errorf("%d %+v", status, v)
	}
	if v, status := b.callFn(t, lamp, "led", "on"); status != http.StatusOK || !v.OK {
		t.Errorf("%d %+v", status, v)
	}
}

func TestVariable_IsReadNowAndKeepsTheOldValueWhenThatFails(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := b.GetJSON(ann, "/devices/"+lamp+"/variables/led")
	if v := decode[variableData](t, a); a.Status != http.StatusOK || v.Value != "off" || v.Trouble != nil || v.Name != "led" {
		t.Errorf("%d %+v", a.Status, v)
	}
	b.cloud.SetVariable(lamp, "big", 9007199254740993)
	if a := b.GetJSON(ann, "/devices/"+lamp+"/variables/big"); !strings.Contains(a.Body, "9007199254740993") {
		t.Errorf("digits are lost: %s", a.Body)
	}
	if a := b.GetJSON(ann, "/devices/"+lamp+"/variables/nope"); a.Status != http.StatusNotFound || !strings.Contains(decode[variableData](t, a).Trouble.Message, "no variable") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	b.cloud.Faults.Set(particletest.Faults{Offline: true})
	a = b.GetJSON(ann, "/devices/"+lamp+"/variables/led")
	if v := decode[variableData](t, a); a.Status != http.StatusServiceUnavailable || v.Value != "off" || v.State != "failed" || v.Trouble.Kind != string(particle.Offline) {
		t.Errorf("%d %+v", a.Status, v)
	}
}

func TestCommands_AnswerBrowsersAndPrograms(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	page := "/devices/" + lamp
	for path, form := range map[string]url.Values{
		page + "/events": {"name": {"garden/pump"}, "data": {"on"}},
		page + "/signal": {"signal": {"1"}},
		page + "/ping":   {},
		page + "/rename": {"name": {"Türlampe"}},
	} {
		if a := b.Post(ann, path, form); a.Status != http.StatusSeeOther || a.Location != page || !strings.HasPrefix(a.Flash, "good ") {
			t.Errorf("%s: %d %s %q %s", path, a.Status, a.Location, a.Flash, a.Body)
		}
		a := b.Do(ann, "POST", path, form, "application/json")
		if data := decode[map[string]any](t, a); a.Status != http.StatusOK || data["ok"] != true || data["device_id"] != lamp {
			t.Errorf("%s: %d %+v", path, a.Status, data)
		}
	}
	if !b.cloud.Signaling(lamp) {
		t.Error("the light does not shout")
	}
	if data := decode[deviceData](t, b.Get(ann, page)); data.Device.Name != "Türlampe" {
		t.Errorf("called %q", data.Device.Name)
	}
	a := b.Do(ann, "POST", "/devices/"+cellar+"/ping", url.Values{}, "application/json")
	if data := decode[map[string]any](t, a); a.Status != http.StatusOK || data["online"] != false {
		t.Errorf("ping of an offline device: %d %+v", a.Status, data)
	}
	if a := b.Post(ann, "/devices/"+cellar+"/signal", url.Values{}); a.Status < 400 || a.View.Template != "device" || a.View.Message == nil || !strings.Contains(a.View.Message.Text, "offline") {
		t.Errorf("signal of an offline device: %d %s", a.Status, a.Body)
	}
}

func TestCommands_ShowWhatIsWrongBesideTheField(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, tc := range []struct {
		path, field string
		form        url.Values
	}{
		{"/events", "name", url.Values{"name": {""}}},
		{"/events", "event_name", url.Values{"event_name": {"spark/status"}, "data": {"x"}}},
		{"/events", "data", url.Values{"name": {"x"}, "data": {strings.Repeat("x", 1025)}}},
		{"/events", "name", url.Values{"name": {"with blank"}}},
		{"/rename", "name", url.Values{"name": {" "}}},
		{"/rename", "name", url.Values{"name": {strings.Repeat("x", 61)}}},
	} {
		a := b.Post(ann, "/devices/"+lamp+tc.path, tc.form)
		if a.Status != http.StatusUnprocessableEntity || a.View.Template != "device" || a.View.FieldErrors[tc.field] == "" {
			t.Errorf("%s %v: %d %+v", tc.path, tc.form, a.Status, a.View.FieldErrors)
		}
		a = b.Do(ann, "POST", "/devices/"+lamp+tc.path, tc.form, "application/json")
		if a.Status != http.StatusUnprocessableEntity || a.Problem.Fields[tc.field] == "" {
			t.Errorf("%s %v: %d %+v", tc.path, tc.form, a.Status, a.Problem)
		}
	}
}
