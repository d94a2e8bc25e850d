package hostapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
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

const crm = `
id: crm
name: Customers
description: Looks after customers.
version: 1.0.0
host: ^1.0
uses: [{name: host.people, version: ^1.0}, {name: host.settings, version: ^1.0}, {name: host.privacy, version: ^1.0}]
permissions:
  - {id: crm.manage, title: Manage}
  - {id: crm.privacy, title: See personal data, restricted: true}
settings:
  - {key: client_id, type: text, label: Client}
  - {key: client_secret, type: secret, label: Secret}
tables: [crm_people, crm_bills]
personal_data:
  - {table: crm_people, column: user_id, purpose: The list}
  - {table: crm_bills, column: user_id, purpose: Bills, keep: Ten years by law.}
`

const notes = `
id: notes
name: Notes
description: Keeps notes.
version: 1.0.0
host: ^1.0
tables: [notes_lines]
personal_data: [{table: notes_lines, column: author, purpose: Notes of people}]
`

// world is a site with people, whose services the modules crm (with the grants) and notes (without) call.
type world struct {
	*services.Services
	t      testing.TB
	api    *hostapi.API
	people *identity.Service
	store  *store.Store
	claims *services.Claims
	mails  chan identity.Notice

	mu    sync.Mutex
	facts []string
	saved []string
	ask   error
}

func newWorld(t testing.TB) *world {
	t.Helper()
	st, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "site.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	w := &world{t: t, store: st, claims: services.NewClaims(), mails: make(chan identity.Notice, 300)}
	w.people, err = identity.New(t.Context(), st, identity.Options{
		Log:     slog.New(slog.DiscardHandler),
		Publish: func(_ context.Context, _ *gorm.DB, name, subject string, _ any) error { return w.fact(name, subject) },
		Ask:     func(context.Context, string, string, any) error { return w.refusal() },
		Notify:  func(_ context.Context, n identity.Notice) error { w.mails <- n; return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.people.Close(context.Background()) })
	known := map[string]*manifest.Manifest{}
	for _, text := range []string{crm, notes} {
		m, err := manifest.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		known[m.ID] = m
	}
	w.api = hostapi.New(hostapi.Options{
		People: w.people, Store: st,
		Modules: func() []*manifest.Manifest { return []*manifest.Manifest{known["notes"], known["crm"]} },
		SaveSettings: func(_ context.Context, module string, values map[string]any, by string) ([]string, error) {
			w.saved = append(w.saved, fmt.Sprint(module, " ", values, " ", by))
			return []string{"client_id"}, nil
		},
		Ask:     func(context.Context, string, string, any) error { return w.refusal() },
		Publish: func(_ context.Context, name, subject string, _ any) error { return w.fact(name, subject) },
	})
	w.Services = services.New(services.Options{
		Manifest: func(id string) (*manifest.Manifest, bool) { m, ok := known[id]; return m, ok },
		Enabled:  func() []*manifest.Manifest { return nil }, People: w, Claims: w.claims, CallHost: w.api.Call,
	})
	return w
}

func (w *world) fact(name, subject string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.facts = append(w.facts, name+" "+subject)
	return nil
}

func (w *world) refusal() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ask
}

func (w *world) User(context.Context, int64) (sdk.User, error)      { panic("not asked for here") }
func (w *world) Users(context.Context, []int64) ([]sdk.User, error) { panic("not asked for here") }

// Identity is like the host's: the permissions are those of the module that is named.
func (w *world) Identity(_ context.Context, id int64, session, module string) (sdk.Identity, error) {
	p, ok := w.people.Check(session)
	if !ok || p.User.ID != id {
		return sdk.Identity{}, fault.New(fault.SignedOut, "over")
	}
	who := sdk.Identity{UserID: id, Name: p.User.Name, Roles: p.User.Roles}
	for _, permission := range []string{module + ".manage", module + ".privacy"} {
		if w.people.Can(p.User.Roles, permission) {
			who.Permissions = append(who.Permissions, permission)
		}
	}
	return who, nil
}

const password = "violet teapot under rain"

// person makes somebody and signs them in; the claim is that of a request of theirs at crm.
func (w *world) person(email string, roles ...string) (id int64, claim string) {
	w.t.Helper()
	u, err := w.people.CreateUser(w.t.Context(), identity.System, identity.NewUser{Name: "Person " + email[:3], Email: email, Password: password, Roles: roles})
	if err != nil {
		w.t.Fatal(err)
	}
	in, err := w.people.SignIn(w.t.Context(), email, password, identity.Client{Agent: "Browser"})
	if err != nil {
		w.t.Fatal(err)
	}
	return u.ID, w.claims.Mint(services.Claim{UserID: u.ID, Session: in.Session.ID, Module: "crm", RequestID: "r", ExpiresAt: time.Now().Add(time.Hour)})
}

// call is a call of crm.
func (w *world) call(claim, service, method, in string, out any) error {
	w.t.Helper()
	answer, err := w.Call(w.t.Context(), "crm", claim, service, method, []byte(in))
	if err != nil || out == nil {
		return err
	}
	return json.Unmarshal(answer, out)
}

func (w *world) exec(sql string) {
	w.t.Helper()
	if err := w.store.Write(w.t.Context(), func(tx *gorm.DB) error { return tx.Exec(sql).Error }); err != nil {
		w.t.Fatal(err)
	}
}
