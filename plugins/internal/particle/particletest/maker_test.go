package particletest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"mortise/plugins/internal/particle/particletest"
)

func TestMaker_SeesWhatTheAPIDocuments(t *testing.T) {
	t.Parallel()
	s := newSite(t, &particletest.Server{})
	const p = "/v1/products/garden-lamp-10001"
	for _, c := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"GET", "/v1/orgs", "", 200, `{"organizations":[{"id":"` + particletest.DemoOrganizationID + `","name":"Mortise Garden","slug":"mortise-garden"}]}`},
		{"GET", "/v1/orgs/mortise-garden", "", 200, `{"organization":{`},
		{"GET", "/v1/orgs/nobody", "", 404, `{"error":"Organization not found.","ok":false}`},
		{"GET", "/v1/orgs/mortise-garden/products", "", 200, `"slug":"weather-station-v1"`},
		{"GET", "/v1/orgs/mortise-garden/team", "", 200, `"username":"grace@particle.example"`},
		{"GET", "/v1/user/products", "", 200, `"slug":"garden-lamp-10001"`},
		{"GET", p + "/team", "", 200, `"is_programmatic":true`},
		{"POST", p + "/team", "username=nobody@example.com", 404, `User not found`},
		{"POST", p + "/team", "username=" + particletest.DemoOtherEmail, 400, `already a member`},
		{"POST", p + "/team", `{"friendly_name":"x","scopes":[]}`, 400, `scopes are required`},
		{"POST", p + "/team", `{"friendly_name":"x","scopes":["cake:eat"]}`, 400, `scope is unknown`},
		{"DELETE", p + "/team/" + particletest.DemoEmail, "", 403, `Permission denied`},
		{"PUT", p + "/devices/" + particletest.DemoLamp, `{"groups":["a"]}`, 200, `"groups":["a"]`},
		{"PUT", p + "/devices/" + particletest.DemoLamp, `{"groups":[7]}`, 400, `groups must be`},
		{"PUT", "/v1/devices/" + particletest.DemoLamp, `{"groups":["a"]}`, 400, `Nothing to do?`},
		{"POST", p + "/devices", `{}`, 400, `No device ID provided`},
		{"DELETE", p + "/devices/" + particletest.DemoFleetID(60), `{"deny":true}`, 204, ``},
		{"PUT", p + "/clients/" + particletest.DemoServerID, `{"scope":"everything"}`, 400, `scope is unknown`},
		{"PUT", p + "/clients/" + particletest.DemoServerID, `{"scope":"customers:create"}`, 200, `"scope":"customers:create"`},
		{"PUT", p + "/clients/" + particletest.DemoServerID, `{"scope":"none"}`, 200, `"type":"installed"}`},
	} {
		a := s.do(c.method, c.path, c.body, s.bearer())
		if a.status != c.status || !strings.Contains(a.body, c.says) {
			t.Errorf("%s %s %s: got %d %s, want %d with %s", c.method, c.path, c.body, a.status, a.body, c.status, c.says)
		}
	}
	if u := s.cloud.Unknown(); len(u) != 0 {
		t.Errorf("unknown: %q", u)
	}
}

func TestAPIUser_ReachesItsProductByItsScopesAlone(t *testing.T) {
	t.Parallel()
	s := newSite(t, &particletest.Server{})
	reader := "Authorization: Bearer " + particletest.DemoReadToken
	for _, c := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"GET", "/v1/products/10001/devices", "", 200, `"total_pages":3`},
		{"GET", "/v1/products/10001/devices/" + particletest.DemoFleetID(1), "", 200, `"name":"lamp-001"`},
		{"GET", "/v1/devices/" + particletest.DemoFleetID(1), "", 200, `"name":"lamp-001"`},
		{"GET", "/v1/products", "", 200, `"slug":"garden-lamp-10001"`},
		{"GET", "/v1/products/10002", "", 403, `Permission denied`},
		{"PUT", "/v1/products/10001/devices/" + particletest.DemoFleetID(1), "name=x", 400, `"error":"invalid_scope"`},
		{"GET", "/v1/products/10001/events", "", 400, `"error":"invalid_scope"`},
		{"GET", "/v1/user", "", 400, `{"error":"unauthorized","error_description":"API users are not allowed to call this endpoint"}`},
		{"DELETE", "/v1/access_tokens", "", 400, `API users are not allowed`},
		{"POST", "/v1/products/10001/customers", "email=a&no_password=true", 400, `API users are not allowed`},
		{"POST", "/v1/products/10001/device_claims", "{}", 400, `API users are not allowed`},
		{"GET", "/v1/access_tokens/current", "", 200, `"expires_at":null`},
	} {
		a := s.do(c.method, c.path, c.body, reader)
		if a.status != c.status || !strings.Contains(a.body, c.says) {
			t.Errorf("%s %s: got %d %s, want %d with %s", c.method, c.path, a.status, a.body, c.status, c.says)
		}
	}
	s.cloud.Faults.Set(particletest.Faults{ScopeAs: http.StatusForbidden})
	s.want(s.do("GET", "/v1/products/10001/customers", "", reader), 403, "Permission denied")
}

