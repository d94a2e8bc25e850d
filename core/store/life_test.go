package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"runtime"
	"testing"
	"time"

	"gorm.io/gorm"

	"mortise/core/fault"
	"mortise/core/store"
	"mortise/core/tunnel"
)

// rawSession speaks the protocol by hand, to be able to stop in the middle of everything.
type rawSession struct {
	net.Conn
	r *tunnel.FrameReader
}

func (s *site) raw(t testing.TB, bearer string) *rawSession {
	t.Helper()
	nc, err := net.Dial("unix", s.socket)
	if err != nil {
		t.Fatal(err)
	}
	r := &rawSession{nc, tunnel.NewFrameReader(nc)}
	r.write(t, tunnel.AppendHello(tunnel.Begin(nil, tunnel.KindHello), bearer))
	if kind, _ := r.read(t); kind != tunnel.KindWelcome {
		t.Fatalf("answer %q to Hello", kind)
	}
	return r
}

func (r *rawSession) write(t testing.TB, frame []byte) {
	t.Helper()
	if _, err := r.Write(tunnel.Finish(frame)); err != nil {
		t.Fatal(err)
	}
}

func (r *rawSession) read(t testing.TB) (tunnel.Kind, []byte) {
	t.Helper()
	kind, body, err := r.r.Read(nil, tunnel.MaxAnswer)
	if err != nil {
		t.Fatal(err)
	}
	return kind, body
}

func (r *rawSession) exec(t testing.TB, seq uint64, mode tunnel.TxMode, sql string) {
	t.Helper()
	frame, err := tunnel.AppendStatement(tunnel.Begin(nil, tunnel.KindExec), seq, mode, sql, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.write(t, frame)
}

func TestTunnel_LeavesNothingBehindWhenTheModuleDies(t *testing.T) {
	t.Parallel()
	s := blog(t)
	before := runtime.NumGoroutine()
	for i := range 200 {
		r := s.raw(t, bearer)
		r.exec(t, 1, tunnel.TxWrite, fmt.Sprintf(`INSERT INTO blog_posts (title) VALUES ('lost %d')`, i))
		if i%4 != 3 { // otherwise it dies while the statement runs, or waits for its turn
			if kind, body := r.read(t); kind != tunnel.KindDone {
				_, e, _ := tunnel.ReadError(body)
				t.Fatalf("%d: %v", i, e)
			}
		}
		switch i % 4 {
		case 1: // in the middle of a frame
			_, _ = r.Write([]byte{200, 0, 0, 0, 'Q', 1})
		case 2: // with an unread result
			frame, _ := tunnel.AppendStatement(tunnel.Begin(nil, tunnel.KindQuery), 2, tunnel.TxInside, `SELECT 1 FROM blog_posts`, nil)
			r.write(t, frame)
		}
		_ = r.Close()
		if i%10 == 0 { // a waiting write of the host gets through
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			if err := s.store.Write(ctx, func(tx *gorm.DB) error { return nil }); err != nil {
				t.Fatal(err)
			}
			cancel()
		}
	}
	eventually(t, "the sessions end", func() bool { return s.tunnel.Stats().Open == 0 })
	if s.store.HoldsWriter("blog") {
		t.Fatal("the turn to write is still taken")
	}
	if n := count(t, s.store, "blog_posts"); n != 0 {
		t.Fatalf("%d rows of transactions that never committed", n)
	}
	if err := s.store.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the goroutines end", func() bool { return runtime.NumGoroutine() <= before+50 }) // other tests run beside this one
}

// endless is a statement that never ends by itself.
const endless = `WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c`

func TestTunnel_InterruptsWhenAskedAndTheSessionSurvives(t *testing.T) {
	t.Parallel()
	s := blog(t)
	db := s.open(t)
	db.SetMaxOpenConns(1)
	for range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Millisecond)
		var n int
		start := time.Now()
		err := db.QueryRowContext(ctx, endless).Scan(&n)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v", err)
		}
		if _, err := db.ExecContext(ctx, `INSERT INTO blog_posts (title) VALUES ('late')`); err == nil {
			t.Fatal("a statement ran although its context was over")
		}
		cancel()
		if took := time.Since(start); took > 3*time.Second {
			t.Fatalf("took %v", took)
		}
		if err := db.QueryRow(`SELECT 7`).Scan(&n); err != nil || n != 7 {
			t.Fatalf("%d %v", n, err)
		}
	}
	if got := s.tunnel.Stats().Sessions; got > 3 { // one for migrating
		t.Fatalf("%d sessions were needed", got)
	}
	// A write that is interrupted ends its transaction, and says so.
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Millisecond)
	defer cancel()
	if _, err := tx.ExecContext(ctx, `INSERT INTO blog_posts (title) `+`WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT n FROM c`); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	_ = tx.Rollback()
	if n := count(t, s.store, "blog_posts"); n != 0 {
		t.Fatalf("%d rows", n)
	}
}

