package particletest_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"mortise/plugins/internal/particle/particletest"
)

var credentials = form("client_id", particletest.DemoClientID, "client_secret", particletest.DemoClientSecret)

func authorizePath(pairs ...string) string {
	q := map[string]string{"response_type": "code", "client_id": particletest.DemoClientID, "redirect_uri": callback, "state": "s-1"}
	for i := 0; i < len(pairs); i += 2 {
		q[pairs[i]] = pairs[i+1]
	}
	var all []string
	for _, k := range []string{"response_type", "client_id", "redirect_uri", "state"} {
		all = append(all, k, q[k])
	}
	return "/oauth/authorize?" + form(all...)
}

var ticketField = regexp.MustCompile(`name="ticket" value="([0-9a-f]+)"`)

// consent signs in and presses a button of the consent page.
func (s *site) consent(path, decision string) answer {
	s.t.Helper()
	s.want(s.do("GET", path, ""), 200, "Sign in to Particle", "Mortise demo", `name="username"`, `name="password"`)
	page := s.do("POST", path, form("username", strings.ToUpper(particletest.DemoEmail), "password", particletest.DemoPassword))
	s.want(page, 200, "Allow access?", callback)
	return s.do("POST", path, form("ticket", ticketField.FindStringSubmatch(page.body)[1], "decision", decision))
}

func TestAuthorize_SendsBackACodeThatGivesAToken(t *testing.T) {
	t.Parallel()
	s := newSite(t, &particletest.Server{})
	back := s.consent(authorizePath(), "allow")
	location := back.header.Get("Location")
	match := regexp.MustCompile(`^` + regexp.QuoteMeta(callback) + `\?code=([0-9a-f]{40})&state=s-1$`).FindStringSubmatch(location)
	if back.status != http.StatusFound || match == nil {
		t.Fatalf("got %d to %q", back.status, location)
	}
	exchange := form("grant_type", "authorization_code", "code", match[1]) + "&" + credentials
	token := s.do("POST", "/oauth/token", exchange)
	s.want(token, 200, `"token_type":"bearer"`, `"expires_in":7776000`, `"refresh_token":"`)
	if token.header.Get("Cache-Control") != "no-store" || token.header.Get("Pragma") != "no-cache" {
		t.Errorf("the token may be stored: %v", token.header)
	}
	s.want(s.do("POST", "/oauth/token", exchange), 400, `"error":"invalid_grant"`, "Invalid code")
}

func TestAuthorize_TellsARefusalWithoutStateAndWithANumberForACode(t *testing.T) {
	t.Parallel()
	s := newSite(t, &particletest.Server{})
	back := s.consent(authorizePath(), "deny")
	if want := callback + "?error=access_denied&error_description=The user denied access to your application&code=500"; back.header.Get("Location") != want {
		t.Errorf("got %q", back.header.Get("Location"))
	}
}

func TestAuthorize_KnowsDeveloperAccountsOnly(t *testing.T) {
	t.Parallel()
	s := newSite(t, &particletest.Server{})
	s.cloud.AddCustomer(particletest.Customer{Email: "ann@example.com", Password: "pw", Product: particletest.DemoProduct})
	s.want(s.do("POST", authorizePath(), form("username", "ann@example.com", "password", "pw")), 401, "Invalid credentials", `value="ann@example.com"`)
	s.want(s.do("POST", authorizePath(), form("username", particletest.DemoEmail, "password", `"><script>`)), 401, "Invalid credentials")
	s.want(s.do("POST", authorizePath(), form("ticket", "made-up", "decision", "allow")), 200, "session has expired")
	if strings.Contains(s.do("POST", authorizePath(), form("username", `"><script>alert(1)</script>`, "password", "x")).body, "<script>") {
		t.Error("the page is not escaped")
	}
}

func TestAuthorize_ShowsNakedJSONWhileTheClientIsNotKnown(t *testing.T) {
	t.Parallel()
	s := newSite(t, &particletest.Server{})
	for path, text := range map[string]string{
		authorizePath("response_type", "token"):       `Invalid response_type parameter (must be \"code\")`,
		authorizePath("client_id", "a@b"):             "Invalid or missing client_id parameter",
		authorizePath("redirect_uri", ""):             "Invalid or missing redirect_uri parameter",
		authorizePath("client_id", "nobody-1234"):     "Invalid client credentials",
		authorizePath("redirect_uri", callback+"/"):   "redirect_uri does not match",
		authorizePath("redirect_uri", "https://evil"): "redirect_uri does not match",
	} {
		s.want(s.do("GET", path, ""), 400, text)
	}
}

