package moduletest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"mortise/core/fault"
	"mortise/core/hostapi"
	"mortise/core/identity"
	"mortise/core/manifest"
	"mortise/core/sdk"
	"mortise/core/services"
	"mortise/core/store"
)

// hostServices are the real host.people, host.settings and host.privacy over the test's store.
type hostServices struct {
	*services.Services
	module sdk.Module
	host   *Host
	people *identity.Service
	claims *services.Claims

	mu      sync.Mutex
	facts   []sdk.Event
	notices []identity.Notice
	count   int
}

func openHostServices(t testing.TB, st *store.Store, module sdk.Module, host *Host) *hostServices {
	t.Helper()
	h := &hostServices{module: module, host: host, claims: services.NewClaims()}
	var err error
	h.people, err = identity.New(t.Context(), st, identity.Options{
		Log: slog.New(slog.DiscardHandler), Notify: h.notify, Ask: h.ask,
		Publish: func(_ context.Context, _ *gorm.DB, name, subject string, payload any) error {
			return h.publish(name, subject, payload)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		limited, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = h.people.Close(limited)
	})
	api := hostapi.New(hostapi.Options{
		People: h.people, Store: st, Modules: func() []*manifest.Manifest { return []*manifest.Manifest{host.manifest} },
		SaveSettings: h.saveSettings, Ask: h.ask,
		Publish: func(_ context.Context, name, subject string, payload any) error {
			return h.publish(name, subject, payload)
		},
	})
	h.Services = services.New(services.Options{
		Manifest: func(id string) (*manifest.Manifest, bool) { return host.manifest, id == host.manifest.ID },
		Enabled:  func() []*manifest.Manifest { return nil }, People: h, Claims: h.claims, CallHost: api.Call,
		HoldsWriter: st.HoldsWriter,
	})
	return h
}

// call has a service of the host answer the module, for the person of ctx if there is a request.
func (h *hostServices) call(ctx context.Context, service, method string, in []byte) (json.RawMessage, error) {
	claim := ""
	if r := sdk.RequestFrom(ctx); r.ID != "" {
		claim = h.claims.Mint(services.Claim{UserID: r.User.UserID, Module: h.host.manifest.ID, RequestID: r.ID, ExpiresAt: time.Now().Add(time.Hour)})
	}
	return h.Call(ctx, h.host.manifest.ID, claim, service, method, in)
}

// User is for services.People.
func (h *hostServices) User(ctx context.Context, id int64) (sdk.User, error) {
	u, err := h.people.User(ctx, id)
	if err != nil {
		return sdk.User{}, err
	}
	return sdk.User{ID: u.ID, Name: u.Name, Email: u.Email, Roles: u.Roles, Blocked: u.Blocked, CreatedAt: u.CreatedAt}, nil
}

// Users is for services.People.
func (h *hostServices) Users(ctx context.Context, ids []int64) ([]sdk.User, error) {
	var list []sdk.User
	for _, id := range ids {
		if u, err := h.User(ctx, id); err == nil {
			list = append(list, u)
		}
	}
	return list, nil
}

// Identity is the one that the test gave the request, unless the person was blocked since.
func (h *hostServices) Identity(ctx context.Context, userID int64, _, _ string) (sdk.Identity, error) {
	who := sdk.UserFrom(ctx)
	if u, err := h.people.User(ctx, userID); who.UserID != userID || err == nil && u.Blocked {
		return sdk.Identity{}, fault.New(fault.SignedOut, "The session is over.")
	}
	return who, nil
}

func (h *hostServices) notify(_ context.Context, n identity.Notice) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.notices = append(h.notices, n)
	return nil
}

func (h *hostServices) event(name, subject string, payload any) (sdk.Event, error) {
	body, err := json.Marshal(payload)
	h.count++
	return sdk.Event{Name: name, Subject: subject, Key: fmt.Sprint("fact-", h.count), Time: time.Now(), Source: "host", Payload: body}, err
}

