package modules

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mortise/core/catalogue"
	"mortise/core/fault"
	"mortise/core/manifest"
	"mortise/core/router"
	"mortise/core/sdk"
	"mortise/core/supervisor"
	"mortise/core/theme"
)

// People gives roles the permissions of a module that comes for the first time; core/identity does.
type People interface {
	GrantDefaults(ctx context.Context, defaults map[string][]string) error
	ForgetPermissions(ctx context.Context, permissions []string) error
}

// Options are the parts that a Manager ties together. All are needed.
type Options struct {
	Catalogue *catalogue.Catalogue
	Router    *router.Router
	Theme     *theme.Renderer
	People    People
	Changed   func() // called after each new snapshot: schedules are read again
	Log       *slog.Logger
}

// Manager does operations on modules. It is safe for concurrent use; operations on one module come one after the other.
type Manager struct {
	o       Options
	life    *supervisor.Supervisor
	publish sync.Mutex // one new snapshot at a time
	enabled atomic.Pointer[map[string]*manifest.Manifest]
	origins atomic.Pointer[map[string][]string]
}

// New makes a manager. Supervise must be called before the first operation.
func New(o Options) *Manager {
	m := &Manager{o: o}
	m.enabled.Store(&map[string]*manifest.Manifest{})
	m.origins.Store(&map[string][]string{})
	return m
}

// Supervise gives the manager what runs the modules. The two know each other: the supervisor asks the manager for what to run.
func (m *Manager) Supervise(life *supervisor.Supervisor) { m.life = life }

// Entry is one module with everything that a list shows of it.
type Entry struct {
	*catalogue.Module
	Status supervisor.Status
}

// List gives every module, by name.
func (m *Manager) List() []Entry {
	all := m.o.Catalogue.Modules()
	entries := make([]Entry, 0, len(all))
	for _, module := range all {
		entries = append(entries, m.entry(module))
	}
	return entries
}

// Get finds one module; fault.NotFound.
func (m *Manager) Get(id string) (Entry, error) {
	module, ok := m.o.Catalogue.Module(id)
	if !ok {
		return Entry{}, fault.New(fault.NotFound, "There is no module %q.", id)
	}
	return m.entry(module), nil
}

func (m *Manager) entry(module *catalogue.Module) Entry {
	e := Entry{Module: module}
	if status, ok := m.life.Status(module.Manifest.ID); ok {
		e.Status = status
		return e
	}
	e.Status = supervisor.Status{ID: module.Manifest.ID, Name: module.Manifest.Name, Version: module.Manifest.Version, State: supervisor.Available}
	if module.Row.Desired == catalogue.Paused {
		e.Status.State = supervisor.Paused
	}
	return e
}

// EnableOptions are the choices that go with enabling.
type EnableOptions struct {
	WithRequired bool // also the modules that it requires
}

// Enable turns a module on. It is all or nothing for each module; the reports come in the order in which modules were enabled.
// Without WithRequired a missing required module is a fault.Conflict that names it.
func (m *Manager) Enable(ctx context.Context, id string, o EnableOptions, by string, progress func(module string, s supervisor.Step)) ([]supervisor.Report, error) {
	plan, err := m.o.Catalogue.Plan(ctx, id)
	if err != nil {
		return nil, err
	}
	order := []string{id}
	if o.WithRequired {
		order = plan.Order
	}
	var reports []supervisor.Report
	for _, one := range order {
		report, err := m.enableOne(ctx, one, by, progress)
		reports = append(reports, report)
		if err != nil {
			return reports, err
		}
	}
	return reports, nil
}

func (m *Manager) enableOne(ctx context.Context, id, by string, progress func(string, supervisor.Step)) (supervisor.Report, error) {
	module, ok := m.o.Catalogue.Module(id)
	if !ok {
		return supervisor.Report{Module: id}, fault.New(fault.NotFound, "There is no module %q.", id)
	}
	if module.Changed() {
		return m.accept(ctx, module, by)
	}
	var report supervisor.Report
	err := m.granting(ctx, module, func() (err error) {
		report, err = m.life.Enable(ctx, id, by, func(s supervisor.Step) {
			if progress != nil {
				progress(id, s)
			}
		})
		return err
	})
	return report, err
}

// granting gives roles the defaults of a module's new permissions before then, which makes the permissions count: whatever
// happens in between, they are given once and none is missing for ever. When then fails they are taken back.
func (m *Manager) granting(ctx context.Context, module *catalogue.Module, then func() error) error {
	id, fresh := module.Manifest.ID, newDefaults(module)
	if err := m.o.People.GrantDefaults(ctx, fresh); err != nil {
		return fmt.Errorf("give roles the permissions of %s: %w", id, err)
	}
	err := then()
	if err == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if forget := m.o.People.ForgetPermissions(ctx, slices.Collect(maps.Keys(fresh))); forget != nil {
		err = errors.Join(err, fmt.Errorf("take back the permissions of %s: %w", id, forget))
	}
	return err
}

