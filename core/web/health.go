package web

import (
	"crypto/subtle"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"

	"mortise/core/fault"
	"mortise/core/identity"
)

// healthz says that the process answers. It looks at nothing else: a load balancer must not kill a host for a slow disk.
func (s *Server) healthz(v *visit) error {
	v.c.Response().Header.Set(fiber.HeaderCacheControl, "no-store")
	return v.c.SendString("ok\n")
}

// readyz says whether the site can serve.
func (s *Server) readyz(v *visit) error {
	v.c.Response().Header.Set(fiber.HeaderCacheControl, "no-store")
	if s.closing.Err() != nil {
		return v.c.Status(fiber.StatusServiceUnavailable).SendString("stopping\n")
	}
	if s.o.Ready != nil {
		if err := s.o.Ready(v.ctx()); err != nil {
			s.o.Log.Warn("the site is not ready", "request_id", v.id, "error", err.Error())
			return v.c.Status(fiber.StatusServiceUnavailable).SendString("not ready\n")
		}
	}
	return v.c.SendString("ready\n")
}

// metrics serves the figures in Prometheus' format to who asks from this machine (and not through a proxy), brings the token of
// the configuration, or is signed in and may read the status page.
func (s *Server) metrics(v *visit) error {
	if !s.mayMeasure(v) {
		return fault.New(fault.Denied, "The metrics are for this machine, for a bearer of the metrics token, and for administrators.")
	}
	handler := promhttp.HandlerFor(s.o.Metrics, promhttp.HandlerOpts{DisableCompression: true})
	fasthttpadaptor.NewFastHTTPHandler(handler)(v.c.Context())
	v.c.Response().Header.Set(fiber.HeaderCacheControl, "no-store")
	return nil
}

func (s *Server) mayMeasure(v *visit) bool {
	if token, ok := strings.CutPrefix(v.c.Get(fiber.HeaderAuthorization), "Bearer "); ok && s.o.MetricsToken != "" {
		return subtle.ConstantTimeCompare([]byte(token), []byte(s.o.MetricsToken)) == 1
	}
	if addressOf(v.c.Context().RemoteAddr()).IsLoopback() && v.c.Get(fiber.HeaderXForwardedFor) == "" && v.c.Get("Forwarded") == "" {
		return true
	}
	v.recognizeOnce()
	return v.can(identity.AdminStatus)
}
