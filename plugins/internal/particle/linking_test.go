package particle_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/particle/particletest"
)

func TestExchange_GivesATokenThatWorksAndEnds(t *testing.T) {
	t.Parallel()
	var cloud particletest.Server
	client, _ := newCloud(t, &cloud, particle.Timeouts{})
	token, err := client.Exchange(t.Context(), web, cloud.IssueCode(particletest.DemoEmail, web.ID), callback)
	must(t, err)
	if left := time.Until(token.ExpiresAt); token.Type != "bearer" || token.RefreshToken == "" || left < 89*24*time.Hour {
		t.Errorf("type %q, refresh %v, %v left", token.Type, token.RefreshToken != "", left)
	}
	user, err := client.User(t.Context(), token.AccessToken)
	must(t, err)
	if user.Username != particletest.DemoEmail || user.FirstName != "Ada" {
		t.Errorf("got %+v", user)
	}
	info, err := client.CurrentToken(t.Context(), token.AccessToken)
	must(t, err)
	if info.ClientID != web.ID || info.ExpiresAt.IsZero() {
		t.Errorf("got %+v", info)
	}
	must(t, client.RevokeToken(t.Context(), token.AccessToken))
	must(t, client.RevokeToken(t.Context(), token.AccessToken)) // dead already: nothing to do
	_, err = client.Devices(t.Context(), token.AccessToken)
	wantKind(t, err, particle.DeadToken)
	_, err = client.CurrentToken(t.Context(), token.AccessToken)
	wantKind(t, err, particle.DeadToken)
}

func TestExchange_TellsApartWhatWentWrong(t *testing.T) {
	t.Parallel()
	rule := func(r particletest.Rule) particletest.Faults {
		r.Prefix = "/oauth/token"
		return particletest.Faults{Rules: []particletest.Rule{r}}
	}
	for name, c := range map[string]struct {
		client particle.OAuthClient
		code   string // "" means a good one
		faults particletest.Faults
		kind   particle.Kind
	}{
		"wrong secret":                {client: particle.OAuthClient{ID: web.ID, Secret: "wrong"}, kind: particle.BadClient},
		"unknown client":              {client: particle.OAuthClient{ID: "nobody-1234", Secret: "x"}, kind: particle.BadClient},
		"no client":                   {client: particle.OAuthClient{}, kind: particle.BadClient},
		"an e-mail address for an id": {client: particle.OAuthClient{ID: "ann@example.com", Secret: "x"}, kind: particle.BadClient},
		"not a web client":            {client: particle.OAuthClient{ID: particletest.DemoServerID, Secret: particletest.DemoServerSecret}, kind: particle.BadClientType},
		"made-up code":                {client: web, code: "nonsense", kind: particle.BadCode},
		"old code":                    {client: web, faults: particletest.Faults{CodeExpired: true}, kind: particle.ExpiredCode},
		"server fault":                {client: web, faults: rule(particletest.Rule{Status: 500}), kind: particle.Upstream},
		"overload":                    {client: web, faults: rule(particletest.Rule{Status: 503}), kind: particle.Upstream},
		"rate limit":                  {client: web, faults: rule(particletest.Rule{Status: 429}), kind: particle.RateLimited},
		"hang":                        {client: web, faults: rule(particletest.Rule{Hang: true}), kind: particle.NoAnswer},
		"cut":                         {client: web, faults: rule(particletest.Rule{Drop: true}), kind: particle.Unreachable},
		"proxy's page":                {client: web, faults: rule(particletest.Rule{HTML: true}), kind: particle.Upstream},
		"a blog":                      {client: web, faults: rule(particletest.Rule{HTML: true, Status: 200}), kind: particle.NotParticle},
		"half an answer":              {client: web, faults: particletest.Faults{Truncated: true}, kind: particle.NotParticle},
		"numbers as text":             {client: web, faults: particletest.Faults{WrongShapes: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var cloud particletest.Server
			client, _ := newCloud(t, &cloud, quick)
			cloud.Faults.Set(c.faults)
			if c.code == "" {
				c.code = cloud.IssueCode(particletest.DemoEmail, web.ID)
			}
			token, err := client.Exchange(t.Context(), c.client, c.code, callback)
			if c.kind != "" {
				wantKind(t, err, c.kind)
				return
			}
			must(t, err)
			if token.ExpiresAt.IsZero() {
				t.Error("the life of the token was not understood")
			}
		})
	}
}

func TestExchange_RefusesACodeTheSecondTimeAndAForeignOne(t *testing.T) {
	t.Parallel()
	var cloud particletest.Server
	client, _ := newCloud(t, &cloud, particle.Timeouts{})
	code := cloud.IssueCode(particletest.DemoEmail, web.ID)
	_, err := client.Exchange(t.Context(), web, code, callback)
	must(t, err)
	_, err = client.Exchange(t.Context(), web, code, callback)
	wantKind(t, err, particle.BadCode)
	_, err = client.Exchange(t.Context(), web, cloud.IssueCode(particletest.DemoEmail, "another-1234"), callback)
	wantKind(t, err, particle.BadCode)
}

func TestRefresh_ReplacesThePairOnce(t *testing.T) {
	t.Parallel()
	var cloud particletest.Server
	client, _ := newCloud(t, &cloud, particle.Timeouts{})
	first, err := client.Exchange(t.Context(), web, cloud.IssueCode(particletest.DemoEmail, web.ID), callback)
	must(t, err)
	second, err := client.Refresh(t.Context(), web, first.RefreshToken)
	must(t, err)
	if second.AccessToken == first.AccessToken || second.RefreshToken == first.RefreshToken {
		t.Error("nothing was replaced")
	}
	_, err = client.Refresh(t.Context(), web, first.RefreshToken)
	wantKind(t, err, particle.BadRefresh)
}

