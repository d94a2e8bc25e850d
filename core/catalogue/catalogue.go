package catalogue

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"mortise/core/fault"
	"mortise/core/manifest"
	"mortise/core/store"
)

// Sealer keeps secret settings; secret.Vault is one.
type Sealer interface {
	Seal(module, name, key, value string) (string, error)
	Unseal(module, name, key, sealed string) (string, error)
}

// Cleaner takes away what another part of the host keeps for a module that is removed. It must be repeatable: a removal that was
// interrupted is done again from the start.
type Cleaner struct {
	What   string // for the error: "events"
	Forget func(ctx context.Context, module *Module, deleteData bool) error
}

// Counter tells how much of something a module has, for the removal ledger.
type Counter func(ctx context.Context, module string) (int64, error)

// Options say what the catalogue works with. Store and Dirs are needed; Sealer is, once a module has a secret setting. The functions of
// the ledger may be nil.
type Options struct {
	Store       *store.Store
	Dirs        []string // plugin folders; for the same id the first one wins
	HostVersion string   // HostVersion when empty
	Sealer      Sealer
	Log         *slog.Logger     // nil discards
	Now         func() time.Time // nil is time.Now

	TableRows   func(ctx context.Context, module string) (map[string]int64, error)
	Secrets     Counter
	Undelivered Counter
	RolesOf     func(ctx context.Context, permissions []string) (map[string][]string, error) // permission to the roles that hold it
	Cleaners    []Cleaner
}

// Catalogue is safe for concurrent use.
type Catalogue struct {
	o Options

	mu   sync.Mutex // of the two below, and of every change
	disk scanned
	rows map[string]Row

	current atomic.Pointer[snapshot]
}

// snapshot is what everybody reads; it never changes.
type snapshot struct {
	modules  map[string]*Module
	ordered  []*Module
	problems []Problem
}

// Module is a module of the site. It never changes; ask the catalogue again to see news.
type Module struct {
	Manifest *manifest.Manifest // of the folder, or the accepted one when that cannot be read; never nil
	Accepted *manifest.Manifest // what the administrator accepted; nil when the module was never enabled
	Dir      string             // absolute; "" when the folder is gone
	Program  string             // absolute path where the program is, or will be once it is built
	Source   bool               // the folder holds Go sources
	Digest   string             // of Manifest
	Row      Row
	Problem  string // why it cannot be enabled or started at present: folder gone, manifest broken
	Remedy   string
	HelpText string // help.md; "" when there is none
}

// InForce is what the module may do now: the accepted manifest, or that of the folder for one that is not enabled.
func (m *Module) InForce() *manifest.Manifest {
	if m.Accepted != nil && m.Active() {
		return m.Accepted
	}
	return m.Manifest
}

// Enabled tells whether the administrator wants it to run.
func (m *Module) Enabled() bool { return m.Row.Desired == Enabled }

// Paused tells whether the administrator paused it.
func (m *Module) Paused() bool { return m.Row.Desired == Paused }

// Active tells whether it is enabled or paused.
func (m *Module) Active() bool { return m.Enabled() || m.Paused() }

// Changed tells whether the folder's manifest is another one than the accepted.
func (m *Module) Changed() bool { return m.Active() && m.Digest != m.Row.Digest }

// Templates is the folder templates/ of the module, also when it does not exist. It is read live, and nothing outside the module's
// folder can be reached through it.
func (m *Module) Templates() fs.FS { return confined{dir: m.Dir, sub: "templates"} }

// CheckProgram says why the program cannot be started, if so.
func (m *Module) CheckProgram() error {
	if m.Dir == "" {
		return fault.New(fault.Conflict, "the folder of the module %s is gone", m.Manifest.ID)
	}
	info, err := os.Stat(m.Program)
	if errors.Is(err, fs.ErrNotExist) {
		return fault.Wrap(fault.Conflict, err, "the program of the module %s is missing: expected %s", m.Manifest.ID, m.Program)
	}
	if err != nil {
		return fault.Wrap(fault.Conflict, err, "the program of the module %s cannot be read", m.Manifest.ID)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
		return fault.New(fault.Conflict, "%s is not an executable file", m.Program)
	}
	inside, err := within(m.Dir, m.Program)
	if err != nil || !inside {
		return fault.New(fault.Conflict, "the program of the module %s lies outside its folder", m.Manifest.ID)
	}
	return nil
}

// within tells whether path, with every symbolic link resolved, lies in dir.
func within(dir, path string) (bool, error) {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return false, err
	}
	path, err = filepath.EvalSymlinks(path)
	if err != nil {
		return false, err
	}
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel), err
}

// New reads the rows and the folders.
func New(ctx context.Context, o Options) (*Catalogue, error) {
	o.HostVersion = cmp.Or(o.HostVersion, HostVersion)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &Catalogue{o: o}
	if err := c.Rescan(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// Rescan reads the rows and the folders anew. A folder that cannot be used becomes a Problem, never an error.
func (c *Catalogue) Rescan(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	rows, err := c.readRows(ctx)
	if err != nil {
		return err
	}
	c.rows = rows
	c.disk = scan(c.o.Dirs, func(id string) bool { _, ok := rows[id]; return ok })
	for _, p := range c.disk.problems {
		c.o.Log.Warn("a module folder cannot be used", "folder", p.Dir, "reason", p.Reason)
	}
	c.publish()
	return nil
}

// publish makes the snapshot of disk and rows. The caller holds mu.
func (c *Catalogue) publish() {
	s := &snapshot{modules: maps.Clone(c.disk.modules), problems: c.disk.problems}
	if s.modules == nil {
		s.modules = map[string]*Module{}
	}
	for id, row := range c.rows {
		m := s.modules[id]
		if m == nil {
			if row.manifest == nil {
				continue
			}
			m = &Module{Manifest: row.manifest, Digest: row.Digest, Problem: "Its folder is gone.", Remedy: "Put the folder back, or remove the module."}
			for _, p := range c.disk.problems {
				if p.ID == id {
					m.Dir, m.Problem, m.Remedy = p.Dir, p.Reason, p.Remedy
				}
			}
		}
		with := *m
		with.Row, with.Accepted = row, row.manifest
		s.modules[id] = &with
	}
	s.ordered = slices.SortedFunc(maps.Values(s.modules), func(a, b *Module) int {
		return cmp.Or(cmp.Compare(a.Manifest.Name, b.Manifest.Name), cmp.Compare(a.Manifest.ID, b.Manifest.ID))
	})
	c.current.Store(s)
}

// Modules gives all modules by name, also those that were enabled once and whose folder is gone. Do not change the slice.
func (c *Catalogue) Modules() []*Module { return c.current.Load().ordered }

// Module finds a module by id.
func (c *Catalogue) Module(id string) (*Module, bool) {
	m, ok := c.current.Load().modules[id]
	return m, ok
}

// Get is Module with a fault of kind NotFound.
func (c *Catalogue) Get(id string) (*Module, error) {
	if m, ok := c.Module(id); ok {
		return m, nil
	}
	return nil, fault.New(fault.NotFound, "there is no module %q", id)
}

// Problems lists the folders that cannot be used.
func (c *Catalogue) Problems() []Problem { return c.current.Load().problems }
