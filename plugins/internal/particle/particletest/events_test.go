package particletest_test

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"mortise/plugins/internal/particle/particletest"
)

func TestStream_HasTheExactWireFormat(t *testing.T) {
	t.Parallel()
	s := newSite(t, &particletest.Server{KeepAlive: time.Hour, Beat: -1})
	r := s.stream("/v1/devices/events?nonce=12.5", s.token) // the SDK adds the nonce
	if a, b := line(t, r), line(t, r); a != ":ok" || b != "" {
		t.Errorf("begins with %q, %q", a, b)
	}
	s.cloud.Emit(particletest.DemoLamp, "lamp/state", "on")
	got := line(t, r) + "\n" + line(t, r) + "\n" + line(t, r)
	want := regexp.MustCompile(`^event: lamp/state\ndata: \{"coreid":"` + particletest.DemoLamp + `","data":"on","published_at":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z","ttl":60\}\n$`)
	if !want.MatchString(got) {
		t.Errorf("got %q", got)
	}
}

func TestStream_DeliversToTheRightOnesOnly(t *testing.T) {
	t.Parallel()
	s := newSite(t, &particletest.Server{KeepAlive: time.Hour, Beat: -1})
	s.cloud.AddAccount(particletest.Account{Username: "bob@example.com"})
	bob := s.cloud.IssueToken("bob@example.com", "")
	streams := map[string]interface{ ReadString(byte) (string, error) }{
		"own":     s.stream("/v1/devices/events", s.token),
		"prefix":  s.stream("/v1/devices/events/garden%2Fm", s.token),
		"all":     s.stream("/v1/events/garden%2F", s.token),
		"device":  s.stream(lamp+"/events", s.token),
		"part":    s.stream(lamp+"/events/garden", s.token),
		"product": s.stream("/v1/products/10001/events", s.token),
		"bob":     s.stream("/v1/devices/events", bob),
	}
	s.cloud.Emit(particletest.DemoSensor, "garden/moisture", "1")
	s.cloud.Emit(particletest.DemoLamp, "garden/light", "2")
	s.cloud.Emit(particletest.DemoLamp, "Garden/case", "3")
	s.want(s.do("POST", "/v1/devices/events", form("name", "end", "data", "4", "private", "true"), s.bearer()), 200)
	s.want(s.do("POST", "/v1/products/10001/events", form("name", "fleet", "data", "5"), s.bearer()), 200)
	s.want(s.do("POST", "/v1/devices/events", `{"name":"bobs","data":"6"}`, "Authorization: Bearer "+bob), 200)
	s.cloud.EndStreams()
	for name, want := range map[string]string{"own": "1234", "prefix": "1", "all": "12", "device": "23", "part": "2", "product": "235", "bob": "6"} {
		raw, err := io.ReadAll(readerOf{streams[name]})
		var got strings.Builder
		for _, m := range regexp.MustCompile(`"data":"(\d)"`).FindAllStringSubmatch(string(raw), -1) {
			got.WriteString(m[1])
		}
		if err != nil || got.String() != want {
			t.Errorf("%s: got %q, %v, want %q", name, got.String(), err, want)
		}
	}
	s.want(s.do("GET", "/v1/events", "", s.bearer()), 400, "event prefix filter is required")
}

type readerOf struct {
	r interface{ ReadString(byte) (string, error) }
}

func (r readerOf) Read(p []byte) (int, error) {
	l, err := r.r.ReadString('\n')
	return copy(p, l), err
}

func TestStream_KeepsAliveBeatsAndEnds(t *testing.T) {
	t.Parallel()
	s := newSite(t, &particletest.Server{KeepAlive: 5 * time.Millisecond, Beat: 5 * time.Millisecond})
	r := s.stream("/v1/devices/events", s.token)
	seen := map[string]bool{}
	for !seen["event: sensor/temp"] || !seen[""] {
		seen[line(t, r)] = true
	}
	revoked := s.cloud.IssueToken(particletest.DemoEmail, "")
	other := s.stream("/v1/devices/events", revoked)
	if !s.cloud.RevokeToken(revoked) || s.cloud.RevokeToken(revoked) {
		t.Error("revoking tells the wrong thing")
	}
	if _, err := io.ReadAll(other); err != nil {
		t.Errorf("the stream of a revoked token: %v", err)
	}
	s.cloud.Close()
	if _, err := io.ReadAll(r); err != nil {
		t.Errorf("closing the server: %v", err)
	}
}

