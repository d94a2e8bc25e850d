package web

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// meters are the web layer's figures. Labels are few: the module ("" is the host) and the class of the status.
type meters struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	inFlight prometheus.Gauge
	streams  *prometheus.GaugeVec
	retries  *prometheus.CounterVec
}

func newMeters(registry *prometheus.Registry) *meters {
	m := &meters{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mortise_requests_total", Help: "Requests answered, by module (empty: the host) and class of status."}, []string{"module", "class"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "mortise_request_seconds", Help: "Time until the answer was ready, by module.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5, 30}}, []string{"module"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{Name: "mortise_requests_in_flight", Help: "Requests being answered."}),
		streams:  prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "mortise_streams", Help: "Open streams, by module."}, []string{"module"}),
		retries:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "mortise_page_retries_total", Help: "Pages asked for twice because the module had just gone."}, []string{"module"}),
	}
	registry.MustRegister(m.requests, m.seconds, m.inFlight, m.streams, m.retries)
	return m
}

func (m *meters) observe(module string, status int, took time.Duration) {
	m.requests.WithLabelValues(module, strconv.Itoa(status/100)+"xx").Inc()
	m.seconds.WithLabelValues(module).Observe(took.Seconds())
}
