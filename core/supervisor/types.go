package supervisor

import (
	"context"
	"errors"
	"net"
	"time"

	"mortise/core/fault"
	"mortise/core/manifest"
	"mortise/core/sdk"
	"mortise/core/wire"
)

// Desired is what somebody wanted of a module, as the catalogue remembers it.
type Desired string

// What can be wanted. A module that was never enabled has no row.
const (
	DesiredEnabled     Desired = "enabled"
	DesiredPaused      Desired = "paused"
	DesiredQuarantined Desired = "quarantined" // enabled, but it ended too often
	DesiredRemoved     Desired = "removed"
)

// DataChoice says what becomes of a removed module's data.
type DataChoice string

// The choices.
const (
	KeepData   DataChoice = "keep"
	DeleteData DataChoice = "delete"
)

// Spec is what lies on disk of a module and can be started.
type Spec struct {
	Manifest *manifest.Manifest
	Dir      string // the module's folder, and its working directory
	Program  string // the executable
	Digest   string // SHA-256 of Program in hex, checked at each start; "": not checked
}

// Row is what the catalogue remembers of a module.
type Row struct {
	ID      string
	Desired Desired
	Reason  string // of a quarantine
}

// Catalogue is what the supervisor needs of the modules on disk and their rows.
type Catalogue interface {
	// Spec gives what can be started now; NotFound or Invalid when there is nothing.
	Spec(ctx context.Context, id string) (Spec, error)
	// Rows gives every module that was ever enabled; of those that are removed the ones with data that is kept.
	Rows(ctx context.Context) ([]Row, error)
	// Record remembers what is wanted of a module, in one transaction.
	Record(ctx context.Context, id string, want Desired, version, by, reason string) error
	// Settings gives typed values with the defaults filled in and secrets in clear.
	Settings(ctx context.Context, id string) (map[string]any, error)
	// Erase does what was chosen with the data of a module whose process has ended.
	Erase(ctx context.Context, id string, data DataChoice) error
}

// TunnelRequest asks for a door to the store for one instance. One of the bearers is empty, and that mode then off.
type TunnelRequest struct {
	Manifest      *manifest.Manifest
	Bearer        string
	MigrateBearer string
	AllowPID      func(pid int) bool
}

// Tunnel is a door to the store. Close ends its sessions and their transactions.
type Tunnel interface {
	Serve(net.Listener) error
	Close() error
}

// Step is one step of an operation.
type Step struct {
	Name   string // verify, start, describe, connect, migrate, configure, check, swap; drain, stop, record, erase
	State  string // running, done, failed
	Detail string
	Took   time.Duration
}

// The states of a step.
const (
	StepRunning = "running"
	StepDone    = "done"
	StepFailed  = "failed"
)

// Report tells an administrator what an operation did.
type Report struct {
	Module, Action string
	Changed        bool // false: it was so already, or the operation failed before it changed anything
	State          State
	Steps          []Step
	Failed         string // the step that failed; "" when none did
	Reason         string // why, in one sentence
	Remedy         string // what to do, in one sentence
	Took           time.Duration
}

// Exit is one end of a process that nobody asked for.
type Exit struct {
	At     time.Time
	How    string        // such as "ended by signal killed"
	Uptime time.Duration // 0 when it did not even start
}

// Status is how a module is. Its slices are shared: do not change them.
type Status struct {
	ID, Name, Version string
	State             State
	Reason, Remedy    string
	Since             time.Time // since when it is in this state
	PID               int       // 0 when no process runs
	Started           time.Time // when the process started
	Restarts          int       // since the host started
	Exits             []Exit    // the newest last, at most 20
	NextStart         time.Time // in backoff
	LastCheck         time.Time
	CheckError        string
	Findings          []sdk.Finding
	RSS, PSS          int64 // bytes
	Threads           int
	CPU               time.Duration
	Requests, Errors  uint64 // pages since the host started; answers of 500 and more count as errors
	InFlight, Streams int
	P50, P99          time.Duration // of the last one to two minutes
	Tail              []wire.Line   // the newest last, at most 200
	Panic             string        // of the last process that panicked
}

// NotRunningError is the cause of an Unavailable fault from Acquire and the calls.
type NotRunningError struct {
	State State
	After time.Duration // when to try again
}

// Error names the state.
func (e *NotRunningError) Error() string { return "the module is " + string(e.State) }

// RetryAfter tells when to try again after an error of this package; 0 when that would not help.
func RetryAfter(err error) time.Duration {
	var e *NotRunningError
	if errors.As(err, &e) {
		return e.After
	}
	if fault.Is(err, fault.TooMany) {
		return time.Second
	}
	return 0
}
