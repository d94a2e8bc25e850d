package manifest

import (
	"slices"
	"strings"
	"time"
)

// Manifest is a module's module.yaml. The field docs are in schema.json, which is published; here stand only the shapes.
type Manifest struct {
	ID          string            `json:"id"`
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Version     string            `json:"version"`
	Host        string            `json:"host"` // a range of host versions
	Group       string            `json:"group,omitempty"`
	Icon        string            `json:"icon,omitempty"`
	License     string            `json:"license,omitempty"`
	Homepage    string            `json:"homepage,omitempty"`
	Requires    map[string]string `json:"requires,omitempty"` // module id to a range of its versions
	Provides    []Service         `json:"provides,omitempty"`
	Uses        []Use             `json:"uses,omitempty"`
	Permissions []Permission      `json:"permissions,omitempty"`
	Pages       []Page            `json:"pages,omitempty"`
	Links       []Link            `json:"links,omitempty"`
	Settings    []Setting         `json:"settings,omitempty"`
	Tables      []string          `json:"tables,omitempty"`
	Events      Events            `json:"events,omitempty"`
	Jobs        []Job             `json:"jobs,omitempty"`
	Egress      []string          `json:"egress,omitempty"` // host names, or "setting:<key>" for the host of that setting's URL
	Secrets     []Secret          `json:"secrets,omitempty"`
	Resources   Resources         `json:"resources,omitempty"`
	Personal    []PersonalData    `json:"personal_data,omitempty"`
}

// Service is a service that the module provides to others.
type Service struct {
	Name        string            `json:"name"` // such as "particle.token"
	Version     string            `json:"version"`
	Description string            `json:"description"`
	Methods     map[string]Method `json:"methods"`
}

// Method describes one method of a service by the JSON Schemas of what goes in and out; nil allows anything.
type Method struct {
	Description string         `json:"description"`
	Input       map[string]any `json:"input,omitempty"`
	Output      map[string]any `json:"output,omitempty"`
}

// Use is a service of another module that this one calls.
type Use struct {
	Name     string `json:"name"`
	Version  string `json:"version"` // a range
	Optional bool   `json:"optional,omitempty"`
}

// Permission is something that roles may be allowed to do.
type Permission struct {
	ID          string   `json:"id"` // starts with the module's id and a dot
	Title       string   `json:"title"`
	Description string   `json:"description,omitempty"`
	Restricted  bool     `json:"restricted,omitempty"` // gives power over the site: the administrator is warned
	Default     []string `json:"default,omitempty"`    // roles that get it when the module is enabled: "customer", "administrator"
}

// Page is a claim on a path pattern.
type Page struct {
	Path       string   `json:"path"`              // "/devices/{id}/functions/{name}"; "{rest...}" at the end takes many segments
	Methods    []string `json:"methods,omitempty"` // GET when empty; HEAD goes with GET
	Title      string   `json:"title,omitempty"`
	Permission string   `json:"permission,omitempty"`
	Public     bool     `json:"public,omitempty"`     // for everybody, also who is not signed in
	Stream     bool     `json:"stream,omitempty"`     // may answer for a long time (Server-Sent Events)
	Offsite    bool     `json:"offsite,omitempty"`    // may redirect to the hosts named under egress
	Callback   bool     `json:"callback,omitempty"`   // a visitor comes back to it from another site
	BodyLimit  string   `json:"body_limit,omitempty"` // "64KiB"; 1MiB when empty
	Timeout    string   `json:"timeout,omitempty"`    // "5s"; 30s when empty
	Cache      string   `json:"cache,omitempty"`      // "private" (default) or "none"
}

// Link puts a page into a menu.
type Link struct {
	Menu       string `json:"menu"` // "main" (customers), "account" or "admin"
	Title      string `json:"title"`
	Path       string `json:"path"`
	Permission string `json:"permission,omitempty"`
	Weight     int    `json:"weight,omitempty"`
	Icon       string `json:"icon,omitempty"`
}

// Setting is one field of the module's settings form.
type Setting struct {
	Key         string   `json:"key"`
	Type        string   `json:"type"` // text, longtext, url, email, number, bool, select, multiselect, secret
	Label       string   `json:"label"`
	Help        string   `json:"help,omitempty"`
	Placeholder string   `json:"placeholder,omitempty"`
	Unit        string   `json:"unit,omitempty"`
	Default     any      `json:"default,omitempty"`
	Required    bool     `json:"required,omitempty"`
	Options     []Option `json:"options,omitempty"`
	Min         *float64 `json:"min,omitempty"`
	Max         *float64 `json:"max,omitempty"`
	Pattern     string   `json:"pattern,omitempty"`
}