func TestToken_ChecksInTheOrderOfTheLibrary(t *testing.T) {
	t.Parallel()
	s := newSite(t, &particletest.Server{})
	const basic = "Authorization: Basic bW9ydGlzZS1kZW1vLTQ4MjE6d3Jvbmc=" // the demo client with "wrong"
	server := form("client_id", particletest.DemoServerID, "client_secret", particletest.DemoServerSecret)
	for _, c := range []struct {
		method, body, header, code, text string
	}{
		{"GET", "", "", "invalid_request", "Method must be POST with application/x-www-form-urlencoded encoding"},
		{"POST", `{"grant_type":"password"}`, "", "invalid_request", "Method must be POST with application/x-www-form-urlencoded encoding"},
		{"POST", "grant_type=magic&" + credentials, "", "invalid_request", "Invalid or missing grant_type parameter"},
		{"POST", "grant_type=password", "", "invalid_client", "Invalid or missing client_id parameter"},
		{"POST", "grant_type=password&client_id=ann@x&client_secret=x", "", "invalid_client", "Invalid or missing client_id parameter"},
		{"POST", "grant_type=password&client_id=abc", "", "invalid_client", "Missing client_secret parameter"},
		{"POST", "grant_type=password&client_id=abc&client_secret=x", "", "invalid_client", "Client credentials are invalid"},
		{"POST", "grant_type=authorization_code&" + credentials, basic, "invalid_client", "Client credentials are invalid"}, // Basic wins
		{"POST", "grant_type=password&" + credentials, "", "invalid_client", "The grant type is unauthorised for this client_id"},
		{"POST", "grant_type=authorization_code&code=x&" + server, "", "invalid_client", "The grant type is unauthorised for this client_id"},
		{"POST", "grant_type=authorization_code&" + credentials, "", "invalid_request", `No \"code\" parameter`},
		{"POST", "grant_type=authorization_code&code=x&" + credentials, "", "invalid_grant", "Invalid code"},
		{"POST", "grant_type=refresh_token&" + credentials, "", "invalid_request", `No \"refresh_token\" parameter`},
		{"POST", "grant_type=refresh_token&refresh_token=x&" + credentials, "", "invalid_grant", "Invalid refresh token"},
		{"POST", "grant_type=password&username=a&" + form("client_id", "particle", "client_secret", "particle"), "", "invalid_client", `Missing parameters. \"username\" and \"password\" are required`},
		{"POST", "grant_type=password&username=a&password=b&" + form("client_id", "particle", "client_secret", "particle"), "", "invalid_grant", "User credentials are invalid"},
		{"POST", "grant_type=client_credentials&scope=customer%3Dnobody@example.com&" + server, "", "invalid_scope", "Invalid scope"},
	} {
		headers := []string{}
		if c.header != "" {
			headers = append(headers, c.header)
		}
		a := s.do(c.method, "/oauth/token", c.body, headers...)
		s.want(a, 400, `"error":"`+c.code+`"`, c.text)
		if challenge := a.header.Get("WWW-Authenticate"); (challenge == `Basic realm="Service"`) != (c.code == "invalid_client") {
			t.Errorf("%s: challenge %q", c.text, challenge)
		}
		if a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: may be stored", c.text)
		}
	}
}

func TestToken_CodesAndTokensGrowOld(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	clock := make(chan time.Time, 1)
	clock <- now
	cloud := &particletest.Server{Now: func() time.Time { n := <-clock; clock <- n; return n }}
	forward := func(d time.Duration) { clock <- (<-clock).Add(d) }
	s := newSite(t, cloud)
	code := cloud.IssueCode(particletest.DemoEmail, particletest.DemoClientID)
	s.want(s.do("GET", "/v1/devices", "", s.bearer()), 200, "desk-lamp", `"last_heard":"2026-02-03T04:05:06.000Z"`)
	forward(31 * time.Second)
	s.want(s.do("POST", "/oauth/token", "grant_type=authorization_code&code="+code+"&"+credentials), 400, "Code has expired")
	forward(90 * 24 * time.Hour)
	s.want(s.do("GET", "/v1/devices", "", s.bearer()), 401, "The access token provided has expired.")
}

func TestToken_BlocksAnAddressAfterTooManyWrongPasswords(t *testing.T) {
	t.Parallel()
	s := newSite(t, &particletest.Server{LoginStrikes: 3})
	client := form("client_id", "particle", "client_secret", "particle")
	for range 3 {
		s.want(s.do("POST", "/oauth/token", "grant_type=password&username=a&password=b&"+client), 400, "User credentials are invalid")
	}
	good := form("grant_type", "password", "username", particletest.DemoEmail, "password", particletest.DemoPassword)
	s.want(s.do("POST", "/oauth/token", good+"&"+client), 429, "rate_limit_exceeded")
}

func TestBearer_RefusesWithTheTextsOfTheLibrary(t *testing.T) {
	t.Parallel()
	s := newSite(t, &particletest.Server{})
	s.want(s.do("GET", "/v1/devices", ""), 400, `"error":"invalid_request"`, "The access token was not found")
	s.want(s.do("GET", "/v1/devices?access_token="+s.token, ""), 400, "The access token was not found")
	s.want(s.do("GET", "/v1/devices?access_token="+s.token, "", s.bearer()), 400, "Only one method may be used to authenticate at a time (Auth header,  GET or POST).")
	s.want(s.do("GET", "/v1/devices", "", "Authorization: Token x"), 400, "Malformed auth header")
	s.want(s.do("GET", "/v1/devices", "", "Authorization: Bearer x"), 401, `"error":"invalid_token"`, "The access token provided is invalid.")
	s.want(s.do("POST", "/v1/devices/events", form("access_token", s.token, "name", "x")), 200, `"ok":true`)
}
