package web_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"mortise/core/sdk"
	"mortise/core/theme"
	"mortise/core/web"
)

// rows is a page's data: twenty devices, about 2 KiB of JSON.
func rows() []map[string]any {
	list := make([]map[string]any, 20)
	for i := range list {
		list[i] = map[string]any{"id": fmt.Sprintf("%024x", i), "name": fmt.Sprintf("Porch lamp %d", i), "online": i%2 == 0, "heard": 1700000000 + i}
	}
	return list
}

// BenchmarkPage_ThroughTheModule is a signed-in themed page whose data comes over the pages socket (from a net/http server in
// this very process, so that its cost is counted too).
func BenchmarkPage_ThroughTheModule(b *testing.B) {
	s := newSite(b, silent)
	visitor := s.customer()
	list := rows()
	s.shop.quiet = true
	s.shop.on(func(w http.ResponseWriter, r *http.Request) {
		sdk.Render(w, r, sdk.View{Template: "rows", Title: "Devices", Data: map[string]any{"rows": list}})
	})
	load(b, s.url+"/shop", cookies(visitor), fasthttp.StatusOK)
}

// BenchmarkPage_InProcess draws the same page in one process behind nothing but fiber: the same data through JSON, the same theme.
func BenchmarkPage_InProcess(b *testing.B) {
	s := newSite(b)
	list := rows()
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Get("/shop", func(c *fiber.Ctx) error {
		data, err := theme.Data(map[string]any{"rows": list})
		if err != nil {
			return err
		}
		c.Set(fiber.HeaderContentType, fiber.MIMETextHTMLCharsetUTF8)
		return s.look.Render(c.Response().BodyWriter(), &theme.Page{Surface: "site", Module: "shop", Template: "rows", Title: "Devices", Data: data, CSRF: "x", Nonce: "x"})
	})
	ln := listener(b)
	go func() { _ = app.Listener(ln) }()
	b.Cleanup(func() { _ = app.Shutdown() })
	load(b, "http://"+ln.Addr().String()+"/shop", "", fasthttp.StatusOK)
}

// BenchmarkData_ThroughTheModule is the same page for a program: without the theme.
func BenchmarkData_ThroughTheModule(b *testing.B) {
	s := newSite(b, silent)
	visitor := s.customer()
	s.shop.quiet = true
	s.shop.on(item("lamp"))
	load(b, s.url+"/shop", cookies(visitor), fasthttp.StatusOK, "Accept", "application/json")
}

func silent(o *web.Options) { o.Log = slog.New(slog.DiscardHandler) }

func cookies(visitor *browser) string {
	u, _ := url.Parse(visitor.s.url)
	text := ""
	for _, c := range visitor.c.Jar.Cookies(u) {
		text += c.Name + "=" + c.Value + "; "
	}
	return text
}

func load(b *testing.B, address, cookie string, want int, headers ...string) {
	b.Helper()
	client := &fasthttp.Client{MaxConnsPerHost: 64}
	b.SetParallelism(8)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		req, res := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
		defer fasthttp.ReleaseRequest(req)
		defer fasthttp.ReleaseResponse(res)
		req.SetRequestURI(address)
		req.Header.Set("Cookie", cookie)
		for i := 0; i+1 < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		for pb.Next() {
			if err := client.Do(req, res); err != nil || res.StatusCode() != want {
				b.Errorf("answered %d, %v", res.StatusCode(), err)
				return
			}
			_, _ = io.Discard.Write(res.Body())
		}
	})
}
