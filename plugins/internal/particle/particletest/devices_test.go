package particletest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mortise/plugins/internal/particle/particletest"
)

const lamp = "/v1/devices/" + particletest.DemoLamp

// The requests of npm particle-api-js 12.0.3, as it sends them: JSON bodies, "args", signal as text, request_transfer always.
func TestServer_AnswersTheOfficialSDK(t *testing.T) {
	t.Parallel()
	s := newSite(t, &particletest.Server{})
	s.want(s.do("POST", "/oauth/token", form("username", particletest.DemoEmail, "password", particletest.DemoPassword, "grant_type", "password",
		"client_id", "particle-api", "client_secret", "particle-api", "expires_in", "3600")), 200, `"expires_in":3600`)
	for _, c := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"GET", "/v1/user", "", 200, `"username":"` + particletest.DemoEmail},
		{"GET", "/v1/devices", "", 200, `"name":"desk-lamp"`},
		{"GET", "/v1/devices/desk-lamp", "", 200, `"functions":["brightness","led"]`},
		{"POST", lamp + "/led", `{"args":"on"}`, 200, `"return_value":1`},
		{"GET", lamp + "/led", "", 200, `"result":"on"`},
		{"POST", lamp + "/led", `arg=off`, 200, `"return_value":0`},
		{"POST", lamp + "/led", `{"args":"blink"}`, 200, `"return_value":-1`},
		{"POST", lamp + "/led", `{}`, 200, `"return_value":-1`},
		{"POST", lamp + "/nope", `{"args":""}`, 404, `{"error":"Function nope not found","ok":false}`},
		{"GET", lamp + "/nope", "", 404, `{"error":"Unknown Variable: nope","ok":false}`},
		{"PUT", lamp, `{"name":"desk"}`, 200, `"name":"desk","updated_at":"`},
		{"PUT", lamp, `{"signal":"1"}`, 200, `"signaling":true`},
		{"PUT", lamp, `{"signal":"0"}`, 200, `"signaling":false`},
		{"PUT", lamp, `{"notes":"n"}`, 200, `"notes":"n"`},
		{"PUT", lamp + "/ping", "", 200, `{"ok":true,"online":true}`},
		{"PUT", "/v1/devices/" + particletest.DemoOffline + "/ping", "", 200, `{"ok":true,"online":false}`},
		{"PUT", "/v1/devices/" + particletest.DemoOffline, `{"signal":"1"}`, 500, `{"code":500,"errors":[{"error":"Timed out, didn't hear back from device service"}],"ok":false}`},
		{"GET", "/v1/devices/" + particletest.DemoOffline + "/open", "", 408, `{"error":"timed out","ok":false}`},
		{"DELETE", lamp, "", 200, `{"ok":true}`},
		{"GET", lamp, "", 403, `"error":"Permission Denied"`},
		{"POST", "/v1/devices", `{"id":"` + particletest.DemoLamp + `","request_transfer":false}`, 200, `"connected":true`},
		{"POST", "/v1/devices", `{"id":"0123"}`, 404, `{"errors":["device does not exist"],"ok":false}`},
		{"POST", "/v1/device_claims", `{}`, 200, `"claim_code":"`},
		{"POST", "/v1/devices/events", `{"name":"a","data":{"b":1},"private":true}`, 200, `{"ok":true}`},
		{"POST", "/v1/devices/events", `{"name":"spark/x"}`, 400, `reserved`},
		{"GET", "/v1/clients", "", 200, `"id":"mortise-demo-4821"`},
		{"POST", "/v1/clients", `{"name":"My Site","type":"web","redirect_uri":"https://x.example/cb"}`, 200, `"id":"my-site-`},
		{"POST", "/v1/clients", `{"name":"My Site","type":"web"}`, 400, `redirect_uri`},
		{"PUT", "/v1/clients/mortise-demo-4821", `{"name":"N","redirect_uri":"https://evil"}`, 200, `"redirect_uri":"` + callback},
		{"DELETE", "/v1/clients/nobody", "", 404, `Client not found`},
		{"GET", "/v1/products", "", 200, `"slug":"garden-lamp-10001"`},
		{"GET", "/v1/products/nobody", "", 404, `{"error":"Product not found.","ok":false}`},
		{"GET", "/v1/products/10001/devices?page=1&per_page=5", "", 200, `"meta":{"total_pages":13}`},
		{"GET", "/v1/products/10001/team", "", 200, `"username":"` + particletest.DemoEmail},
		{"POST", "/v1/products/10001/devices", `{"id":"` + particletest.DemoLamp + `"}`, 200, `"existingDeviceIds":["` + particletest.DemoLamp},
		{"DELETE", "/v1/access_tokens/0000", "", 200, `{"ok":true}`},
		{"DELETE", "/v1/access_tokens/current", "", 200, `{"ok":true}`},
		{"GET", "/v1/devices", "", 401, `"error":"invalid_token"`},
	} {
		a := s.do(c.method, c.path, c.body, s.bearer())
		if a.status != c.status || !strings.Contains(a.body, c.says) {
			t.Errorf("%s %s %s: got %d %s, want %d with %s", c.method, c.path, c.body, a.status, a.body, c.status, c.says)
		}
	}
	customer := form("email", "Ann@Example.com", "password", "pw", "grant_type", "client_credentials", "client_id", particletest.DemoServerID, "client_secret", particletest.DemoServerSecret)
	s.want(s.do("POST", "/v1/products/10001/customers", customer), 201, `"token_type":"bearer"`)
	s.want(s.do("POST", "/v1/products/10001/customers", customer), 400, "Customer already exists")
	if u := s.cloud.Unknown(); len(u) != 0 {
		t.Errorf("unknown: %q", u)
	}
}

