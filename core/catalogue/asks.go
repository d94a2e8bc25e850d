package catalogue

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"mortise/core/manifest"
)

// AskGroup is one kind of thing that a module asks for.
type AskGroup struct {
	Kind  string `json:"kind"` // pages, permissions, tables, personal_data, services, provides, egress, secrets, settings, events, jobs, limits
	Title string `json:"title"`
	Items []Ask  `json:"items"`
}

// Ask is one thing that a module asks for.
type Ask struct {
	Title  string `json:"title"`
	Detail string `json:"detail,omitempty"`
	Warn   bool   `json:"warn,omitempty"` // worth a second look
	key    string // what has to be the same for it to count as accepted
}

// asks lists everything that a manifest asks for. egress gives the origin that an entry of egress means at present.
func asks(m *manifest.Manifest, egress map[string]string) []AskGroup {
	groups := []AskGroup{
		{"pages", "Pages", pageAsks(m)},
		{"permissions", "Permissions for roles", permissionAsks(m)},
		{"tables", "Tables in the store", tableAsks(m)},
		{"personal_data", "Data about people", personalAsks(m)},
		{"services", "Services of the site and of other modules", useAsks(m)},
		{"provides", "Services for other modules", provideAsks(m)},
		{"egress", "Hosts it reaches", egressAsks(m, egress)},
		{"secrets", "Sealed values it keeps", secretAsks(m)},
		{"events", "Events", eventAsks(m)},
		{"jobs", "Jobs", jobAsks(m)},
		{"limits", "Limits", limitAsks(m)},
	}
	return slices.DeleteFunc(groups, func(g AskGroup) bool { return len(g.Items) == 0 })
}

// NewAsks lists what the manifest of the folder asks for beyond the accepted one; empty for a module that is not enabled.
func (m *Module) NewAsks() []string {
	if !m.Changed() {
		return nil
	}
	accepted := map[string]bool{}
	for _, g := range asks(m.Accepted, nil) {
		for _, a := range g.Items {
			accepted[g.Kind+"\x00"+a.key] = true
		}
	}
	var more []string
	for _, g := range asks(m.Manifest, nil) {
		for _, a := range g.Items {
			if !accepted[g.Kind+"\x00"+a.key] {
				more = append(more, g.Title+": "+a.Title)
			}
		}
	}
	return more
}

func pageAsks(m *manifest.Manifest) (list []Ask) {
	for _, p := range m.Pages {
		methods := strings.Join(p.Methods, " ")
		if methods == "" {
			methods = "GET"
		}
		who := "with " + p.Permission
		if p.Public {
			who = "for everybody, also who is not signed in"
		}
		detail := []string{who}
		if p.Title != "" {
			detail = append([]string{p.Title}, detail...)
		}
		if p.Offsite {
			detail = append(detail, "may send the visitor to the hosts it reaches")
		}
		if p.Stream {
			detail = append(detail, "stays open")
		}
		if p.Callback {
			detail = append(detail, "visitors come to it from another site")
		}
		title := methods + " " + p.Path
		list = append(list, Ask{Title: title, Detail: strings.Join(detail, ", "), Warn: p.Public || p.Offsite,
			key: fmt.Sprint(title, p.Permission, p.Public, p.Offsite, p.Callback, p.Stream)})
	}
	return list
}

func permissionAsks(m *manifest.Manifest) (list []Ask) {
	for _, p := range m.Permissions {
		detail := p.Description
		if len(p.Default) > 0 {
			detail = strings.TrimSpace(detail + " Given at first to: " + strings.Join(p.Default, ", ") + ".")
		}
		list = append(list, Ask{Title: p.Title, Detail: detail, Warn: p.Restricted, key: fmt.Sprint(p.ID, p.Default)})
	}
	return list
}

func tableAsks(m *manifest.Manifest) (list []Ask) {
	for _, t := range m.Tables {
		list = append(list, Ask{Title: t, key: t})
	}
	return list
}

