package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// dying ends, or seems to.
type dying struct{ base }

func (d *dying) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	mux := http.NewServeMux()
	mux.HandleFunc("/dying/hello", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = fmt.Fprint(w, os.Getpid())
	})
	mux.HandleFunc("/dying/do/{case}", d.do)
	mux.ServeHTTP(w, r)
}

func (d *dying) do(w http.ResponseWriter, r *http.Request) {
	switch r.PathValue("case") {
	case "exit":
		os.Exit(3)
	case "exit_half":
		w.Header().Set("Content-Length", "1000")
		w.Header().Set("Content-Type", "text/plain")
		_, _ = w.Write([]byte("half of"))
		_ = http.NewResponseController(w).Flush()
		os.Exit(4)
	case "goroutine":
		go func() { panic("a goroutine fell over") }()
		time.Sleep(time.Minute)
	case "stop":
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	case "grandchild":
		child := exec.Command("sleep", "300")
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := child.Start(); err != nil {
			http.Error(w, err.Error(), 500)
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		_, _ = fmt.Fprint(w, child.Process.Pid)
	}
}