func TestServer_FailsLoudlyOnWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	s := newSite(t, &particletest.Server{})
	s.want(s.do("GET", "/v1/sims", ""), 404, "particletest does not know GET /v1/sims")
	s.want(s.do("PATCH", "/v1/devices", ""), 404, "particletest does not know PATCH /v1/devices")
	s.want(s.do("PUT", lamp+"/unprotect", "", s.bearer()), 404, "particletest does not know")
	if u := s.cloud.Unknown(); len(u) != 3 || u[0] != "GET /v1/sims" {
		t.Errorf("got %q", u)
	}
}

func TestServer_NeverShowsTheDevicesOfAnother(t *testing.T) {
	t.Parallel()
	s := newSite(t, &particletest.Server{})
	s.cloud.AddAccount(particletest.Account{Username: "bob@example.com", Password: "pw"})
	bob := "Authorization: Bearer " + s.cloud.IssueToken("bob@example.com", "")
	if a := s.do("GET", "/v1/devices", "", bob); a.body != "[]" {
		t.Errorf("the list holds %s", a.body)
	}
	for _, r := range []string{"GET " + lamp, "GET /v1/devices/desk-lamp", "GET " + lamp + "/led", "POST " + lamp + "/led", "PUT " + lamp, "PUT " + lamp + "/ping", "DELETE " + lamp, "GET " + lamp + "/events",
		"GET /v1/products/10001", "GET /v1/products/10001/devices", "GET /v1/products/10001/clients", "GET /v1/products/10001/customers"} {
		method, path, _ := strings.Cut(r, " ")
		if a := s.do(method, path, "", bob); a.status != 403 {
			t.Errorf("%s: got %d %s", r, a.status, a.body)
		}
	}
}

func TestDevice_AnswersLateTooLateOrNotAtAll(t *testing.T) {
	t.Parallel()
	cloud := &particletest.Server{DeviceWait: 40 * time.Millisecond}
	cloud.AddAccount(particletest.Account{Username: "ann", Password: "pw"})
	id := strings.Repeat("a", 24)
	cloud.AddDevice(particletest.Device{ID: id, Name: "own", Owner: "ann", Functions: map[string]func(string) int{"huge": func(string) int { return 1 << 40 }, "f": func(a string) int { return len(a) }}, Variables: map[string]any{"now": func() any { return 1.5 }}})
	s := newSite(t, cloud)
	s.token = cloud.IssueToken("ann", "")
	s.want(s.do("POST", "/v1/devices/own/f", "arg=abc", s.bearer()), 200, `"return_value":3`)
	s.want(s.do("POST", "/v1/devices/own/huge", "arg=", s.bearer()), 200, `"return_value":0`)
	s.want(s.do("GET", "/v1/devices/own/now?format=raw", "", s.bearer()), 200, `1.5`)
	cloud.SetLatency(id, 10*time.Millisecond)
	s.want(s.do("POST", "/v1/devices/own/f", "arg=abc", s.bearer()), 200, `"return_value":3`)
	cloud.SetLatency(id, time.Hour)
	s.want(s.do("POST", "/v1/devices/own/f", "arg=abc", s.bearer()), 408, "timed out")
	if n := cloud.Called(id, "f"); n != 3 {
		t.Errorf("the function ran %d times, want 3: a timeout does not mean that it did not run", n)
	}
	cloud.SetOffline(id, true)
	s.want(s.do("POST", "/v1/devices/own/f", "arg=abc", s.bearer()), 408, "timed out")
	s.want(s.do("GET", "/v1/devices/own", "", s.bearer()), 200, `"online":false`)
	if n := cloud.Called(id, "f"); n != 3 {
		t.Errorf("a device that is off ran its function")
	}
}

func TestProduct_ListsInPages(t *testing.T) {
	t.Parallel()
	s := newSite(t, &particletest.Server{})
	for i := range 51 {
		s.cloud.AddDevice(particletest.Device{ID: fmt.Sprintf("%024x", i+1), Name: fmt.Sprint("pump-", i), Product: particletest.DemoProduct2, Platform: 13})
	}
	for query, want := range map[string][2]int{"": {25, 3}, "page=3": {9, 3}, "page=9": {0, 3}, "perPage=60": {59, 1}, "per_page=10&page=6": {9, 6}, "page=x&perPage=-1": {25, 3}, "deviceName=pump-50": {1, 1}} {
		o := s.do("GET", "/v1/products/10002/devices?"+query, "", s.bearer()).object(t)
		got := [2]int{len(o["devices"].([]any)), int(o["meta"].(map[string]any)["total_pages"].(float64))}
		if got != want {
			t.Errorf("%q: got %v, want %v", query, got, want)
		}
	}
}
