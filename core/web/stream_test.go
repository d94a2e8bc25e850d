package web_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"mortise/core/identity"
	"mortise/core/web"
)

// listen opens a stream and gives its lines; the channel closes when the stream ends.
func (b *browser) listen(path string) (lines <-chan string, leave func()) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, err := http.NewRequestWithContext(ctx, "GET", b.s.url+path, nil)
	must(b.t, err)
	r.Header.Set("Accept", "text/event-stream")
	client := *b.c
	client.Timeout = 0
	res, err := client.Do(r)
	must(b.t, err)
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" {
		b.t.Fatalf("GET %s = %d %q", path, res.StatusCode, res.Header.Get("Content-Type"))
	}
	out := make(chan string, 1000)
	go func() {
		defer close(out)
		defer res.Body.Close()
		scanner := bufio.NewScanner(res.Body)
		for scanner.Scan() {
			out <- scanner.Text()
		}
	}()
	b.t.Cleanup(cancel)
	return out, cancel
}

func next(t *testing.T, lines <-chan string) (string, bool) {
	t.Helper()
	select {
	case line, ok := <-lines:
		return line, ok
	case <-time.After(10 * time.Second):
		t.Fatal("nothing comes")
		return "", false
	}
}

// ends waits until the stream has ended.
func ends(t *testing.T, lines <-chan string) {
	t.Helper()
	for {
		if _, ok := next(t, lines); !ok {
			return
		}
	}
}

// broadcaster is a module's stream: it sends what is put into feed, and tells when its visitor has left.
type broadcaster struct {
	feed chan string
	gone chan struct{}
}

func (s *site) broadcast() *broadcaster {
	b := &broadcaster{feed: make(chan string), gone: make(chan struct{}, 100)}
	s.shop.on(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(200)
		flush := w.(http.Flusher)
		flush.Flush()
		defer func() { b.gone <- struct{}{} }()
		feed := b.feed
		if r.URL.RawQuery == "quiet" {
			feed = nil
		}
		for {
			select {
			case text := <-feed:
				_, _ = io.WriteString(w, text)
				flush.Flush()
			case <-r.Context().Done():
				return
			}
		}
	})
	return b
}

func quick(o *web.Options) { o.StreamCheck = 20 * time.Millisecond }

func TestStream_PassesEventsAtOnceAndCommentsInBetween(t *testing.T) {
	t.Parallel()
	s := newSite(t, quick)
	b := s.customer()
	cast := s.broadcast()
	lines, _ := b.listen("/shop/live")
	cast.feed <- "event: state\ndata: {\"on\":true}\n\n"
	var got []string
	for len(got) < 2 {
		if line, _ := next(t, lines); line != ": keep-alive" && line != "" {
			got = append(got, line)
		}
	}
	if got[0] != "event: state" || got[1] != `data: {"on":true}` {
		t.Errorf("got %q", got)
	}
	for {
		if line, ok := next(t, lines); !ok {
			t.Fatal("the stream ended")
		} else if line == ": keep-alive" {
			break
		}
	}
	cast.feed <- "data: half"
	clock, _ := b.listen("/shop/live?quiet")
	for range 5 { // meanwhile other streams get comments; none may come into the middle of a line
		next(t, clock)
	}
	cast.feed <- " whole\n\n"
	for {
		line, _ := next(t, lines)
		if strings.HasPrefix(line, "data:") {
			if line != "data: half whole" {
				t.Errorf("got %q", line)
			}
			break
		}
	}
}

func TestStream_TheModuleHearsAtOnceThatTheVisitorLeft(t *testing.T) {
	t.Parallel()
	s := newSite(t) // with the usual 15 seconds between comments
	b := s.customer()
	cast := s.broadcast()
	lines, leave := b.listen("/shop/live")
	cast.feed <- "data: 1\n\n"
	next(t, lines)
	leave()
	select {
	case <-cast.gone:
	case <-time.After(5 * time.Second):
		t.Fatal("the module still sends to nobody")
	}
	eventually(t, "every place is given back", func() bool { return s.shop.leases() == 0 })
}

func TestStream_EndsWithTheSessionThePermissionAndTheAccount(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, end := range map[string]func(*site, identity.User, *browser){
		"signed out": func(_ *site, _ identity.User, b *browser) { b.post("/logout", nil) },
		"blocked": func(s *site, u identity.User, _ *browser) {
			_, err := s.people.Block(ctx, identity.System, u.ID)
			must(t, err)
		},
		"permission taken away": func(s *site, _ identity.User, _ *browser) {
			_, err := s.people.ApplyChanges(ctx, identity.System, []identity.Change{{Role: "customer", Permission: "shop.use", Want: false, Seen: true}})
			must(t, err)
		},
		"role taken away": func(s *site, u identity.User, _ *browser) {
			_, err := s.people.SetRoles(ctx, identity.System, u.ID, nil)
			must(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, quick)
			s.grant()
			u := s.person("ann@example.com", "customer")
			b := s.signIn("ann@example.com")
			s.broadcast()
			lines, _ := b.listen("/shop/live")
			if line, _ := next(t, lines); line != ": keep-alive" {
				t.Fatalf("first line %q", line)
			}
			end(s, u, b)
			ends(t, lines)
		})
	}
}

func TestStream_EndsWithTheModuleAndWithTheHost(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.customer()
	cast := s.broadcast()
	lines, _ := b.listen("/shop/live")
	cast.feed <- "data: 1\n\n"
	s.shop.stop()
	ends(t, lines)
	s.shop.start()
	lines, _ = b.listen("/shop/news")
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	must(t, s.server.Shutdown(ctx))
	ends(t, lines)
}

func TestStream_IsRefusedWhereItIsNotDeclaredAndBeyondTheLimit(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.customer()
	s.broadcast()
	if a := b.get("/shop"); a.status != 502 {
		t.Errorf("an undeclared stream: %d", a.status)
	}
	var leave []func()
	for range 24 {
		_, l := b.listen("/shop/live")
		leave = append(leave, l)
	}
	if a := b.get("/shop/live"); a.status != 429 || a.header.Get("Retry-After") == "" {
		t.Errorf("one too many: %d", a.status)
	}
	for _, l := range leave {
		l()
	}
	eventually(t, "every place is given back", func() bool { return s.shop.leases() == 0 })
	if _, l := b.listen("/shop/live"); l != nil {
		l()
	}
}

func TestStream_OverTLSTheModuleHearsThatTheVisitorLeft(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(o *web.Options) {
		o.Certificate = certificate(t)
		o.PublicURL = strings.Replace(o.PublicURL, "http://", "https://", 1)
	})
	b := s.browser()
	cast := s.broadcast()
	lines, leave := b.listen("/shop/news")
	cast.feed <- fmt.Sprintf("data: %d\n\n", 1)
	next(t, lines)
	leave()
	select {
	case <-cast.gone:
	case <-time.After(5 * time.Second):
		t.Fatal("the module still sends to nobody")
	}
}
