package manifest_test

import (
	"strings"
	"testing"

	"mortise/core/fault"
	"mortise/core/manifest"
)

const good = `
id: guestbook
name: Guestbook
description: Visitors leave a line.
version: 1.0.0
host: ^1.0
permissions:
  - {id: guestbook.write, title: Write, default: [customer]}
pages:
  - {path: /guestbook, permission: guestbook.write}
  - {path: "/guestbook/{id}", methods: [POST], permission: guestbook.write, body_limit: 64KiB, timeout: 5s}
links:
  - {menu: main, title: Guestbook, path: /guestbook, permission: guestbook.write}
settings:
  - {key: per_page, type: number, label: Entries on a page, default: 20, min: 1, max: 100}
  - {key: token, type: secret, label: Token}
  - {key: base_url, type: url, label: Address, default: "https://api.example.com/"}
egress: ["setting:base_url", api.example.com]
tables: [guestbook_entries]
uses: [{name: host.privacy, version: ^1.0}]
personal_data: [{table: guestbook_entries, column: user_id, purpose: Who wrote a line, keep: The law wants it for ten years.}]
jobs:
  - {id: tidy, title: Tidy up, schedule: "@every 10m", deadline: 30s}
`

func TestParse_ReadsAWholeManifest(t *testing.T) {
	t.Parallel()
	m, err := manifest.Parse([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	defaults := m.Defaults()
	if defaults["per_page"] != int64(20) || defaults["base_url"] != "https://api.example.com" {
		t.Errorf("defaults = %v, want 20 and the address without its slash", defaults)
	}
	if got := m.Pages[1].Limit(); got != 64<<10 {
		t.Errorf("body limit = %d", got)
	}
	again, err := manifest.Parse([]byte("# a comment\n" + good))
	if err != nil || again.Digest() != m.Digest() {
		t.Errorf("a comment changed the digest (%v)", err)
	}
}

func TestParse_NamesEveryMistake(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, from, to, want string }{
		{"unknown key", "group", "", ""},
		{"page without permission", "- {path: /guestbook, permission: guestbook.write}", "- {path: /guestbook}", "name the permission it needs, or say public: true"},
		{"foreign path", "path: /guestbook,", "path: /admin/modules,", "expected a path under /guestbook"},
		{"unlisted permission", "path: /guestbook, permission: guestbook.write}\n  -", "path: /guestbook, permission: guestbook.read}\n  -", "not listed under permissions"},
		{"foreign table", "guestbook_entries", "core_users", `expected a name that starts with "guestbook_"`},
		{"reserved id", "id: guestbook\n", "id: admin\n", "belongs to the host"},
		{"odd version", "version: 1.0.0", "version: one", "expected three numbers"},
		{"odd schedule", "@every 10m", "now and then", "expected five cron fields"},
		{"unknown key in a page", "body_limit: 64KiB", "body_limits: 64KiB", "body_limits"},
		{"anchor", "name: Guestbook", "name: &a Guestbook", "aliases and anchors are not allowed"},
		{"egress without its setting", "setting:base_url", "setting:nowhere", "no setting"},
		{"a service in the host's name", "tables:", "provides: [{name: host.people, version: 1.0.0, description: Mine., methods: {list: {description: All.}}}]\ntables:", "belong to the host"},
		{"everybody's data for all staff", "  - {id: guestbook.write,", "  - {id: guestbook.privacy, title: See all}\n  - {id: guestbook.write,", "expected restricted: true"},
		{"everybody's data for customers", "  - {id: guestbook.write,", "  - {id: guestbook.privacy, title: See all, restricted: true, default: [customer]}\n  - {id: guestbook.write,", "not \"customer\""},
		{"default outside its range", "default: 20", "default: 200", "at most 100"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text := strings.Replace(good, tc.from, tc.to, 1)
			if tc.want == "" {
				text, tc.want = good+"\nbogus: 1\n", "bogus"
			} else if text == good {
				t.Fatal("the case changes nothing")
			}
			_, err := manifest.Parse([]byte(text))
			if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("err = %v, want %q", err, tc.want)
			}
		})
	}
}

func TestHost_ProvidesContractsThatModulesCanUse(t *testing.T) {
	t.Parallel()
	for _, s := range manifest.Host().Provides {
		if !strings.HasPrefix(s.Name, manifest.HostPrefix) || s.Version == "" || s.Description == "" || len(s.Methods) == 0 {
			t.Errorf("%+v is not whole", s)
		}
		for name, m := range s.Methods {
			if m.Description == "" || m.Input == nil || m.Output == nil {
				t.Errorf("%s.%s has no description or leaves its messages open", s.Name, name)
			}
		}
	}
	if n := len(manifest.Host().Provides); n != 3 {
		t.Errorf("%d services", n)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("id: [1"))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := manifest.Parse(text)
		if err == nil && (m.ID == "" || m.Digest() == "") {
			t.Errorf("accepted a manifest without an id: %q", text)
		}
		if err != nil && !fault.Is(err, fault.Invalid) {
			t.Errorf("err = %v, want a fault of kind invalid", err)
		}
	})
}
