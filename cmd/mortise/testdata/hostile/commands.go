package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"mortise/core/sdk"
	"mortise/core/sdk/sdkdb"
	"mortise/core/tunnel"
)

// do runs a command of the test.
func (h *hostile) do(w http.ResponseWriter, r *http.Request) {
	ctx, arg := r.Context(), r.FormValue("arg")
	switch r.PathValue("case") {
	case "sql":
		answer(w, nil, h.sql(ctx, r.FormValue("mode"), arg))
	case "hold":
		d, _ := time.ParseDuration(arg)
		answer(w, nil, h.hold(ctx, d))
	case "claim":
		answer(w, map[string]any{"claim": sdk.RequestFrom(ctx).Claim}, nil)
	case "call":
		if claim := r.FormValue("claim"); claim != "" {
			ctx = sdk.WithRequest(ctx, sdk.Request{ID: strings.Repeat("forged\n", 100), User: sdk.Identity{UserID: 1}, Claim: claim})
		}
		var out map[string]any
		err := h.host.Call(ctx, arg, "who", map[string]any{}, &out)
		answer(w, map[string]any{"out": out}, err)
	case "publish":
		answer(w, nil, h.host.Publish(ctx, arg, r.FormValue("subject"), map[string]any{"n": 1}))
	case "publish_tx":
		answer(w, nil, sdkdb.Publish(h.db.WithContext(ctx), arg, "s", map[string]any{"n": 1}))
	case "secret":
		value, err := h.host.Secrets().Get(ctx, arg, "")
		answer(w, map[string]any{"value": value}, err)
	case "flood":
		n, _ := strconv.Atoi(r.FormValue("n"))
		answer(w, h.flood(ctx, arg, n), nil)
	case "log":
		writeLog(arg)
		answer(w, nil, nil)
	case "pages":
		status, err := dialPages(ctx, arg, r.FormValue("token"))
		answer(w, map[string]any{"status": status}, err)
	case "store":
		pool := sql.OpenDB(tunnel.NewConnector(tunnel.Options{Socket: arg, Bearer: r.FormValue("token")}))
		defer pool.Close()
		answer(w, nil, pool.PingContext(ctx))
	case "bytes":
		answer(w, nil, sendBytes(arg))
	default:
		http.NotFound(w, r)
	}
}

func (h *hostile) sql(ctx context.Context, mode, statement string) error {
	run := func(q interface {
		ExecContext(context.Context, string, ...any) (sql.Result, error)
		QueryContext(context.Context, string, ...any) (*sql.Rows, error)
	}) error {
		if strings.HasPrefix(mode, "exec") {
			_, err := q.ExecContext(ctx, statement)
			return err
		}
		rows, err := q.QueryContext(ctx, statement)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			continue
		}
		return rows.Err()
	}
	if !strings.HasSuffix(mode, "_tx") {
		return run(h.pool)
	}
	tx, err := h.pool.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, `INSERT INTO hostile_rows (text) VALUES ('before')`); err != nil {
		return fmt.Errorf("cannot begin: %w", err)
	}
	if err := run(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// hold keeps the site's writer and does nothing with it.
func (h *hostile) hold(ctx context.Context, d time.Duration) error {
	tx, err := h.pool.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, `INSERT INTO hostile_rows (text) VALUES ('held')`); err != nil {
		return err
	}
	time.Sleep(d)
	return tx.Commit()
}

// flood asks the host for the same thing n times, 64 at once, and counts what came back.
func (h *hostile) flood(ctx context.Context, what string, n int) map[string]any {
	var mu sync.Mutex
	counts := map[string]any{}
	ok, failed, last := 0, 0, ""
	work := make(chan int)
	var group sync.WaitGroup
	for range 64 {
		group.Go(func() {
			for i := range work {
				err := h.one(ctx, what, i)
				mu.Lock()
				if err == nil {
					ok++
				} else {
					failed++
					last = err.Error()
				}
				mu.Unlock()
			}
		})
	}
	for i := range n {
		work <- i
	}
	close(work)
	group.Wait()
	counts["ok"], counts["failed"], counts["last"] = ok, failed, last
	return counts
}

func (h *hostile) one(ctx context.Context, what string, i int) error {
	switch what {
	case "publish":
		return h.host.Publish(ctx, "hostile.happened", "flood", map[string]any{"i": i})
	case "mail":
		return h.host.Mail(ctx, sdk.Mail{To: "somebody@example.com", Subject: "Flood", Text: strings.Repeat("x", 60<<10)})
	case "secret":
		return h.host.Secrets().Set(ctx, "token", fmt.Sprint(i%50), strings.Repeat("x", 60<<10))
	case "call":
		return h.host.Call(ctx, "neighbour.echo", "who", map[string]any{}, nil)
	case "users":
		_, err := h.host.Users().Get(ctx, int64(i))
		return err
	}
	return fmt.Errorf("no flood %q", what)
}

// writeLog writes what a log reader may trip over, past the logger of the SDK.
func writeLog(what string) {
	line := strings.Repeat("x", 1<<20)
	switch what {
	case "poison":
		for _, text := range []string{`{"@message":1}`, `{"msg":null,"level":7,"time":[]}`, `{"@level":"panic","@message":"m","@timestamp":"not a time"}`, `{`,
			`{"msg":"\u001b[2J\u001b[31mred\u202e"}`, "\x1b[2Jred\x00\xff\xfe", `{"msg":"forged","source":"host","request_id":"0000000000000000","level":"ERROR"}`,
			strings.Repeat(`{"a":`, 3000), `{"msg":"` + strings.Repeat("k", 20000) + `"}`, "panic: not really", "1|1|unix|/tmp/x|grpc|"} {
			fmt.Fprintln(os.Stderr, text)
			fmt.Fprintln(os.Stdout, text)
		}
	case "stderr":
		for range 1024 {
			_, _ = io.WriteString(os.Stderr, line)
		}
		fmt.Fprintln(os.Stderr, "\nafter the gigabyte on stderr")
	case "stdout":
		for range 1024 {
			_, _ = io.WriteString(os.Stdout, line)
		}
		fmt.Fprintln(os.Stdout, "\nafter the gigabyte on stdout")
	case "lines":
		for i := range 100_000 {
			fmt.Fprintf(os.Stderr, `{"msg":"flood %d","level":"ERROR"}`+"\n", i)
		}
	}
}

// dialPages asks another module for its page, as the host would.
func dialPages(ctx context.Context, socket, token string) (int, error) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://module/neighbour", nil)
	if err != nil {
		return 0, err
	}
	if token != "" {
		request.Header.Set("Mortise-Token", token)
	}
	request.Header.Set("Mortise-Identity", "eyJ1c2VyX2lkIjoxfQ")
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	_ = response.Body.Close()
	return response.StatusCode, nil
}

// sendBytes opens sessions with a store's socket that say nothing, or nonsense.
func sendBytes(socket string) error {
	for i := range 200 {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			return err
		}
		defer conn.Close()
		switch i % 3 {
		case 0:
			_, _ = conn.Write([]byte{0xff, 0xff, 0xff, 0xff, 'H'})
		case 1:
			_, _ = conn.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
		}
	}
	return nil
}