func TestPassword_AsksForTheSecondStep(t *testing.T) {
	t.Parallel()
	var cloud particletest.Server
	cloud.AddAccount(particletest.Account{Username: "ann@example.com", Password: "pw", OTP: "123456"})
	client, _ := newCloud(t, &cloud, particle.Timeouts{})
	public := particle.OAuthClient{ID: "particle", Secret: "particle"}
	_, err := client.Password(t.Context(), public, "ann@example.com", "wrong")
	wantKind(t, err, particle.BadCredentials)
	_, err = client.Password(t.Context(), public, "ann@example.com", "pw")
	e := wantKind(t, err, particle.MFARequired)
	_, err = client.SendOTP(t.Context(), public, e.MFAToken, "000000")
	wantKind(t, err, particle.BadCredentials)
	token, err := client.SendOTP(t.Context(), public, e.MFAToken, "123456")
	must(t, err)
	if list, err := client.ListTokens(t.Context(), "ann@example.com", "pw"); err != nil || len(list) < 1 || token.AccessToken == "" {
		t.Errorf("got %d tokens, %v", len(list), err)
	}
}

func TestReadCallback_LooksAtTheErrorBeforeTheCode(t *testing.T) {
	t.Parallel()
	code, state, err := particle.ReadCallback(query("code", "0a1b2c", "state", "s-1"))
	if err != nil || code != "0a1b2c" || state != "s-1" {
		t.Errorf("got %q, %q, %v", code, state, err)
	}
	for _, c := range []struct {
		query url.Values
		kind  particle.Kind
	}{
		{query("error", "access_denied", "error_description", "The user denied access to your application", "code", "500"), particle.Refused},
		{query("error", "server_error", "error_description", "x", "code", "503"), particle.Upstream},
		{query("error", "something odd"), particle.Invalid},
		{query("code", "500"), particle.Invalid},
		{query("state", "s-1"), particle.Invalid},
		{query("code", strings.Repeat("a", 600)), particle.Invalid},
		{query(), particle.Invalid},
	} {
		code, _, err := particle.ReadCallback(c.query)
		wantKind(t, err, c.kind)
		if code != "" {
			t.Errorf("%v gives the code %q", c.query, code)
		}
	}
}

func FuzzReadCallback(f *testing.F) {
	f.Add("code=abc&state=x")
	f.Add("error=access_denied&error_description=The user denied access&code=500")
	f.Add("error=%ff&code=0%00")
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := url.ParseQuery(raw)
		if err != nil {
			return
		}
		code, _, err := particle.ReadCallback(q)
		if (code == "") == (err == nil) {
			t.Fatalf("code %q with error %v", code, err)
		}
		if q.Get("error") != "" && code != "" {
			t.Fatal("a code beside an error was used")
		}
		if err != nil && (particle.KindOf(err) == "" || strings.ContainsAny(err.Error(), "\n\r\x00")) {
			t.Fatalf("got %q", err)
		}
	})
}

func TestCheckClient_NamesTheValueThatIsWrong(t *testing.T) {
	t.Parallel()
	var cloud particletest.Server
	client, _ := newCloud(t, &cloud, quick)
	must(t, client.CheckClient(t.Context(), web, callback))
	if n := len(cloud.Tokens("")); n != 1 {
		t.Errorf("%d tokens exist, want the one of the test alone", n)
	}
	blog := answering(t, 200, "text/html", "<p>a blog</p>")
	for _, c := range []struct {
		at       *particle.Client
		client   particle.OAuthClient
		redirect string
		field    string
		kind     particle.Kind
	}{
		{client, particle.OAuthClient{ID: web.ID, Secret: "wrong"}, callback, "client_secret", particle.BadClient},
		{client, particle.OAuthClient{ID: "nobody-1234", Secret: "x"}, callback, "client_id", particle.BadClient},
		{client, particle.OAuthClient{ID: "ann@example.com", Secret: "x"}, callback, "client_id", particle.BadClient},
		{client, web, callback + "/", "redirect_uri", particle.BadRedirectURI},
		{client, web, "", "redirect_uri", particle.BadRedirectURI},
		{newClient(t, "http://127.0.0.1:1", quick), web, callback, "base_url", particle.Unreachable},
		{blog, web, callback, "base_url", particle.NotParticle},
		{answering(t, 404, "text/plain", "no such page"), web, callback, "base_url", particle.NotParticle},
		{answering(t, 404, "application/json", `{"message":"not found"}`), web, callback, "base_url", particle.NotParticle},
		{answering(t, 500, "application/json", `{"error":"server_error"}`), web, callback, "", particle.Upstream},
	} {
		e := wantKind(t, c.at.CheckClient(t.Context(), c.client, c.redirect), c.kind)
		if e.Field != c.field {
			t.Errorf("%s: blames %q, want %q", c.kind, e.Field, c.field)
		}
	}
}

func TestAuthorizeURL_LeadsToTheSignInPage(t *testing.T) {
	t.Parallel()
	var cloud particletest.Server
	client, _ := newCloud(t, &cloud, quick)
	res, err := http.Get(client.AuthorizeURL(web.ID, callback, "state-1", "profile"))
	must(t, err)
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
		t.Errorf("got %s %s", res.Status, res.Header.Get("Content-Type"))
	}
}