func TestTunnel_InterruptsAWaitForTheTurnToWrite(t *testing.T) {
	t.Parallel()
	s := blog(t)
	db := s.open(t)
	err := s.store.Write(t.Context(), func(*gorm.DB) error {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		_, err := db.ExecContext(ctx, `INSERT INTO blog_posts (title) VALUES ('x')`)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`INSERT INTO blog_posts (title) VALUES ('y')`); err != nil {
		t.Fatal(err)
	}
}

func limits(l store.Limits) func(*store.TunnelOptions) {
	return func(o *store.TunnelOptions) { o.Limits = l }
}

func TestTunnel_EndsStatementsAndTransactionsThatTakeTooLong(t *testing.T) {
	t.Parallel()
	s := blog(t, limits(store.Limits{Statement: 50 * time.Millisecond, TxIdle: 100 * time.Millisecond, TxTotal: 400 * time.Millisecond}))
	db := s.open(t)
	var n int
	if err := db.QueryRow(endless).Scan(&n); !fault.Is(err, fault.Timeout) {
		t.Errorf("statement: got %v", err)
	}
	idle, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := idle.Exec(`INSERT INTO blog_posts (title) VALUES ('x')`); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the writer is free", func() bool { return !s.store.HoldsWriter("blog") })
	if _, err := idle.Exec(`INSERT INTO blog_posts (title) VALUES ('y')`); !fault.Is(err, fault.Timeout) {
		t.Errorf("idle transaction: got %v", err)
	}
	if err := idle.Commit(); err == nil {
		t.Error("idle transaction: the commit claims success")
	}
	long, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); err == nil && time.Since(start) < 5*time.Second; {
		_, err = long.Exec(`INSERT INTO blog_posts (title) VALUES (hex(randomblob(8)))`)
	}
	if !fault.Is(err, fault.Timeout) {
		t.Errorf("long transaction: got %v", err)
	}
	_ = long.Rollback()
	if n := count(t, s.store, "blog_posts"); n != 0 {
		t.Errorf("%d rows", n)
	}
}

func TestTunnel_LimitsSessionsResultsAndTexts(t *testing.T) {
	t.Parallel()
	s := blog(t, limits(store.Limits{Sessions: 2, Result: 1 << 20, Cursors: 2}))
	db := s.open(t)
	a, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := db.PingContext(t.Context()); !fault.Is(err, fault.TooMany) {
		t.Errorf("third session: got %v", err)
	}
	_ = b.Close()
	rows, err := a.QueryContext(t.Context(), `WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT n, 'some text that fills' FROM c`)
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
	}
	if err := rows.Err(); !fault.Is(err, fault.TooLarge) {
		t.Errorf("result: got %v", err)
	}
	if _, err := a.ExecContext(t.Context(), `SELECT '`+string(make([]byte, tunnel.MaxSQL))+`'`); !fault.Is(err, fault.TooLarge) {
		t.Errorf("text: got %v", err)
	}
	if _, err := a.ExecContext(t.Context(), `SELECT zeroblob(100000000)`); !fault.Is(err, fault.TooLarge) {
		t.Errorf("value: got %v", err)
	}
	if _, err := a.ExecContext(t.Context(), `SELECT ?`, make([]byte, tunnel.MaxValue+1)); err == nil {
		t.Errorf("argument: went through")
	}
}

