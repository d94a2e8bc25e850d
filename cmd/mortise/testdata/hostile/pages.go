package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"mortise/core/sdk"
)

const okHead = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"

// rawAnswers are bytes in the place of an HTTP answer.
var rawAnswers = map[string]string{
	"empty":          "",
	"garbage":        "\x00\x01\x02 this is not HTTP\r\n\r\n",
	"http2":          "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	"status_0":       "HTTP/1.1 0 X\r\nContent-Length: 0\r\n\r\n",
	"status_7":       "HTTP/1.1 7 X\r\nContent-Length: 0\r\n\r\n",
	"status_minus":   "HTTP/1.1 -1 X\r\nContent-Length: 0\r\n\r\n",
	"status_text":    "HTTP/1.1 abc X\r\nContent-Length: 0\r\n\r\n",
	"status_huge":    "HTTP/1.1 99999999999999999999 X\r\nContent-Length: 0\r\n\r\n",
	"status_100":     strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 1000),
	"status_101":     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x05hello",
	"status_199":     "HTTP/1.1 199 X\r\nContent-Length: 0\r\n\r\n",
	"status_600":     "HTTP/1.1 600 X\r\nContent-Length: 0\r\n\r\n",
	"status_999":     "HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n",
	"length_minus":   okHead + "Content-Length: -5\r\n\r\nhello",
	"length_huge":    okHead + "Content-Length: 99999999999999\r\n\r\nhello",
	"length_two":     okHead + "Content-Length: 5\r\nContent-Length: 50\r\n\r\nhello",
	"length_lies":    okHead + "Content-Length: 50\r\n\r\nhello",
	"length_chunked": okHead + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	"chunk_huge":     okHead + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nhello",
	"chunk_bad":      okHead + "Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
	"chunk_line":     okHead + "Transfer-Encoding: chunked\r\n\r\n5;" + strings.Repeat("x", 1<<20) + "\r\nhello\r\n0\r\n\r\n",
	"encoding":       okHead + "Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
	"header_nul":     okHead + "X-A: a\x00b\r\nContent-Length: 5\r\n\r\nhello",
	"header_no_name": okHead + ": x\r\nContent-Length: 5\r\n\r\nhello",
	"header_split":   okHead + "ETag: \"a\rSet-Cookie: session=stolen\"\r\nContent-Length: 5\r\n\r\nhello",
	"header_long":    okHead + "X-A: " + strings.Repeat("x", 10<<20) + "\r\nContent-Length: 5\r\n\r\nhello",
}

