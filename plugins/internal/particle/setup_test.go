package particle_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/particle/particletest"
)

const (
	callback = "https://site.example/linking/particle/callback"
	unknown  = "ffffffffffffffffffffffff"
)

var web = particle.OAuthClient{ID: particletest.DemoClientID, Secret: particletest.DemoClientSecret}

// short limits, so that a test that waits for one is quick.
var quick = particle.Timeouts{Connect: 2 * time.Second, Token: 300 * time.Millisecond, Call: 300 * time.Millisecond, Device: 2 * time.Second,
	StreamOpen: 300 * time.Millisecond, StreamIdle: 300 * time.Millisecond, KnownOffline: 100 * time.Millisecond}

// newCloud starts a simulator with the demo's content, and a client of it with a token of the demo's account.
func newCloud(t testing.TB, cloud *particletest.Server, limits particle.Timeouts) (*particle.Client, string) {
	t.Helper()
	address, stop, err := cloud.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	client := newClient(t, address, limits)
	t.Cleanup(func() {
		client.Close()
		stop()
		if u := cloud.Unknown(); len(u) > 0 {
			t.Errorf("the simulator does not know %q", u)
		}
	})
	cloud.AddRedirectURI(particletest.DemoClientID, callback)
	return client, cloud.IssueToken(particletest.DemoEmail, particletest.DemoClientID)
}

func newClient(t testing.TB, address string, limits particle.Timeouts) *particle.Client {
	t.Helper()
	client, err := particle.New(particle.Options{BaseURL: address, Timeouts: limits})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// answering is a client of a server that gives one answer to everything.
func answering(t testing.TB, status int, contentType, body string) *particle.Client {
	t.Helper()
	return handling(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

func handling(t testing.TB, handler http.HandlerFunc) *particle.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return newClient(t, server.URL, quick)
}

func wantKind(t *testing.T, err error, kind particle.Kind) *particle.Error {
	t.Helper()
	var e *particle.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an *Error of kind %s", err, kind)
	}
	if e.Kind != kind {
		t.Fatalf("got kind %s (%v), want %s", e.Kind, err, kind)
	}
	if e.Message == "" || e.Hint == "" {
		t.Errorf("%s says %q and advises %q: neither may be empty", kind, e.Message, e.Hint)
	}
	return e
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func bounded(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits until the condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func query(pairs ...string) url.Values {
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	return q
}
