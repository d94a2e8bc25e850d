package theme

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"mortise/core/manifest"
)

// Limits of a theme's folder.
const (
	maxFile  = 1 << 20
	maxFiles = 2000
	maxBases = 4 // themes in a chain
)

// text is one template file with where it came from, for messages.
type text struct {
	origin string // theme id, or "module <id>"
	path   string // inside the theme or the module's templates
	body   string
}

// source is a theme as it was read: nothing of it changes afterwards.
type source struct {
	definition
	templates map[string]text   // by path without .html: "partials/field", "templates/devices/list"
	samples   map[string][]byte // by the same path: the sample data beside a template
	assets    map[string][]byte // by path under assets/
}

// readSources reads every folder of the roots; a folder of a later root replaces one of the same name. A theme that cannot be
// read is kept with its problem, so that the list of themes can show it.
func readSources(roots []fs.FS) (map[string]*source, map[string]error, error) {
	sources, broken := map[string]*source{}, map[string]error{}
	for _, root := range roots {
		entries, err := fs.ReadDir(root, ".")
		if errors.Is(err, fs.ErrNotExist) {
			continue // a site without themes of its own
		}
		if err != nil {
			return nil, nil, fmt.Errorf("list the themes: %w", err)
		}
		for _, e := range entries {
			if !e.IsDir() || !idPattern.MatchString(e.Name()) {
				continue
			}
			folder, err := fs.Sub(root, e.Name())
			if err != nil {
				return nil, nil, fmt.Errorf("open theme %s: %w", e.Name(), err)
			}
			s, err := readSource(folder, e.Name())
			delete(sources, e.Name())
			delete(broken, e.Name())
			if err != nil {
				broken[e.Name()] = err
				continue
			}
			sources[e.Name()] = s
		}
	}
	return sources, broken, nil
}

func readSource(folder fs.FS, id string) (*source, error) {
	head, err := fs.ReadFile(folder, "theme.yaml")
	if err != nil {
		return nil, fmt.Errorf("theme %s: read theme.yaml: %w", id, err)
	}
	d, err := parseDefinition(head)
	if err != nil {
		return nil, fmt.Errorf("theme %s: %w", id, err)
	}
	if d.ID != id {
		return nil, fmt.Errorf("theme %s: theme.yaml says id %s; it must be the folder's name", id, d.ID)
	}
	s := &source{definition: d, templates: map[string]text{}, samples: map[string][]byte{}, assets: map[string][]byte{}}
	err = readFiles(folder, func(name string, body []byte) {
		if asset, ok := strings.CutPrefix(name, "assets/"); ok {
			s.assets[asset] = body
			return
		}
		s.addTemplate(id, name, body)
	})
	if err != nil {
		return nil, fmt.Errorf("theme %s: %w", id, err)
	}
	return s, nil
}

func (s *source) addTemplate(origin, name string, body []byte) {
	switch {
	case strings.HasSuffix(name, ".html"):
		s.templates[strings.TrimSuffix(name, ".html")] = text{origin: origin, path: name, body: string(body)}
	case strings.HasSuffix(name, ".sample.json"):
		s.samples[strings.TrimSuffix(name, ".sample.json")] = body
	}
}

// readFiles hands over every regular file below folder, within the limits.
func readFiles(folder fs.FS, take func(name string, body []byte)) error {
	count := 0
	return fs.WalkDir(folder, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			if name != "." && strings.HasPrefix(path.Base(name), ".") {
				return fs.SkipDir
			}
			return nil
		}
		if !e.Type().IsRegular() {
			return nil
		}
		if count++; count > maxFiles {
			return fmt.Errorf("more than %d files", maxFiles)
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if info.Size() > maxFile {
			return fmt.Errorf("%s has %d bytes, at most %d are allowed", name, info.Size(), maxFile)
		}
		body, err := fs.ReadFile(folder, name)
		if err != nil {
			return err
		}
		take(name, body)
		return nil
	})
}

// chainOf gives a theme after all its base themes.
func chainOf(sources map[string]*source, id string) ([]*source, error) {
	var chain []*source
	for id != "" {
		s, ok := sources[id]
		if !ok {
			return nil, fmt.Errorf("there is no theme %s", id)
		}
		chain = append(chain, s)
		if len(chain) > maxBases {
			return nil, errors.New("the base themes go in a circle or are more than three")
		}
		id = s.Base
	}
	slices.Reverse(chain)
	return chain, nil
}

// infoOf describes the last theme of a chain.
func infoOf(chain []*source) Info {
	d := chain[len(chain)-1].definition
	info := Info{ID: d.ID, Name: d.Name, Version: d.Version, Surface: d.Surface, Base: d.Base, Description: d.Description, Regions: d.Regions}
	tokens, _ := tokensOf(chain, nil)
	for i := len(chain) - 1; i >= 0 && len(info.Regions) == 0; i-- {
		info.Regions = chain[i].Regions
	}
	for _, s := range settingsOf(chain) {
		info.Settings = append(info.Settings, s.field(tokens))
	}
	return info
}

// field is the setting as a form knows it. The default is the theme's own value.
func (s setting) field(tokens Tokens) manifest.Setting {
	f := manifest.Setting{Key: s.Key, Type: s.Type, Label: s.Label, Help: s.Help, Unit: s.Unit, Min: s.Min, Max: s.Max}
	if s.Type == "path" {
		f.Type = "text"
	}
	for _, o := range s.Options {
		f.Options = append(f.Options, manifest.Option{Value: o.Value, Label: o.Label})
	}
	if s.Token != "" {
		value := tokens.Light[s.Token]
		if s.Scheme == "dark" {
			value = tokens.Dark[s.Token]
		}
		f.Default = strings.TrimSuffix(value, s.Unit)
	}
	return f
}
