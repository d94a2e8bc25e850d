package manifest

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
)

//go:embed host.yaml
var hostText []byte

// HostPrefix begins the names of the services that the host itself provides.
const HostPrefix = "host."

var host = sync.OnceValue(func() *Manifest {
	m := &Manifest{ID: "host", Name: "The site"}
	text, err := yamlToJSON(hostText)
	if err == nil {
		err = json.Unmarshal(text, m)
	}
	if err != nil { // the file is part of the program, and a test reads it
		panic(fmt.Sprintf("core/manifest/host.yaml: %v", err))
	}
	return m
})

// Host is the host as a provider of services: its Provides are the contracts of host.people, host.settings and host.privacy. It is
// the same pointer each time and must not be changed.
func Host() *Manifest { return host() }

// OfHost tells whether a service is one that the host itself provides.
func (u Use) OfHost() bool { return strings.HasPrefix(u.Name, HostPrefix) }

// UsesService tells whether the module asks for a service.
func (m *Manifest) UsesService(name string) bool {
	for _, u := range m.Uses {
		if u.Name == name {
			return true
		}
	}
	return false
}

// hostServices checks what goes with the services of the host.
func (c *checker) hostServices() {
	for _, s := range c.m.Provides {
		if strings.HasPrefix(s.Name, HostPrefix) {
			c.add("service %s: names that start with %q belong to the host", s.Name, HostPrefix)
		}
	}
	if !c.m.UsesService("host.privacy") {
		return
	}
	for _, p := range c.m.Permissions {
		if p.ID != c.m.PrivacyPermission() {
			continue
		}
		if !p.Restricted {
			c.add("permission %s: who has it sees everything about everybody (host.privacy): expected restricted: true", p.ID)
		}
		for _, role := range p.Default {
			if role != "administrator" {
				c.add("permission %s: expected no default, or administrator, not %q", p.ID, role)
			}
		}
	}
}

// PrivacyPermission is the permission of the module by which a person may use host.privacy for others.
func (m *Manifest) PrivacyPermission() string { return m.ID + ".privacy" }
