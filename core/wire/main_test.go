package wire_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mortise/core/manifest"
	"mortise/core/sdk"
	"mortise/core/wire"
)

// probe is the path of the test module's program, built once.
var probe string

func TestMain(m *testing.M) {
	if os.Getenv("WIRE_TEST_HOST") != "" {
		beHost()
		return
	}
	dir, err := os.MkdirTemp("", "probe")
	if err != nil {
		panic(err)
	}
	probe = filepath.Join(dir, "probe")
	build := exec.Command("go", "build", "-o", probe, "./testdata/probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the test module: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// beHost is a host that starts a module, says so, and waits to be killed.
func beHost() {
	p, err := wire.Launch(context.Background(), wire.LaunchOptions{
		ModuleID: "probe", Program: os.Getenv("WIRE_TEST_PROGRAM"), RunRoot: os.Getenv("WIRE_TEST_HOST"),
		Env: []string{"PROBE=" + os.Getenv("PROBE")},
	})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	fmt.Println("pid", p.PID())
	select {}
}

// lines collects what a module wrote.
type lines struct {
	mu   sync.Mutex
	all  []wire.Line
	more chan struct{}
}

func newLines() *lines { return &lines{more: make(chan struct{}, 1)} }

func (l *lines) add(line wire.Line) {
	l.mu.Lock()
	l.all = append(l.all, line)
	l.mu.Unlock()
	select {
	case l.more <- struct{}{}:
	default:
	}
}

func (l *lines) find(match func(wire.Line) bool) (wire.Line, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.all {
		if match(line) {
			return line, true
		}
	}
	return wire.Line{}, false
}

// wait gives the first line that matches.
func (l *lines) wait(t *testing.T, what string, match func(wire.Line) bool) wire.Line {
	t.Helper()
	deadline := time.After(15 * time.Second)
	for {
		if line, ok := l.find(match); ok {
			return line
		}
		select {
		case <-l.more:
		case <-deadline:
			t.Fatalf("no line %s", what)
		}
	}
}

func says(text string) func(wire.Line) bool {
	return func(l wire.Line) bool { return strings.Contains(l.Message, text) }
}

func options(t *testing.T, behaviour string, log func(wire.Line)) wire.LaunchOptions {
	t.Helper()
	return wire.LaunchOptions{
		ModuleID: "probe", Program: probe, RunRoot: shortDir(t), Env: []string{"PROBE=" + behaviour}, Log: log,
		HostLog: slog.New(slog.DiscardHandler), Services: &services{},
	}
}

// shortDir is a temporary folder short enough for sockets.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "w")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func launch(t *testing.T, o wire.LaunchOptions) *wire.Process {
	t.Helper()
	p, err := wire.Launch(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

// running is a module that is connected and started.
func running(t *testing.T, o wire.LaunchOptions) *wire.Process {
	t.Helper()
	p := launch(t, o)
	if err := p.Connect(t.Context(), wire.Connection{
		Settings: map[string]any{"word": "tree", "count": int64(5), "list": []string{"a", "b"}},
		Site:     sdk.Site{Name: "Test site", PublicURL: "https://example.com"},
	}); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

func pages(t *testing.T, p *wire.Process) *http.Client {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", p.PagesSocket())
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: withToken{transport, p.PagesToken()}}
}

type withToken struct {
	next  http.RoundTripper
	token string
}

func (w withToken) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	if r.Header.Get(wire.TokenHeader) == "" {
		r.Header.Set(wire.TokenHeader, w.token)
	}
	return w.next.RoundTrip(r)
}

func ownManifest(t *testing.T) *manifest.Manifest {
	t.Helper()
	text, err := os.ReadFile("testdata/probe/module.yaml")
	if err != nil {
		t.Fatal(err)
	}
	m, err := manifest.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func waitFor(t *testing.T, what string, limit time.Duration, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !done(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not happen within %s", what, limit)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
