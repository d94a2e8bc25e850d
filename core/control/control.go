// Package control is how the command line reaches a site: the same operations on a running host, over its admin socket, and on
// the data folder when no host runs.
//
// Operations is implemented by the host (core/operations.go) and by Client, which asks a running host. Handler serves an
// Operations on the socket. Whoever may open the socket (0600, in a folder 0700) is the operator; there is no other check.
package control

import (
	"context"
	"time"

	"mortise/core/status"
)

// Module is one module as the command line shows it.
type Module struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	Description string    `json:"description"`
	Version     string    `json:"version"`
	Group       string    `json:"group,omitempty"`
	State       string    `json:"state"`
	Reason      string    `json:"reason,omitempty"`
	Since       time.Time `json:"since,omitzero"`
	PID         int       `json:"pid,omitempty"`
	Restarts    int       `json:"restarts"`
	MemoryBytes int64     `json:"memory_bytes,omitempty"`
	Requires    []string  `json:"requires,omitempty"`
	Problem     string    `json:"problem,omitempty"` // why it cannot be enabled
}

// Action is what can be done to a module.
type Action string

// The actions.
const (
	Enable Action = "enable"
	Pause  Action = "pause"
	Resume Action = "resume"
	Remove Action = "remove"
)

// ActOptions are the choices that go with an action.
type ActOptions struct {
	WithRequired bool `json:"with_required,omitempty"` // enable: also the modules it requires
	DeleteData   bool `json:"delete_data,omitempty"`   // remove: its tables, settings and secrets too
}

// Report tells what an action did.
type Report struct {
	Changed bool   `json:"changed"` // false: it was so already
	Text    string `json:"text"`    // one sentence
	Module  Module `json:"module"`
}

// User is one account.
type User struct {
	ID        int64     `json:"id"`
	Name      string    `json:"name"`
	Email     string    `json:"email"`
	Roles     []string  `json:"roles"`
	Blocked   bool      `json:"blocked"`
	CreatedAt time.Time `json:"created_at"`
}

// NewUser asks for an account. An empty password makes one that can only be entered by a login link.
type NewUser struct {
	Name     string   `json:"name"`
	Email    string   `json:"email"`
	Password string   `json:"password,omitempty"`
	Roles    []string `json:"roles,omitempty"`
}

// Status is the site at a glance.
type Status struct {
	Version   string        `json:"version"`
	Running   bool          `json:"running"`
	PID       int           `json:"pid,omitempty"`
	URL       string        `json:"url,omitempty"`
	StartedAt time.Time     `json:"started_at,omitzero"`
	Lines     []status.Line `json:"lines"`
}

// Operations are what an operator can do from the command line. Errors are faults.
type Operations interface {
	Status(ctx context.Context) (Status, error)
	Modules(ctx context.Context) ([]Module, error)
	Module(ctx context.Context, id string) (Module, error)
	Act(ctx context.Context, id string, action Action, options ActOptions) (Report, error)
	Users(ctx context.Context, search string) ([]User, error)
	CreateUser(ctx context.Context, user NewUser) (User, error)
	SetRole(ctx context.Context, email, role string, give bool) (User, error)
	// LoginLink makes an address that signs the person in once, within 15 minutes.
	LoginLink(ctx context.Context, email string) (string, error)
	// Backup copies the store, consistently and while the site runs, to a new file.
	Backup(ctx context.Context, path string) error
	// RotateKey makes a new sealing key, seals everything again and forgets the old key.
	RotateKey(ctx context.Context) (sealed int, err error)
}
