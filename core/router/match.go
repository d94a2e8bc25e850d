package router

import (
	"net/url"
	"strings"
	"unicode/utf8"

	"mortise/core/manifest"
)

// Outcome is what Match found.
type Outcome uint8

// The outcomes.
const (
	NotFound         Outcome = iota // no page has this path, or the path is malformed
	Found                           // Entry, Page and the parameters are set
	MethodNotAllowed                // there are pages of this path; Allow names their methods
	Moved                           // a page is there without the slash at the end; Location is its path (GET and HEAD only)
)

// Match is the answer of Snapshot.Match.
type Match struct {
	Outcome  Outcome
	Entry    *Entry // look at its State before asking the module
	Page     *manifest.Page
	Allow    string // for the Allow header, such as "GET, HEAD, POST"
	Location string // still percent-encoded, without the query
	route    *route
	values   [maxParams]string
}

// Param gives the decoded value of a parameter of the pattern; "" when there is none of that name.
func (m *Match) Param(name string) string {
	if m.route != nil {
		for i, n := range m.route.names {
			if n == name {
				return m.values[i]
			}
		}
	}
	return ""
}

// Params gives all parameters by name, decoded.
func (m *Match) Params() map[string]string {
	if m.route == nil {
		return nil
	}
	all := make(map[string]string, len(m.route.names))
	for i, n := range m.route.names {
		all[n] = m.values[i]
	}
	return all
}

// Bounds of a path: longer ones are not found.
const (
	maxPath     = 4096
	maxSegments = 64
)

// Match finds the page for a method and a path. The path is the one of the request line, percent-encoded, without the query.
//
// Not found, whatever the patterns say: empty segments (double slashes), dot segments however they are encoded, broken
// escapes, control characters, text that is not UTF-8. A slash at the end is Moved to the path without it.
func (s *Snapshot) Match(method, path string) Match {
	if len(path) < 2 || len(path) > maxPath || path[0] != '/' {
		return Match{}
	}
	if strings.HasSuffix(path, "/") {
		return s.moved(method, path)
	}
	if !wellFormed(path) {
		return Match{}
	}
	var m Match
	f := finder{method: method, m: &m}
	if f.find(s.root, path[1:], 0) {
		m.Outcome, m.Entry, m.Page = Found, m.route.entry, m.route.page
		return m
	}
	if f.others {
		return Match{Outcome: MethodNotAllowed, Allow: s.allow(path)}
	}
	return Match{}
}

// Path segments are checked before any pattern is tried, so that no pattern can let a bad one through.
func wellFormed(path string) bool {
	rest, count := path[1:], 0
	for {
		segment, tail, more := strings.Cut(rest, "/")
		if count++; count > maxSegments || !goodSegment(segment) {
			return false
		}
		if !more {
			return true
		}
		rest = tail
	}
}

func goodSegment(segment string) bool {
	if segment == "" {
		return false
	}
	text := segment
	if strings.IndexByte(segment, '%') >= 0 {
		decoded, err := url.PathUnescape(segment)
		if err != nil {
			return false
		}
		text = decoded
	}
	if hasDotPart(text) || !utf8.ValidString(text) {
		return false
	}
	for i := 0; i < len(text); i++ {
		if text[i] < ' ' || text[i] == 0x7f {
			return false
		}
	}
	return true
}

// hasDotPart tells whether text is "." or ".." or holds one between slashes of either kind, as "..%2f.." does: a module that
// joins the value to a folder must not leave it.
func hasDotPart(text string) bool {
	for {
		i := strings.IndexAny(text, `/\`)
		part := text
		if i >= 0 {
			part = text[:i]
		}
		if part == "." || part == ".." {
			return true
		}
		if i < 0 {
			return false
		}
		text = text[i+1:]
	}
}

func decode(segment string) string {
	if strings.IndexByte(segment, '%') < 0 {
		return segment
	}
	decoded, err := url.PathUnescape(segment)
	if err != nil { // wellFormed has refused it already
		return segment
	}
	return decoded
}

type finder struct {
	method string
	m      *Match
	others bool // a page matched the path, but not the method
}

// find tries literal, {name} and {rest...} in this order and comes back when a branch leads nowhere. path is what is left,
// without its leading slash.
func (f *finder) find(n *node, path string, depth int) bool {
	segment, tail, more := strings.Cut(path, "/")
	value := decode(segment)
	if c := n.literal[value]; c != nil && f.step(c, tail, more, depth) {
		return true
	}
	if n.param != nil {
		f.m.values[depth] = value
		if f.step(n.param, tail, more, depth+1) {
			return true
		}
	}
	if n.rest != nil {
		f.m.values[depth] = decode(path)
		return f.end(n.rest)
	}
	return false
}

func (f *finder) step(c *node, tail string, more bool, depth int) bool {
	if more {
		return f.find(c, tail, depth)
	}
	return f.end(c)
}

func (f *finder) end(n *node) bool {
	for i := range n.routes {
		if n.routes[i].page.Accepts(f.method) {
			f.m.route = &n.routes[i]
			return true
		}
		f.others = true
	}
	return false
}

// allow lists the methods that the path has; it is off the hot path.
func (s *Snapshot) allow(path string) string {
	var list []string
	for _, method := range methods {
		var m Match
		f := finder{method: method, m: &m}
		if f.find(s.root, path[1:], 0) {
			list = append(list, method)
		}
	}
	return strings.Join(list, ", ")
}

func (s *Snapshot) moved(method, path string) Match {
	trimmed := strings.TrimSuffix(path, "/")
	if method != "GET" && method != "HEAD" || len(trimmed) < 2 {
		return Match{}
	}
	if m := s.Match(method, trimmed); m.Outcome == Found { // Match refuses "//…", so this cannot lead to another site
		return Match{Outcome: Moved, Entry: m.Entry, Page: m.Page, Location: trimmed}
	}
	return Match{}
}
