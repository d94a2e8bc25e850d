package upstream_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mortise/core/web/upstream"
)

// serve answers on a unix socket and counts connections.
func serve(t testing.TB, handler http.HandlerFunc) (*upstream.Client, *atomic.Int64) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler}
	go func() { _ = server.Serve(ln) }()
	t.Cleanup(func() { _ = server.Close() })
	var dialled atomic.Int64
	client := upstream.New(func(ctx context.Context) (net.Conn, error) {
		dialled.Add(1)
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	})
	t.Cleanup(client.Close)
	return client, &dialled
}

// script answers one connection after another with fixed bytes.
func script(t testing.TB, answers ...string) *upstream.Client {
	t.Helper()
	var mu sync.Mutex
	client := upstream.New(func(context.Context) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		if len(answers) == 0 {
			return nil, errors.New("nobody listens")
		}
		text := answers[0]
		answers = answers[1:]
		here, there := net.Pipe()
		go func() {
			defer there.Close()
			if _, err := http.ReadRequest(bufio.NewReader(there)); err == nil {
				_, _ = io.WriteString(there, text)
			}
		}()
		return here, nil
	})
	t.Cleanup(client.Close)
	return client
}

func soon() time.Time { return time.Now().Add(5 * time.Second) }

func TestClient_UsesAConnectionAgainAfterEachKindOfBody(t *testing.T) {
	t.Parallel()
	client, dialled := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch r.URL.Path {
		case "/empty":
		case "/none":
			w.WriteHeader(204)
		case "/chunks":
			for range 3 {
				_, _ = w.Write(body)
				w.(http.Flusher).Flush()
			}
		default:
			_, _ = w.Write(body)
		}
	})
	for _, c := range []struct{ method, path, body, want string }{
		{"POST", "/echo", "hello", "hello"}, {"GET", "/empty", "", ""}, {"GET", "/none", "", ""}, {"POST", "/chunks", "ab", "ababab"},
		{"POST", "/echo", strings.Repeat("x", 100_000), strings.Repeat("x", 100_000)}, {"POST", "/echo", "", ""}, {"HEAD", "/echo", "", ""},
	} {
		res, err := client.Do(soon(), &upstream.Request{Method: c.method, Target: c.path, Body: []byte(c.body), Header: []byte("X-A: b\r\n")})
		if err != nil {
			t.Fatalf("%s %s: %v", c.method, c.path, err)
		}
		body, err := res.ReadAll(nil, 1<<20)
		if err != nil || string(body) != c.want {
			t.Errorf("%s %s: %d bytes, %v", c.method, c.path, len(body), err)
		}
		res.Close()
	}
	if n := dialled.Load(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

func TestClient_NeverSendsOnAConnectionThatTheModuleClosed(t *testing.T) {
	t.Parallel()
	var server atomic.Int64
	client, dialled := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if server.Add(1) == 1 {
			w.Header().Set("Connection", "close")
		}
		_, _ = io.WriteString(w, "ok")
	})
	for range 3 {
		res, err := client.Do(soon(), &upstream.Request{Method: "POST", Target: "/"})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = res.ReadAll(nil, 10)
		res.Close()
	}
	if n := dialled.Load(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
}

