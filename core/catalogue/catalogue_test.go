package catalogue_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gorm.io/gorm"

	"mortise/core/catalogue"
	"mortise/core/fault"
	"mortise/core/store"
)

// sealer marks values instead of encrypting them.
type sealer struct{}

func (sealer) Seal(module, name, key, value string) (string, error) {
	return "sealed:" + module + ":" + name + ":" + key + ":" + value, nil
}

func (sealer) Unseal(module, name, key, sealed string) (string, error) {
	value, ok := strings.CutPrefix(sealed, "sealed:"+module+":"+name+":"+key+":")
	if !ok {
		return "", errors.New("the seal is broken")
	}
	return value, nil
}

const linking = `
id: linking
name: Account linking
description: Links accounts.
version: 1.2.0
host: ^1.0
group: Particle
permissions:
  - {id: linking.use, title: Link own accounts, default: [customer]}
pages:
  - {path: /linking, permission: linking.use}
  - {path: /linking/callback, permission: linking.use, callback: true, offsite: true}
links:
  - {menu: main, title: Linked accounts, path: /linking}
provides:
  - {name: particle.token, version: 1.0.0, description: Tokens., methods: {get: {description: A token.}}}
settings:
  - {key: base_url, type: url, label: Address, default: "https://api.example.com/", required: true}
  - {key: client_id, type: text, label: Client, required: true, pattern: "[a-z0-9-]+"}
  - {key: client_secret, type: secret, label: Client secret, required: true}
  - {key: webhook, type: secret, label: Webhook secret}
  - {key: attempts, type: number, label: Attempts, min: 1, max: 10}
  - {key: strict, type: bool, label: Strict, default: true}
  - {key: scopes, type: multiselect, label: Scopes, options: [{value: a, label: A}, {value: b, label: B}]}
egress: ["setting:base_url", events.example.com]
tables: [linking_accounts]
personal_data: [{table: linking_accounts, column: user_id, purpose: Who linked what.}]
secrets: [{name: tokens, purpose: Tokens of customers.}]
events:
  publishes: [{name: linking.account_linked, description: An account was linked.}]
  subscribes: [{name: user.deleted}]
jobs: [{id: tidy, title: Tidy up, schedule: "@hourly"}]
`

const devices = `
id: devices
name: Devices
description: Shows devices.
version: 1.0.0
host: ^1.0
requires: {linking: ^1.1}
uses: [{name: particle.token, version: ^1.0}]
permissions: [{id: devices.use, title: Use own devices}]
pages: [{path: /devices, permission: devices.use}]
tables: [devices_cache]
`

func simple(id, more string) string {
	return fmt.Sprintf("id: %s\nname: %s\ndescription: A module.\nversion: 1.0.0\nhost: ^1.0\n%s", id, strings.ToUpper(id), more)
}

type site struct {
	*catalogue.Catalogue
	t     *testing.T
	dir   string
	store *store.Store
}

func newSite(t *testing.T, change func(*catalogue.Options), modules ...string) *site {
	t.Helper()
	st, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "site.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	s := &site{t: t, dir: t.TempDir(), store: st}
	for _, m := range modules {
		s.put(m)
	}
	s.open(change)
	return s
}

func (s *site) open(change func(*catalogue.Options)) {
	s.t.Helper()
	o := catalogue.Options{Store: s.store, Dirs: []string{s.dir}, Sealer: sealer{}}
	if change != nil {
		change(&o)
	}
	var err error
	if s.Catalogue, err = catalogue.New(s.t.Context(), o); err != nil {
		s.t.Fatal(err)
	}
}

