// Package web is what a browser or a program talks to: the Fiber app, the pages of the host, and the way to the modules' pages.
//
// Every request passes enter (request id, limits, who asks, headers, panics) and then either a route of the host — all of them
// stand in routes.go with what they demand of the visitor — or the late catch-all, which looks the path up in the modules' route
// snapshot and asks the module over its pages socket (proxy.go).
//
// A handler of the host has the shape func(*visit) error. It reads the visit, calls a service, and ends with one of
//
//	return v.render(theme.Page{Template: "login", Title: "Sign in", Data: …})   // HTML by the theme, or Data as JSON
//	return v.redirect("/account", sdk.Message{…})                               // 303, or JSON {"redirect": …, "message": …}
//	return err                                                                   // errors.go: status, page or problem JSON
//
// Permission, CSRF token and body size have been checked before it runs. Strings that fiber hands out live in a buffer that the
// next request overwrites; visit's accessors copy, and handlers use those alone.
package web
