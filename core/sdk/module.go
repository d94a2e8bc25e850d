package sdk

import (
	"context"
	"database/sql"
	"time"
)

// ContractVersion is the version of the contract that this package describes. The host and a module agree on it at start.
const ContractVersion = 1

// Module is a module's program. Start is called once, after the migrations ran and before the first page, event or job;
// an error keeps the module from being enabled and is shown to the administrator. Its ctx ends when start-up must be over,
// so it is not for background work: use Host.Context for that. Stop is called once, after the last request has been
// answered, and has a few seconds.
type Module interface {
	Start(ctx context.Context, host Host) error
	Stop(ctx context.Context) error
}

// Migrator is a module with tables.
type Migrator interface {
	// Migrations gives every step since the first version, in ascending order of Number. A step that ran is never run again
	// and must never be changed; the host refuses a module whose recorded step has another name.
	Migrations() []Migration
}

// Migration is one numbered step. All pending steps of a module run in one transaction: either all count or none. During it
// the module may create, change and drop its own tables (names that start with its id and "_", listed in the manifest).
type Migration struct {
	Number int    // from 1, without gaps
	Name   string // such as "create entries", for the log and the module page
	Up     func(ctx context.Context, tx *sql.Tx) error
}

// Listener is a module that subscribes to events in its manifest.
type Listener interface {
	// Deliver hands over one event. For a fact (a past-tense name), nil takes it off the queue and an error has it delivered
	// again later: facts arrive at least once, in order per subject, so use Event.Key to notice a repetition. For a
	// question (a name with ".will_"), Refuse forbids what is about to happen and nil allows it.
	Deliver(ctx context.Context, event Event) error
}

// Worker is a module with jobs.
type Worker interface {
	// Run does the job with the id of the manifest. ctx ends at the job's deadline. An error is shown to the administrator and
	// the job is tried again with growing pauses.
	Run(ctx context.Context, job string) error
}

// Checker is a module that can tell how it is.
type Checker interface {
	// Check is called every ten seconds and has two seconds. An error counts as a missed check (three restart the module);
	// findings are shown under "needs attention".
	Check(ctx context.Context) ([]Finding, error)
}

// Level says how urgent a finding is.
type Level string

// The levels.
const (
	LevelInfo    Level = "info"
	LevelWarning Level = "warning"
	LevelError   Level = "error"
)

// Finding is something an administrator should know, with its remedy.
type Finding struct {
	Level  Level  `json:"level"`
	Title  string `json:"title"`          // one sentence: what is the matter
	Remedy string `json:"remedy"`         // one sentence: what to do
	Link   string `json:"link,omitempty"` // a path of this site where it can be done
}

// Provider is a module that provides services to others.
type Provider interface {
	// Call answers one call of a service that the manifest provides. The host has checked that the caller was granted the service,
	// and stamped who calls. The result is encoded as JSON.
	Call(ctx context.Context, call Call) (any, error)
}

// Call is one call of a service.
type Call struct {
	Service string // such as "particle.token"
	Method  string
	Input   []byte // JSON
	Caller  string // the calling module's id
	// For whom the caller acts. It is the person whose request led to the call, vouched for by the host; zero when the caller
	// acts on its own, as in a job.
	User Identity
}

// Configurable is a module that can take new settings while it runs; others are restarted.
type Configurable interface {
	Configure(ctx context.Context, settings Settings) error
}

// SettingsTester is a module whose settings form has a Test button.
type SettingsTester interface {
	// TestSettings tries the given settings, which are not saved yet, and says which value is wrong. No problems and no error
	// means that they work.
	TestSettings(ctx context.Context, settings Settings) ([]Problem, error)
}

// Problem is one wrong setting.
type Problem struct {
	Key     string `json:"key"`     // the setting; "" when no single value is to blame
	Message string `json:"message"` // what is wrong and what to do
}

// Event is something that happened, or that is about to.
type Event struct {
	Name    string    `json:"name"`    // "linking.account_linked", "user.deleted", "user.will_be_deleted"
	Subject string    `json:"subject"` // what it is about, such as "user/12"; facts about one subject arrive in order
	Key     string    `json:"key"`     // unique for each fact, the same at each delivery of it
	Time    time.Time `json:"time"`    // when it was published
	Source  string    `json:"source"`  // the publishing module, or "host"
	Payload []byte    `json:"payload"` // JSON, at most 64 KiB
}

// RefuseError is the answer to a question event that forbids what is about to happen.
type RefuseError struct{ Reason string }

// Error gives the reason.
func (e *RefuseError) Error() string { return e.Reason }

// Refuse forbids what a ".will_" event announced; the reason is shown to whoever asked for it.
func Refuse(reason string) error { return &RefuseError{Reason: reason} }
