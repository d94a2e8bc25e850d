package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// Config is how one host runs. The zero value is not usable: start from Default.
type Config struct {
	Data           string         // folder of everything the site writes; "data/site"
	Listen         string         // address and port of the site; "127.0.0.1:8080"; port 0 picks a free one
	PublicURL      string         // how visitors reach the site, without a path; "": http(s)://Listen
	TrustedProxies []netip.Prefix // who may say where a request comes from (X-Forwarded-For, -Proto); none
	TLSCert        string         // PEM file with the certificate chain; "": no TLS here
	TLSKey         string         // PEM file with its key
	KeyFile        string         // the key that seals secrets; "": <data>/key
	Key            string         // the key itself; wins over KeyFile. Environment only
	PreviousKeys   []string       // retired keys that still open. Environment only
	Themes         []string       // folders with themes; "themes"
	Plugins        []string       // folders with modules; "plugins"
	LogLevel       slog.Level     // least severity that is logged; info
	LogFormat      string         // of stderr: "text" or "json"; "text"
	SMTPURL        string         // smtp://user:password@host:587 or smtps://…; "": mails become files. Environment only, for its password
	MailFrom       string         // sender of the site's mails; "": noreply@<host of the public URL>
	MetricsToken   string         // bearer that may read /metrics from elsewhere than this machine; "": nobody. Environment only
}

// Default is the configuration of a host that is told nothing.
func Default() Config {
	return Config{
		Data: filepath.Join("data", "site"), Listen: "127.0.0.1:8080", Themes: []string{"themes"}, Plugins: []string{"plugins"},
		LogLevel: slog.LevelInfo, LogFormat: "text",
	}
}

// StorePath is the file of the store.
func (c Config) StorePath() string { return filepath.Join(c.Data, "site.db") }

// KeyPath is the key file.
func (c Config) KeyPath() string {
	if c.KeyFile != "" {
		return c.KeyFile
	}
	return filepath.Join(c.Data, "key")
}

// RunDir holds the process records and sockets of the running host.
func (c Config) RunDir() string { return filepath.Join(c.Data, "run") }

// MailDir takes mails while there is no server for them.
func (c Config) MailDir() string { return filepath.Join(c.Data, "mail") }

// TLS tells whether the host speaks TLS itself.
func (c Config) TLS() bool { return c.TLSCert != "" }

// SiteURL is the public URL, without a slash at the end. Without one set it is made of the listening address, which is right on
// this machine only.
func (c Config) SiteURL() string { return c.SiteURLAt(c.Listen) }

// SiteURLAt is SiteURL for a host that listens at address, for when Listen left the port open.
func (c Config) SiteURLAt(address string) string {
	if c.PublicURL != "" {
		return strings.TrimSuffix(c.PublicURL, "/")
	}
	scheme := "http"
	if c.TLS() {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return scheme + "://" + address
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// Sender is MailFrom with its default.
func (c Config) Sender() string {
	if c.MailFrom != "" {
		return c.MailFrom
	}
	if u, err := url.Parse(c.SiteURL()); err == nil && u.Hostname() != "" && net.ParseIP(u.Hostname()) == nil {
		return "noreply@" + u.Hostname()
	}
	return "noreply@localhost"
}

// Validate finds all that is wrong, one error a line.
func (c Config) Validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Data == "" {
		wrong("data: the folder is missing")
	}
	if _, port, err := net.SplitHostPort(c.Listen); err != nil {
		wrong("listen: %q is not host:port", c.Listen)
	} else if _, err := net.LookupPort("tcp", port); err != nil {
		wrong("listen: %q is not a port", port)
	}
	if err := checkPublicURL(c.PublicURL); err != nil {
		wrong("public-url: %w", err)
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		wrong("tls-cert and tls-key go together")
	}
	for name, path := range map[string]string{"tls-cert": c.TLSCert, "tls-key": c.TLSKey} {
		if path == "" {
			continue
		}
		if _, err := os.Stat(path); err != nil {
			wrong("%s: %w", name, err)
		}
	}
	for _, p := range c.TrustedProxies {
		if p.Bits() == 0 {
			wrong("trusted-proxies: %s would let anybody claim any address", p)
		}
	}
	if c.LogFormat != "text" && c.LogFormat != "json" {
		wrong("log-format: %q is neither text nor json", c.LogFormat)
	}
	if len(c.Themes) == 0 {
		wrong("themes: at least one folder is needed")
	}
	if len(c.Plugins) == 0 {
		wrong("plugins: at least one folder is needed")
	}
	if c.SMTPURL != "" {
		// The text of a parse error would quote the password.
		if u, err := url.Parse(c.SMTPURL); err != nil || u.Scheme != "smtp" && u.Scheme != "smtps" || u.Hostname() == "" {
			wrong("smtp-url: expected smtp://user:password@host:port or smtps://…")
		}
	}
	return errors.Join(errs...)
}

func checkPublicURL(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return fmt.Errorf("%q is not a URL such as https://devices.example.com", text)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/":
		return fmt.Errorf("%q must be a scheme and a host alone", text)
	}
	return nil
}
