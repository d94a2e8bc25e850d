package router

import (
	"sync/atomic"

	"mortise/core/manifest"
)

// State tells what a module's routes do.
type State string

// The states. Modules in any other condition are not in the snapshot at all.
const (
	Serving     State = "serving"     // requests go to the module
	Paused      State = "paused"      // by the administrator: routes answer 503, menu links are gone
	Unavailable State = "unavailable" // restarting, quarantined, incompatible: routes answer 503, menu links stay
)

// Entry is one module of the site.
type Entry struct {
	Manifest *manifest.Manifest
	State    State
	Egress   []string // origins its pages may redirect to when they are marked offsite, such as "https://api.example.com"
}

// Router holds the snapshot in force. The zero value is ready and empty.
type Router struct {
	current atomic.Pointer[Snapshot]
}

var empty = &Snapshot{root: &node{}}

// Load gives the snapshot in force; never nil. Ask once per request and keep the answer.
func (r *Router) Load() *Snapshot {
	if s := r.current.Load(); s != nil {
		return s
	}
	return empty
}

// Store puts a snapshot in force.
func (r *Router) Store(s *Snapshot) { r.current.Store(s) }
