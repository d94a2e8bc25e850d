package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

// line puts waiters into a queue one after the other and notes who gets the turn.
type line struct {
	q     *queue
	got   chan string
	order []string
}

func (l *line) join(t *testing.T, ctx context.Context, who string) {
	t.Helper()
	_, _, before := l.q.current()
	go func() {
		if err := l.q.acquire(ctx, who); err != nil {
			who = fmt.Sprintf("%s: %v", who, err)
		}
		l.got <- who
	}()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Microsecond) {
		if _, _, n := l.q.current(); n == before+1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("nobody waits")
		}
	}
}

func TestQueue_TakesModulesInTurnAndEachModulesWritesInOrder(t *testing.T) {
	t.Parallel()
	l := line{q: newQueue(), got: make(chan string)}
	if err := l.q.acquire(t.Context(), "greedy"); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		l.join(t, t.Context(), "greedy")
	}
	l.join(t, t.Context(), "modest")
	l.join(t, t.Context(), "host")
	l.join(t, t.Context(), "modest")
	for range 8 {
		l.q.release()
		l.order = append(l.order, <-l.got)
	}
	want := []string{"greedy", "modest", "host", "greedy", "modest", "greedy", "greedy", "greedy"}
	if !slices.Equal(l.order, want) {
		t.Fatalf("got  %v\nwant %v", l.order, want)
	}
	l.q.release()
	if holder, _, waiting := l.q.current(); holder != "" || waiting != 0 {
		t.Fatalf("%q holds, %d wait", holder, waiting)
	}
}

func TestQueue_ForgetsWhoGivesUpAndRefusesEverybodyWhenClosed(t *testing.T) {
	t.Parallel()
	l := line{q: newQueue(), got: make(chan string)}
	if err := l.q.acquire(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	l.join(t, ctx, "b")
	l.join(t, t.Context(), "c")
	cancel()
	if got := <-l.got; got != "b: context canceled" {
		t.Fatal(got)
	}
	l.q.release()
	if got := <-l.got; got != "c" {
		t.Fatal(got)
	}
	l.join(t, t.Context(), "d")
	l.q.close()
	if got := <-l.got; got != "d: "+errClosed.Error() {
		t.Fatal(got)
	}
	if err := l.q.acquire(t.Context(), "e"); !errors.Is(err, errClosed) {
		t.Fatal(err)
	}
	l.q.release()
}

// FuzzSplitStatements checks that cutting loses nothing but semicolons, blanks and comments between statements.
func FuzzSplitStatements(f *testing.F) {
	for _, s := range []string{"", ";", "SELECT 1", "SELECT ';'; -- x;\n SELECT \"a\"\";\"", "/* ; */ SELECT [;]", "a;;b", "'", "--", "/*"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		total := 0
		for _, part := range splitStatements([]byte(s)) {
			total += len(part)
		}
		if total > len(s) {
			t.Fatalf("%d bytes out of %d", total, len(s))
		}
	})
}

func TestSplitStatements(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"SELECT 1":                            {"SELECT 1"},
		"SELECT 1;":                           {"SELECT 1"},
		"SELECT ';'":                          {"SELECT ';'"},
		"SELECT 'it''s; fine'; SELECT [;], 2": {"SELECT 'it''s; fine'", " SELECT [;], 2"},
		"a -- ; not here\n; b /* ; */ ;;":     {"a -- ; not here\n", " b /* ; */ "},
		"SELECT 1; -- done":                   {"SELECT 1"},
		"; /* nothing */ ;":                   nil,
	} {
		var got []string
		for _, part := range splitStatements([]byte(text)) {
			got = append(got, string(part))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: got %q", text, got)
		}
	}
}