// accept takes what the folder's manifest asks for now, beyond what was accepted, and starts the module anew with it.
func (m *Manager) accept(ctx context.Context, module *catalogue.Module, by string) (supervisor.Report, error) {
	id := module.Manifest.ID
	err := m.granting(ctx, module, func() error {
		_, err := m.o.Catalogue.Accept(ctx, id, by)
		return err
	})
	if err != nil {
		return supervisor.Report{Module: id}, err
	}
	if module.Paused() {
		return supervisor.Report{Module: id, Changed: true, State: supervisor.Paused}, m.Publish(ctx)
	}
	report, err := m.life.Restart(ctx, id, by)
	report.Changed = true
	return report, errors.Join(err, m.Publish(ctx)) // what was accepted holds, also for a module that starts later
}

// newDefaults are the defaults of permissions that no accepted manifest of the module had: roles keep what administrators made
// of the others, also while the module was off.
func newDefaults(module *catalogue.Module) map[string][]string {
	defaults := defaultsOf(module.Manifest)
	if module.Accepted != nil {
		for _, p := range module.Accepted.Permissions {
			delete(defaults, p.ID)
		}
	}
	return defaults
}

func defaultsOf(m *manifest.Manifest) map[string][]string {
	defaults := map[string][]string{}
	for _, p := range m.Permissions {
		if len(p.Default) > 0 {
			defaults[p.ID] = p.Default
		}
	}
	return defaults
}

// Pause takes a module off the site and keeps its data.
func (m *Manager) Pause(ctx context.Context, id, by string) (supervisor.Report, error) {
	return m.life.Pause(ctx, id, by)
}

// Resume brings a paused or quarantined module back.
func (m *Manager) Resume(ctx context.Context, id, by string) (supervisor.Report, error) {
	return m.life.Resume(ctx, id, by, nil)
}

// Restart starts a module's process anew, with what lies in its folder now: program, templates and help. It is refused
// (fault.Conflict) while the folder holds what cannot be started, such as a manifest that asks for more than was accepted: the
// process that runs is better than none.
func (m *Manager) Restart(ctx context.Context, id, by string) (supervisor.Report, error) {
	if err := m.o.Catalogue.Rescan(ctx); err != nil {
		return supervisor.Report{Module: id}, err
	}
	if _, known := m.life.Status(id); known {
		if err := m.o.Catalogue.Startable(id); err != nil {
			return supervisor.Report{Module: id, Action: "restart"}, err
		}
	}
	report, err := m.life.Restart(ctx, id, by)
	if err != nil {
		return report, err
	}
	return report, m.Publish(ctx)
}

// Remove takes a module off the site. With deleteData its tables, settings, secrets, permissions, events and runs go too;
// otherwise they wait for it. It is refused (fault.Conflict) while other modules that are on need it.
func (m *Manager) Remove(ctx context.Context, id, by string, deleteData bool) (supervisor.Report, error) {
	if needed := m.o.Catalogue.Dependents(id); len(needed) > 0 {
		return supervisor.Report{Module: id}, fault.New(fault.Conflict, "%s is needed by %s. Remove that first.", id, strings.Join(needed, ", "))
	}
	data := supervisor.DataChoice("keep")
	if deleteData {
		data = "delete"
	}
	return m.life.Remove(ctx, id, by, data)
}

// Rescan looks at the folders again: new modules appear, changed ones can be enabled anew, and templates, help and themes are read.
// A theme in use that does not work any more is fault.Invalid; pages are then drawn as before.
func (m *Manager) Rescan(ctx context.Context) error {
	if err := m.o.Catalogue.Rescan(ctx); err != nil {
		return err
	}
	if err := m.Publish(ctx); err != nil {
		return err
	}
	if _, err := m.o.Theme.Reload(); err != nil { // Publish has told of problems with modules' templates
		return err
	}
	return nil
}

// SaveSettings checks and keeps a settings form and hands the values to the module, which is restarted if it cannot take them
// while it runs. changed names the settings that are different now.
func (m *Manager) SaveSettings(ctx context.Context, id string, form map[string]any, by string) (changed []string, err error) {
	changed, err = m.o.Catalogue.SaveSettings(ctx, id, form, by)
	if err != nil || len(changed) == 0 {
		return changed, err
	}
	if err := m.Publish(ctx); err != nil { // the hosts it may reach can hang on a setting
		return changed, err
	}
	if status, ok := m.life.Status(id); ok && status.State == supervisor.Running {
		if err := m.life.Configure(ctx, id); err != nil {
			return changed, fmt.Errorf("hand the new settings to %s: %w", id, err)
		}
	}
	return changed, nil
}