func TestClient_AnUnfinishedBodyEndsItsConnection(t *testing.T) {
	t.Parallel()
	left := make(chan struct{})
	client, dialled := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/endless" {
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, "more ")
				w.(http.Flusher).Flush()
			}
			close(left)
		}
	})
	res, err := client.Do(soon(), &upstream.Request{Method: "GET", Target: "/endless"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := res.ReadAll(nil, 1000); !errors.Is(err, upstream.ErrTooLarge) {
		t.Errorf("endless body: %v", err)
	}
	res.Close()
	select {
	case <-left:
	case <-time.After(5 * time.Second):
		t.Fatal("the module was not told")
	}
	if res, err = client.Do(soon(), &upstream.Request{Method: "GET", Target: "/"}); err != nil {
		t.Fatal(err)
	}
	res.Close()
	if n := dialled.Load(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
}

func TestClient_BytesBehindAnAnswerAreNoneOfTheNext(t *testing.T) {
	t.Parallel()
	client := script(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged",
		"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue")
	for _, want := range []string{"ok", "true"} {
		res, err := client.Do(soon(), &upstream.Request{Method: "GET", Target: "/"})
		if err != nil {
			t.Fatal(err)
		}
		if body, err := res.ReadAll(nil, 100); err != nil || string(body) != want {
			t.Errorf("read %q, %v; want %q", body, err, want)
		}
		res.Close()
	}
}

func TestClient_ReadingGoesOnAfterATimeout(t *testing.T) {
	t.Parallel()
	feed := make(chan string)
	client, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		for text := range feed {
			_, _ = io.WriteString(w, text)
			w.(http.Flusher).Flush()
		}
	})
	go func() { feed <- "one" }()
	res, err := client.Do(soon(), &upstream.Request{Method: "GET", Target: "/"})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Close()
	buffer := make([]byte, 10)
	read := func() string {
		for {
			res.SetDeadline(time.Now().Add(time.Millisecond))
			n, err := res.Read(buffer)
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				continue
			}
			if err != nil && err != io.EOF {
				t.Fatal(err)
			}
			return string(buffer[:n])
		}
	}
	if got := read(); got != "one" {
		t.Errorf("got %q", got)
	}
	go func() { time.AfterFunc(20*time.Millisecond, func() { feed <- "two"; close(feed) }) }()
	if got := read(); got != "two" {
		t.Errorf("got %q", got)
	}
	if got := read(); got != "" {
		t.Errorf("after the end: %q", got)
	}
}

func TestClient_SaysWhetherNothingOrSomethingWrongCame(t *testing.T) {
	t.Parallel()
	var gone *upstream.ConnectionError
	var wrong *upstream.ProtocolError
	if _, err := script(t).Do(soon(), &upstream.Request{Method: "GET", Target: "/"}); !errors.As(err, &gone) {
		t.Errorf("nobody listens: %v", err)
	}
	if _, err := script(t, "").Do(soon(), &upstream.Request{Method: "GET", Target: "/"}); !errors.As(err, &gone) {
		t.Errorf("closed without an answer: %v", err)
	}
	for _, text := range []string{"HTTP/1.1 999 X\r\n\r\n", "HTTP/1.1 101 X\r\n\r\n", "HTTP/1.1 099 X\r\n\r\n", "HTTP/1.1 0 X\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 -12 X\r\n\r\n", "HTTP/2.0 200 X\r\n\r\n", "nonsense\r\n\r\n", "HTTP/1.1 200 OK\r\n" + strings.Repeat("a: b\r\n", 9000)} {
		if res, err := script(t, text).Do(soon(), &upstream.Request{Method: "GET", Target: "/"}); !errors.As(err, &wrong) {
			t.Errorf("%.30q: %v %v", text, res, err)
		}
	}
	res, err := script(t, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").Do(soon(), &upstream.Request{Method: "GET", Target: "/"})
	if err != nil || res.Status() != 200 {
		t.Errorf("early hints: %v %v", res, err)
	}
}

func FuzzResponse(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n")
	f.Add("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")
	f.Add("HTTP/1.0 200 OK\r\n\r\nabc")
	f.Add("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 X\r\n\r\n")
	f.Add("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		res, err := script(t, text).Do(soon(), &upstream.Request{Method: "GET", Target: "/"})
		if err != nil {
			return
		}
		defer res.Close()
		if s := res.Status(); s < 200 || s > 599 {
			t.Fatalf("%q: status %d", text, s)
		}
		if body, err := res.ReadAll(nil, 1<<16); err == nil && len(body) > 1<<16 {
			t.Fatalf("%q: %d bytes", text, len(body))
		}
	})
}

// FuzzChunks compares what is read of a chunked body with the standard library's reading of it.
func FuzzChunks(f *testing.F) {
	f.Add("3\r\nabc\r\n0\r\n\r\n")
	f.Add("3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n")
	f.Add("0\r\n\r\n")
	f.Fuzz(func(t *testing.T, body string) {
		want, wantErr := io.ReadAll(httputil.NewChunkedReader(strings.NewReader(body)))
		res, err := script(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"+body).Do(soon(), &upstream.Request{Method: "GET", Target: "/"})
		if err != nil {
			t.Skip()
		}
		defer res.Close()
		got, err := res.ReadAll(nil, 1<<16)
		if err == nil && (wantErr != nil || string(got) != string(want)) {
			t.Fatalf("%q: read %q; the standard library reads %q, %v", body, got, want, wantErr)
		}
	})
}