// put writes a module folder with a program, named by the id in the manifest's text.
func (s *site) put(text string) (dir string) {
	s.t.Helper()
	_, rest, _ := strings.Cut(text, "id: ")
	id, _, _ := strings.Cut(rest, "\n")
	dir = filepath.Join(s.dir, id)
	write(s.t, filepath.Join(dir, "module.yaml"), text)
	write(s.t, filepath.Join(dir, id), "#!/bin/sh\n")
	if err := os.Chmod(filepath.Join(dir, id), 0o755); err != nil {
		s.t.Fatal(err)
	}
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (s *site) set(id string, want catalogue.Desired) bool {
	s.t.Helper()
	changed, err := s.SetDesired(s.t.Context(), id, want, "ann")
	if err != nil {
		s.t.Fatal(err)
	}
	return changed
}

func (s *site) module(id string) *catalogue.Module {
	s.t.Helper()
	m, err := s.Get(id)
	if err != nil {
		s.t.Fatal(err)
	}
	return m
}

func (s *site) rescan() {
	s.t.Helper()
	if err := s.Rescan(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

func TestScan_FindsModulesAndExplainsTheRest(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, linking, devices, simple("shop", ""), simple("shop_extra", ""))
	outside := t.TempDir()
	write(t, filepath.Join(outside, "module.yaml"), simple("outside", ""))
	if err := os.Symlink(outside, filepath.Join(s.dir, "outside")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("linking", filepath.Join(s.dir, "alias")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(s.dir, "broken", "module.yaml"), "id: broken\nbogus: 1\n")
	write(t, filepath.Join(s.dir, ".hidden", "module.yaml"), simple("hidden", ""))
	write(t, filepath.Join(s.dir, "internal", "x.go"), "package internal")
	write(t, filepath.Join(s.dir, "linking", "deeper", "module.yaml"), simple("deeper", ""))
	write(t, filepath.Join(s.dir, "note.txt"), "a file")
	s.rescan()
	var ids []string
	for _, m := range s.Modules() {
		ids = append(ids, m.Manifest.ID)
	}
	if !slices.Equal(ids, []string{"linking", "devices", "shop"}) {
		t.Errorf("modules = %v, want them by name", ids)
	}
	got := map[string]string{}
	for _, p := range s.Problems() {
		if p.Remedy == "" {
			t.Errorf("%s: no remedy", p.ID)
		}
		got[p.ID] = p.Reason
	}
	for id, want := range map[string]string{"outside": "leads out", "alias": "says id linking", "broken": "bogus", "shop_extra": "module shop"} {
		if !strings.Contains(got[id], want) {
			t.Errorf("%s: %q, want %q", id, got[id], want)
		}
	}
	if len(got) != 4 {
		t.Errorf("problems = %v", got)
	}
}

func TestScan_KeepsTheModuleThatTheSiteKnows(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, simple("shop_extra", ""))
	s.set("shop_extra", catalogue.Enabled)
	s.put(simple("shop", ""))
	s.rescan()
	if _, ok := s.Module("shop"); ok || s.module("shop_extra").Problem != "" {
		t.Error("a new folder pushed out an enabled module")
	}
}

func TestModule_IsReadOnlyThroughItsOwnFolder(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, linking)
	dir := s.module("linking").Dir
	write(t, filepath.Join(dir, "templates", "list.html"), "list")
	secret := filepath.Join(t.TempDir(), "secret")
	write(t, secret, "secret")
	if err := os.Symlink(secret, filepath.Join(dir, "templates", "leak.html")); err != nil {
		t.Fatal(err)
	}
	templates := s.module("linking").Templates()
	if text, err := fs.ReadFile(templates, "list.html"); err != nil || string(text) != "list" {
		t.Errorf("%q, %v", text, err)
	}
	for _, name := range []string{"leak.html", "../module.yaml", "none.html"} {
		if _, err := fs.ReadFile(templates, name); err == nil {
			t.Errorf("%s was read", name)
		}
	}
	if err := s.Startable("linking"); err != nil {
		t.Errorf("startable: %v", err)
	}
	program := s.module("linking").Program
	if err := os.Remove(program); err != nil {
		t.Fatal(err)
	}
	if err := s.Startable("linking"); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "missing") {
		t.Errorf("without a program: %v", err)
	}
	if err := os.Symlink("/bin/sh", program); err != nil {
		t.Fatal(err)
	}
	if err := s.Startable("linking"); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "outside") {
		t.Errorf("with a program outside: %v", err)
	}
	write(t, filepath.Join(dir, "main.go"), "package main")
	s.rescan()
	if m := s.module("linking"); !m.Source || m.Program != filepath.Join(dir, "bin", "linking") {
		t.Errorf("program of a source tree = %s", m.Program)
	}
}

