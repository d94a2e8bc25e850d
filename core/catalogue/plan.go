package catalogue

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/Masterminds/semver/v3"

	"mortise/core/fault"
	"mortise/core/manifest"
)

// Plan is what enabling a module means, for the administrator to read before any of its code runs.
type Plan struct {
	ID        string        `json:"id"`
	Name      string        `json:"name"`
	Version   string        `json:"version"`
	Asks      []AskGroup    `json:"asks"`
	NewAsks   []string      `json:"new_asks,omitempty"` // beyond what was accepted, for an enabled module whose folder changed
	Requires  []Requirement `json:"requires,omitempty"` // modules, direct ones first
	Uses      []ServiceUse  `json:"uses,omitempty"`     // services of other modules
	Order     []string      `json:"order"`              // the modules that have to be enabled, in this order; itself is the last
	Obstacles []Obstacle    `json:"obstacles,omitempty"`
}

// Ready tells whether the module can be enabled right now, by itself.
func (p Plan) Ready() bool { return len(p.Obstacles) == 0 && len(p.Order) <= 1 }

// Obstacle keeps a module from being enabled, also together with the ones it needs.
type Obstacle struct {
	Text   string `json:"text"`
	Remedy string `json:"remedy"`
}

// Requirement is a module that must be enabled.
type Requirement struct {
	ID      string `json:"id"`
	Name    string `json:"name,omitempty"`
	Range   string `json:"range"`
	Version string `json:"version,omitempty"` // the one that is there
	State   Need   `json:"state"`
	Text    string `json:"text"` // one line: "Account linking 1.0.0, enabled"
	Direct  bool   `json:"direct"`
}

// Need is how it stands with something that a module needs.
type Need string

// The states of a need.
const (
	NeedMet       Need = "enabled"
	NeedPaused    Need = "paused"
	NeedAvailable Need = "available"    // there, but not enabled yet
	NeedMissing   Need = "missing"      // no such module or service
	NeedVersion   Need = "incompatible" // there, but in a version outside the range
	NeedBroken    Need = "broken"       // there, but it cannot be used itself
)

// ServiceUse is a service of another module that this one calls.
type ServiceUse struct {
	Name     string `json:"name"`
	Range    string `json:"range"`
	Optional bool   `json:"optional"`
	Provider string `json:"provider,omitempty"` // the module's id
	Version  string `json:"version,omitempty"`  // of the service
	State    Need   `json:"state"`
	Text     string `json:"text"`
}

// planner walks from a module to everything it needs.
type planner struct {
	c       *Catalogue
	s       *snapshot
	plan    *Plan
	visited map[string]bool // false while its own needs are being looked at
	path    []string
}

// Plan says what the module asks for and needs. fault.NotFound when there is no such module.
func (c *Catalogue) Plan(ctx context.Context, id string) (Plan, error) {
	m, err := c.Get(id)
	if err != nil {
		return Plan{}, err
	}
	egress, err := c.egressOf(ctx, m, m.Manifest)
	if err != nil {
		return Plan{}, err
	}
	plan := Plan{ID: id, Name: m.Manifest.Name, Version: m.Manifest.Version, Asks: asks(m.Manifest, egress), NewAsks: m.NewAsks()}
	p := planner{c: c, s: c.current.Load(), plan: &plan, visited: map[string]bool{}}
	p.visit(m)
	p.rivals(m)
	if m.Enabled() && len(plan.Order) == 0 {
		plan.Order = []string{}
	}
	return plan, nil
}

func (p *planner) obstacle(remedy, format string, args ...any) {
	o := Obstacle{Text: fmt.Sprintf(format, args...), Remedy: remedy}
	if !slices.Contains(p.plan.Obstacles, o) {
		p.plan.Obstacles = append(p.plan.Obstacles, o)
	}
}

func (p *planner) visit(m *Module) {
	id := m.Manifest.ID
	if done, seen := p.visited[id]; seen {
		if !done {
			at := slices.Index(p.path, id)
			p.obstacle("The authors of these modules have to break the circle.", "%s need each other in a circle.", join(append(slices.Clone(p.path[at:]), id)))
		}
		return
	}
	p.visited[id] = false
	p.path = append(p.path, id)
	if m.Problem != "" {
		p.obstacle(m.Remedy, "%s: %s", m.Manifest.Name, m.Problem)
	}
	if !inRange(m.Manifest.Host, p.c.o.HostVersion) {
		p.obstacle("Look for another version of the module.", "%s %s works with hosts %s, and this is %s.", m.Manifest.Name, m.Manifest.Version, m.Manifest.Host, p.c.o.HostVersion)
	}
	for _, need := range slices.Sorted(maps.Keys(m.Manifest.Requires)) {
		p.require(m, need, m.Manifest.Requires[need])
	}
	for _, u := range m.Manifest.Uses {
		p.use(m, u)
	}
	p.path = p.path[:len(p.path)-1]
	p.visited[id] = true
	if !m.Enabled() {
		p.plan.Order = append(p.plan.Order, id)
	}
}

