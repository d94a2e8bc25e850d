package config_test

import (
	"errors"
	"flag"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mortise/core/config"
	"mortise/core/fault"
	"mortise/core/store"
)

func parse(t *testing.T, env map[string]string, args ...string) (config.Config, error) {
	t.Helper()
	c := config.Default()
	fs := flag.NewFlagSet("serve", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	err := config.Bind(fs, &c, func(name string) string { return env[name] })
	return c, errors.Join(err, fs.Parse(args))
}

func TestConfig_FlagsWinOverTheEnvironmentAndThatOverDefaults(t *testing.T) {
	t.Parallel()
	c, err := parse(t, map[string]string{
		"MORTISE_DATA": "/srv/site", "MORTISE_LISTEN": "0.0.0.0:80", "MORTISE_LOG_LEVEL": "debug", "MORTISE_TRUSTED_PROXIES": "10.1.2.3/8, ::1",
		"MORTISE_SMTP_URL": "smtp://u:p@mail.example.com", "MORTISE_PREVIOUS_KEYS": "a, b",
	}, "--listen", "127.0.0.1:0", "--plugins", "one:two", "--public-url", "https://devices.example.com/")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	if c.Data != "/srv/site" || c.Listen != "127.0.0.1:0" || c.LogLevel != slog.LevelDebug || !slices.Equal(c.Plugins, []string{"one", "two"}) ||
		!slices.Equal(c.Themes, []string{"themes"}) || !slices.Equal(c.PreviousKeys, []string{"a", "b"}) {
		t.Fatalf("got %+v", c)
	}
	if len(c.TrustedProxies) != 2 || c.TrustedProxies[0].String() != "10.0.0.0/8" || c.TrustedProxies[1].String() != "::1/128" {
		t.Fatalf("got %v", c.TrustedProxies)
	}
	if c.SiteURL() != "https://devices.example.com" || c.KeyPath() != "/srv/site/key" || c.Sender() != "noreply@devices.example.com" {
		t.Fatal(c.SiteURL(), c.KeyPath(), c.Sender())
	}
}

func TestConfig_SecretsAreNotFlags(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"--key=x", "--smtp-url=x", "--previous-keys=x", "--metrics-token=x"} {
		if _, err := parse(t, nil, name); err == nil {
			t.Errorf("%s is accepted on the command line, where everybody on the machine can read it", name)
		}
	}
	if help := config.EnvironmentHelp(); !strings.Contains(help, "MORTISE_SMTP_URL") || strings.Contains(help, "MORTISE_LISTEN") {
		t.Fatal(help)
	}
}

func TestConfig_ValidateFindsEverythingAtOnceAndQuotesNoSecret(t *testing.T) {
	t.Parallel()
	c := config.Default()
	c.Listen, c.PublicURL, c.TLSCert, c.LogFormat, c.SMTPURL, c.Data = "nowhere", "ftp://x/y", "/no/such/file", "xml", "http://u:hunter2@x", ""
	err := c.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, part := range []string{"data:", "listen:", "public-url:", "tls-cert and tls-key", "tls-cert: ", "log-format:", "smtp-url:"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is missing in:\n%v", part, err)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Error("the password is in the error")
	}
	if _, err := parse(t, map[string]string{"MORTISE_TRUSTED_PROXIES": "everybody", "MORTISE_LOG_LEVEL": "loud"}); err == nil ||
		!strings.Contains(err.Error(), "MORTISE_TRUSTED_PROXIES") || !strings.Contains(err.Error(), "MORTISE_LOG_LEVEL") {
		t.Fatal(err)
	}
	if c, err = parse(t, nil, "--trusted-proxies", "0.0.0.0/0"); err != nil || c.Validate() == nil {
		t.Fatal("everybody is trusted as a proxy:", err)
	}
}

func TestConfig_MakesAURLOfTheListeningAddress(t *testing.T) {
	t.Parallel()
	for listen, want := range map[string]string{"127.0.0.1:8080": "http://127.0.0.1:8080", ":80": "http://localhost:80", "[::]:1": "http://localhost:1", "[::1]:9": "http://[::1]:9"} {
		if got := (config.Config{Listen: listen}).SiteURL(); got != want {
			t.Errorf("%s gives %s, want %s", listen, got, want)
		}
	}
	if got := (config.Config{TLSCert: "x"}).SiteURLAt("127.0.0.1:5"); got != "https://127.0.0.1:5" {
		t.Error(got)
	}
}

func TestSite_KeepsSettingsAndTellsOfChanges(t *testing.T) {
	t.Parallel()
	st, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "site.db"), Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	s, err := config.OpenSite(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	if s.Get(config.SiteName) != "Mortise" || !s.Bool(config.RegistrationOpen) || s.Get(config.ThemeSite) != "customer" {
		t.Fatalf("got %v", s.All())
	}
	var told []string
	s.OnChange(func(changed []string) { told = append(told, changed...) })
	change := map[string]string{config.SiteName: " Lamp shop ", config.RegistrationOpen: "false", config.ThemeAdmin: "admin", "theme.settings.customer": "{\n}"}
	if err := s.Set(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(told, []string{config.RegistrationOpen, config.SiteName, "theme.settings.customer"}) {
		t.Fatalf("told of %v", told)
	}
	if err := s.Set(t.Context(), map[string]string{config.SiteName: "Lamp shop"}); err != nil || len(told) != 3 {
		t.Fatal("told of a change that is none", told, err)
	}
	err = s.Set(t.Context(), map[string]string{config.SiteName: "a\nb", config.RegistrationOpen: "maybe", "no.such": "x", config.SiteLogo: "//evil.example/x.svg", config.ThemeSite: "workshop"})
	if len(fault.FieldsOf(err)) != 4 {
		t.Fatal(err, fault.FieldsOf(err))
	}
	again, err := config.OpenSite(t.Context(), st)
	if err != nil || again.Get(config.SiteName) != "Lamp shop" || again.Bool(config.RegistrationOpen) || again.Get(config.ThemeSite) != "customer" {
		t.Fatalf("got %v, %v", again.All(), err)
	}
}