func TestRows_RememberWhatWasAccepted(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, linking)
	if !s.set("linking", catalogue.Enabled) || s.set("linking", catalogue.Enabled) {
		t.Error("enabling twice must change something exactly once")
	}
	if !s.set("linking", catalogue.Paused) || s.set("linking", catalogue.Paused) {
		t.Error("pausing twice must change something exactly once")
	}
	s.set("linking", catalogue.Enabled)
	s.put(strings.Replace(linking, "[linking_accounts]", "[linking_accounts, linking_more]", 1))
	s.open(nil) // a restart
	m := s.module("linking")
	if m.Row.EnabledBy != "ann" || m.Row.EnabledAt.IsZero() || !m.Changed() || len(m.InForce().Tables) != 1 {
		t.Errorf("module = %+v", m.Row)
	}
	if err := s.Startable("linking"); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "linking_more") {
		t.Errorf("startable: %v, want the new table named", err)
	}
	if changed, err := s.Accept(t.Context(), "linking", "ann"); !changed || err != nil {
		t.Fatal(changed, err)
	}
	if err := s.Startable("linking"); err != nil || len(s.module("linking").InForce().Tables) != 2 {
		t.Errorf("after accepting: %v", err)
	}
	s.put(strings.Replace(linking, "1.2.0", "1.3.0", 1))
	s.rescan()
	if err := s.Startable("linking"); err != nil {
		t.Errorf("a new version that asks for nothing new: %v", err)
	}
	if err := os.RemoveAll(filepath.Join(s.dir, "linking")); err != nil {
		t.Fatal(err)
	}
	s.rescan()
	if m := s.module("linking"); m.Problem == "" || !m.Enabled() || m.Manifest.Name != "Account linking" {
		t.Errorf("a module without its folder: %+v", m)
	}
}

func TestRows_KeepAQuarantineOverARestart(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, linking)
	s.set("linking", catalogue.Enabled)
	if err := s.SetQuarantine(t.Context(), "linking", "five exits"); err != nil {
		t.Fatal(err)
	}
	s.open(nil)
	if r := s.module("linking").Row; r.QuarantineReason != "five exits" || r.QuarantinedAt.IsZero() {
		t.Errorf("row = %+v", r)
	}
	if !s.set("linking", catalogue.Enabled) || !s.module("linking").Row.QuarantinedAt.IsZero() {
		t.Error("enabling again did not end the quarantine")
	}
}

func TestPlan_NamesWhatIsNeededInOrder(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, linking, devices)
	p, err := s.Plan(t.Context(), "devices")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(p.Order, []string{"linking", "devices"}) || p.Ready() || len(p.Obstacles) != 0 {
		t.Errorf("order = %v, obstacles = %v", p.Order, p.Obstacles)
	}
	if r := p.Requires[0]; r.ID != "linking" || r.State != catalogue.NeedAvailable || !r.Direct {
		t.Errorf("requires = %+v", r)
	}
	if u := p.Uses[0]; u.Provider != "linking" || u.State != catalogue.NeedAvailable {
		t.Errorf("uses = %+v", u)
	}
	s.set("linking", catalogue.Enabled)
	if p, err = s.Plan(t.Context(), "devices"); err != nil || !p.Ready() || p.Requires[0].State != catalogue.NeedMet {
		t.Errorf("plan = %+v, %v", p, err)
	}
	s.set("devices", catalogue.Enabled)
	if d := s.Dependents("linking"); !slices.Equal(d, []string{"devices"}) {
		t.Errorf("dependents = %v", d)
	}
	if o := s.Order(); !slices.Equal(o, []string{"linking", "devices"}) {
		t.Errorf("order = %v", o)
	}
}