func (p *planner) require(m *Module, id, versions string) {
	r := Requirement{ID: id, Range: versions, Direct: m.Manifest.ID == p.plan.ID}
	other := p.s.modules[id]
	switch {
	case other == nil:
		r.State, r.Text = NeedMissing, id+": missing"
		if bad := slices.IndexFunc(p.s.problems, func(x Problem) bool { return x.ID == id }); bad >= 0 {
			r.State, r.Text = NeedBroken, id+": its folder cannot be used"
		}
		p.obstacle(fmt.Sprintf("Put the module %s into the plugin folder, then look for modules again.", id), "%s requires the module %s, which is not there.", m.Manifest.Name, id)
	case !inRange(versions, other.Manifest.Version):
		r.State = NeedVersion
		r.Text = fmt.Sprintf("%s %s: expected %s", other.Manifest.Name, other.Manifest.Version, versions)
		p.obstacle("Look for a version that fits.", "%s requires %s %s, and %s is there.", m.Manifest.Name, other.Manifest.Name, versions, other.Manifest.Version)
	default:
		r.State = needOf(other)
		r.Text = fmt.Sprintf("%s %s, %s", other.Manifest.Name, other.Manifest.Version, r.State)
	}
	if other != nil {
		r.Name, r.Version = other.Manifest.Name, other.Manifest.Version
		defer p.visit(other)
	}
	if i := slices.IndexFunc(p.plan.Requires, func(x Requirement) bool { return x.ID == id }); i >= 0 {
		p.plan.Requires[i].Direct = p.plan.Requires[i].Direct || r.Direct
		return
	}
	p.plan.Requires = append(p.plan.Requires, r)
}

func needOf(m *Module) Need {
	switch {
	case m.Problem != "":
		return NeedBroken
	case m.Enabled():
		return NeedMet
	case m.Paused():
		return NeedPaused
	}
	return NeedAvailable
}

func (p *planner) use(m *Module, u manifest.Use) {
	use := ServiceUse{Name: u.Name, Range: u.Version, Optional: u.Optional}
	if u.OfHost() {
		p.useOfHost(m, u, use)
		return
	}
	provider, service := p.s.provider(u)
	switch {
	case provider == nil:
		use.State, use.Text = NeedMissing, fmt.Sprintf("No module provides %s %s.", u.Name, u.Version)
		if !u.Optional {
			p.obstacle("Install a module that provides it.", "%s uses the service %s %s, which no module provides.", m.Manifest.Name, u.Name, u.Version)
		}
	default:
		use.Provider, use.Version, use.State = provider.Manifest.ID, service.Version, needOf(provider)
		use.Text = fmt.Sprintf("%s %s is provided by %s, %s.", u.Name, service.Version, provider.Manifest.Name, use.State)
		if !u.Optional && provider != m {
			p.visit(provider)
		}
	}
	if m.Manifest.ID == p.plan.ID {
		p.plan.Uses = append(p.plan.Uses, use)
	}
}

// hostService finds the service of the host that a module asks for.
func hostService(u manifest.Use) (manifest.Service, bool) {
	offered := manifest.Host().Provides
	i := slices.IndexFunc(offered, func(s manifest.Service) bool { return s.Name == u.Name && inRange(u.Version, s.Version) })
	if i < 0 {
		return manifest.Service{}, false
	}
	return offered[i], true
}

// useOfHost is use for a service that the host itself provides: it is there, or this host is too old for the module.
func (p *planner) useOfHost(m *Module, u manifest.Use, use ServiceUse) {
	service, ok := hostService(u)
	if ok {
		use.Provider, use.Version, use.State = "host", service.Version, NeedMet
		use.Text = fmt.Sprintf("%s %s is provided by the site itself.", u.Name, service.Version)
	} else {
		use.State, use.Text = NeedMissing, fmt.Sprintf("This host does not provide %s %s.", u.Name, u.Version)
		if !u.Optional {
			p.obstacle("Look for another version of the module, or of the host.", "%s uses the service %s %s, which this host does not provide.", m.Manifest.Name, u.Name, u.Version)
		}
	}
	if m.Manifest.ID == p.plan.ID {
		p.plan.Uses = append(p.plan.Uses, use)
	}
}