func TestFault_AppliesAndFailsAllTheSame(t *testing.T) {
	t.Parallel()
	s := newSite(t, &particletest.Server{})
	const p = "/v1/products/10001"
	fail := func(text string) {
		t.Helper()
		change, err := particletest.ParseFault(text)
		if err != nil {
			t.Fatal(err)
		}
		s.cloud.Faults.Set(particletest.Faults{})
		s.cloud.Faults.Update(change)
	}
	fail("done500@PUT " + p + "/devices#1")
	s.want(s.do("PUT", p+"/devices/"+particletest.DemoFleetID(1), "name=half", s.bearer()), 500)
	s.want(s.do("GET", p+"/devices/"+particletest.DemoFleetID(1), "", s.bearer()), 200, `"name":"half"`)
	fail("500@PUT " + p + "/devices#1")
	s.want(s.do("PUT", p+"/devices/"+particletest.DemoFleetID(1), "name=not", s.bearer()), 500)
	s.want(s.do("GET", p+"/devices/"+particletest.DemoFleetID(1), "", s.bearer()), 200, `"name":"half"`)
	fail("done503@DELETE " + p)
	s.want(s.do("DELETE", p+"/devices/"+particletest.DemoFleetID(2), "", s.bearer()), 503)
	s.want(s.do("GET", p+"/devices/"+particletest.DemoFleetID(2), "", s.bearer()), 403)
	fail("done500@" + p) // asking is not changing, and a stream must not be opened for nothing
	s.want(s.do("GET", p+"/events", "", s.bearer()), 500)
	if n := s.cloud.OpenStreams(); n != 0 {
		t.Errorf("%d streams are open", n)
	}
	fail("slow_pages=50ms")
	started := time.Now()
	s.want(s.do("GET", p+"/customers?page=2", "", s.bearer()), 200)
	if time.Since(started) < 50*time.Millisecond {
		t.Error("the page came at once")
	}
	fail("product_list")
	s.want(s.do("GET", p, "", s.bearer()), 200, `{"product":[{`)
}

func TestStateFile_KeepsWhatMakersChange(t *testing.T) {
	t.Parallel()
	file := t.TempDir() + "/cloud.json"
	first := newSite(t, &particletest.Server{StateFile: file})
	const p = "/v1/products/10001"
	spare := particletest.SpareID(1)
	first.want(first.do("POST", p+"/devices", `{"ids":["`+spare+`"]}`, first.bearer()), 200, spare)
	first.want(first.do("PUT", p+"/devices/"+spare, `{"groups":["west"]}`, first.bearer()), 200)
	first.want(first.do("POST", p+"/customers", `{"email":"new@example.com","no_password":true}`, first.bearer()), 201)
	first.want(first.do("DELETE", p+"/customers/"+particletest.DemoCustomer, "", first.bearer()), 200)
	made := first.do("POST", p+"/clients", `{"name":"Mine","type":"installed"}`, first.bearer()).object(t)["client"].(map[string]any)
	first.want(first.do("DELETE", "/v1/clients/"+particletest.DemoClientID, "", first.bearer()), 204)
	team := first.do("GET", p+"/team", "", first.bearer()).object(t)["team"].([]any)
	reader := team[len(team)-1].(map[string]any)["username"].(string)
	first.want(first.do("PUT", p+"/team/"+reader, `{"friendly_name":"Reader","scopes":["devices:list"]}`, first.bearer()), 200, `"friendly_name":"Reader"`)

	second := newSite(t, &particletest.Server{StateFile: file})
	second.want(second.do("GET", p+"/devices/"+spare, "", first.bearer()), 200, `"groups":["west"]`)
	second.want(second.do("GET", p+"/customers?perPage=100", "", first.bearer()), 200, "new@example.com")
	second.want(second.do("DELETE", p+"/customers/"+particletest.DemoCustomer, "", first.bearer()), 404)
	second.want(second.do("GET", p+"/clients", "", first.bearer()), 200, made["id"].(string))
	second.want(second.do("GET", "/v1/clients", "", first.bearer()), 200, `"clients":[]`)
	second.want(second.do("GET", p+"/devices", "", "Authorization: Bearer "+particletest.DemoReadToken), 401)
	second.want(second.do("GET", p+"/devices", "", "Authorization: Bearer "+particletest.DemoAPIToken), 200)
	second.want(second.do("GET", p+"/team", "", first.bearer()), 200, `"friendly_name":"Reader"`)
}
