package particle_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"mortise/core/fault"
	"mortise/plugins/internal/particle"
)

func TestClient_UnderstandsEveryShapeOfErrorBody(t *testing.T) {
	t.Parallel()
	const asJSON = "application/json; charset=utf-8"
	for _, c := range []struct {
		status            int
		contentType, body string
		kind              particle.Kind
		says              string
	}{
		{400, asJSON, `{"error":"invalid_grant","error_description":"Invalid code","code":400}`, particle.BadCode, "Invalid code"},
		{400, asJSON, `{"error":"invalid_grant","error_description":"Code has expired"}`, particle.ExpiredCode, "Code has expired"},
		{400, asJSON, `{"error":"invalid_grant","error_description":"User credentials are invalid"}`, particle.BadCredentials, "User credentials"},
		{400, asJSON, `{"error":"invalid_grant","error_description":"Refresh token has expired"}`, particle.BadRefresh, "Refresh token"},
		{400, asJSON, `{"error":"invalid_client","error_description":"Client credentials are invalid"}`, particle.BadClient, "Client credentials"},
		{400, asJSON, `{"error":"invalid_client","error_description":"The grant type is unauthorised for this client_id"}`, particle.BadClientType, "grant type"},
		{400, asJSON, `{"error":"invalid_request","error_description":"redirect_uri does not match"}`, particle.BadRedirectURI, "redirect_uri"},
		{400, asJSON, `{"error":"invalid_request","error_description":"The access token was not found"}`, particle.DeadToken, "not found"},
		{401, asJSON, `{"error":"invalid_token","error_description":"The access token provided has expired."}`, particle.DeadToken, "expired"},
		{400, asJSON, `{"error":"invalid_scope","error_description":"Invalid scope"}`, particle.MissingScope, "scope"},
		{400, asJSON, `{"error":"unauthorized","error_description":"API users are not allowed to call this endpoint"}`, particle.Denied, "API users"},
		{403, asJSON, `{"error":"mfa_required","error_description":"Multi-factor authentication required","mfa_token":"b9c2"}`, particle.MFARequired, "Multi-factor"},
		{403, asJSON, `{"error":"sso_user","error_description":"SSO"}`, particle.SSORequired, "SSO"},
		{429, asJSON, `{"error":"rate_limit_exceeded","error_description":"Too many requests"}`, particle.RateLimited, "Too many"},
		{503, asJSON, `{"error":"server_error","error_description":"oops"}`, particle.Upstream, "oops"},
		{404, asJSON, `{"ok":false,"error":"Function foo not found"}`, particle.NotFound, "Function foo not found"},
		{404, asJSON, `{"ok":false,"error":"Unknown Variable: foo"}`, particle.NotFound, "Unknown Variable"},
		{404, asJSON, `{"ok":false,"errors":["device does not exist"]}`, particle.UnknownDevice, "does not exist"},
		{404, asJSON, `{"ok":false,"errors":[["Core isn't online",404]]}`, particle.Offline, "Core isn't online"},
		{500, asJSON, `{"ok":false,"code":500,"errors":[{"error":"Timed out, didn't hear back from device service"}]}`, particle.Offline, "didn't hear back"},
		{500, asJSON, `{"ok":false,"errors":[{"error":{"status":"broken"}}]}`, particle.Upstream, "broken"},
		{500, asJSON, `{"ok":false,"errors":[{"message":"first"},"second"]}`, particle.Upstream, "first; second"},
		{403, asJSON, `{"error":"Permission Denied","info":"I didn't recognize that device name or ID, try opening https://x/?access_token=undefined"}`, particle.UnknownDevice, "Permission Denied"},
		{403, asJSON, `{"ok":false,"error":"Permission denied"}`, particle.Denied, "Permission denied"},
		{403, asJSON, `{"errors":["That belongs to someone else."]}`, particle.OwnedByOther, "someone else"},
		{408, asJSON, `{"error":"Timed out."}`, particle.Offline, "Timed out."},
		{400, asJSON, `{"ok":false,"error":"Timed out."}`, particle.Offline, "Timed out."},
		{400, asJSON, `{"error":"Could not get device for ID","ok":false}`, particle.Offline, "Could not get"},
		{400, asJSON, `{"error":"bad_request","description":"start_date is wrong"}`, particle.Invalid, "start_date is wrong"},
		{422, asJSON, `{"message":"no","description":"value is too long","violations":[]}`, particle.Invalid, "value is too long"},
		{400, asJSON, `{"errors":[{"message":"library is gone"}]}`, particle.Invalid, "library is gone"},
		{200, asJSON, `{"ok":false,"error":"Too many web hooks for this device"}`, particle.Invalid, "Too many web hooks"},
		{404, asJSON, `"Oops, I couldn't find that core"`, particle.UnknownDevice, "Oops"},
		{502, "text/html", `<html><h1>Bad Gateway</h1></html>`, particle.Upstream, ""},
		{404, "text/plain", `Not Found`, particle.NotFound, "Not Found"},
		{404, "text/html", `<p>nothing here</p>`, particle.NotParticle, ""},
		{200, "text/html", `<p>welcome to my blog</p>`, particle.NotParticle, ""},
		{200, asJSON, `{"id":"0a10aced2021`, particle.NotParticle, ""},
		{302, "text/html", ``, particle.NotParticle, ""},
		{200, asJSON, ``, particle.NotParticle, ""},
	} {
		t.Run(fmt.Sprint(c.status, " ", c.body), func(t *testing.T) {
			t.Parallel()
			_, err := answering(t, c.status, c.contentType, c.body).Products(t.Context(), "tok")
			e := wantKind(t, err, c.kind)
			if e.Status != c.status || !strings.Contains(e.Description, c.says) {
				t.Errorf("got status %d and %q, want %d and %q", e.Status, e.Description, c.status, c.says)
			}
			if strings.Contains(e.Description, "http") {
				t.Errorf("the useless link is shown: %q", e.Description)
			}
		})
	}
}