func TestTunnel_ServesSeveralResultsAtOnceInATransaction(t *testing.T) {
	t.Parallel()
	s := blog(t)
	db := s.open(t)
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	for i := range 1000 {
		if _, err := tx.Exec(`INSERT INTO blog_posts (title) VALUES (?)`, fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	const list = `SELECT id FROM blog_posts ORDER BY id`
	first, err := tx.Query(list)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	second, err := tx.Query(list) // the same prepared statement
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	n := 0
	for first.Next() && second.Next() {
		var a, b int
		if err := errors.Join(first.Scan(&a), second.Scan(&b)); err != nil || a != b {
			t.Fatalf("%d %d %v", a, b, err)
		}
		n++
		if n%300 == 0 {
			if _, err := tx.Exec(`UPDATE blog_posts SET rating = ? WHERE id = ?`, n, a); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(first.Err(), second.Err()); err != nil || n != 1000 {
		t.Fatalf("%d rows, %v", n, err)
	}
	third, err := tx.Query(list)
	if err != nil {
		t.Fatal(err)
	}
	third.Next()
	if err := third.Close(); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

func TestStore_FailsAtOnceWhenAModuleWouldWaitForItself(t *testing.T) {
	t.Parallel()
	s := blog(t)
	db := s.open(t)
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(`INSERT INTO blog_posts (title) VALUES ('x')`); err != nil {
		t.Fatal(err)
	}
	if !s.store.HoldsWriter("blog") || s.store.HoldsWriter("shop") {
		t.Fatal("the holder is wrong")
	}
	if err := s.store.WriteFor(t.Context(), "blog", func(*gorm.DB) error { return nil }); !fault.Is(err, fault.Conflict) {
		t.Fatalf("got %v", err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := s.store.WriteFor(t.Context(), "blog", func(*gorm.DB) error { return nil }); err != nil {
		t.Fatal(err)
	}
}

func TestTunnel_ReadsAConsistentPictureWithoutHoldingTheWriter(t *testing.T) {
	t.Parallel()
	s := blog(t)
	db := s.open(t)
	tx, err := db.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	counts := func() (n int) {
		if err := tx.QueryRow(`SELECT count(*) FROM blog_posts`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if counts() != 0 || s.store.HoldsWriter("blog") {
		t.Fatal("not a read-only transaction")
	}
	if _, err := db.Exec(`INSERT INTO blog_posts (title) VALUES ('x')`); err != nil {
		t.Fatal(err)
	}
	if counts() != 0 {
		t.Fatal("the picture changed")
	}
	if _, err := tx.Exec(`INSERT INTO blog_posts (title) VALUES ('y')`); err == nil {
		t.Fatal("wrote in a read-only transaction")
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

func TestTunnel_ClosesResultsThatNobodyReads(t *testing.T) {
	t.Parallel()
	s := blog(t, limits(store.Limits{TxTotal: 50 * time.Millisecond}))
	db := s.open(t)
	rows, err := db.Query(`WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 10000) SELECT n FROM c`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	if !rows.Next() {
		t.Fatal(rows.Err())
	}
	eventually(t, "the host closes it", func() bool { return s.tunnel.Stats().Timeouts == 1 })
	for rows.Next() {
	}
	if err := rows.Err(); !fault.Is(err, fault.Conflict) {
		t.Fatalf("got %v", err)
	}
	var n int
	if err := db.QueryRow(`SELECT 7`).Scan(&n); err != nil || n != 7 {
		t.Fatalf("the session did not survive: %v", err)
	}
}
