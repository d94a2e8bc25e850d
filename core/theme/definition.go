package theme

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"

	"go.yaml.in/yaml/v3"

	"mortise/core/manifest"
)

// maxDefinition bounds a theme.yaml, in bytes.
const maxDefinition = 64 << 10

// Info describes an installed theme.
type Info struct {
	ID          string             `json:"id"`
	Name        string             `json:"name"`
	Version     string             `json:"version"`
	Surface     string             `json:"surface"` // SurfaceSite, SurfaceAdmin, or "base": only there for others to build on
	Base        string             `json:"base,omitempty"`
	Description string             `json:"description"`
	Regions     []string           `json:"regions"`
	Settings    []manifest.Setting `json:"settings"` // with those of its base themes; type "color" besides the types of a module
	Problem     string             `json:"problem,omitempty"`
}

// definition is a theme.yaml.
type definition struct {
	ID          string           `yaml:"id"`
	Name        string           `yaml:"name"`
	Version     string           `yaml:"version"`
	Surface     string           `yaml:"surface"`
	Base        string           `yaml:"base"`
	Description string           `yaml:"description"`
	Regions     []string         `yaml:"regions"`
	Styles      []string         `yaml:"styles"` // assets that make up style.css, after those of the base theme
	Tokens      map[string]token `yaml:"tokens"`
	Settings    []setting        `yaml:"settings"`
}

// token is a value of the design. Without a dark value the light one counts for both.
type token struct {
	Light string `yaml:"light"`
	Dark  string `yaml:"dark"`
}

// setting is something that the maker of a site may change.
type setting struct {
	Key     string   `yaml:"key"`
	Type    string   `yaml:"type"` // color, number, select, text, path
	Label   string   `yaml:"label"`
	Help    string   `yaml:"help"`
	Token   string   `yaml:"token"`  // the token that takes the value; none for name and logo
	Scheme  string   `yaml:"scheme"` // "light" or "dark" when the value counts for that scheme only
	Unit    string   `yaml:"unit"`   // CSS unit of a number
	Min     *float64 `yaml:"min"`
	Max     *float64 `yaml:"max"`
	Options []struct {
		Value string `yaml:"value"`
		Label string `yaml:"label"`
	} `yaml:"options"`
}

var (
	idPattern    = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)
	tokenPattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)
	// A token's value goes into a style sheet as it is, so nothing that could end the declaration or fetch something.
	valuePattern = regexp.MustCompile(`^[-#a-zA-Z0-9 .,%()"'/]{1,200}$`)
)

// parseDefinition reads a theme.yaml. Unknown keys are refused: a misspelt one would be silently without effect.
func parseDefinition(text []byte) (definition, error) {
	var d definition
	if len(text) > maxDefinition {
		return d, fmt.Errorf("theme.yaml has %d bytes, at most %d are allowed", len(text), maxDefinition)
	}
	var node yaml.Node
	if err := yaml.Unmarshal(text, &node); err != nil {
		return d, fmt.Errorf("theme.yaml: %w", err)
	}
	if hasAlias(&node, 0) { // a few aliases of aliases are enough to fill the memory
		return d, errors.New("theme.yaml: aliases and anchors are not allowed")
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&d); err != nil && err != io.EOF {
		return d, fmt.Errorf("theme.yaml: %w", err)
	}
	return d, d.check()
}

func hasAlias(n *yaml.Node, depth int) bool {
	return n.Kind == yaml.AliasNode || n.Anchor != "" || depth > 32 ||
		slices.ContainsFunc(n.Content, func(c *yaml.Node) bool { return hasAlias(c, depth+1) })
}

func (d definition) check() error {
	switch {
	case !idPattern.MatchString(d.ID):
		return fmt.Errorf("theme.yaml: id %q: expected small letters, digits and _", d.ID)
	case d.Name == "" || d.Version == "":
		return errors.New("theme.yaml: name and version are needed")
	case d.Surface != SurfaceSite && d.Surface != SurfaceAdmin && d.Surface != "base":
		return fmt.Errorf("theme.yaml: surface %q: expected site, admin or base", d.Surface)
	case d.Base == d.ID:
		return errors.New("theme.yaml: a theme cannot be its own base")
	}
	for name, t := range d.Tokens {
		if !tokenPattern.MatchString(name) {
			return fmt.Errorf("theme.yaml: token %q: expected small letters, digits and -", name)
		}
		for _, value := range []string{t.Light, t.Dark} {
			if value != "" && (!valuePattern.MatchString(value) || bytes.Contains([]byte(value), []byte("url("))) {
				return fmt.Errorf("theme.yaml: token %q: %q is not a plain CSS value", name, value)
			}
		}
		if t.Light == "" {
			return fmt.Errorf("theme.yaml: token %q has no light value", name)
		}
	}
	for _, s := range d.Settings {
		if err := s.check(); err != nil {
			return fmt.Errorf("theme.yaml: setting %q: %w", s.Key, err)
		}
	}
	return nil
}

func (s setting) check() error {
	switch {
	case !idPattern.MatchString(s.Key) || s.Label == "":
		return errors.New("a key (small letters, digits, _) and a label are needed")
	case !slices.Contains([]string{"color", "number", "select", "text", "path"}, s.Type):
		return fmt.Errorf("type %q: expected color, number, select, text or path", s.Type)
	case s.Token != "" && (s.Type == "text" || s.Type == "path"):
		return errors.New("a text cannot set a token")
	case !slices.Contains([]string{"", "light", "dark"}, s.Scheme):
		return fmt.Errorf("scheme %q: expected light or dark", s.Scheme)
	case !slices.Contains([]string{"", "px", "rem", "em", "ch"}, s.Unit):
		return fmt.Errorf("unit %q: expected px, rem, em or ch", s.Unit)
	}
	for _, o := range s.Options {
		if !valuePattern.MatchString(o.Value) {
			return fmt.Errorf("option %q is not a plain CSS value", o.Value)
		}
	}
	return nil
}
