package main

import (
	"context"
	"net/http"
	"time"

	"mortise/core/sdk"
	"mortise/core/sdk/sdkdb"
	"mortise/plugins/internal/particle"
)

// Devices is the module's program.
type Devices struct {
	host    sdk.Host
	records *records
	routes  *http.ServeMux
	now     func() time.Time
	limits  particle.Timeouts // of calls to Particle; tests make them shorter
	patience

	clouds particle.Clouds
	lists  *lists
	live   *live
	calls  *callLog
	reads  chan struct{} // one token for each variable that is being read
}

// patience is how long pages wait for the cloud or a device before they show what was known.
type patience struct {
	list   time.Duration // for the device lists of all accounts
	values time.Duration // for the first pass over a device's variables
	linger time.Duration // how long an event stream nobody watches stays open after a look at a page
}

// New makes the module; Start gives it the site.
func New() *Devices {
	return &Devices{
		now:      func() time.Time { return time.Now().UTC() },
		limits:   particle.Timeouts{Connect: 5 * time.Second},
		patience: patience{list: 6 * time.Second, values: 1500 * time.Millisecond, linger: 40 * time.Second},
	}
}

// Start opens the store and the hub of event streams.
func (m *Devices) Start(_ context.Context, host sdk.Host) error {
	db, err := sdkdb.Open(host)
	if err != nil {
		return err
	}
	m.host, m.records, m.routes = host, &records{db: db}, http.NewServeMux()
	m.lists, m.calls, m.reads = newLists(m), newCallLog(), make(chan struct{}, maxReads)
	m.live = newLive(m)
	m.route()
	return nil
}

// Stop ends the event streams.
func (m *Devices) Stop(context.Context) error {
	if m.live != nil {
		m.live.close()
	}
	m.clouds.Close()
	return nil
}

func (m *Devices) route() {
	m.routes.HandleFunc("GET /devices", m.listDevices)
	m.routes.HandleFunc("GET /devices/{id}", m.showDevice)
	m.routes.HandleFunc("POST /devices/{id}/functions/{name}", m.callFunction)
	m.routes.HandleFunc("GET /devices/{id}/variables/{name}", m.readVariable)
	m.routes.HandleFunc("GET /devices/{id}/events", m.followEvents)
	m.routes.HandleFunc("POST /devices/{id}/events", m.publishEvent)
	m.routes.HandleFunc("POST /devices/{id}/rename", m.renameDevice)
	m.routes.HandleFunc("POST /devices/{id}/signal", m.signalDevice)
	m.routes.HandleFunc("POST /devices/{id}/ping", m.pingDevice)
}

// ServeHTTP answers the pages.
func (m *Devices) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.routes.ServeHTTP(w, r) }

// cloud is the client of a Particle cloud.
func (m *Devices) cloud(baseURL string) (*particle.Client, error) {
	return m.clouds.Of(particle.Options{BaseURL: baseURL, Timeouts: m.limits})
}
