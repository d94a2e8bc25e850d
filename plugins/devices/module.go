package main

import (
	"context"
	"net/http"
	"time"

	"mortise/core/sdk"
	"mortise/core/sdk/sdkdb"
	"mortise/plugins/internal/attachapi"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/tokenapi"
)

// Devices is the module's program.
type Devices struct {
	host    sdk.Host
	records *records
	routes  *http.ServeMux
	now     func() time.Time
	limits  particle.Timeouts // of calls to Particle; tests make them shorter
	few     int               // devices of the maker's that a list asks for at once
	patience

	clouds    particle.Clouds
	linking   *neighbour // tells which accounts a person has linked
	customers *neighbour // tells what the maker has given a person
	lists     *lists
	saved     *saved
	gone      *gone
	live      *live
	calls     *callLog
	reads     chan struct{} // one token for each variable that is being read
	turns     chan struct{} // one token for each call of the maker's service
}

// patience is how long pages wait for the cloud or a device before they show what was known.
type patience struct {
	list   time.Duration // for the device lists of all accounts
	values time.Duration // for the first pass over a device's variables
	linger time.Duration // how long an event stream nobody watches stays open after a look at a page

	recheck time.Duration // how often an open page of a maker's device asks whether the person still has it
	retry   time.Duration // before the first retry of what failed in the background
}

// New makes the module; Start gives it the site.
func New() *Devices {
	return &Devices{
		now:      func() time.Time { return time.Now().UTC() },
		limits:   particle.Timeouts{Connect: 5 * time.Second},
		few:      fewDevices,
		patience: patience{list: 6 * time.Second, values: 1500 * time.Millisecond, linger: 40 * time.Second, recheck: 10 * time.Second, retry: retryFirst},
	}
}

// Start opens the store and the hub of event streams.
func (m *Devices) Start(_ context.Context, host sdk.Host) error {
	db, err := sdkdb.Open(host)
	if err != nil {
		return err
	}
	m.host, m.records, m.routes = host, &records{db: db}, http.NewServeMux()
	m.linking = &neighbour{m: m, service: tokenapi.Service, away: "Your linked accounts cannot be looked up at the moment. Try again in a minute."}
	m.customers = &neighbour{m: m, service: attachapi.Service, away: "The devices that the maker of this site gave you cannot be looked up at the moment. They are fine; try again in a minute."}
	m.lists, m.saved, m.gone = newLists(m), &saved{entries: map[string]savedEntry{}}, &gone{now: m.now, marks: map[goneKey]time.Time{}}
	m.calls, m.reads, m.turns = newCallLog(), make(chan struct{}, maxReads), make(chan struct{}, maxProductCalls)
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
