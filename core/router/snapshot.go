package router

import (
	"slices"
	"strings"

	"mortise/core/fault"
	"mortise/core/manifest"
)

// Snapshot is the immutable set of routes, menus and permissions of all modules. It is safe for concurrent use.
type Snapshot struct {
	root        *node
	entries     map[string]*Entry
	menus       map[string][]MenuItem
	permissions []ModulePermissions
}

// node is one segment of the tree of patterns.
type node struct {
	literal map[string]*node
	param   *node
	rest    *node
	routes  []route // of the patterns that end here
}

type route struct {
	entry *Entry
	page  *manifest.Page
	names []string // of the parameters, from left to right
}

// maxParams bounds the parameters of one pattern, so that a Match needs no memory of its own.
const maxParams = 8

// Build makes a snapshot. It fails with a fault of kind Conflict when a module is there twice or when two pages could answer
// the same request: both modules are named.
func Build(entries []Entry) (*Snapshot, error) {
	s := &Snapshot{root: &node{}, entries: make(map[string]*Entry, len(entries))}
	ordered := slices.Clone(entries)
	slices.SortFunc(ordered, func(a, b Entry) int { return strings.Compare(a.Manifest.ID, b.Manifest.ID) })
	for i := range ordered {
		e := &ordered[i]
		if s.entries[e.Manifest.ID] != nil {
			return nil, fault.New(fault.Conflict, "the module %s is there twice", e.Manifest.ID)
		}
		s.entries[e.Manifest.ID] = e
		for j := range e.Manifest.Pages {
			if err := s.insert(e, &e.Manifest.Pages[j]); err != nil {
				return nil, err
			}
		}
	}
	s.menus = buildMenus(s, ordered)
	s.permissions = collectPermissions(ordered)
	return s, nil
}

// Entry finds a module by id.
func (s *Snapshot) Entry(module string) (*Entry, bool) {
	e, ok := s.entries[module]
	return e, ok
}

func (s *Snapshot) insert(e *Entry, page *manifest.Page) error {
	segments := strings.Split(strings.TrimPrefix(page.Path, "/"), "/")
	if other := s.root.clash(segments, e, page); other != nil {
		if other.entry == e {
			return fault.New(fault.Conflict, "the module %s claims %s and %s, which answer the same requests", e.Manifest.ID, other.page.Path, page.Path)
		}
		return fault.New(fault.Conflict, "the modules %s and %s both claim %s", other.entry.Manifest.ID, e.Manifest.ID, page.Path)
	}
	n, names := s.root, []string(nil)
	for _, segment := range segments {
		name, kind := parseSegment(segment)
		if kind != literal {
			names = append(names, name)
		}
		n = n.child(segment, kind)
	}
	if len(names) > maxParams {
		return fault.New(fault.Conflict, "the module %s: %s has more than %d parameters", e.Manifest.ID, page.Path, maxParams)
	}
	n.routes = append(n.routes, route{entry: e, page: page, names: names})
	return nil
}

type segmentKind uint8

const (
	literal segmentKind = iota
	param
	rest
)

func parseSegment(segment string) (name string, kind segmentKind) {
	if !strings.HasPrefix(segment, "{") || !strings.HasSuffix(segment, "}") {
		return segment, literal
	}
	name = segment[1 : len(segment)-1]
	if name, ok := strings.CutSuffix(name, "..."); ok {
		return name, rest
	}
	return name, param
}

func (n *node) child(segment string, kind segmentKind) *node {
	slot := &n.param
	switch kind {
	case rest:
		slot = &n.rest
	case literal:
		if n.literal == nil {
			n.literal = map[string]*node{}
		}
		if n.literal[segment] == nil {
			n.literal[segment] = &node{}
		}
		return n.literal[segment]
	}
	if *slot == nil {
		*slot = &node{}
	}
	return *slot
}

// clash finds a page that could answer a request of the new one. Within one module a more exact pattern may stand beside a
// wider one, as ServeMux has it, and only the same shape clashes; between modules any overlap does.
func (n *node) clash(segments []string, e *Entry, page *manifest.Page) *route {
	if len(segments) == 0 {
		return n.routeClash(e, page, true)
	}
	name, kind := parseSegment(segments[0])
	if n.rest != nil {
		if r := n.rest.routeClash(e, page, kind == rest); r != nil {
			return r
		}
	}
	if kind == rest {
		return n.foreign(e, page)
	}
	if n.param != nil {
		if r := n.param.clashBelow(segments[1:], e, page, kind == param); r != nil {
			return r
		}
	}
	if kind == literal {
		if c := n.literal[name]; c != nil {
			return c.clash(segments[1:], e, page)
		}
		return nil
	}
	for _, c := range n.literal {
		if r := c.clashBelow(segments[1:], e, page, false); r != nil {
			return r
		}
	}
	return nil
}

// clashBelow goes on below a node whose segment has the same shape or merely overlaps.
func (n *node) clashBelow(segments []string, e *Entry, page *manifest.Page, same bool) *route {
	r := n.clash(segments, e, page)
	if r != nil && !same && r.entry == e {
		return nil
	}
	return r
}

// foreign finds any page of another module from here downwards: a {rest...} overlaps with all of them.
func (n *node) foreign(e *Entry, page *manifest.Page) *route {
	children := []*node{n.param, n.rest}
	for _, c := range n.literal {
		children = append(children, c)
	}
	for _, c := range children {
		if c == nil {
			continue
		}
		if r := c.routeClash(e, page, false); r != nil {
			return r
		}
		if r := c.foreign(e, page); r != nil {
			return r
		}
	}
	return nil
}

func (n *node) routeClash(e *Entry, page *manifest.Page, same bool) *route {
	for i := range n.routes {
		r := &n.routes[i]
		if (same || r.entry != e) && shareMethod(r.page, page) {
			return r
		}
	}
	return nil
}

var methods = [...]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}

func shareMethod(a, b *manifest.Page) bool {
	for _, m := range methods {
		if a.Accepts(m) && b.Accepts(m) {
			return true
		}
	}
	return false
}