// raw answers with bytes that no server library would write.
func (h *hostile) raw(w http.ResponseWriter, r *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		sdk.Fail(w, r, err)
		return
	}
	defer conn.Close()
	switch what := r.PathValue("case"); what {
	case "header_million":
		_, _ = conn.Write([]byte(okHead))
		line := []byte(strings.Repeat("X-A: b\r\n", 1000))
		for range 1000 {
			if _, err := conn.Write(line); err != nil {
				return
			}
		}
	case "dribble": // a head that never ends, one byte after the other
		for range 200 {
			if _, err := conn.Write([]byte("H")); err != nil {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	default:
		_, _ = conn.Write([]byte(rawAnswers[what]))
	}
}

func wide(n int) []any {
	list := make([]any, n)
	for i := range list {
		list[i] = i
	}
	return list
}

// view answers with views that a theme should not draw, or cannot.
func (h *hostile) view(w http.ResponseWriter, r *http.Request) {
	v := sdk.View{Template: "plain", Title: "Hostile", Data: map[string]any{"text": "fine"}}
	body := ""
	switch what := r.PathValue("case"); what {
	case "giant":
		v.Data = map[string]any{"text": strings.Repeat("x", 5<<20)}
	case "large":
		v.Data = map[string]any{"text": strings.Repeat("<", 3<<20)}
	case "deep":
		body = `{"template":"plain","title":"x","data":{"deep":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}}`
	case "deeper":
		body = `{"template":"plain","title":"x","data":{"deep":` + strings.Repeat(`{"a":`, 300000) + "1" + strings.Repeat("}", 300000) + `}}`
	case "not_json":
		body = `{"template":"plain"`
	case "twice":
		body = `{"template":"plain","data":{}}{"template":"plain"}`
	case "list":
		body = `{"template":"plain","data":[1,2]}`
	case "types":
		body = `{"template":7,"title":{},"data":"x","status":"y","breadcrumbs":5}`
	case "unknown", "../plain", "empty_name":
		v.Template = map[string]string{"unknown": "nothing", "empty_name": ""}[what]
	case "climbs":
		v.Template = "../../../themes/base/layouts/main"
	case "layout":
		v.Template = "layouts/main"
	case "host_page":
		v.Template = "admin_modules"
	case "script":
		text := `<script>alert(1)</script>"><img src=x onerror=alert(1)>javascript:alert(1)`
		v = sdk.View{Template: "escapes", Title: text, Data: map[string]any{"text": text}, Message: &sdk.Message{Tone: sdk.Tone(text), Text: text},
			Breadcrumbs: []sdk.Link{{Title: text, Path: "javascript:alert(1)"}}, FieldErrors: sdk.Fields{text: text}, Refresh: -1}
	case "status":
		v.Status = 200
		body, _ := json.Marshal(v)
		w.Header().Set("Content-Type", sdk.ViewType)
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write(body)
		return
	case "endless":
		w.Header().Set("Content-Type", sdk.ViewType)
		endless(w, `{"a":"`, strings.Repeat("x", 1<<16))
		return
	case "endless_problem":
		w.Header().Set("Content-Type", sdk.ProblemType)
		endless(w, `{"a":"`, strings.Repeat("x", 1<<16))
		return
	default:
		v.Template = what
		v.Data = map[string]any{"list": wide(3000)}
		if strings.HasPrefix(what, "doubles") {
			v.Data = map[string]any{"list": wide(60)}
		}
	}
	if body != "" {
		w.Header().Set("Content-Type", sdk.ViewType)
		_, _ = w.Write([]byte(body))
		return
	}
	sdk.Render(w, r, v)
}

func endless(w http.ResponseWriter, head, piece string) {
	_, _ = w.Write([]byte(head))
	for {
		if _, err := w.Write([]byte(piece)); err != nil {
			return
		}
	}
}

// file answers with something that is not a view.
func (h *hostile) file(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	for name, value := range map[string]string{
		"Set-Cookie": "session=stolen; Path=/", "Content-Security-Policy": "default-src *", "X-Frame-Options": "ALLOWALL",
		"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Credentials": "true", "Strict-Transport-Security": "max-age=0", "Server": "evil",
		"Refresh": "0; url=https://evil.example", "Link": "<https://evil.example/x.js>; rel=preload", "Clear-Site-Data": `"*"`, "Alt-Svc": `h3="evil:443"`,
		"Service-Worker-Allowed": "/", "Www-Authenticate": `Basic realm="sign in"`, "X-Request-Id": "forged", "Location": "https://evil.example/", "X-Csrf-Token": "forged",
		"Cache-Control": "public, max-age=99999", "Connection": "Upgrade", "X-Content-Type-Options": "off", "Report-To": "x", "Sourcemap": "https://evil.example/x",
	} {
		head.Set(name, value)
	}
	switch r.PathValue("case") {
	case "html":
		head.Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<script>alert(1)</script>"))
	case "xhtml":
		head.Set("Content-Type", "Application/XHTML+xml; charset=utf-8")
		_, _ = w.Write([]byte("<html/>"))
	case "svg":
		head.Set("Content-Type", "image/svg+xml")
		_, _ = w.Write([]byte(`<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`))
	case "untyped":
		head["Content-Type"] = nil
		_, _ = w.Write([]byte("<script>alert(1)</script>"))
	case "types":
		head["Content-Type"] = []string{"text/plain", "text/html"}
		_, _ = w.Write([]byte("<script>alert(1)</script>"))
	case "unauthorized":
		head.Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusUnauthorized)
	case "events":
		head.Set("Content-Type", "text/event-stream")
		_, _ = w.Write([]byte("data: x\n\n"))
	case "endless":
		head.Set("Content-Type", "text/plain")
		endless(w, "", strings.Repeat("x", 1<<16))
	case "panic":
		panic("in a handler")
	case "panic_late":
		head.Set("Content-Type", "text/plain")
		_, _ = w.Write([]byte(strings.Repeat("x", 1<<20)))
		panic("after the first bytes")
	case "status_999":
		w.WriteHeader(999)
	case "status_7":
		w.WriteHeader(7)
	default:
		head.Set("Content-Type", "text/plain")
		_, _ = w.Write([]byte("hello"))
	}
}

// slow answers late, or in the middle of nowhere.
func (h *hostile) slow(w http.ResponseWriter, r *http.Request) {
	switch r.PathValue("case") {
	case "never":
		<-r.Context().Done()
	case "deaf": // does not care that nobody waits
		time.Sleep(5 * time.Second)
	case "half":
		w.Header().Set("Content-Type", sdk.ViewType)
		w.Header().Set("Content-Length", "100000")
		_, _ = w.Write([]byte(`{"template":"plain"`))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
}

// to sends the visitor wherever the query says.
func (h *hostile) to(w http.ResponseWriter, r *http.Request) {
	w.Header()["Location"] = []string{r.URL.Query().Get("to")}
	w.WriteHeader(http.StatusSeeOther)
}

// stream sends events: as many as it can, one endless line, or none.
func (h *hostile) stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Set-Cookie", "session=stolen")
	_, _ = fmt.Fprint(w, ": hello\n\n")
	_ = http.NewResponseController(w).Flush()
	piece := []byte("data: " + strings.Repeat("x", 1000) + "\n\n")
	if r.PathValue("case") == "line" {
		piece = []byte(strings.Repeat("x", 1000))
	}
	if r.PathValue("case") == "quiet" {
		<-r.Context().Done()
		return
	}
	for r.Context().Err() == nil {
		if _, err := w.Write(piece); err != nil {
			return
		}
	}
}
