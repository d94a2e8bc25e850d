package main

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"mortise/core/sdk"
	"mortise/core/sdk/sdkdb"
	"mortise/plugins/internal/particle"
)

// Organizations is the module's program.
type Organizations struct {
	host    sdk.Host
	records *records
	routes  *http.ServeMux
	now     func() time.Time
	limits  particle.Timeouts // of calls to Particle; tests make them shorter

	patience   patience            // of the service particle.product
	hubOptions particle.HubOptions // of its event streams
	fleets     *fleets
	streams    *streams

	clouds     particle.Clouds
	changing   sync.Map       // workspace id to *sync.Mutex, see lock
	refreshing sync.Map       // workspace id to *sync.Mutex: one refresh of its products at a time
	importing  sync.Map       // import id to *sync.Mutex: one at a time works on it
	pace       time.Duration  // between calls that an import makes one by one; tests have none
	background sync.WaitGroup // resuming after the start
}

// New makes the module; Start gives it the site.
func New() *Organizations {
	return &Organizations{
		now:      func() time.Time { return time.Now().UTC() },
		pace:     100 * time.Millisecond,
		limits:   particle.Timeouts{Connect: 5 * time.Second, Token: 10 * time.Second, Call: 10 * time.Second, Device: deviceWait},
		patience: defaultPatience,
	}
}

// Start opens the store and goes on with what the last run left half done.
func (m *Organizations) Start(_ context.Context, host sdk.Host) error {
	db, err := sdkdb.Open(host)
	if err != nil {
		return err
	}
	m.host, m.records, m.routes = host, &records{db: db, now: m.now}, http.NewServeMux()
	m.fleets, m.streams = newFleets(m), newStreams(m)
	m.route()
	m.background.Add(1)
	go func() {
		defer m.background.Done()
		err := errors.Join(m.resumeAll(host.Context()), m.resumeImports(host.Context()))
		if err != nil && host.Context().Err() == nil {
			host.Log().Warn("operations that were cut short could not be looked at; the job does it again", "error", err)
		}
	}()
	return nil
}

// Stop ends the event streams, and waits for them and for what Start began.
func (m *Organizations) Stop(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		m.background.Wait()
		m.streams.close()
		m.fleets.close()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
	m.clouds.Close()
	return nil
}

func (m *Organizations) route() {
	const ws = " /admin/organizations/workspaces/{workspace}"
	for pattern, handler := range map[string]http.HandlerFunc{
		"GET /admin/organizations":                 m.listWorkspaces,
		"GET /admin/organizations/workspaces/new":  m.newWorkspace,
		"POST /admin/organizations/workspaces/new": m.addWorkspace,
		"GET" + ws:                                                   m.showWorkspace,
		"GET" + ws + "/edit":                                         m.editWorkspace,
		"POST" + ws + "/edit":                                        m.saveWorkspace,
		"POST" + ws + "/test":                                        m.testWorkspace,
		"GET" + ws + "/remove":                                       m.confirmRemove,
		"POST" + ws + "/remove":                                      m.removeWorkspace,
		"GET" + ws + "/products":                                     m.listProducts,
		"POST" + ws + "/products/refresh":                            m.refreshProducts,
		"POST" + ws + "/products/{product}/default":                  m.chooseDefault,
		"GET" + ws + "/clients":                                      m.listClients,
		"GET" + ws + "/clients/new":                                  m.newClient,
		"POST" + ws + "/clients/new":                                 m.createClient,
		"GET" + ws + "/clients/{client}":                             m.showClient,
		"POST" + ws + "/clients/{client}":                            m.changeClient,
		"GET" + ws + "/clients/{client}/delete":                      m.confirmDelete,
		"POST" + ws + "/clients/{client}/delete":                     m.deleteClient,
		"GET" + ws + "/team":                                         m.listTeam,
		"GET" + ws + "/team/new":                                     m.newUser,
		"POST" + ws + "/team/new":                                    m.createUser,
		"GET" + ws + "/team/invite":                                  m.newMember,
		"POST" + ws + "/team/invite":                                 m.inviteMember,
		"GET" + ws + "/team/remove":                                  m.confirmRemoveMember,
		"POST" + ws + "/team/remove":                                 m.removeMember,
		"GET" + ws + "/organizations":                                m.listOrganizations,
		"GET" + ws + "/organizations/{organization}":                 m.showOrganization,
		"GET" + ws + "/devices":                                      m.listDevices,
		"GET" + ws + "/devices/{device}":                             m.showDevice,
		"POST" + ws + "/devices/{device}":                            m.changeDevice,
		"GET" + ws + "/devices/{device}/remove":                      m.confirmRemoveDevice,
		"POST" + ws + "/devices/{device}/remove":                     m.removeDevice,
		"GET" + ws + "/imports":                                      m.listImports,
		"GET" + ws + "/imports/new":                                  m.newImport,
		"POST" + ws + "/imports/new":                                 m.createImport,
		"GET" + ws + "/imports/{import}":                             m.showImport,
		"GET" + ws + "/imports/{import}/report":                      m.reportImport,
		"POST" + ws + "/imports/{import}/cancel":                     m.cancelImport,
		"POST" + ws + "/imports/{import}/go-on":                      m.goOn,
		"GET /admin/organizations/operations":                        m.listOperations,
		"GET /admin/organizations/operations/{operation}":            m.showOperation,
		"POST /admin/organizations/operations/{operation}/hand-over": m.handOver,
	} {
		m.routes.HandleFunc(pattern, handler)
	}
}

// ServeHTTP answers the pages. Nothing of a page may be kept: it may show a secret, or what a person has just lost the right to.
func (m *Organizations) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	m.routes.ServeHTTP(w, r)
}

// cloud is the client of a Particle cloud.
func (m *Organizations) cloud(baseURL string) (*particle.Client, error) {
	return m.clouds.Of(particle.Options{BaseURL: baseURL, Timeouts: m.limits})
}

// canManage tells whether the visitor may change things, for what a page offers.
func canManage(r *http.Request) bool { return sdk.UserFrom(r.Context()).Can("organizations.manage") }
