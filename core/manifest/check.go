package manifest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/robfig/cron/v3"
)

// Reserved ids belong to the host: they are its own paths, tables or names.
var Reserved = []string{"host", "core", "admin", "account", "login", "logout", "register", "password", "setup", "assets", "static",
	"healthz", "readyz", "metrics", "mortise", "main", "sqlite", "module", "modules", "user", "users", "site", "system", "help", "theme"}

// check finds what the schema cannot say. Each mistake is one sentence that says what was expected.
func (m *Manifest) check() []string {
	c := &checker{m: m}
	c.identity()
	c.permissions()
	c.pages()
	c.links()
	c.settings()
	c.data()
	c.eventsAndJobs()
	c.services()
	return c.mistakes
}

type checker struct {
	m        *Manifest
	mistakes []string
}

func (c *checker) add(format string, args ...any) {
	c.mistakes = append(c.mistakes, fmt.Sprintf(format, args...))
}

func (c *checker) unique(what string, names []string) {
	seen := map[string]bool{}
	for _, n := range names {
		if seen[n] {
			c.add("%s %q stands there twice", what, n)
		}
		seen[n] = true
	}
}

func (c *checker) identity() {
	if slices.Contains(Reserved, c.m.ID) {
		c.add("id %q belongs to the host; choose another", c.m.ID)
	}
	if _, err := semver.StrictNewVersion(c.m.Version); err != nil {
		c.add("version %q: expected three numbers such as 1.0.0", c.m.Version)
	}
	c.rangeOf("host", c.m.Host)
	for id, r := range c.m.Requires {
		if id == c.m.ID {
			c.add("requires: a module cannot require itself")
		}
		c.rangeOf("requires "+id, r)
	}
}

func (c *checker) rangeOf(what, r string) {
	if _, err := semver.NewConstraint(r); err != nil {
		c.add("%s: %q is not a range of versions such as ^1.0", what, r)
	}
}

func (c *checker) permissions() {
	var ids []string
	for _, p := range c.m.Permissions {
		ids = append(ids, p.ID)
		if !strings.HasPrefix(p.ID, c.m.ID+".") {
			c.add("permission %q: expected a name that starts with %q", p.ID, c.m.ID+".")
		}
	}
	c.unique("permission", ids)
}

func (c *checker) hasPermission(id string) bool {
	return slices.ContainsFunc(c.m.Permissions, func(p Permission) bool { return p.ID == id })
}

var segment = regexp.MustCompile(`^(?:[A-Za-z0-9._~-]+|\{[a-z][a-z0-9_]*\}|\{[a-z][a-z0-9_]*\.\.\.\})$`)

func (c *checker) pages() {
	var claims []string
	for _, p := range c.m.Pages {
		for _, method := range p.methods() {
			claims = append(claims, method+" "+p.Path)
		}
		c.page(p)
	}
	c.unique("page", claims)
}

func (p Page) methods() []string {
	if len(p.Methods) == 0 {
		return []string{"GET"}
	}
	return p.Methods
}

func (c *checker) page(p Page) {
	c.path("page", p.Path)
	switch {
	case p.Public && p.Permission != "":
		c.add("page %s: public and permission exclude each other", p.Path)
	case !p.Public && p.Permission == "":
		c.add("page %s: name the permission it needs, or say public: true", p.Path)
	case p.Permission != "" && !c.hasPermission(p.Permission):
		c.add("page %s: permission %q is not listed under permissions", p.Path, p.Permission)
	}
	if p.Public && strings.HasPrefix(p.Path, "/admin/") {
		c.add("page %s: pages under /admin need a permission", p.Path)
	}
	if p.Timeout != "" {
		if d, err := time.ParseDuration(p.Timeout); err != nil || d <= 0 || d > 2*time.Minute {
			c.add("page %s: timeout %q: expected a time up to 2m, such as 5s", p.Path, p.Timeout)
		}
	}
	if p.BodyLimit != "" {
		if n, err := parseBytes(p.BodyLimit); err != nil || n > 16<<20 {
			c.add("page %s: body_limit %q: expected a size up to 16MiB, such as 64KiB", p.Path, p.BodyLimit)
		}
	}
}

