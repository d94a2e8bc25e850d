package particle

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestCheckRedirectURI_TellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	for uri, says := range map[string]string{
		"https://example.org/linking/particle/callback": "",
		"https://example.org:8443/cb":                   "",
		"http://localhost:8080/cb":                      "",
		"http://127.0.0.1/cb":                           "",
		"http://[::1]:9/cb":                             "",
		"http://example.org/cb":                         "not encrypted",
		"http://localhost.example.org/cb":               "not encrypted",
		"https://example.org/cb?a=1":                    "query",
		"https://example.org/cb?":                       "query",
		"https://example.org/cb#":                       "fragment",
		"https://ann@example.org/cb":                    "user name",
		"https://example.org/c b":                       "web address",
		"myapp://callback":                              "web address",
		"/cb":                                           "web address",
		"":                                              "web address",
	} {
		err := CheckRedirectURI(uri)
		if says == "" && err != nil || says != "" && (!Is(err, Invalid) || err.(*Error).Field != "redirect_uri" || !strings.Contains(err.(*Error).Message, says)) {
			t.Errorf("%q: got %v, want %q", uri, err, says)
		}
	}
}

func TestReadAPIUser_AcceptsEveryShape(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"ok":true,"created":{"username":"a@b","is_programmatic":true,"tokens":[{"token":"secret"}]}}`,
		`{"ok":true,"updated":{"username":"a@b","tokens":["secret"]}}`,
		`{"ok":true,"created":[{"username":"a@b","token":"secret"}]}`,
		`{"username":"a@b","token":"secret"}`,
	} {
		u, err := readAPIUser("test", []byte(body), "created", "name", []string{"x:y"})
		if err != nil || u.Username != "a@b" || u.Token != "secret" || u.Name != "name" || len(u.Scopes) != 1 {
			t.Errorf("%s: got %v, %v", body, u, err)
		}
	}
	for _, body := range []string{`{"ok":true}`, `[]`, `{"created":{"username":"a@b","tokens":[]}}`, ``} {
		if u, err := readAPIUser("test", []byte(body), "created", "", nil); err == nil {
			t.Errorf("%q was read as %v", body, u)
		}
	}
}

// FuzzAnswers feeds the readers of this file's subject with anything: they may refuse, and must keep their promises.
func FuzzAnswers(f *testing.F) {
	for _, seed := range []string{
		`{"updated":1,"updatedDeviceIds":["e00fce680000000000000001"],"existingDeviceIds":[],"nonmemberDeviceIds":[],"invalidDeviceIds":[]}`,
		`{"ok":true,"created":{"username":"a@b","is_programmatic":true,"tokens":[{"token":"secret"}],"scopes":["a:b"],"role":{"name":"x"}}}`,
		`{"team":[{"_id":"1","username":"a","role":"Owner"}]}`, `[{"username":1}]`, `{"updated":"x"}`, `null`, `{"tokens":[[]]}`,
	} {
		f.Add([]byte(seed))
	}
	ids := []string{"e00fce680000000000000001", "e00fce680000000000000002"}
	f.Fuzz(func(t *testing.T, body []byte) {
		if r, err := readImport("test", body, ids); err == nil {
			for _, id := range r.Added {
				if r.Outcome(id) != ImportAdded {
					t.Errorf("%q is added and has outcome %s", id, r.Outcome(id))
				}
			}
		}
		if u, err := readAPIUser("test", body, "created", "name", ids); err == nil && (u.Token == "" || u.Name == "" || strings.Contains(u.String(), u.Token) && !strings.Contains(u.Username, u.Token) && len(u.Token) > 20) {
			t.Errorf("got %+v", u)
		}
		if rows, err := decodeList[memberRow]("test", body, "team"); err == nil {
			for _, r := range rows {
				if _, err := json.Marshal(r.member()); err != nil {
					t.Error(err)
				}
			}
		}
		if totalPages(body) < 1 {
			t.Error("less than one page")
		}
	})
}

func FuzzCheckRedirectURI(f *testing.F) {
	for _, seed := range []string{"https://example.org/cb", "http://localhost/", "https://a/?", "http://[::1]/#", "https://%zz/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		if CheckRedirectURI(uri) != nil {
			return
		}
		if strings.ContainsAny(uri, "?# \n") {
			t.Errorf("%q was accepted", uri)
		}
		if !strings.HasPrefix(strings.ToLower(uri), "https://") && !IsLoopbackRedirect(uri) {
			t.Errorf("%q is neither encrypted nor of this machine", uri)
		}
	})
}
