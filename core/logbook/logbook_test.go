package logbook_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mortise/core/logbook"
	"mortise/core/sdk"
	"mortise/core/store"
)

// buffer is a bytes.Buffer for many writers.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func openStore(t testing.TB) *store.Store {
	t.Helper()
	st, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "site.db"), Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	return st
}

func newBook(t testing.TB, o logbook.Options) (*logbook.Book, *buffer) {
	t.Helper()
	out := &buffer{}
	o.Stderr = out
	b := logbook.New(o)
	t.Cleanup(func() { _ = b.Close(context.Background()) })
	return b, out
}

func read(t testing.TB, b *logbook.Book, f logbook.Filter) []logbook.Entry {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := b.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	entries, err := b.Query(ctx, f)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func TestBook_WritesLinesToStderrAndTheStore(t *testing.T) {
	t.Parallel()
	b, out := newBook(t, logbook.Options{})
	ctx := logbook.WithRequestID(t.Context(), "req-1")
	b.Logger().InfoContext(ctx, "before the store", "n", 7, "took", 1500*time.Millisecond)
	if !strings.Contains(out.String(), "before the store") {
		t.Fatal("stderr has to wait for the store")
	}
	b.Attach(openStore(t))
	log := b.Module("linking").With("account", 3).WithGroup("call")
	log.ErrorContext(sdk.WithRequest(t.Context(), sdk.Request{ID: "req-2"}), "failed", "error", errors.New("boom"), slog.Group("http", "status", 500))
	b.Logger().Debug("not wanted")

	entries := read(t, b, logbook.Filter{})
	if len(entries) != 2 {
		t.Fatalf("got %+v", entries)
	}
	e := entries[0]
	if e.Source != "linking" || e.Level != "error" || e.Message != "failed" || e.RequestID != "req-2" || e.Attrs["account"] != 3.0 ||
		e.Attrs["call.error"] != "boom" || e.Attrs["call.http.status"] != 500.0 {
		t.Fatalf("got %+v", e)
	}
	if e = entries[1]; e.Source != "host" || e.Attrs["took"] != "1.5s" || e.RequestID != "req-1" || time.Since(e.Time) > time.Minute {
		t.Fatalf("got %+v", e)
	}
}

type account struct {
	Name         string
	RefreshToken string `json:"refresh_token"`
}

func TestBook_KeepsSecretsOut(t *testing.T) {
	t.Parallel()
	b, out := newBook(t, logbook.Options{JSON: true})
	b.Attach(openStore(t))
	const hidden = "hunter2hunter2"
	log := b.Logger().With("Authorization", "Bearer "+hidden)
	log.Info("asked https://user:"+hidden+"@example.com/cb?code="+hidden+"&state="+hidden,
		"password", hidden, "client_secret", hidden, "access-token", hidden, "user_email", hidden+"@example.com", "code", hidden, "Set-Cookie", hidden,
		"account", account{"Ana", hidden}, "nested", map[string]any{"list": []any{map[string]any{"apiKey": hidden}}},
		slog.Group("smtp", "password", hidden), "error", fmt.Errorf("post access_token=%s: refused with Bearer %s", hidden, hidden),
		"body_text", `{"access_token":"`+hidden+`"}`, "status_code", 200, "tokens", 3)
	b.Write(logbook.Line{Source: "linking", Severity: slog.LevelWarn, Message: "m", Attrs: map[string]any{"token": hidden, "deep": map[string]any{"secret": hidden}}})
	entries := read(t, b, logbook.Filter{})
	if len(entries) != 2 {
		t.Fatalf("got %+v", entries)
	}
	for what, text := range map[string]string{"stderr": out.String(), "store": fmt.Sprintf("%+v", entries)} {
		if strings.Contains(text, hidden) {
			t.Errorf("%s shows a secret:\n%s", what, text)
		}
	}
	if a := entries[1].Attrs; a["status_code"] != 200.0 || a["tokens"] != 3.0 || a["account"].(map[string]any)["Name"] != "Ana" || a["password"] != "[redacted]" {
		t.Errorf("harmless values are gone: %+v", a)
	}
}

func TestBook_LinesCannotPretendToBeOthers(t *testing.T) {
	t.Parallel()
	for _, json := range []bool{false, true} {
		b, out := newBook(t, logbook.Options{JSON: json})
		b.Attach(openStore(t))
		evil := "x\ntime=2030-01-01 level=ERROR msg=forged\r\n\x1b[31mred\u202e\u2028\x00"
		b.Logger().Info(evil, "name", evil, evil, evil)
		b.Write(logbook.Line{Source: "a\nb", Message: evil, RequestID: evil, Attrs: map[string]any{evil: []any{evil}}})
		if n := strings.Count(out.String(), "\n"); n != 2 {
			t.Errorf("two lines became %d on stderr:\n%q", n, out.String())
		}
		for _, e := range read(t, b, logbook.Filter{}) {
			if strings.ContainsAny(fmt.Sprintf("%q %q %q %q", e.Message, e.Source, e.RequestID, e.Attrs), "\x1b\x00\n\r\u202e\u2028") {
				t.Errorf("got %+v", e)
			}
			for _, s := range []string{e.Message, e.Source, e.RequestID} {
				if strings.ContainsAny(s, "\x1b\x00\n\r\u202e\u2028") {
					t.Errorf("got %q", s)
				}
			}
		}
	}
}

type panics struct{}

func (panics) MarshalJSON() ([]byte, error) { panic("in MarshalJSON") }

func (panics) String() string { panic("in String") }

type cyclic struct{ Next *cyclic }

func TestBook_BearsWhateverIsLogged(t *testing.T) {
	t.Parallel()
	b, _ := newBook(t, logbook.Options{})
	b.Attach(openStore(t))
	loop := &cyclic{}
	loop.Next = loop
	deep := any("end")
	for range 50 {
		deep = map[string]any{"d": deep}
	}
	wide := map[string]any{}
	for i := range 5000 {
		wide[fmt.Sprint("k", i)] = i
	}
	b.Logger().Info(strings.Repeat("ü", 5000), "panics", panics{}, "loop", loop, "deep", deep, "wide", wide, "func", func() {}, "chan", make(chan int),
		"long", strings.Repeat("x", 1<<20), "invalid", "\xff\xfe", "nil", nil)
	b.Write(logbook.Line{Source: strings.Repeat("s", 1000), Attrs: map[string]any{"w": wide, "x": wide, "y": strings.Repeat("y", 1<<20), "list": make([]any, 1<<16)}})
	entries := read(t, b, logbook.Filter{})
	if len(entries) != 2 || len(entries[1].Message) > 2100 {
		t.Fatalf("got %d lines", len(entries))
	}
}

func TestBook_FiltersAndPages(t *testing.T) {
	t.Parallel()
	b, _ := newBook(t, logbook.Options{})
	b.Attach(openStore(t))
	levels := []slog.Level{slog.LevelInfo, slog.LevelWarn, slog.LevelError}
	for i := range 30 {
		b.Write(logbook.Line{Source: []string{"host", "devices"}[i%2], Severity: levels[i%3], Message: fmt.Sprintf("line %02d", i), RequestID: fmt.Sprint("r", i%5), Attrs: map[string]any{"i": i}})
	}
	warn := slog.LevelWarn
	for _, c := range []struct {
		f     logbook.Filter
		n     int
		first string
	}{
		{logbook.Filter{}, 30, "line 29"},
		{logbook.Filter{Limit: 7}, 7, "line 29"},
		{logbook.Filter{Source: "devices"}, 15, "line 29"},
		{logbook.Filter{MinSeverity: &warn}, 20, "line 29"},
		{logbook.Filter{RequestID: "r3"}, 6, "line 28"},
		{logbook.Filter{Text: "LINE 1"}, 10, "line 19"},
		{logbook.Filter{Text: "%"}, 0, ""},
		{logbook.Filter{Text: `"i":7`}, 1, "line 07"},
		{logbook.Filter{Source: "host", MinSeverity: &warn, Text: "line 2"}, 4, "line 28"},
	} {
		got := read(t, b, c.f)
		if len(got) != c.n || c.n > 0 && got[0].Message != c.first {
			t.Errorf("%+v: %d lines, want %d: %+v", c.f, len(got), c.n, got)
		}
	}
	page := read(t, b, logbook.Filter{Limit: 10})
	next := read(t, b, logbook.Filter{Limit: 10, Before: page[9].ID})
	if next[0].Message != "line 19" {
		t.Errorf("the next page begins with %q", next[0].Message)
	}
	if sources, err := b.Sources(t.Context()); err != nil || !slices.Equal(sources, []string{"devices", "host"}) {
		t.Errorf("sources %v, %v", sources, err)
	}
}

func TestBook_NeverWaitsAndCountsWhatItDrops(t *testing.T) {
	t.Parallel()
	b, _ := newBook(t, logbook.Options{Buffer: 10})
	for i := range 25 { // nobody takes lines before Attach; this would hang if it waited
		b.Logger().Info("line", "i", i)
	}
	if s := b.Stats(); s.Dropped != 15 || s.Waiting != 10 {
		t.Fatalf("got %+v", s)
	}
	b.Attach(openStore(t))
	entries := read(t, b, logbook.Filter{})
	if len(entries) != 11 || entries[0].Message != "log lines were dropped" || entries[0].Attrs["dropped"] != 15.0 {
		t.Fatalf("got %d lines: %+v", len(entries), entries)
	}
}

func TestBook_GoesOnWhenTheStoreIsGone(t *testing.T) {
	t.Parallel()
	b, out := newBook(t, logbook.Options{})
	st := openStore(t)
	b.Attach(st)
	b.Logger().Info("first")
	read(t, b, logbook.Filter{})
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	b.Logger().Info("second")
	if err := b.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "second") || !strings.Contains(out.String(), "cannot write the log") || b.Stats().Dropped == 0 {
		t.Fatalf("got %s %+v", out.String(), b.Stats())
	}
}