// SaveOwnSettings is SaveSettings for values that the module itself changes, in the middle of one of its requests: where it needs a restart,
// restart is true and nothing was restarted yet.
func (m *Manager) SaveOwnSettings(ctx context.Context, id string, values map[string]any, by string) (changed []string, restart bool, err error) {
	changed, err = m.o.Catalogue.SaveSettings(ctx, id, values, by)
	if err != nil || len(changed) == 0 {
		return changed, false, err
	}
	if err := m.Publish(ctx); err != nil {
		return changed, false, err
	}
	applied, err := m.life.Offer(ctx, id)
	if err != nil {
		return changed, false, fmt.Errorf("hand the new settings to %s: %w", id, err)
	}
	return changed, !applied, nil
}

// TestSettings has the module try a form that is not saved. Problems name the setting that is wrong.
func (m *Manager) TestSettings(ctx context.Context, id string, form map[string]any) ([]sdk.Problem, error) {
	settings, err := m.o.Catalogue.ParseSettings(ctx, id, form)
	if err != nil {
		return nil, err
	}
	return m.life.TestSettings(ctx, id, settings)
}

// Publish builds a new snapshot of routes, menus and templates from what is enabled and paused, and swaps it in.
func (m *Manager) Publish(ctx context.Context) error {
	m.publish.Lock()
	defer m.publish.Unlock()
	var entries []router.Entry
	var templates []theme.Module
	enabled := map[string]*manifest.Manifest{}
	origins := map[string][]string{}
	for _, module := range m.o.Catalogue.Modules() {
		state, on := routeState(module)
		if !on {
			continue
		}
		accepted := module.InForce()
		id := accepted.ID
		allowed, err := m.o.Catalogue.Egress(ctx, id)
		if err != nil {
			return fmt.Errorf("work out the hosts that %s may reach: %w", id, err)
		}
		origins[id] = allowed
		entries = append(entries, router.Entry{Manifest: accepted, State: state, Egress: allowed})
		if state == router.Serving {
			enabled[id] = accepted
		}
		if module.Dir != "" { // else its folder is gone, and its pages say so
			templates = append(templates, theme.Module{ID: id, Templates: module.Templates()})
		}
	}
	snapshot, err := router.Build(entries)
	if err != nil {
		return err
	}
	problems, err := m.o.Theme.Update(func(c *theme.Config) { c.Modules = templates })
	if err != nil {
		return fmt.Errorf("load the templates: %w", err)
	}
	for _, p := range problems {
		m.o.Log.Warn("template does not parse", "module", p.Module, "template", p.Template, "line", p.Line, "problem", p.Message)
	}
	m.enabled.Store(&enabled)
	m.origins.Store(&origins)
	m.o.Router.Store(snapshot)
	if m.o.Changed != nil {
		m.o.Changed()
	}
	return nil
}

// routeState tells how a module stands in the snapshot, if it does.
func routeState(module *catalogue.Module) (router.State, bool) {
	switch module.Row.Desired {
	case catalogue.Enabled:
		if module.Problem != "" {
			return router.Unavailable, true
		}
		return router.Serving, true
	case catalogue.Paused:
		return router.Paused, true
	}
	return "", false
}

// Manifest finds the manifest of an enabled module, from memory.
func (m *Manager) Manifest(id string) (*manifest.Manifest, bool) {
	found, ok := (*m.enabled.Load())[id]
	return found, ok
}

// Manifests gives the manifests of all enabled modules, from memory, by id.
func (m *Manager) Manifests() []*manifest.Manifest {
	enabled := *m.enabled.Load()
	list := make([]*manifest.Manifest, 0, len(enabled))
	for _, found := range enabled {
		list = append(list, found)
	}
	slices.SortFunc(list, func(a, b *manifest.Manifest) int { return strings.Compare(a.ID, b.ID) })
	return list
}

// Origins gives the sites that a module may send visitors to, from memory.
func (m *Manager) Origins(id string) []string { return (*m.origins.Load())[id] }

// Running tells whether a module answers now.
func (m *Manager) Running(id string) bool {
	status, ok := m.life.Status(id)
	return ok && status.State == supervisor.Running
}

// Catalogue is what lies on disk and what somebody wanted of it, for plans, ledgers and forms.
func (m *Manager) Catalogue() *catalogue.Catalogue { return m.o.Catalogue }

// Life is what runs.
func (m *Manager) Life() *supervisor.Supervisor { return m.life }