func TestPlan_SaysWhatStandsInTheWay(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil,
		simple("lonely", "requires: {nowhere: ^1.0}"),
		simple("newer", "requires: {lonely: ^2.0}"),
		strings.Replace(simple("future", ""), "host: ^1.0", "host: ^9.0", 1),
		simple("user_a", "uses: [{name: some.thing, version: ^1.0}]"),
		simple("user_b", "uses: [{name: some.thing, version: ^1.0, optional: true}]"),
		simple("aaa", "requires: {bbb: ^1.0}"), simple("bbb", "requires: {ccc: ^1.0}"), simple("ccc", "requires: {aaa: ^1.0}"),
		linking, strings.NewReplacer("id: linking", "id: other", "linking.", "other.", "/linking", "/other", "linking_", "other_").Replace(linking),
	)
	s.set("linking", catalogue.Enabled)
	for id, want := range map[string]string{
		"lonely": "requires the module nowhere", "newer": "requires LONELY ^2.0, and 1.0.0 is there", "future": "works with hosts ^9.0",
		"user_a": "which no module provides", "user_b": "", "aaa": "aaa → bbb → ccc → aaa", "other": "provides the service particle.token already",
	} {
		p, err := s.Plan(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprint(p.Obstacles)
		if want == "" && len(p.Obstacles) > 0 || !strings.Contains(text, want) {
			t.Errorf("%s: %s, want %q", id, text, want)
		}
	}
	if _, err := s.Plan(t.Context(), "nowhere"); !fault.Is(err, fault.NotFound) {
		t.Errorf("%v", err)
	}
}

func TestPlan_ListsEverythingThatIsAsked(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, linking)
	p, err := s.Plan(t.Context(), "linking")
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("%+v", p.Asks)
	for _, want := range []string{"GET /linking/callback", "Link own accounts", "linking_accounts", "Who linked what.", "particle.token 1.0.0",
		"at present https://api.example.com", "events.example.com", "Tokens of customers.", "Client secret", "hears user.deleted", "publishes linking.account_linked",
		"Tidy up", "128 MiB of memory", "64 pages at once"} {
		if !strings.Contains(text, want) {
			t.Errorf("the plan does not say %q", want)
		}
	}
}