// Secret tells whether the value is sealed and never shown again.
func (s Setting) Secret() bool { return s.Type == "secret" }

// Option is one choice of a select.
type Option struct {
	Value string `json:"value"`
	Label string `json:"label"`
}

// Events are the names that the module publishes and subscribes to.
type Events struct {
	Publishes  []Published    `json:"publishes,omitempty"`
	Subscribes []Subscription `json:"subscribes,omitempty"`
}

// Published is an event that the module publishes.
type Published struct {
	Name        string `json:"name"` // starts with the module's id and a dot
	Description string `json:"description"`
}

// Subscription is an event that the module wants.
type Subscription struct {
	Name   string `json:"name"`
	OnFail string `json:"on_fail,omitempty"` // for questions: "refuse" (default) or "allow" when the module does not answer
}

// Job is something that the host has the module do at times.
type Job struct {
	ID       string `json:"id"`
	Title    string `json:"title"`
	Schedule string `json:"schedule"`           // five cron fields, or "@every 10m", "@hourly", "@daily"; "manual" for none
	Deadline string `json:"deadline,omitempty"` // "1m" when empty
}

// Secret is a name under which the module keeps sealed values.
type Secret struct {
	Name    string `json:"name"`
	Purpose string `json:"purpose"`
}

// Resources are limits that the module asks for.
type Resources struct {
	Memory      string `json:"memory,omitempty"`      // soft limit, "128MiB" when empty
	Concurrency int    `json:"concurrency,omitempty"` // pages at once, 64 when 0
	Streams     int    `json:"streams,omitempty"`     // open streams at once, 2000 when 0
}

// PersonalData names a table that holds something about people.
type PersonalData struct {
	Table   string `json:"table"`
	Column  string `json:"column"` // the column with the user's id
	Purpose string `json:"purpose"`
	Keep    string `json:"keep,omitempty"` // why it must stay when a person asks for erasure; "" when it is erased
}

// OwnsPath tells whether path lies under the module's own prefixes, /<id> and /admin/<id>.
func (m *Manifest) OwnsPath(path string) bool {
	for _, prefix := range []string{"/" + m.ID, "/admin/" + m.ID} {
		if path == prefix || strings.HasPrefix(path, prefix+"/") {
			return true
		}
	}
	return false
}

// Setting finds a setting by key.
func (m *Manifest) Setting(key string) (Setting, bool) {
	i := slices.IndexFunc(m.Settings, func(s Setting) bool { return s.Key == key })
	if i < 0 {
		return Setting{}, false
	}
	return m.Settings[i], true
}

// Defaults gives the default value of every setting that has one, typed as core/sdk's Settings promises.
func (m *Manifest) Defaults() map[string]any {
	values := make(map[string]any, len(m.Settings))
	for _, s := range m.Settings {
		if s.Default == nil {
			continue
		}
		if v, err := s.Coerce(s.Default); err == nil {
			values[s.Key] = v
		}
	}
	return values
}

// TimeLimit is how long a page may take, from its timeout field.
func (p Page) TimeLimit() time.Duration { return durationOr(p.Timeout, 30*time.Second) }

// Limit is how many bytes a page's request body may have.
func (p Page) Limit() int64 { return bytesOr(p.BodyLimit, 1<<20) }

// Accepts tells whether the page answers a method. HEAD goes with GET.
func (p Page) Accepts(method string) bool {
	if len(p.Methods) == 0 {
		return method == "GET" || method == "HEAD"
	}
	if method == "HEAD" {
		method = "GET"
	}
	return slices.Contains(p.Methods, method)
}

// TimeLimit is how long a run of the job may take.
func (j Job) TimeLimit() time.Duration { return durationOr(j.Deadline, time.Minute) }

// MemoryBytes is the soft memory limit.
func (r Resources) MemoryBytes() int64 { return bytesOr(r.Memory, 128<<20) }

// Pages is how many page requests the module gets at once.
func (r Resources) Pages() int {
	if r.Concurrency == 0 {
		return 64
	}
	return r.Concurrency
}

// OpenStreams is how many streams the module may have open at once.
func (r Resources) OpenStreams() int {
	if r.Streams == 0 {
		return 2000
	}
	return r.Streams
}
