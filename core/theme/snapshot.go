package theme

import (
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strings"

	"mortise/core/fault"
)

// snapshot is everything that renders need. It is never changed after it is built.
type snapshot struct {
	config   Config
	surfaces map[string]*surface
	old      map[string]File // assets of the snapshot before, which pages that are out there still ask for
}

// surface is one of the two active themes.
type surface struct {
	info    Info
	chain   []*source
	brand   string // the maker's own name and logo, when the theme's settings have them
	logo    string
	assets  assetSet
	helpers template.FuncMap
	host    *set
	modules map[string]*set
}

// build makes the snapshot for a configuration and takes over from before what did not change.
func (r *Renderer) build(config Config, before *snapshot) (*snapshot, error) {
	next := &snapshot{config: config, surfaces: map[string]*surface{}}
	if before != nil {
		next.old = before.assets()
	}
	for name, id := range map[string]string{SurfaceSite: config.Site, SurfaceAdmin: config.Admin} {
		s, err := r.buildSurface(name, id, config, before)
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "The theme %s cannot be used: %v.", id, err)
		}
		next.surfaces[name] = s
	}
	return next, nil
}

func (r *Renderer) buildSurface(name, id string, config Config, before *snapshot) (*surface, error) {
	if err := r.broken[id]; err != nil {
		return nil, err
	}
	chain, err := chainOf(r.sources, id)
	if err != nil {
		return nil, err
	}
	s := &surface{info: infoOf(chain), chain: chain, modules: map[string]*set{}}
	if s.info.Surface != name {
		return nil, fmt.Errorf("it is not for the surface %q", name)
	}
	values := config.Settings[id]
	tokens, mistakes := tokensOf(chain, values)
	for key, mistake := range mistakes {
		return nil, fmt.Errorf("setting %s: %s", key, mistake)
	}
	s.brand, s.logo = strings.TrimSpace(values["name"]), strings.TrimSpace(values["logo"])
	known := func(string) (File, bool) { return File{}, false }
	if before != nil {
		known = before.asset
	}
	if s.assets, err = buildAssets(chain, tokens, known); err != nil {
		return nil, err
	}
	s.helpers = helperFuncs(s.assets)
	s.host = newSet(id, "", hostFiles(chain), s.helpers)
	if s.host.problem != nil {
		return nil, *s.host.problem
	}
	for _, required := range []string{"layouts/main", "error"} {
		if _, ok := s.host.files[required]; !ok {
			return nil, fmt.Errorf("there is no template %s", required)
		}
	}
	var last *surface
	if before != nil {
		last = before.surfaces[name]
	}
	for _, m := range config.Modules {
		s.modules[m.ID] = s.moduleSet(m, last)
	}
	return s, nil
}

// moduleSet parses a module's templates, or takes the set of the last snapshot when nothing that it depends on has changed.
func (s *surface) moduleSet(m Module, last *surface) *set {
	if last != nil && m.Digest != "" && slices.Equal(last.chain, s.chain) && maps.Equal(last.assets.paths, s.assets.paths) {
		if have, ok := last.modules[m.ID]; ok && have.digest == m.Digest {
			return have
		}
	}
	files, err := moduleFiles(s.chain, m.ID, m.Templates)
	if err != nil {
		return &set{problem: &Problem{Theme: s.info.ID, Module: m.ID, Template: "plugins/" + m.ID + "/templates", Message: err.Error()}}
	}
	next := newSet(s.info.ID, m.ID, files, s.helpers)
	next.digest = m.Digest
	return next
}

func (s *surface) set(module string) (*set, bool) {
	if module == "" {
		return s.host, true
	}
	found, ok := s.modules[module]
	return found, ok
}

func (s *snapshot) problems() []Problem {
	var list []Problem
	for _, name := range []string{SurfaceSite, SurfaceAdmin} {
		for _, id := range slices.Sorted(maps.Keys(s.surfaces[name].modules)) {
			if p := s.surfaces[name].modules[id].problem; p != nil {
				list = append(list, *p)
			}
		}
	}
	return list
}

func (s *snapshot) assets() map[string]File {
	all := map[string]File{}
	for _, one := range s.surfaces {
		maps.Copy(all, one.assets.files)
	}
	return all
}

func (s *snapshot) asset(path string) (File, bool) {
	for _, one := range s.surfaces {
		if f, ok := one.assets.files[path]; ok {
			return f, true
		}
	}
	f, ok := s.old[path]
	return f, ok
}

// Asset finds a file by its path, such as "/assets/customer/site-3fa9c1d2e0.js". The files of the snapshot before the last
// change are found too, for pages that were sent before it.
func (r *Renderer) Asset(path string) (File, bool) { return r.active.Load().asset(path) }

// AssetPath gives the path of a file by its name, such as "favicon.svg".
func (r *Renderer) AssetPath(surface, name string) (string, bool) {
	s, ok := r.active.Load().surfaces[surface]
	if !ok {
		return "", false
	}
	path, ok := s.assets.paths[name]
	return path, ok
}

// HasTemplate tells whether a template of a module (or of the host: "") can be drawn.
func (r *Renderer) HasTemplate(surface, module, name string) bool {
	s, ok := r.active.Load().surfaces[surface]
	if !ok {
		return false
	}
	found, ok := s.set(module)
	if !ok || found.problem != nil {
		return false
	}
	_, ok = found.files[name]
	return ok
}