func (c *checker) path(what, path string) {
	if !c.m.OwnsPath(path) {
		c.add("%s %s: expected a path under /%s or /admin/%s", what, path, c.m.ID, c.m.ID)
		return
	}
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i, s := range segments {
		if !segment.MatchString(s) || s == "." || s == ".." {
			c.add("%s %s: segment %q: expected letters, digits and ._~-, or {name}", what, path, s)
		}
		if strings.HasSuffix(s, "...}") && i != len(segments)-1 {
			c.add("%s %s: {name...} is only allowed at the end", what, path)
		}
	}
}

func (c *checker) links() {
	for _, l := range c.m.Links {
		c.path("link", l.Path)
		if l.Permission != "" && !c.hasPermission(l.Permission) {
			c.add("link %s: permission %q is not listed under permissions", l.Path, l.Permission)
		}
	}
}

func (c *checker) settings() {
	var keys []string
	for _, s := range c.m.Settings {
		keys = append(keys, s.Key)
		if (s.Type == "select" || s.Type == "multiselect") != (len(s.Options) > 0) {
			c.add("setting %s: options go with select and multiselect, and those need them", s.Key)
		}
		if s.Secret() && s.Default != nil {
			c.add("setting %s: a secret has no default", s.Key)
		}
		if s.Pattern != "" {
			if _, err := regexp.Compile(s.Pattern); err != nil {
				c.add("setting %s: pattern: %v", s.Key, err)
			}
		}
		if s.Default != nil {
			if _, err := s.Coerce(s.Default); err != nil {
				c.add("setting %s: default: %v", s.Key, err)
			}
		}
	}
	c.unique("setting", keys)
}

func (c *checker) data() {
	for _, t := range c.m.Tables {
		if !strings.HasPrefix(t, c.m.ID+"_") {
			c.add("table %q: expected a name that starts with %q", t, c.m.ID+"_")
		}
	}
	c.unique("table", c.m.Tables)
	for _, p := range c.m.Personal {
		if !slices.Contains(c.m.Tables, p.Table) {
			c.add("personal_data: table %q is not listed under tables", p.Table)
		}
	}
	for _, e := range c.m.Egress {
		if key, ok := strings.CutPrefix(e, "setting:"); ok {
			if s, found := c.m.Setting(key); !found || s.Type != "url" {
				c.add("egress %q: there is no setting %q of type url", e, key)
			}
		}
	}
	var names []string
	for _, s := range c.m.Secrets {
		names = append(names, s.Name)
	}
	c.unique("secret", names)
}

func (c *checker) eventsAndJobs() {
	for _, e := range c.m.Events.Publishes {
		if !strings.HasPrefix(e.Name, c.m.ID+".") {
			c.add("event %q: expected a name that starts with %q", e.Name, c.m.ID+".")
		}
		if strings.Contains(e.Name, ".will_") {
			c.add("event %q: modules publish facts; only the host asks questions", e.Name)
		}
	}
	var ids []string
	for _, j := range c.m.Jobs {
		ids = append(ids, j.ID)
		if j.Schedule == "manual" {
			continue
		}
		if _, err := cron.ParseStandard(j.Schedule); err != nil {
			c.add("job %s: schedule %q: expected five cron fields, @every 10m or manual", j.ID, j.Schedule)
		}
		if j.Deadline != "" {
			if d, err := time.ParseDuration(j.Deadline); err != nil || d <= 0 || d > time.Hour {
				c.add("job %s: deadline %q: expected a time up to 1h, such as 2m", j.ID, j.Deadline)
			}
		}
	}
	c.unique("job", ids)
}

func (c *checker) services() {
	var names []string
	for _, s := range c.m.Provides {
		names = append(names, s.Name)
		if _, err := semver.StrictNewVersion(s.Version); err != nil {
			c.add("service %s: version %q: expected three numbers such as 1.0.0", s.Name, s.Version)
		}
	}
	c.unique("service", names)
	for _, u := range c.m.Uses {
		c.rangeOf("uses "+u.Name, u.Version)
	}
	c.hostServices()
}
