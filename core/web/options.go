package web

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"mortise/core/config"
	"mortise/core/fault"
	"mortise/core/identity"
	"mortise/core/router"
	"mortise/core/theme"
)

// Options are the parts that the web layer puts together. All are needed unless a field says otherwise.
type Options struct {
	Log            *slog.Logger
	PublicURL      string         // such as "https://devices.example.com"; https makes the cookies Secure and switches HSTS on
	Certificate    *tls.Config    // nil: plain HTTP
	TrustedProxies []netip.Prefix // peers whose X-Forwarded-For and X-Forwarded-Proto are believed
	Key            []byte         // from SigningKey, at least 32 bytes
	MetricsToken   string         // bearer token for /metrics; "" leaves it to loopback and administrators
	Demo           bool           // says on every page that this is a demonstration

	People  *identity.Service
	Site    *config.Site
	Theme   *theme.Renderer
	Routes  func() *router.Snapshot
	Modules Modules

	// Claim makes the proof by which a module can call others on the visitor's behalf; it is core/services'.
	Claim func(Claim) string
	// Admin has the parts of the pages under /admin; without them those pages do not exist.
	Admin *Admin
	// Ready says why the site cannot serve yet; nil means always ready.
	Ready func(ctx context.Context) error
	// Attention counts the open findings without asking anybody; nil means none.
	Attention func() int
	// Metrics takes the web layer's figures and is served at /metrics; nil makes one.
	Metrics *prometheus.Registry
	// StreamCheck is the time between two looks at who watches a live stream; 0 means 15 s.
	StreamCheck time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

func (o *Options) check() error {
	for name, missing := range map[string]bool{
		"Log": o.Log == nil, "People": o.People == nil, "Site": o.Site == nil, "Theme": o.Theme == nil,
		"Routes": o.Routes == nil, "Modules": o.Modules == nil, "Claim": o.Claim == nil,
	} {
		if missing {
			return errors.New("web: Options." + name + " is missing")
		}
	}
	if len(o.Key) < keySize {
		return errors.New("web: Options.Key is shorter than 32 bytes")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Metrics == nil {
		o.Metrics = prometheus.NewRegistry()
		o.Metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	}
	return nil
}

// keySize is the size of the signing key in bytes.
const keySize = 32

// Vault keeps sealed values; it is core/secret's.
type Vault interface {
	Get(ctx context.Context, module, name, key string) (string, error)
	Set(ctx context.Context, module, name, key, value string) error
}

// SigningKey gives the key that signs what browsers bring back (CSRF tokens, messages for the next page). It is made at the
// first start and kept sealed, so that forms which were open during a restart can still be sent.
func SigningKey(ctx context.Context, vault Vault) ([]byte, error) {
	const module, name, key = "host", "web", "signing_key"
	text, err := vault.Get(ctx, module, name, key)
	if fault.Is(err, fault.NotFound) {
		text = randomText(keySize)
		err = vault.Set(ctx, module, name, key, text)
	}
	if err != nil {
		return nil, err
	}
	return encoding.DecodeString(text)
}