func personalAsks(m *manifest.Manifest) (list []Ask) {
	for _, p := range m.Personal {
		a := Ask{Title: p.Table, Detail: p.Purpose, key: p.Table + " " + p.Column + " " + p.Purpose}
		if p.Keep != "" {
			a.Detail, a.key = strings.TrimSuffix(p.Purpose, ".")+". Stays when a person is erased: "+p.Keep, a.key+" keeps "+p.Keep
		}
		list = append(list, a)
	}
	return list
}

func useAsks(m *manifest.Manifest) (list []Ask) {
	for _, u := range m.Uses {
		a := Ask{Title: u.Name, Detail: "version " + u.Version, key: u.Name}
		if s, ok := hostService(u); ok { // powers of the site, not of another module
			a.Title, a.Detail, a.Warn = s.Description, u.Name+", version "+u.Version, true
		}
		if u.Optional {
			a.Detail += ", works without it too"
		}
		list = append(list, a)
	}
	return list
}

func provideAsks(m *manifest.Manifest) (list []Ask) {
	for _, s := range m.Provides {
		methods := slices.Sorted(maps.Keys(s.Methods))
		list = append(list, Ask{Title: s.Name + " " + s.Version, Detail: s.Description + " (" + strings.Join(methods, ", ") + ")", key: s.Name})
	}
	return list
}

func egressAsks(m *manifest.Manifest, resolved map[string]string) (list []Ask) {
	for _, e := range m.Egress {
		a := Ask{Title: e, Warn: true, key: e}
		if key, ok := strings.CutPrefix(e, "setting:"); ok {
			s, _ := m.Setting(key)
			a.Title, a.Warn = "The host in the setting "+s.Label, false
			if origin := resolved[e]; origin != "" {
				a.Detail = "at present " + origin
			}
		}
		list = append(list, a)
	}
	return list
}

func secretAsks(m *manifest.Manifest) (list []Ask) {
	for _, s := range m.Secrets {
		list = append(list, Ask{Title: s.Name, Detail: s.Purpose, key: s.Name})
	}
	for _, s := range m.Settings {
		if s.Secret() {
			list = append(list, Ask{Title: s.Label, Detail: "a setting that you enter", key: "setting " + s.Key})
		}
	}
	return list
}

func eventAsks(m *manifest.Manifest) (list []Ask) {
	for _, e := range m.Events.Subscribes {
		a := Ask{Title: "hears " + e.Name, key: "hears " + e.Name}
		if strings.Contains(e.Name, ".will_") {
			a.Title, a.Warn = "may refuse "+e.Name, true
			a.Detail = "nothing happens when it does not answer"
			if e.OnFail != "allow" {
				a.Detail, a.key = "refused as well when it does not answer", a.key+" closed"
			}
		}
		list = append(list, a)
	}
	for _, e := range m.Events.Publishes {
		list = append(list, Ask{Title: "publishes " + e.Name, Detail: e.Description, key: "publishes " + e.Name})
	}
	return list
}

func jobAsks(m *manifest.Manifest) (list []Ask) {
	for _, j := range m.Jobs {
		when := j.Schedule
		if when == "manual" {
			when = "only when you start it"
		}
		list = append(list, Ask{Title: j.Title, Detail: fmt.Sprintf("%s, at most %s a run", when, j.TimeLimit()), key: j.ID})
	}
	return list
}

func limitAsks(m *manifest.Manifest) []Ask {
	r := m.Resources
	memory := fmt.Sprintf("%d MiB of memory", r.MemoryBytes()>>20)
	return []Ask{
		{Title: memory, key: memory},
		{Title: fmt.Sprintf("%d pages at once", r.Pages()), key: fmt.Sprint("pages ", r.Pages())},
		{Title: fmt.Sprintf("%d open streams", r.OpenStreams()), key: fmt.Sprint("streams ", r.OpenStreams())},
	}
}