func TestFaults_BendEveryAnswer(t *testing.T) {
	t.Parallel()
	s := newSite(t, &particletest.Server{})
	for fault, want := range map[string]struct {
		status int
		says   string
	}{
		"500@/v1/devices":      {500, `"ok":false`},
		"503":                  {503, `server_error`},
		"429@/v1/dev":          {429, `rate_limit_exceeded`},
		"401@/v1":              {401, `invalid_token`},
		"500@/oauth/token":     {200, `desk-lamp`},
		"html":                 {502, `<h1>502 Bad Gateway</h1>`},
		"not_ok":               {200, `{"error":"Something went wrong","ok":false}`},
		"offline":              {200, `"online":false`},
		"wrong_shapes":         {200, `"product_id":"10001"`},
		"slow=1ms@/v1/devices": {200, `desk-lamp`},
		"rate_limit=1":         {429, `rate_limit_exceeded`},
		"slow_devices=1ms":     {200, `desk-lamp`},
	} {
		change, err := particletest.ParseFault(fault)
		if err != nil {
			t.Fatal(err)
		}
		s.do("GET", "/v1/orgs", "", s.bearer()) // one request, for the limit
		s.cloud.Faults.Set(particletest.Faults{})
		s.cloud.Faults.Update(change)
		a := s.do("GET", "/v1/devices", "", s.bearer())
		if a.status != want.status || !strings.Contains(a.body, want.says) {
			t.Errorf("%s: got %d %.200s", fault, a.status, a.body)
		}
	}
	for _, fault := range []string{"", "nonsense", "slow=x", "slow=-1s", "rate_limit", "200", "999"} {
		if _, err := particletest.ParseFault(fault); err == nil {
			t.Errorf("%q was accepted", fault)
		}
	}
	for _, name := range particletest.FaultNames {
		if name == "rate_limit" {
			name += "=9"
		}
		if _, err := particletest.ParseFault(name); err != nil {
			t.Error(err)
		}
	}
}

func TestControlPage_SwitchesFaultsOnAndOff(t *testing.T) {
	t.Parallel()
	s := newSite(t, &particletest.Server{})
	s.want(s.do("GET", "/__sim", ""), 200, "Simulated Particle cloud", "For local use only", "desk-lamp")
	if a := s.do("POST", "/__sim", form("fault", "500@/v1/devices")); a.status != 303 {
		t.Errorf("got %d", a.status)
	}
	s.want(s.do("GET", "/v1/devices", "", s.bearer()), 500)
	s.want(s.do("GET", "/__sim", ""), 200, "/v1/devices")
	s.want(s.do("POST", "/__sim", form("clear", "1"), "Accept: application/json"), 200, `"rules":null`, `"unknown":[]`)
	s.want(s.do("GET", "/v1/devices", "", s.bearer()), 200)
	s.want(s.do("POST", "/__sim", `{"offline":true,"rules":[{"prefix":"/v1/user","status":503}]}`), 200, `"offline":true`)
	s.want(s.do("GET", "/v1/user", "", s.bearer()), 503)
	s.want(s.do("POST", "/__sim", `{"nonsense":true}`), 400)
	s.want(s.do("POST", "/__sim", form("fault", "nonsense")), 400, "is unknown")
	s.want(s.do("POST", "/__sim", form("clear", "1"), "Origin: https://evil.example"), 400, "another site")
	s.do("POST", "/__sim", form("clear", "1", "offline", particletest.DemoLamp, "revoke", particletest.DemoEmail))
	s.want(s.do("GET", "/v1/devices", "", s.bearer()), 401)
	s.token = s.cloud.IssueToken(particletest.DemoEmail, "")
	s.want(s.do("GET", lamp, "", s.bearer()), 200, `"online":false`)
}

func TestStateFile_KeepsALinkOverARestart(t *testing.T) {
	t.Parallel()
	file := t.TempDir() + "/cloud.json"
	first := newSite(t, &particletest.Server{StateFile: file})
	first.want(first.do("POST", lamp+"/led", "arg=on", first.bearer()), 200)
	first.want(first.do("PUT", lamp, "name=kitchen", first.bearer()), 200)
	if err := first.cloud.SaveError(); err != nil {
		t.Fatal(err)
	}
	second := newSite(t, &particletest.Server{StateFile: file})
	second.want(second.do("GET", lamp+"/led", "", first.bearer()), 200, `"result":"on"`, `"name":"kitchen"`)
	second.want(second.do("DELETE", "/v1/access_tokens/current", "", first.bearer()), 200)
	third := newSite(t, &particletest.Server{StateFile: file})
	third.want(third.do("GET", lamp, "", first.bearer()), 401)
}

func TestSeed_RepeatsTheSameTokens(t *testing.T) {
	t.Parallel()
	a, b, c := &particletest.Server{Seed: 7}, &particletest.Server{Seed: 7}, &particletest.Server{}
	one, two, three := a.IssueToken("x", ""), b.IssueToken("x", ""), c.IssueToken("x", "")
	if one != two || one == three || len(one) != 40 {
		t.Error(fmt.Sprint(one, " ", two, " ", three))
	}
	if n := len(a.Tokens("X")); n != 1 {
		t.Errorf("%d tokens", n)
	}
}