func (h *hostServices) subscribes(name string) bool {
	return slices.ContainsFunc(h.host.manifest.Events.Subscribes, func(s manifest.Subscription) bool { return s.Name == name })
}

func (h *hostServices) publish(name, subject string, payload any) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	e, err := h.event(name, subject, payload)
	h.facts = append(h.facts, e)
	return err
}

// ask puts a question to the module.
func (h *hostServices) ask(ctx context.Context, name, subject string, payload any) error {
	listener, ok := h.module.(sdk.Listener)
	if !ok || !h.subscribes(name) {
		return nil
	}
	h.mu.Lock()
	e, err := h.event(name, subject, payload)
	h.mu.Unlock()
	if err != nil {
		return err
	}
	err = listener.Deliver(sdk.WithRequest(ctx, sdk.Request{}), e)
	var refused *sdk.RefuseError
	if errors.As(err, &refused) {
		return fault.New(fault.Conflict, "%s", refused.Reason)
	}
	return err
}

func (h *hostServices) saveSettings(ctx context.Context, _ string, values map[string]any, _ string) ([]string, error) {
	now, wrong := h.host.Settings(), map[string]string{}
	changed := []string{}
	for key, raw := range values {
		s, ok := h.host.manifest.Setting(key)
		if !ok { // "<secret>_clear", which host.settings makes of null
			key = key[:len(key)-len("_clear")]
			raw = nil
		}
		var value any
		if raw != nil {
			var err error
			if value, err = s.Coerce(raw); err != nil {
				wrong[key] = err.Error()
				continue
			}
		} else {
			value = h.host.manifest.Defaults()[key]
		}
		if !reflect.DeepEqual(now[key], value) {
			changed = append(changed, key)
		}
		if now[key] = value; value == nil {
			delete(now, key)
		}
	}
	if len(wrong) > 0 {
		return nil, fault.InvalidFields("Some values cannot be accepted.", wrong)
	}
	slices.Sort(changed)
	h.host.mu.Lock()
	h.host.settings = maps.Clone(now)
	h.host.mu.Unlock()
	if c, ok := h.module.(sdk.Configurable); ok && len(changed) > 0 {
		return changed, c.Configure(sdk.WithRequest(ctx, sdk.Request{}), now)
	}
	return changed, nil
}

// Person makes a customer of the site, for tests with Options.People, who has the given permissions of the module.
func (s *Site) Person(name, email string, permissions ...string) sdk.Identity {
	s.t.Helper()
	u, err := s.People.CreateUser(s.t.Context(), identity.System, identity.NewUser{Name: name, Email: email, Roles: []string{identity.RoleCustomer}})
	if err != nil {
		s.t.Fatal(err)
	}
	return sdk.Identity{UserID: u.ID, Name: u.Name, Roles: u.Roles, Permissions: permissions, Locale: u.Locale, TimeZone: u.TimeZone}
}

// Facts lists what the host published and the module has not got yet, whether it subscribes or not.
func (s *Site) Facts() []sdk.Event {
	s.services.mu.Lock()
	defer s.services.mu.Unlock()
	return slices.Clone(s.services.facts)
}

// DeliverFacts hands the facts of the host to the module, in their order, as far as it subscribes to them.
func (s *Site) DeliverFacts() {
	s.t.Helper()
	s.services.mu.Lock()
	facts := s.services.facts
	s.services.facts = nil
	s.services.mu.Unlock()
	for _, e := range facts {
		if !s.services.subscribes(e.Name) {
			continue
		}
		if err := s.module.(sdk.Listener).Deliver(s.t.Context(), e); err != nil {
			s.t.Fatalf("deliver %s: %v", e.Name, err)
		}
	}
}

// Notices lists the mails of the host to people, such as invitations. They come a moment later: see Eventually.
func (s *Site) Notices() []identity.Notice {
	s.services.mu.Lock()
	defer s.services.mu.Unlock()
	return slices.Clone(s.services.notices)
}
