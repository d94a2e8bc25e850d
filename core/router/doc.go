// Package router finds the page of a module for a path, from manifests alone: no module process takes part.
//
// A Snapshot is immutable. The host builds a new one when a module is enabled, paused or removed, and swaps it in with
// Router.Store in one step, so that routes, menus and permissions always belong together.
//
// Match works on the path as it came over the wire, still percent-encoded: it splits first and decodes each segment after, so
// an encoded slash stays inside its segment. The order of patterns is that of net/http's ServeMux (a literal segment before
// {name} before {rest...}; a pattern that does not answer the method is passed over), so that a module which routes with
// ServeMux and the same patterns serves exactly the page whose permission the host has checked.
package router
