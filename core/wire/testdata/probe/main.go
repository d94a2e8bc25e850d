// Command probe is a module for tests. It behaves as the environment variable PROBE, or the file
// "behaviour" of its folder, asks for, and as badly as a page asks for.
package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/core/wire"
)

//go:embed module.yaml
var manifest []byte

var behaviour = wanted()

// wanted is what the environment asks for, or the file "behaviour" of the working directory.
func wanted() string {
	if b := os.Getenv("PROBE"); b != "" {
		return b
	}
	text, err := os.ReadFile("behaviour")
	if err != nil {
		return "" // an ordinary module
	}
	return string(text)
}

func main() {
	switch behaviour {
	case "exit-at-start":
		fmt.Fprintln(os.Stderr, "I cannot go on")
		os.Exit(3)
	case "silent":
		time.Sleep(time.Hour)
	case "print-first":
		fmt.Println("hello before the handshake")
	case "other-contract":
		fmt.Println("1|99|unix|/nowhere|grpc|")
		time.Sleep(time.Hour)
	case "garbage":
		fmt.Println("1|1|unix|/nowhere/at/all.sock|grpc|")
		time.Sleep(time.Hour)
	case "grandchild-at-start":
		holdPipes(true)
		os.Exit(4)
	}
	wire.Serve(&probe{}, manifest)
}

type probe struct {
	host       sdk.Host
	settings   atomic.Pointer[sdk.Settings]
	cancelled  atomic.Int64
	delivered  atomic.Int64
	configured atomic.Int64
}

func (p *probe) Start(_ context.Context, host sdk.Host) error {
	if behaviour == "start-fails" {
		return fault.New(fault.Invalid, "The word is missing.")
	}
	p.host = host
	settings := host.Settings()
	p.settings.Store(&settings)
	host.Log().Info("probe started", "answer", 42)
	return nil
}

func (p *probe) Stop(context.Context) error {
	if behaviour == "stop-blocks" {
		time.Sleep(time.Hour)
	}
	if behaviour == "stop-fails" {
		return errors.New("could not save")
	}
	return nil
}

func (p *probe) Check(ctx context.Context) ([]sdk.Finding, error) {
	switch behaviour {
	case "check-panics":
		panic("check is broken")
	case "check-hangs":
		time.Sleep(time.Hour)
	case "check-fails":
		return nil, errors.New("out of order")
	}
	return []sdk.Finding{{Level: sdk.LevelInfo, Title: "It works.", Remedy: "Nothing to do."}}, nil
}

func (p *probe) Configure(_ context.Context, settings sdk.Settings) error {
	if settings.String("word") == "bad" {
		return fault.InvalidFields("The word is bad.", map[string]string{"word": "not this one"})
	}
	p.configured.Add(1)
	p.settings.Store(&settings)
	return nil
}

func (p *probe) TestSettings(_ context.Context, settings sdk.Settings) ([]sdk.Problem, error) {
	if settings.String("word") == "" {
		return []sdk.Problem{{Key: "word", Message: "Enter a word."}}, nil
	}
	return nil, nil
}

func (p *probe) Deliver(_ context.Context, e sdk.Event) error {
	if e.Name == "user.will_be_deleted" {
		return sdk.Refuse("They still owe " + e.Subject)
	}
	p.delivered.Add(1)
	return nil
}

func (p *probe) Run(ctx context.Context, job string) error {
	if job == "panic" {
		panic("the job is broken")
	}
	<-ctx.Done()
	return ctx.Err()
}

func (p *probe) Call(ctx context.Context, call sdk.Call) (any, error) {
	if call.Method == "fail" {
		return nil, fault.InvalidFields("That does not work.", map[string]string{"arg": "too long"})
	}
	return map[string]any{
		"input": json.RawMessage(call.Input), "caller": call.Caller, "user": call.User.Name,
		"claim": sdk.RequestFrom(ctx).Claim, "request": sdk.RequestFrom(ctx).ID,
	}, nil
}