func TestPlan_WarnsOfThePowersOfTheSiteItself(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, simple("crm", "uses: [{name: host.people, version: ^1.0}, {name: host.weather, version: ^1.0, optional: true}]\ntables: [crm_bills]\npersonal_data: [{table: crm_bills, column: user_id, purpose: Bills, keep: Ten years by law.}]"),
		simple("later", "uses: [{name: host.people, version: ^2.0}]"))
	p, err := s.Plan(t.Context(), "crm")
	if err != nil || !p.Ready() {
		t.Fatalf("%+v, %v", p.Obstacles, err)
	}
	if u := p.Uses[0]; u.State != catalogue.NeedMet || u.Provider != "host" || u.Version != "1.0.0" {
		t.Errorf("use = %+v", u)
	}
	if u := p.Uses[1]; u.State != catalogue.NeedMissing {
		t.Errorf("what this host does not know = %+v", u)
	}
	for _, g := range p.Asks {
		switch g.Kind {
		case "services":
			if a := g.Items[0]; !a.Warn || !strings.Contains(a.Title, "customers") || !strings.Contains(a.Detail, "host.people") {
				t.Errorf("ask = %+v", a)
			}
		case "personal_data":
			if a := g.Items[0]; !strings.Contains(a.Detail, "Ten years by law.") {
				t.Errorf("ask = %+v", a)
			}
		}
	}
	if p, err = s.Plan(t.Context(), "later"); err != nil || p.Ready() || !strings.Contains(p.Obstacles[0].Text, "this host does not provide") {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestLedger_ListsWhatARemovalTakesAndForgetTakesIt(t *testing.T) {
	t.Parallel()
	var cleaned []string
	s := newSite(t, func(o *catalogue.Options) {
		o.TableRows = func(context.Context, string) (map[string]int64, error) {
			return map[string]int64{"linking_accounts": 12, "linking_a": 1}, nil
		}
		o.Secrets = func(context.Context, string) (int64, error) { return 3, nil }
		o.Undelivered = func(context.Context, string) (int64, error) { return 2, nil }
		o.RolesOf = func(context.Context, []string) (map[string][]string, error) {
			return map[string][]string{"linking.use": {"customer"}}, nil
		}
		o.Cleaners = []catalogue.Cleaner{{What: "events", Forget: func(_ context.Context, m *catalogue.Module, all bool) error {
			cleaned = append(cleaned, fmt.Sprint(m.Manifest.ID, all))
			return nil
		}}}
	}, linking, devices)
	s.set("linking", catalogue.Enabled)
	s.set("devices", catalogue.Enabled)
	if _, err := s.SaveSettings(t.Context(), "linking", map[string]any{"client_id": "abc"}, "ann"); err != nil {
		t.Fatal(err)
	}
	l, err := s.Ledger(t.Context(), "linking")
	if err != nil {
		t.Fatal(err)
	}
	if l.Rows != 13 || l.Tables[1].Personal != "Who linked what." || l.Settings != 1 || l.Secrets != 3 || l.Undelivered != 2 || l.Pages != 2 ||
		l.Permissions[0].Roles[0] != "customer" || !slices.Equal(l.Jobs, []string{"Tidy up"}) || !slices.Equal(l.Dependents, []string{"devices"}) {
		t.Errorf("ledger = %+v", l)
	}
	if err := s.Forget(t.Context(), "linking", true, "ann"); !fault.Is(err, fault.Conflict) {
		t.Errorf("forgot what devices needs: %v", err)
	}
	for _, id := range []string{"devices", "linking"} {
		if err := s.Forget(t.Context(), id, false, "ann"); err != nil {
			t.Fatal(err)
		}
	}
	if form, err := s.SettingsForm(t.Context(), "linking"); err != nil || form[1].Value != "abc" {
		t.Errorf("a kept setting: %v, %v", form, err)
	}
	if err := s.Forget(t.Context(), "linking", true, "ann"); err != nil {
		t.Fatal(err)
	}
	if m := s.module("linking"); m.Accepted != nil || m.Row.Desired != "" {
		t.Errorf("row = %+v", m.Row)
	}
	if form, err := s.SettingsForm(t.Context(), "linking"); err != nil || form[1].Set {
		t.Errorf("a deleted setting: %v, %v", form, err)
	}
	if !slices.Equal(cleaned, []string{"devicesfalse", "linkingfalse", "linkingtrue"}) {
		t.Errorf("cleaned = %v", cleaned)
	}
}

func TestReseal_ReplacesEverySealedSetting(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, linking)
	if _, err := s.SaveSettings(t.Context(), "linking", map[string]any{"client_id": "abc", "client_secret": "shh"}, "ann"); err != nil {
		t.Fatal(err)
	}
	if sealed, err := catalogue.HasSealed(t.Context(), s.store.Read(t.Context())); err != nil || !sealed {
		t.Errorf("has sealed = %v, %v", sealed, err)
	}
	var seen []string
	err := s.store.Write(t.Context(), func(tx *gorm.DB) error {
		return catalogue.Reseal(tx, func(module, name, key, sealed string) (string, error) {
			seen = append(seen, sealed)
			return sealed + "2", nil
		})
	})
	if err != nil || !slices.Equal(seen, []string{"sealed:linking:setting:client_secret:shh"}) {
		t.Errorf("%v, %v", seen, err)
	}
	if v, err := s.Settings(t.Context(), "linking"); err != nil || v.String("client_secret") != "shh2" {
		t.Errorf("%v, %v", v, err)
	}
}
