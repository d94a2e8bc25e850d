package web_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mortise/core/catalogue"
	"mortise/core/help"
	"mortise/core/identity"
	"mortise/core/jobs"
	"mortise/core/logbook"
	"mortise/core/mail"
	"mortise/core/modules"
	"mortise/core/outbox"
	"mortise/core/router"
	"mortise/core/sdk"
	"mortise/core/secret"
	"mortise/core/status"
	"mortise/core/store"
	"mortise/core/supervisor"
	"mortise/core/web"
)

// lampManifest is a module on disk, with settings and without a program: what its pages say does not need one.
const lampManifest = `
id: lamp
name: Lamp
description: Switches lamps.
version: 1.2.3
host: ^1.0
group: Light
permissions:
  - {id: lamp.switch, title: Switch lamps, default: [customer]}
pages:
  - {path: /lamp, title: Lamps, permission: lamp.switch}
settings:
  - {key: base_url, type: url, label: Base URL, default: "https://lamps.example", required: true}
  - {key: api_key, type: secret, label: API key, required: true}
  - {key: hook, type: secret, label: Hook}
`

// office is a site with its admin pages.
type office struct {
	*site
	book *logbook.Book
	late atomic.Int64 // how much later it is than the clock says, in nanoseconds
}

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{}
	o.site = newSite(t, func(options *web.Options) {
		options.Now = func() time.Time { return time.Now().Add(time.Duration(o.late.Load())) }
		options.Admin = o.parts(t, options)
	})
	return o
}

func (o *office) parts(t *testing.T, options *web.Options) *web.Admin {
	t.Helper()
	ctx, quiet := context.Background(), slog.New(slog.DiscardHandler)
	st, err := store.Open(ctx, store.Options{Path: filepath.Join(t.TempDir(), "admin.db"), Log: quiet})
	must(t, err)
	t.Cleanup(func() { _ = st.Close() })
	o.book = logbook.New(logbook.Options{Stderr: io.Discard})
	t.Cleanup(func() { _ = o.book.Close(ctx) })
	o.book.Attach(st)
	vault, err := secret.Open(ctx, st, secret.Options{File: filepath.Join(t.TempDir(), "key"), Log: quiet})
	must(t, err)
	folder := filepath.Join(t.TempDir(), "lamp")
	must(t, os.Mkdir(folder, 0o755))
	must(t, os.WriteFile(filepath.Join(folder, "module.yaml"), []byte(lampManifest), 0o600))
	none := func(context.Context, string) (int64, error) { return 0, nil }
	cat, err := catalogue.New(ctx, catalogue.Options{
		Store: st, Dirs: []string{filepath.Dir(folder)}, HostVersion: "1.0.0", Sealer: vault, Log: quiet,
		TableRows: st.TableRows, Secrets: none, Undelivered: none,
		RolesOf: func(context.Context, []string) (map[string][]string, error) { return nil, nil },
	})
	must(t, err)
	manager := modules.New(modules.Options{Catalogue: cat, Router: &router.Router{}, Theme: options.Theme, People: options.People, Log: quiet})
	life := supervisor.New(supervisor.Options{
		RunDir: t.TempDir(), Log: quiet, Catalogue: manager.Rows(), Publish: manager.Publish, Applied: st.Applied, Site: func() sdk.Site { return sdk.Site{} },
	})
	t.Cleanup(func() { _ = life.StopAll(ctx) })
	manager.Supervise(life)
	must(t, life.Adopt(ctx))
	book, err := help.New("/admin/help")
	must(t, err)
	events := outbox.New(outbox.Options{
		Store: st, Log: quiet, Subscribers: func() []outbox.Subscriber { return nil },
		Deliver: func(context.Context, string, sdk.Event) error { return nil }, Running: func(string) bool { return false },
	})
	times := jobs.New(jobs.Options{Store: st, Modules: func() []jobs.Module { return nil }, RunJob: func(context.Context, string, string) error { return nil }, Log: quiet})
	sender, err := mail.New(mail.Options{From: func() string { return "site@example.com" }, Folder: t.TempDir(), Log: quiet})
	must(t, err)
	t.Cleanup(func() { _ = sender.Close(ctx) })
	board := status.New(func(context.Context) []status.Line {
		return []status.Line{{ID: "store", Title: "Store", Level: status.Warn, Text: "It is in /var/lib/site.db"}}
	})
	return &web.Admin{Modules: manager, Book: o.book, Board: board, Help: book, Jobs: times, Outbox: events, Mail: sender, Version: "1.0.0"}
}

// clerk is somebody signed in with a role of their own that has the permissions.
func (o *office) clerk(name string, permissions ...string) *browser {
	o.t.Helper()
	ctx := context.Background()
	must(o.t, o.people.CreateRole(ctx, identity.System, name, "Role "+name, ""))
	var changes []identity.Change
	for _, p := range permissions {
		changes = append(changes, identity.Change{Role: name, Permission: p, Want: true})
	}
	_, err := o.people.ApplyChanges(ctx, identity.System, changes)
	must(o.t, err)
	o.person(name+"@example.com", name)
	return o.signIn(name + "@example.com")
}

// boss is a signed-in administrator.
func (o *office) boss(email string) *browser {
	o.t.Helper()
	o.person(email, identity.RoleAdministrator)
	return o.signIn(email)
}

// later moves the clock.
func (o *office) later(d time.Duration) { o.late.Add(int64(d)) }

// json sends a JSON object and decodes the answer.
func (b *browser) json(method, path string, body any) (int, map[string]any) {
	b.t.Helper()
	text, err := json.Marshal(body)
	must(b.t, err)
	a := b.do(method, path, strings.NewReader(string(text)), asJSON, header{"Content-Type": "application/json", "X-CSRF-Token": b.token})
	var decoded map[string]any
	if err := json.Unmarshal([]byte(a.body), &decoded); err != nil {
		b.t.Fatalf("%s %s answered %d, which is no JSON: %s", method, path, a.status, a.body)
	}
	return a.status, decoded
}