// provider finds who provides a service in a version that fits: an enabled module before a paused before any other, then by id.
func (s *snapshot) provider(u manifest.Use) (*Module, manifest.Service) {
	var best *Module
	var found manifest.Service
	rank := func(m *Module) int {
		return slices.Index([]Need{NeedMet, NeedPaused, NeedAvailable, NeedBroken}, needOf(m))
	}
	for _, id := range slices.Sorted(maps.Keys(s.modules)) {
		m := s.modules[id]
		for _, service := range m.InForce().Provides {
			if service.Name == u.Name && inRange(u.Version, service.Version) && (best == nil || rank(m) < rank(best)) {
				best, found = m, service
			}
		}
	}
	return best, found
}

// rivals finds enabled modules that provide the same service: a call could go to either.
func (p *planner) rivals(m *Module) {
	for _, mine := range m.Manifest.Provides {
		for _, other := range p.s.ordered {
			if !other.Active() || other.Manifest.ID == m.Manifest.ID {
				continue
			}
			for _, theirs := range other.InForce().Provides {
				if theirs.Name == mine.Name {
					p.obstacle(fmt.Sprintf("Remove %s first.", other.Manifest.Name), "%s provides the service %s already.", other.Manifest.Name, mine.Name)
				}
			}
		}
	}
}

func inRange(versions, version string) bool {
	r, err := semver.NewConstraint(versions)
	if err != nil {
		return false
	}
	v, err := semver.NewVersion(version)
	return err == nil && r.Check(v)
}

func join(ids []string) string {
	text := ""
	for i, id := range ids {
		if i > 0 {
			text += " → "
		}
		text += id
	}
	return text
}

// needs gives the ids of the modules that m cannot do without: the required ones and those that provide what it uses.
func (s *snapshot) needs(m *Module) []string {
	ids := slices.Collect(maps.Keys(m.InForce().Requires))
	for _, u := range m.InForce().Uses {
		if provider, _ := s.provider(u); provider != nil && !u.Optional && provider != m {
			ids = append(ids, provider.Manifest.ID)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// Dependents gives the enabled and paused modules that cannot do without this one, the nearest first.
func (c *Catalogue) Dependents(id string) []string {
	s := c.current.Load()
	found := []string{}
	for queue := []string{id}; len(queue) > 0; queue = queue[1:] {
		for _, m := range s.ordered {
			other := m.Manifest.ID
			if m.Active() && other != id && !slices.Contains(found, other) && slices.Contains(s.needs(m), queue[0]) {
				found = append(found, other)
				queue = append(queue, other)
			}
		}
	}
	return found
}

// Order gives the enabled modules so that each comes after those it needs.
func (c *Catalogue) Order() []string {
	s := c.current.Load()
	var order []string
	seen := map[string]bool{}
	var visit func(m *Module)
	visit = func(m *Module) {
		if m == nil || seen[m.Manifest.ID] {
			return
		}
		seen[m.Manifest.ID] = true
		for _, id := range s.needs(m) {
			visit(s.modules[id])
		}
		if m.Enabled() {
			order = append(order, m.Manifest.ID)
		}
	}
	for _, m := range s.ordered {
		visit(m)
	}
	return order
}

// Startable says why a module must not be started, if so: its folder cannot be used, its program is missing, it asks for more than the
// administrator accepted, or it does not work with this host. The errors are faults with a message for the administrator.
func (c *Catalogue) Startable(id string) error {
	m, err := c.Get(id)
	if err != nil {
		return err
	}
	if m.Problem != "" {
		return fault.New(fault.Conflict, "%s", m.Problem)
	}
	if !inRange(m.Manifest.Host, c.o.HostVersion) {
		return fault.New(fault.Conflict, "it works with hosts %s, and this is %s", m.Manifest.Host, c.o.HostVersion)
	}
	if more := m.NewAsks(); len(more) > 0 {
		return fault.New(fault.Conflict, "it asks for more than was accepted: %s", joinShort(more))
	}
	return m.CheckProgram()
}

func joinShort(list []string) string {
	text := ""
	for i, one := range list {
		if i == 5 {
			return text + fmt.Sprintf(" and %d more", len(list)-i)
		}
		if i > 0 {
			text += "; "
		}
		text += one
	}
	return text
}
