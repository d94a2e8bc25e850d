package main

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"mortise/core/sdk"
	"mortise/core/sdk/sdkdb"
	"mortise/plugins/internal/particle"
)

// Linking is the module's program.
type Linking struct {
	host    sdk.Host
	records *records
	routes  *http.ServeMux
	now     func() time.Time
	limits  particle.Timeouts // of calls to Particle; tests make them shorter

	clouds     particle.Clouds
	renewals   singleflight.Group
	accounts   [256]sync.Mutex // one account's token changes in one place at a time; indexed by id
	configured atomic.Int64    // unix time of the last change of the settings: older failures are not findings any more
	background sync.WaitGroup
	changes    sync.Mutex // guards background against Wait
	stopping   bool
}

// New makes the module; Start gives it the site.
func New() *Linking {
	return &Linking{
		now:    func() time.Time { return time.Now().UTC() },
		limits: particle.Timeouts{Connect: 5 * time.Second, Token: 10 * time.Second, Call: 10 * time.Second},
	}
}

// Start opens the store.
func (m *Linking) Start(_ context.Context, host sdk.Host) error {
	db, err := sdkdb.Open(host)
	if err != nil {
		return err
	}
	m.host, m.records, m.routes = host, &records{db: db, now: m.now}, http.NewServeMux()
	m.route()
	return nil
}

// Stop waits for revocations that were begun after a page had been answered; the job goes on with what is left.
func (m *Linking) Stop(ctx context.Context) error {
	m.changes.Lock()
	m.stopping = true
	m.changes.Unlock()
	done := make(chan struct{})
	go func() {
		m.background.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
	m.clouds.Close()
	return nil
}

// behind does something after the page has been answered, bounded by the module's life.
func (m *Linking) behind(do func(ctx context.Context)) {
	m.changes.Lock()
	defer m.changes.Unlock()
	if m.stopping {
		return
	}
	m.background.Add(1)
	go func() {
		defer m.background.Done()
		do(m.host.Context())
	}()
}

func (m *Linking) route() {
	m.routes.HandleFunc("GET /linking", m.listAccounts)
	m.routes.HandleFunc("POST /linking/particle/start", m.startLinking)
	m.routes.HandleFunc("GET /linking/particle/callback", m.comeBack)
	m.routes.HandleFunc("GET /linking/particle/{account}/unlink", m.confirmUnlink)
	m.routes.HandleFunc("POST /linking/particle/{account}/unlink", m.unlinkAccount)
	m.routes.HandleFunc("GET /linking/attempts/{reference}", m.showOwnAttempt)
	m.routes.HandleFunc("GET /admin/linking", m.showSetUp)
	m.routes.HandleFunc("GET /admin/linking/attempts", m.listAttempts)
	m.routes.HandleFunc("GET /admin/linking/attempts/{reference}", m.showAttempt)
}

// ServeHTTP answers the pages.
func (m *Linking) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.routes.ServeHTTP(w, r) }

// cloud is the client of a Particle cloud.
func (m *Linking) cloud(baseURL string) (*particle.Client, error) {
	return m.clouds.Of(particle.Options{BaseURL: baseURL, Timeouts: m.limits})
}

// lockAccount keeps two changes of one account's token apart, such as a renewal and an unlinking.
func (m *Linking) lockAccount(id int64) (unlock func()) {
	mu := &m.accounts[uint64(id)%uint64(len(m.accounts))]
	mu.Lock()
	return mu.Unlock
}