func (p *probe) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/probe/who":
		q := sdk.RequestFrom(r.Context())
		sdk.Render(w, r, sdk.View{Template: "who", Data: map[string]any{
			"name": q.User.Name, "id": q.ID, "claim": q.Claim, "headers": len(r.Header), "token": r.Header.Get(wire.TokenHeader),
		}})
	case "/probe/echo":
		// Writes while it reads, which HTTP/1 in Go only can with full duplex.
		buf := make([]byte, 4096)
		for {
			n, err := r.Body.Read(buf)
			if n > 0 {
				_, _ = w.Write(buf[:n])
			}
			if err != nil {
				return
			}
		}
	case "/probe/settings":
		sdk.Render(w, r, sdk.View{Template: "settings", Data: map[string]any{
			"now": fmt.Sprintf("%#v", map[string]any(p.host.Settings())), "site": p.host.Site().Name, "configured": p.configured.Load(),
		}})
	case "/probe/services":
		p.services(w, r)
	case "/probe/stream":
		p.stream(w, r)
	case "/probe/cancelled":
		_, _ = fmt.Fprint(w, p.cancelled.Load())
	case "/probe/env":
		_, _ = fmt.Fprintf(w, "%q", os.Environ())
	default:
		p.misbehave(w, r)
	}
}

func (p *probe) services(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	var out map[string]any
	user, userErr := p.host.Users().Get(ctx, 7)
	_, missing := p.host.Users().Get(ctx, 8)
	list, _ := p.host.Users().List(ctx, 7, 8)
	setErr := p.host.Secrets().Set(ctx, "key", "1", "s3cret")
	secret, _ := p.host.Secrets().Get(ctx, "key", "1")
	sdk.Render(w, r, sdk.View{Template: "services", Data: map[string]any{
		"publish": text(p.host.Publish(ctx, "probe.done", "x/1", map[string]int{"n": 1})), "call": text(p.host.Call(ctx, "other.thing", "do", 5, &out)),
		"out": out, "user": user.Name, "user_err": text(userErr), "missing": fault.KindOf(missing).String(), "missing_text": text(missing),
		"list": len(list), "set": text(setErr), "secret": secret, "mail": text(p.host.Mail(ctx, sdk.Mail{UserID: 7, Subject: "Hi", Text: "Hello"})),
	}})
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func (p *probe) stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	for n := 0; ; n++ {
		_, _ = fmt.Fprintf(w, "data: %d\n\n", n)
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
			p.cancelled.Add(1)
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// holdPipes starts a child that outlives this process and holds its output. With its own session it is outside the group.
func holdPipes(session bool) {
	cmd := exec.Command("sleep", "30")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: session}
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	fmt.Fprintln(os.Stderr, "grandchild", cmd.Process.Pid)
}

func (p *probe) misbehave(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/probe/panic":
		panic("the page is broken")
	case "/probe/late-panic":
		_, _ = io.WriteString(w, "half of it")
		w.(http.Flusher).Flush()
		panic("the page is broken")
	case "/probe/die":
		go func() { panic("a goroutine is broken") }()
		time.Sleep(time.Hour)
	case "/probe/exit":
		os.Exit(7)
	case "/probe/print":
		fmt.Println("printed to stdout")
		fmt.Fprintln(os.Stderr, "printed to stderr")
	case "/probe/poison":
		fmt.Fprintln(os.Stderr, `{"@message":1}`)
		fmt.Fprintln(os.Stderr, `{"@message":"x","@level":7,"@timestamp":[]}`)
		fmt.Fprintln(os.Stderr, `{"msg":"ok","level":"ERROR","time":"never","a":{"b":[1,null]},"esc":"\u001b[2Jboo"}`)
		fmt.Fprintln(os.Stderr, "\x1b[31mred\x00\x7f")
	case "/probe/gigabyte":
		chunk := make([]byte, 1<<20)
		for i := range chunk {
			chunk[i] = 'x'
		}
		for range 1024 {
			_, _ = os.Stderr.Write(chunk)
		}
		_, _ = os.Stderr.WriteString("\nafter the gigabyte\n")
	case "/probe/flood":
		for i := range 20000 {
			fmt.Fprintln(os.Stderr, "line", i)
		}
	case "/probe/grandchild":
		holdPipes(r.URL.Query().Has("session"))
	case "/probe/slow":
		time.Sleep(300 * time.Millisecond)
		_, _ = io.WriteString(w, "done")
	case "/probe/goroutines":
		_, _ = fmt.Fprint(w, runtime.NumGoroutine())
	default:
		sdk.Fail(w, r, fault.New(fault.NotFound, "There is nothing at %s.", r.URL.Path))
	}
}
