package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestRun_ServesAndSaysWhatToUse(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := run(ctx, []string{"--listen", "127.0.0.1:0", "--json", "--email", "ann@example.com", "--password", "pw",
			"--redirect-uri", "http://localhost:1/callback", "--fault", "503@/v1/products"}, in, io.Discard)
		in.CloseWithError(io.EOF)
		done <- err
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err, <-done)
	}
	var said struct {
		URL      string `json:"url"`
		Email    string `json:"email"`
		ClientID string `json:"client_id"`
	}
	if err := json.Unmarshal([]byte(line), &said); err != nil || said.Email != "ann@example.com" {
		t.Fatalf("said %q, %v", line, err)
	}
	for path, want := range map[string]int{
		"/v1/products": http.StatusServiceUnavailable,
		"/v1/devices":  http.StatusBadRequest,
		"/oauth/authorize?response_type=code&redirect_uri=http://localhost:1/callback&client_id=" + said.ClientID: http.StatusOK,
	} {
		res, err := http.Get(said.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s: got %s, want %d", path, res.Status, want)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("stopping: %v", err)
	}
}

func TestRun_RefusesWhatItDoesNotUnderstand(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--fault", "nonsense"}, {"serve"}, {"--nonsense"}, {"--listen", "127.0.0.1:-1"}} {
		if err := run(context.Background(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("%q was accepted", args)
		}
	}
	var help strings.Builder
	if err := run(context.Background(), []string{"-h"}, io.Discard, &help); err != nil || !strings.Contains(help.String(), "stalled_stream") {
		t.Errorf("the help is %q, %v", help.String(), err)
	}
}
