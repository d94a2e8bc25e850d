package web_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestRequests_WhoseEndIsAmbiguousAreRefusedAndNothingAfterThemIsRead(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = site.server.Serve(listener) }()
	for name, head := range map[string]string{
		"two lengths":            "Content-Length: 3\r\nContent-Length: 90\r\n\r\nabc",
		"the same length twice":  "Content-Length: 3\r\ncontent-length: 3\r\n\r\nabc",
		"a length beside chunks": "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"two codings":            "Transfer-Encoding: chunked\r\nTransfer-encoding: identity\r\n\r\n0\r\n\r\n",
	} {
		for _, method := range []string{"GET", "POST"} {
			conn, err := net.Dial("tcp", listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
			_, _ = io.WriteString(conn, method+" /login HTTP/1.1\r\nHost: x\r\n"+head+"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
			reader := bufio.NewReader(conn)
			answer, err := http.ReadResponse(reader, nil)
			if err != nil {
				t.Errorf("%s %s: %v", method, name, err)
				continue
			}
			body, _ := io.ReadAll(answer.Body)
			if answer.StatusCode < 400 || answer.StatusCode > 499 || strings.Contains(string(body), "ok") && len(body) < 10 {
				t.Errorf("%s %s answered %d", method, name, answer.StatusCode)
			}
			if rest, _ := io.ReadAll(reader); len(rest) > 0 {
				t.Errorf("%s %s: more was answered: %.200q", method, name, rest)
			}
			_ = conn.Close()
		}
	}
}
