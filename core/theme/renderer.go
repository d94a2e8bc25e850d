package theme

import (
	"io/fs"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"mortise/core/fault"
)

// Options say what a Renderer starts with.
type Options struct {
	Themes  []fs.FS          // roots that hold one folder a theme; a theme of a later root replaces one of the same id
	Config  Config           // zero: the shipped themes
	MaxPage int              // bytes of one rendered page; 0 means 8 MiB
	MaxTime time.Duration    // for drawing one page; 0 means 5 s
	Clock   func() time.Time // nil means time.Now
}

// Config is what is active.
type Config struct {
	Site     string                       // theme of the customers' pages; "" means "customer"
	Admin    string                       // theme of the admin pages; "" means "admin"
	Settings map[string]map[string]string // theme id to setting to value: what the maker changed
	Modules  []Module
}

// Module is a module with templates.
type Module struct {
	ID        string
	Digest    string // a module with the same digest is not parsed again; "" always is
	Templates fs.FS  // with list.html at its root; nil when the module has none
}

// Renderer renders pages. It is safe for concurrent use.
type Renderer struct {
	options Options
	active  atomic.Pointer[snapshot]
	buffers sync.Pool

	mu      sync.Mutex // held while a snapshot is built; never during a render
	sources map[string]*source
	broken  map[string]error
}

// New reads the themes and activates the configuration. The error is a fault of kind Invalid when an active theme is broken.
func New(o Options) (*Renderer, error) {
	if o.MaxTime <= 0 {
		o.MaxTime = 5 * time.Second
	}
	if o.MaxPage <= 0 {
		o.MaxPage = 8 << 20
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	r := &Renderer{options: o}
	sources, broken, err := readSources(o.Themes)
	if err != nil {
		return nil, err
	}
	r.sources, r.broken = sources, broken
	_, err = r.Update(func(c *Config) { *c = o.Config })
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Config tells what is active.
func (r *Renderer) Config() Config { return r.active.Load().config.clone() }

// Update changes what is active: it builds the next snapshot and swaps it in at once; pages being rendered finish with the one
// that they began with. Updates wait for each other.
//
// The error (a fault of kind Invalid) says why a theme cannot be used; then nothing changes. The problems are those of single
// modules: their pages cannot be drawn, everything else can.
func (r *Renderer) Update(change func(*Config)) ([]Problem, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.swap(change)
}

// Reload reads the themes' folders again, for the authors of themes.
func (r *Renderer) Reload() ([]Problem, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	sources, broken, err := readSources(r.options.Themes)
	if err != nil {
		return nil, err
	}
	oldSources, oldBroken := r.sources, r.broken
	r.sources, r.broken = sources, broken
	problems, err := r.swap(func(*Config) {})
	if err != nil {
		r.sources, r.broken = oldSources, oldBroken
	}
	return problems, err
}

func (r *Renderer) swap(change func(*Config)) ([]Problem, error) {
	before := r.active.Load()
	var config Config
	if before != nil {
		config = before.config.clone()
	}
	change(&config)
	if config.Site == "" {
		config.Site = "customer"
	}
	if config.Admin == "" {
		config.Admin = "admin"
	}
	next, err := r.build(config.clone(), before)
	if err != nil {
		return nil, err
	}
	r.active.Store(next)
	return next.problems(), nil
}

// Themes lists the installed themes, sorted by id. One that cannot be read has a Problem.
func (r *Renderer) Themes() []Info {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []Info
	for id := range r.sources {
		chain, err := chainOf(r.sources, id)
		if err != nil {
			list = append(list, Info{ID: id, Name: r.sources[id].Name, Surface: r.sources[id].Surface, Problem: err.Error()})
			continue
		}
		list = append(list, infoOf(chain))
	}
	for id, err := range r.broken {
		list = append(list, Info{ID: id, Name: id, Problem: err.Error()})
	}
	slices.SortFunc(list, func(a, b Info) int { return compareText(a.ID, b.ID) })
	return list
}

// Tokens gives a theme's tokens with the maker's values.
func (r *Renderer) Tokens(id string, values map[string]string) (Tokens, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	chain, err := chainOf(r.sources, id)
	if err != nil {
		return Tokens{}, fault.Wrap(fault.NotFound, err, "There is no theme %s.", id)
	}
	t, _ := tokensOf(chain, values)
	return t, nil
}

// CheckSettings tells what is wrong with a maker's values for a theme: setting to a sentence, for the form. Colours must be
// readable with the rest of the theme. No entry means that Update will take them.
func (r *Renderer) CheckSettings(id string, values map[string]string) (map[string]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	chain, err := chainOf(r.sources, id)
	if err != nil {
		return nil, fault.Wrap(fault.NotFound, err, "There is no theme %s.", id)
	}
	tokens, mistakes := tokensOf(chain, values)
	settings := settingsOf(chain)
	for key := range values {
		if !slices.ContainsFunc(settings, func(s setting) bool { return s.Key == key }) {
			mistakes[key] = "this theme has no such setting"
		}
	}
	for _, low := range CheckContrast(tokens) {
		if key := blame(settings, values, low); key != "" && mistakes[key] == "" {
			mistakes[key] = "this colour is hard to read: " + low.Error()
		}
	}
	return mistakes, nil
}

// blame finds the setting that the maker gave and that sets one of two colours.
func blame(settings []setting, values map[string]string, low LowContrast) string {
	fallback := ""
	for _, s := range settings {
		if values[s.Key] == "" || s.Token == "" || s.Type != "color" {
			continue
		}
		soft := s.Token + "-soft"
		if s.Token != low.Front && s.Token != low.Back && soft != low.Back && s.Token+"-ink" != low.Front {
			continue
		}
		if s.Scheme == low.Scheme || s.Scheme == "" {
			return s.Key
		}
		fallback = s.Key
	}
	return fallback
}

func (c Config) clone() Config {
	settings := make(map[string]map[string]string, len(c.Settings))
	for id, values := range c.Settings {
		settings[id] = maps.Clone(values)
	}
	c.Settings, c.Modules = settings, slices.Clone(c.Modules)
	return c
}