func TestError_NeverHoldsASecretEvenWhenTheCloudEchoesIt(t *testing.T) {
	t.Parallel()
	const token, secret, code, refresh = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567", "s3cret-of-the-client", "one-time-code-77", "refresh-me-55"
	echo := handling(t, func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		id, password, _ := r.BasicAuth()
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"error":"invalid_grant","error_description":%q,"mfa_token":"m-f-a-token"}`,
			strings.Join([]string{r.Header.Get("Authorization"), id, password, r.PostForm.Encode(), r.PostForm.Get("code"), "m-f-a-token"}, " ")) // what a careless server logs
	})
	_, err1 := echo.Devices(t.Context(), token)
	_, err2 := echo.Exchange(t.Context(), particle.OAuthClient{ID: "id-1", Secret: secret}, code, callback)
	_, err3 := echo.Refresh(t.Context(), particle.OAuthClient{ID: "id-1", Secret: secret}, refresh)
	_, err4 := echo.Password(t.Context(), particle.OAuthClient{ID: "id-1", Secret: secret}, "ann", "hunter22")
	for _, err := range []error{err1, err2, err3, err4} {
		message, _ := fault.Visible(err)
		text := fmt.Sprintf("%v %+v %#v %s", err, err, err, message)
		for _, s := range []string{token, secret, code, refresh, "hunter22", "m-f-a-token"} {
			if strings.Contains(text, s) {
				t.Errorf("%q is in %s", s, text)
			}
		}
	}
	for _, v := range []any{particle.Token{AccessToken: token, RefreshToken: refresh}, particle.OAuthClient{ID: "id-1", Secret: secret}, particle.ClientInfo{ID: "id-1", Secret: secret}} {
		if text := fmt.Sprintf("%v %+v %#v %s", v, v, v, v); strings.Contains(text, token) || strings.Contains(text, secret) || strings.Contains(text, refresh) {
			t.Errorf("a secret is printed: %s", text)
		}
	}
}

func TestError_IsAFaultThatAVisitorMayRead(t *testing.T) {
	t.Parallel()
	_, err := answering(t, 401, "application/json", `{"error":"invalid_token","error_description":"x"}`).Devices(t.Context(), "token")
	message, ok := fault.Visible(err)
	if !ok || !strings.Contains(message, "Link the Particle account again") || !fault.Is(err, fault.Denied) {
		t.Errorf("got %q of kind %s", message, fault.KindOf(err))
	}
}

func TestClient_TellsUnreachableHangAndGivenUpApart(t *testing.T) {
	t.Parallel()
	t.Run("nobody listens", func(t *testing.T) {
		t.Parallel()
		_, err := newClient(t, "http://127.0.0.1:1", quick).Devices(t.Context(), "token")
		wantKind(t, err, particle.Unreachable)
	})
	t.Run("no answer", func(t *testing.T) {
		t.Parallel()
		hang := handling(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		_, err := hang.Devices(t.Context(), "token")
		wantKind(t, err, particle.NoAnswer)
	})
	t.Run("a body that never ends", func(t *testing.T) {
		t.Parallel()
		hang := handling(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte("["))
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		})
		_, err := hang.Devices(t.Context(), "token")
		wantKind(t, err, particle.NoAnswer)
	})
	t.Run("a body that is far too large", func(t *testing.T) {
		t.Parallel()
		large := handling(t, func(w http.ResponseWriter, r *http.Request) {
			piece := []byte(strings.Repeat(" ", 64<<10))
			for r.Context().Err() == nil {
				if _, err := w.Write(piece); err != nil {
					return
				}
			}
		})
		_, err := large.Devices(t.Context(), "token")
		if k := particle.KindOf(err); k != particle.NotParticle && k != particle.NoAnswer { // a slow machine may reach the time limit first
			t.Errorf("got %v", err)
		}
	})
}

func TestClient_RetriesAReadOnceAndAChangeNever(t *testing.T) {
	t.Parallel()
	var reads, changes atomic.Int32
	drops := handling(t, func(w http.ResponseWriter, r *http.Request) {
		count := &changes
		if r.Method == http.MethodGet {
			count = &reads
		}
		if count.Add(1) == 1 || r.Method != http.MethodGet {
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write([]byte(`[]`))
	})
	_, err := drops.Devices(t.Context(), "token")
	must(t, err)
	_, err = drops.Call(t.Context(), "token", unknown, "led", "on")
	wantKind(t, err, particle.Unreachable)
	if reads.Load() != 2 || changes.Load() != 1 {
		t.Errorf("%d reads and %d calls arrived, want 2 and 1", reads.Load(), changes.Load())
	}
}

func TestClient_DoesNotCarryATokenToWhereAnAnswerPoints(t *testing.T) {
	t.Parallel()
	var followed atomic.Bool
	from := handling(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/elsewhere" {
			followed.Store(true)
		}
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	})
	_, err := from.Devices(t.Context(), "token")
	wantKind(t, err, particle.NotParticle)
	if followed.Load() {
		t.Error("the redirect was followed")
	}
}

func TestParseBaseURL_AcceptsPlainHTTPOnlyNearby(t *testing.T) {
	t.Parallel()
	for address, good := range map[string]bool{
		"https://api.particle.io": true, "https://api.particle.io/": true, " https://cloud.example ": true, "http://127.0.0.1:8989": true,
		"http://localhost:8080": true, "http://192.168.1.5:8080": true, "http://spark-server:8080": true, "http://cloud.local": true, "http://[::1]:80": true,
		"http://api.particle.io": false, "http://8.8.8.8": false, "ftp://x": false, "api.particle.io": false, "": false,
		"https://user:pw@x.example": false, "https://x.example?q=1": false, "https://x.example#f": false, "javascript:alert(1)": false,
	} {
		_, err := particle.ParseBaseURL(address)
		if good != (err == nil) {
			t.Errorf("%q: %v", address, err)
		}
		if !good {
			wantKind(t, err, particle.Invalid)
		}
	}
}