func TestBook_TrimsByCountAndAge(t *testing.T) {
	t.Parallel()
	st := openStore(t)
	first, _ := newBook(t, logbook.Options{})
	first.Attach(st)
	for i := range 50 {
		at := time.Now()
		if i < 5 {
			at = at.Add(-60 * 24 * time.Hour)
		}
		first.Write(logbook.Line{Time: at, Source: "host", Message: fmt.Sprint("line ", i)})
	}
	read(t, first, logbook.Filter{})
	for _, o := range []struct {
		o    logbook.Options
		left int
	}{{logbook.Options{}, 45}, {logbook.Options{MaxRows: 20}, 20}} {
		b, _ := newBook(t, o.o)
		b.Attach(st) // trims first of all
		if got := read(t, b, logbook.Filter{Limit: 200}); len(got) != o.left || got[0].Message != "line 49" {
			t.Errorf("%d lines are left, want %d", len(got), o.left)
		}
	}
}

func TestBook_TailsUntilTheContextEnds(t *testing.T) {
	t.Parallel()
	b, _ := newBook(t, logbook.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	tail := b.Tail(ctx)
	b.Module("devices").Warn("live")
	if e := <-tail; e.Message != "live" || e.Source != "devices" || e.Level != "warning" {
		t.Fatalf("got %+v", e)
	}
	for range 2000 {
		b.Logger().Info("nobody reads") // must not wait
	}
	cancel()
	for range tail { // ends
	}
}

func TestBook_TakesLinesFromManyAtOnce(t *testing.T) {
	t.Parallel()
	b, _ := newBook(t, logbook.Options{})
	b.Attach(openStore(t))
	var wg sync.WaitGroup
	for g := range 8 {
		log := b.Logger().With("g", g)
		wg.Go(func() {
			for i := range 100 {
				log.Info("line", "i", i)
			}
		})
	}
	wg.Wait()
	read(t, b, logbook.Filter{})
	if s := b.Stats(); s.Written != 800 || s.Dropped != 0 {
		t.Fatalf("got %+v", s)
	}
}

func BenchmarkLogger(b *testing.B) {
	book := logbook.New(logbook.Options{Stderr: io.Discard})
	book.Attach(openStore(b))
	log := book.Logger()
	b.ReportAllocs()
	for b.Loop() {
		log.Info("page answered", "method", "GET", "path", "/devices/12", "status", 200, "took", time.Millisecond)
	}
	_ = book.Close(context.Background())
}

func TestBook_FindsARequestByTheReferenceThatPeopleReadOut(t *testing.T) {
	t.Parallel()
	book, _ := newBook(t, logbook.Options{})
	book.Attach(openStore(t))
	for _, id := range []string{"7f3a91c2d4e5f607", "7f3a92c2d4e5f607", "aa3a91c2d4e5f607"} {
		book.Write(logbook.Line{Source: "host", Message: id, RequestID: id})
	}
	for reference, want := range map[string]int{"7F3A-91": 1, "7f3a": 2, "7f3a91c2d4e5f607": 1, "7f3a-99": 0} {
		if entries := read(t, book, logbook.Filter{RequestID: reference}); len(entries) != want {
			t.Errorf("%s found %d lines, want %d", reference, len(entries), want)
		}
	}
}
