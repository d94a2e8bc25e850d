package config

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// option is one setting: a flag, an environment variable MORTISE_<FLAG>, or both.
type option struct {
	name   string // of the flag, and in capitals with underscores of the variable
	secret bool   // environment only: command lines are visible to other users of the machine
	usage  string
	value  flag.Value
}

// Bind lets the environment and then the flags of fs fill c, whose present values are the defaults. getenv is os.Getenv (nil) or a
// test's. Call it before fs.Parse. The error names every variable that has a wrong value, without the value of secret ones.
func Bind(fs *flag.FlagSet, c *Config, getenv func(string) string) error {
	if getenv == nil {
		getenv = os.Getenv
	}
	var errs []error
	for _, o := range c.options() {
		variable := "MORTISE_" + strings.ToUpper(strings.ReplaceAll(o.name, "-", "_"))
		if text := getenv(variable); text != "" {
			if err := o.value.Set(text); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", variable, err))
			}
		}
		if !o.secret {
			fs.Var(o.value, o.name, o.usage+" ["+variable+"]")
		}
	}
	return errors.Join(errs...)
}

func (c *Config) options() []option {
	return []option{
		{"data", false, "`folder` of everything the site writes", (*text)(&c.Data)},
		{"listen", false, "`address` and port of the site; port 0 picks a free one", (*text)(&c.Listen)},
		{"public-url", false, "`URL` by which visitors reach the site", (*text)(&c.PublicURL)},
		{"trusted-proxies", false, "`networks` of proxies that may name the visitor's address, with commas: 10.0.0.0/8,::1", (*prefixes)(&c.TrustedProxies)},
		{"tls-cert", false, "PEM `file` with the certificate chain", (*text)(&c.TLSCert)},
		{"tls-key", false, "PEM `file` with the certificate's key", (*text)(&c.TLSKey)},
		{"key-file", false, "`file` with the key that seals secrets (default <data>/key)", (*text)(&c.KeyFile)},
		{"themes", false, "`folders` with themes, separated like PATH", (*paths)(&c.Themes)},
		{"plugins", false, "`folders` with modules, separated like PATH", (*paths)(&c.Plugins)},
		{"log-level", false, "least `severity` that is logged: debug, info, warn, error", levelValue{&c.LogLevel}},
		{"log-format", false, "`form` of the log on stderr: text or json", (*text)(&c.LogFormat)},
		{"mail-from", false, "sender's `address` of the site's mails", (*text)(&c.MailFrom)},
		{"key", true, "the key that seals secrets", (*text)(&c.Key)},
		{"previous-keys", true, "retired keys that still open, with commas", (*words)(&c.PreviousKeys)},
		{"smtp-url", true, "mail server: smtp://user:password@host:587 or smtps://…", (*text)(&c.SMTPURL)},
		{"metrics-token", true, "bearer that may read /metrics from elsewhere", (*text)(&c.MetricsToken)},
	}
}

// EnvironmentHelp tells of the variables that have no flag, a line each, for the usage text.
func EnvironmentHelp() string {
	var b strings.Builder
	c := Default()
	for _, o := range c.options() {
		if o.secret {
			fmt.Fprintf(&b, "  MORTISE_%s\n    \t%s\n", strings.ToUpper(strings.ReplaceAll(o.name, "-", "_")), o.usage)
		}
	}
	return b.String()
}

type text string

func (t *text) String() string     { return string(*t) }
func (t *text) Set(s string) error { *t = text(strings.TrimSpace(s)); return nil }

type words []string

func (w *words) String() string { return strings.Join(*w, ",") }

func (w *words) Set(s string) error {
	*w = nil
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			*w = append(*w, part)
		}
	}
	return nil
}

type paths []string

func (p *paths) String() string { return strings.Join(*p, string(filepath.ListSeparator)) }

func (p *paths) Set(s string) error {
	*p = nil
	for _, part := range filepath.SplitList(s) {
		if part != "" {
			*p = append(*p, part)
		}
	}
	return nil
}

type prefixes []netip.Prefix

func (p *prefixes) String() string {
	parts := make([]string, len(*p))
	for i, n := range *p {
		parts[i] = n.String()
	}
	return strings.Join(parts, ",")
}

// Set reads networks and single addresses.
func (p *prefixes) Set(s string) error {
	var list []netip.Prefix
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		network, err := netip.ParsePrefix(part)
		if address, single := netip.ParseAddr(part); err != nil && single == nil {
			network, err = address.Unmap().Prefix(address.Unmap().BitLen())
		}
		if err != nil {
			return fmt.Errorf("%q is not a network such as 10.0.0.0/8", part)
		}
		list = append(list, network.Masked())
	}
	*p = list
	return nil
}

type levelValue struct {
	level interface {
		UnmarshalText([]byte) error
		String() string
	}
}

func (l levelValue) String() string {
	if l.level == nil { // the flag package asks a zero value for its text
		return ""
	}
	return strings.ToLower(l.level.String())
}

func (l levelValue) Set(s string) error {
	if err := l.level.UnmarshalText([]byte(strings.TrimSpace(s))); err != nil {
		return fmt.Errorf("%q is none of debug, info, warn, error", s)
	}
	return nil
}
