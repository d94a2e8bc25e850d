package particletest_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"mortise/plugins/internal/particle/particletest"
)

const callback = "https://site.example/callback"

// site is a running simulator and a plain HTTP client of it.
type site struct {
	t     *testing.T
	cloud *particletest.Server
	url   string
	token string
	http  *http.Client
}

func newSite(t *testing.T, cloud *particletest.Server) *site {
	t.Helper()
	server := httptest.NewServer(cloud)
	t.Cleanup(server.Close)
	t.Cleanup(cloud.Close) // first, or the server would wait for the open streams
	cloud.AddRedirectURI(particletest.DemoClientID, callback)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Timeout: 10 * time.Second}
	return &site{t, cloud, server.URL, cloud.IssueToken(particletest.DemoEmail, particletest.DemoClientID), client}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) object(t *testing.T) map[string]any {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal([]byte(a.body), &o); err != nil {
		t.Fatalf("%d %q: %v", a.status, a.body, err)
	}
	return o
}

// do sends a request; headers are "Name: value". A body that begins with { is JSON, any other a form.
func (s *site) do(method, path, body string, headers ...string) answer {
	s.t.Helper()
	req, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if strings.HasPrefix(body, "{") {
		req.Header.Set("Content-Type", "application/json")
	} else if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	res, err := s.http.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(raw)}
}

func (s *site) bearer() string { return "Authorization: Bearer " + s.token }

func (s *site) want(a answer, status int, parts ...string) {
	s.t.Helper()
	if a.status != status {
		s.t.Fatalf("got %d %s, want %d", a.status, a.body, status)
	}
	for _, p := range parts {
		if !strings.Contains(a.body, p) {
			s.t.Errorf("%q is not in %s", p, a.body)
		}
	}
}

// stream opens an event stream and returns its lines.
func (s *site) stream(path, token string) *bufio.Reader {
	s.t.Helper()
	req, err := http.NewRequest(http.MethodGet, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := s.http.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { res.Body.Close() })
	if res.StatusCode != http.StatusOK || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		s.t.Fatalf("got %s", res.Status)
	}
	return bufio.NewReader(res.Body)
}

func line(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	l, err := r.ReadString('\n')
	if err != nil {
		t.Fatalf("the stream ended: %v", err)
	}
	return strings.TrimSuffix(l, "\n")
}

func form(pairs ...string) string {
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	return q.Encode()
}
