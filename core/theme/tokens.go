package theme

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Tokens are the values of a theme by name for both schemes, with the maker's changes applied and the derived ones filled in.
type Tokens struct {
	Light map[string]string
	Dark  map[string]string
}

func (t Tokens) scheme(name string) map[string]string {
	if name == "dark" {
		return t.Dark
	}
	return t.Light
}

// css writes the tokens as custom properties: the light ones, the dark ones for devices that ask for them, and again for
// visitors who chose a scheme.
func (t Tokens) css() []byte {
	var b strings.Builder
	b.WriteString(":root{color-scheme:light;")
	writeTokens(&b, t.Light)
	b.WriteString("}\n@media (prefers-color-scheme:dark){:root:not([data-scheme=light]){color-scheme:dark;")
	writeTokens(&b, t.Dark)
	b.WriteString("}}\n:root[data-scheme=dark]{color-scheme:dark;")
	writeTokens(&b, t.Dark)
	b.WriteString("}\n")
	return []byte(b.String())
}

func writeTokens(b *strings.Builder, values map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		fmt.Fprintf(b, "--%s:%s;", name, values[name])
	}
}

// tokensOf merges the tokens of a chain of themes, base first, applies the maker's values and derives the rest.
func tokensOf(chain []*source, values map[string]string) (Tokens, map[string]string) {
	t := Tokens{Light: map[string]string{}, Dark: map[string]string{}}
	for _, theme := range chain {
		for name, tk := range theme.Tokens {
			t.Light[name], t.Dark[name] = tk.Light, tk.Dark
			if tk.Dark == "" {
				t.Dark[name] = tk.Light
			}
		}
	}
	mistakes := map[string]string{}
	changed := map[string]bool{} // "light accent"
	for _, s := range settingsOf(chain) {
		value := strings.TrimSpace(values[s.Key])
		if value == "" {
			continue
		}
		value, err := s.value(value)
		if err != nil {
			mistakes[s.Key] = err.Error()
			continue
		}
		if s.Token == "" {
			continue
		}
		for _, scheme := range []string{"light", "dark"} {
			if s.Scheme == "" || s.Scheme == scheme {
				if t.scheme(scheme)[s.Token] != value {
					t.scheme(scheme)[s.Token] = value
					changed[scheme+" "+s.Token] = true
				}
			}
		}
	}
	t.derive(changed)
	return t, mistakes
}

// value checks what the maker gave and turns it into a CSS value.
func (s setting) value(text string) (string, error) {
	switch s.Type {
	case "color":
		c, err := ParseColor(text)
		return c.String(), err
	case "number":
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || (s.Min != nil && f < *s.Min) || (s.Max != nil && f > *s.Max) || f > 1e6 || f < -1e6 || f != f {
			return "", fmt.Errorf("expected a number%s", s.between())
		}
		return strconv.FormatFloat(f, 'f', -1, 64) + s.Unit, nil
	case "select":
		for _, o := range s.Options {
			if o.Value == text {
				return text, nil
			}
		}
		return "", fmt.Errorf("%q is not one of the choices", text)
	case "path":
		if !strings.HasPrefix(text, "/") || strings.HasPrefix(text, "//") || strings.ContainsAny(text, "\\ \t\r\n\"'<>") || len(text) > 300 {
			return "", fmt.Errorf("expected a path of this site, such as /assets/customer/logo.svg")
		}
		return text, nil
	}
	if len(text) > 80 {
		return "", fmt.Errorf("expected at most 80 characters")
	}
	return text, nil
}

func (s setting) between() string {
	if s.Min == nil || s.Max == nil {
		return ""
	}
	return fmt.Sprintf(" from %v to %v", *s.Min, *s.Max)
}

// derive fills in what follows from other tokens: an accent for the dark scheme that can be read there, the ink upon the accent,
// and the soft backgrounds of the states.
func (t Tokens) derive(changed map[string]bool) {
	if changed["light accent"] && !changed["dark accent"] {
		t.Dark["accent"] = lightened(t.Light["accent"], t.Dark)
		changed["dark accent"] = true
	}
	for _, scheme := range []string{"light", "dark"} {
		values := t.scheme(scheme)
		if changed[scheme+" accent"] && !changed[scheme+" accent-ink"] {
			values["accent-ink"] = inkOn(values["accent"])
		}
		share := 0.09
		if scheme == "dark" {
			share = 0.13
		}
		for _, name := range []string{"accent", "good", "warn", "bad", "off"} {
			front, err := ParseColor(values[name])
			if err != nil {
				continue
			}
			back, err := ParseColor(values["raised"])
			if _, given := values[name+"-soft"]; err == nil && !given {
				values[name+"-soft"] = front.mix(share, back).String()
			}
		}
	}
}

// lightened moves a colour towards white until it can be read as text on the dark backgrounds.
func lightened(text string, dark map[string]string) string {
	c, err := ParseColor(text)
	if err != nil {
		return text
	}
	white := Color{255, 255, 255}
	for range 24 {
		readable := true
		for _, back := range []string{"paper", "raised", "sunken"} {
			b, err := ParseColor(dark[back])
			if err == nil && (Contrast(c, b) < TextContrast+1 || Contrast(c, c.mix(0.13, b)) < TextContrast) {
				readable = false
			}
		}
		if readable {
			break
		}
		c = white.mix(0.08, c)
	}
	return c.String()
}

// inkOn picks white or a near-black tinted with the colour, whichever reads better.
func inkOn(text string) string {
	c, err := ParseColor(text)
	if err != nil {
		return text
	}
	white, dark := Color{255, 255, 255}, c.mix(0.16, Color{8, 10, 8})
	if Contrast(white, c) >= Contrast(dark, c) {
		return white.String()
	}
	return dark.String()
}

// settingsOf gives the settings of a chain; a later theme's setting replaces one of its base with the same key.
func settingsOf(chain []*source) []setting {
	var list []setting
	for _, theme := range chain {
		for _, s := range theme.definition.Settings {
			if i := slices.IndexFunc(list, func(have setting) bool { return have.Key == s.Key }); i >= 0 {
				list[i] = s
				continue
			}
			list = append(list, s)
		}
	}
	return list
}
