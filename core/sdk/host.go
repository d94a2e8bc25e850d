package sdk

import (
	"context"
	"database/sql/driver"
	"log/slog"
	"time"
)

// Host is the site as one module sees it: everything in it is scoped to that module.
type Host interface {
	// ModuleID is the id of the manifest.
	ModuleID() string
	// Context ends when the module is told to stop. It is for background work.
	Context() context.Context
	// Log writes to the site's log under the module's name. Never log tokens, bodies or e-mail addresses.
	Log() *slog.Logger
	// Settings are the current values; after a change a new value is returned.
	Settings() Settings
	// Site tells the site's name and public address.
	Site() Site
	// Secrets keeps sealed values.
	Secrets() Secrets
	// Users looks up the people of the site.
	Users() Users
	// Publish puts a fact into the outbox. To publish in one transaction with the module's own writes, use sdkdb.Publish.
	// name is one that the manifest publishes, subject has at most 200 bytes; payload is encoded as JSON, at most 64 KiB. Errors:
	// fault.Denied for another name, fault.Invalid, fault.TooLarge.
	Publish(ctx context.Context, name, subject string, payload any) error
	// Call calls a service of another module or of the host itself, on behalf of the user of ctx if there is one. input is encoded as JSON and the
	// answer decoded into output, which may be nil.
	//
	// Errors are faults: Unavailable when the provider is not running, Denied when the manifest does not ask for the service,
	// Invalid for input outside the contract, Conflict within a write transaction and for a chain of more than four calls, TooMany,
	// Timeout after 30 s, and whatever the provider answered.
	Call(ctx context.Context, service, method string, input, output any) error
	// Mail sends one mail: a subject of at most 200 bytes, a text of at most 64 KiB. It returns once the mail is queued. Errors:
	// fault.Invalid, fault.TooLarge, fault.NotFound for an unknown person, fault.Denied for a blocked one, fault.TooMany above one mail
	// every two seconds (100 may be saved up).
	Mail(ctx context.Context, mail Mail) error
	// Store gives connections to the site's store. Use sdkdb.Open for a *gorm.DB.
	Store() driver.Connector
}

// Site is what a module may know of the site.
type Site struct {
	Name      string `json:"name"`
	PublicURL string `json:"public_url"` // without a slash at the end, such as "https://devices.example.com"
}

// Settings are a module's settings by key, with the defaults of the manifest filled in. Values are string, bool, int64,
// float64 or []string, as the manifest's type says.
type Settings map[string]any

// String gives a text, secret or select value; "" when it is not set.
func (s Settings) String(key string) string { v, _ := s[key].(string); return v }

// Bool gives a bool value.
func (s Settings) Bool(key string) bool { v, _ := s[key].(bool); return v }

// Strings gives a multiselect value.
func (s Settings) Strings(key string) []string { v, _ := s[key].([]string); return v }

// Int gives a number value, cut to an integer.
func (s Settings) Int(key string) int64 {
	switch v := s[key].(type) {
	case int64:
		return v
	case float64:
		return int64(v)
	}
	return 0
}

// Secrets keeps values sealed by the site's key, outside the module's own tables. name is one of the manifest's secrets; key
// tells values of that name apart, such as a row's id ("" is allowed).
type Secrets interface {
	// Get fails with fault.NotFound when there is no such value.
	Get(ctx context.Context, name, key string) (string, error)
	// Set keeps a value of at most 64 KiB.
	Set(ctx context.Context, name, key, value string) error
	// Delete succeeds when there was none.
	Delete(ctx context.Context, name, key string) error
}

// User is a person of the site, as modules may see them.
type User struct {
	ID        int64     `json:"id"`
	Name      string    `json:"name"`
	Email     string    `json:"email"`
	Roles     []string  `json:"roles"`
	Blocked   bool      `json:"blocked"`
	CreatedAt time.Time `json:"created_at"`
}

// Users looks up people.
type Users interface {
	// Get fails with fault.NotFound for an unknown id.
	Get(ctx context.Context, id int64) (User, error)
	// List gives those of the ids that exist, at most 500, in no order.
	List(ctx context.Context, ids ...int64) ([]User, error)
}

// Mail is one mail in plain text. Give either UserID or To.
type Mail struct {
	UserID  int64  `json:"user_id,omitempty"`
	To      string `json:"to,omitempty"`
	Subject string `json:"subject"`
	Text    string `json:"text"`
}
