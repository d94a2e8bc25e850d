package moduletest

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mortise/core/fault"
	"mortise/core/manifest"
	"mortise/core/sdk"
)

// Host is the site as the module sees it.
type Host struct {
	manifest *manifest.Manifest
	options  Options
	ctx      context.Context
	cancel   context.CancelFunc
	store    driver.Connector
	services *hostServices // nil without people
	log      logText

	mu       sync.Mutex
	settings sdk.Settings
	secrets  map[string]string // "name/key"
	events   []sdk.Event
	mails    []sdk.Mail
}

func newHost(m *manifest.Manifest, o Options) *Host {
	if o.PublicURL == "" {
		o.PublicURL = "https://site.example"
	}
	h := &Host{manifest: m, options: o, settings: m.Defaults(), secrets: map[string]string{}}
	maps.Copy(h.settings, o.Settings)
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h
}

// ModuleID is the manifest's.
func (h *Host) ModuleID() string { return h.manifest.ID }

// Context ends with the test.
func (h *Host) Context() context.Context { return h.ctx }

// Log keeps what is logged, see LogText.
func (h *Host) Log() *slog.Logger { return slog.New(slog.NewJSONHandler(&h.log, nil)) }

// Settings are those of Options and of Set.
func (h *Host) Settings() sdk.Settings {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.settings)
}

// Set changes a setting.
func (h *Host) Set(key string, value any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.settings[key] = value
}

// Site is the one of Options.
func (h *Host) Site() sdk.Site { return sdk.Site{Name: "Test site", PublicURL: h.options.PublicURL} }

// Secrets are kept in memory.
func (h *Host) Secrets() sdk.Secrets { return secrets{h} }

// Users knows everybody by number; with Options.People it knows those who are there.
func (h *Host) Users() sdk.Users {
	if h.services != nil {
		return realUsers{h.services}
	}
	return users{}
}

// Store is the tunnel.
func (h *Host) Store() driver.Connector { return h.store }

// Publish takes a fact outside of a transaction.
func (h *Host) Publish(_ context.Context, name, subject string, payload any) error {
	body, err := json.Marshal(payload)
	if err != nil {
		return err
	}
	return h.published(name, subject, body)
}

func (h *Host) published(name, subject string, payload []byte) error {
	if !slices.ContainsFunc(h.manifest.Events.Publishes, func(p manifest.Published) bool { return p.Name == name }) {
		return fault.New(fault.Denied, "the manifest does not publish %s", name)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, sdk.Event{Name: name, Subject: subject, Payload: payload, Time: time.Now(), Source: h.manifest.ID})
	return nil
}

// Call asks Options.Call, for services that the manifest uses; with Options.People the host's own services are the real ones.
func (h *Host) Call(ctx context.Context, service, method string, input, output any) error {
	if h.services != nil && strings.HasPrefix(service, manifest.HostPrefix) {
		return h.callHost(ctx, service, method, input, output)
	}
	if !slices.ContainsFunc(h.manifest.Uses, func(u manifest.Use) bool { return u.Name == service }) || h.options.Call == nil {
		return fault.New(fault.Denied, "the manifest does not use %s", service)
	}
	in, err := json.Marshal(input)
	if err != nil {
		return err
	}
	answer, err := h.options.Call(ctx, service, method, in)
	if err != nil || output == nil {
		return err
	}
	out, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	return json.Unmarshal(out, output)
}

func (h *Host) callHost(ctx context.Context, service, method string, input, output any) error {
	in, err := json.Marshal(input)
	if err != nil {
		return err
	}
	out, err := h.services.call(ctx, service, method, in)
	if err != nil || output == nil {
		return err
	}
	return json.Unmarshal(out, output)
}

// Mail keeps the mail, see Mails.
func (h *Host) Mail(_ context.Context, mail sdk.Mail) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mails = append(h.mails, mail)
	return nil
}

// Events lists what was published under a name, or everything for "".
func (h *Host) Events(name string) []sdk.Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(h.events), func(e sdk.Event) bool { return name != "" && e.Name != name })
}

// Mails lists what was sent.
func (h *Host) Mails() []sdk.Mail {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.mails)
}

// Sealed gives the secrets of a name by key.
func (h *Host) Sealed(name string) map[string]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	found := map[string]string{}
	for path, value := range h.secrets {
		if key, ok := strings.CutPrefix(path, name+"/"); ok {
			found[key] = value
		}
	}
	return found
}

// LogText is everything that was logged.
func (h *Host) LogText() string {
	h.log.mu.Lock()
	defer h.log.mu.Unlock()
	return h.log.b.String()
}

type logText struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

type secrets struct{ h *Host }

func (s secrets) check(name string) error {
	if !slices.ContainsFunc(s.h.manifest.Secrets, func(m manifest.Secret) bool { return m.Name == name }) {
		return fault.New(fault.Denied, "the manifest has no secret %s", name)
	}
	return nil
}

// Get gives a sealed value.
func (s secrets) Get(_ context.Context, name, key string) (string, error) {
	if err := s.check(name); err != nil {
		return "", err
	}
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	value, ok := s.h.secrets[name+"/"+key]
	if !ok {
		return "", fault.New(fault.NotFound, "no such secret")
	}
	return value, nil
}

// Set seals a value.
func (s secrets) Set(_ context.Context, name, key, value string) error {
	if err := s.check(name); err != nil {
		return err
	}
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	s.h.secrets[name+"/"+key] = value
	return nil
}

// Delete forgets a value.
func (s secrets) Delete(_ context.Context, name, key string) error {
	if err := s.check(name); err != nil {
		return err
	}
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	delete(s.h.secrets, name+"/"+key)
	return nil
}

type realUsers struct{ h *hostServices }

// Get finds a person.
func (u realUsers) Get(ctx context.Context, id int64) (sdk.User, error) { return u.h.User(ctx, id) }

// List finds those who exist.
func (u realUsers) List(ctx context.Context, ids ...int64) ([]sdk.User, error) {
	return u.h.Users(ctx, ids)
}

type users struct{}

// Get knows every positive number.
func (users) Get(_ context.Context, id int64) (sdk.User, error) {
	if id <= 0 {
		return sdk.User{}, fault.New(fault.NotFound, "no such person")
	}
	return sdk.User{ID: id, Name: "Person"}, nil
}

// List knows every positive number.
func (u users) List(ctx context.Context, ids ...int64) ([]sdk.User, error) {
	var list []sdk.User
	for _, id := range ids {
		if user, err := u.Get(ctx, id); err == nil {
			list = append(list, user)
		}
	}
	return list, nil
}

var _ sdk.Host = (*Host)(nil)

// Eventually waits for something that another goroutine brings about.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
