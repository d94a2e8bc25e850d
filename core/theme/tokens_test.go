package theme_test

import (
	"io/fs"
	"math"
	"strings"
	"testing"

	"mortise/core/theme"
	"mortise/themes"
)

func TestContrast_IsThatOfWCAG(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		a, b string
		want float64
	}{{"#000000", "#ffffff", 21}, {"#fff", "#ffffff", 1}, {"#767676", "#ffffff", 4.54}, {"#ff0000", "#ffffff", 4.0}} {
		a, _ := theme.ParseColor(tc.a)
		b, _ := theme.ParseColor(tc.b)
		if got := theme.Contrast(a, b); math.Abs(got-tc.want) > 0.01 {
			t.Errorf("contrast of %s on %s = %.2f, want %.2f", tc.a, tc.b, got, tc.want)
		}
	}
}

func TestTokens_OfEveryShippedThemeCanBeRead(t *testing.T) {
	t.Parallel()
	r := shipped(t)
	for _, info := range r.Themes() {
		tokens, err := r.Tokens(info.ID, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"paper", "raised", "sunken", "ink", "ink-2", "line", "edge", "accent", "accent-ink", "accent-soft", "good-soft", "off-soft"} {
			if tokens.Light[name] == "" || tokens.Dark[name] == "" {
				t.Errorf("theme %s has no token %s", info.ID, name)
			}
		}
		for _, low := range theme.CheckContrast(tokens) {
			t.Errorf("theme %s: %v", info.ID, low)
		}
	}
}

func TestCheckSettings_RefusesAnAccentThatCannotBeRead(t *testing.T) {
	t.Parallel()
	r := shipped(t)
	for _, tc := range []struct {
		name, key, value, want string
	}{
		{"a pale accent", "accent", "#ffee88", "hard to read"},
		{"no colour", "accent", "red; } body { display:none", "not a colour"},
		{"a round corner", "radius", "400", "from 0 to 20"},
		{"an offsite logo", "logo", "//evil.example/x.png", "a path of this site"},
		{"a density of its own", "density", "7", "not one of the choices"},
		{"an unknown setting", "colour", "#123456", "no such setting"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			mistakes, err := r.CheckSettings("customer", map[string]string{tc.key: tc.value})
			if err != nil || !strings.Contains(mistakes[tc.key], tc.want) {
				t.Errorf("mistakes = %v, err = %v, want %q", mistakes, err, tc.want)
			}
		})
	}
}

func TestCheckSettings_AcceptsAnyAccentThatCanBeReadAndMakesItsDarkOne(t *testing.T) {
	t.Parallel()
	r := shipped(t)
	for _, accent := range []string{"#1f6f5c", "#7a1fa2", "#b3261e", "#0b57d0", "#5d4037", "#000000"} {
		mistakes, err := r.CheckSettings("customer", map[string]string{"accent": accent, "radius": "4", "density": "0.8", "logo": "/files/logo.svg", "name": "Acme"})
		if err != nil || len(mistakes) > 0 {
			t.Errorf("accent %s: %v %v", accent, mistakes, err)
		}
	}
}

func TestUpdate_AppliesTheMakersSettings(t *testing.T) {
	t.Parallel()
	r := shipped(t)
	before, _ := r.AssetPath(theme.SurfaceSite, "tokens.css")
	page := theme.Page{Surface: theme.SurfaceSite, Template: "home", Site: theme.Site{Name: "Plain"}}
	if _, err := r.Update(func(c *theme.Config) {
		c.Settings = map[string]map[string]string{"customer": {"accent": "#7a1fa2", "name": "Acme", "logo": "/files/logo.svg"}}
	}); err != nil {
		t.Fatal(err)
	}
	after, _ := r.AssetPath(theme.SurfaceSite, "tokens.css")
	if before == after {
		t.Error("the path of tokens.css is the same although its content changed")
	}
	file, ok := r.Asset(after)
	if !ok {
		t.Fatal("the new tokens.css is not there")
	}
	contains(t, string(file.Body), "--accent:#7a1fa2;", "prefers-color-scheme:dark")
	contains(t, render(t, r, page), `src="/files/logo.svg"`, "Acme</span>", after)
	if _, ok := r.Asset(before); !ok {
		t.Error("a page that was sent before the change cannot get its tokens.css any more")
	}
	if _, err := r.Update(func(c *theme.Config) { c.Settings["customer"]["accent"] = "}" }); err == nil {
		t.Error("an accent that is no colour was accepted")
	}
}

func TestAsset_IsHashedTypedAndCompressed(t *testing.T) {
	t.Parallel()
	r := shipped(t)
	for _, surface := range []string{theme.SurfaceSite, theme.SurfaceAdmin} {
		total := 0
		for name, kind := range map[string]string{"style.css": "text/css; charset=utf-8", "tokens.css": "text/css; charset=utf-8", "site.js": "text/javascript; charset=utf-8", "icons.svg": "image/svg+xml", "favicon.svg": "image/svg+xml"} {
			path, ok := r.AssetPath(surface, name)
			if !ok {
				t.Fatalf("%s has no %s", surface, name)
			}
			file, ok := r.Asset(path)
			if !ok || file.Type != kind || !strings.Contains(file.CacheControl, "immutable") || !strings.Contains(path, strings.Trim(file.ETag, `"`)) {
				t.Errorf("%s: %+v", path, file.Type)
			}
			if name == "style.css" || name == "tokens.css" {
				total += len(file.Gzip)
			}
			if name == "site.js" && len(file.Gzip) > 8<<10 {
				t.Errorf("the script has %d bytes, at most 8 KiB are allowed", len(file.Gzip))
			}
		}
		if total > 15_000 {
			t.Errorf("the style sheets of %s have %d bytes, at most 15 kB are allowed", surface, total)
		}
	}
	for _, path := range []string{"/assets/base/site.js", "/assets/customer/site.js", "/assets/customer/../customer/site.js", "/themes/customer/theme.yaml", ""} {
		if _, ok := r.Asset(path); ok {
			t.Errorf("%q is served", path)
		}
	}
}

func TestAsset_StylesUseNoColoursOfTheirOwn(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"base/assets/components.css", "customer/assets/site.css", "admin/assets/admin.css"} {
		body, err := fs.ReadFile(themes.FS, name)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(body), "\n") {
			if strings.Contains(line, ":#") || strings.Contains(line, "rgb(") || strings.Contains(line, "rgba(") || strings.Contains(line, "url(") {
				t.Errorf("%s:%d names a colour or a file: %s", name, i+1, line)
			}
		}
	}
}

func FuzzUpdate_SettingsNeverLeaveTheirDeclaration(f *testing.F) {
	r := shipped(f)
	f.Add("#123456", "8", "/logo.svg")
	f.Add("red}body{", "8px;x", "//x")
	f.Fuzz(func(t *testing.T, accent, radius, logo string) {
		values := map[string]string{"accent": accent, "radius": radius, "logo": logo}
		mistakes, err := r.CheckSettings("customer", values)
		if err != nil {
			t.Fatal(err)
		}
		tokens, err := r.Tokens("customer", values)
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range tokens.Light {
			if strings.ContainsAny(value, ";{}<>\\") {
				t.Errorf("token %s = %q (mistakes %v)", name, value, mistakes)
			}
		}
	})
}
