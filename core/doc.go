// Package core is the host: the process that "mortise serve" runs. Its architecture is one file, host.go: New makes every part
// and says which part knows which.
//
//	browser ──HTTP──► HOST (Fiber) ───────────────────────────────────────────────────────────┐
//	                  session · CSRF · permission · limits · route snapshot · theme · assets    │
//	                     │ pages:    HTTP/1.1 over a unix socket                                │
//	                     ├───────────────────────────────────────────────────────► MODULE (own process)
//	                     │ control:  go-plugin, gRPC, AutoMTLS                                  │  core/sdk, core/wire
//	                     ├── Describe · Connect · Migrate · Start · Check · Deliver · Run · Stop ►
//	                     │ services: one brokered gRPC server                                   │
//	                     ◄── Publish · Call · Secrets · Users · Mail                            │
//	                     │ store:    length-prefixed frames over a unix socket                  │
//	                     ◄── database/sql, confined to the module's tables                      │
//
// The packages, from the ground up (who may import whom is arch_test.go):
//
//	fault       an error's kind, and what a visitor may read of it
//	sdk         what an author of a module imports; sdk/sdkdb gives GORM
//	manifest    module.yaml: everything to know before code runs
//	tunnel      the database/sql driver of a module, and its protocol
//	store       the one SQLite file: readers, one writer in fair turns, confinement
//	wire        the process boundary; the one importer of go-plugin and gRPC
//	config      flags, environment, and the site's own settings
//	secret      seals values at rest
//	identity    people, roles, permissions, sessions
//	logbook     the site's log
//	mail        mail, by SMTP or into a folder
//	catalogue   which modules there are, and what somebody wanted of them
//	supervisor  the life of a module's process
//	router      the immutable snapshot of routes and menus
//	outbox      events, at least once, in order
//	jobs        schedules
//	services    what modules may ask of the host and of each other
//	hostapi     the services of the host itself, host.people and others
//	modules     what administrators do to modules
//	theme       templates, tokens, assets
//	help        the help pages
//	status      the list of what an operator looks at first
//	web         every URL of the host, and the way to the modules' pages
//	control     the operator's socket, for the command line
//	build       builds the modules of a source tree
//
// Life of a request: web finds the session (memory), matches the path (host routes first, then the snapshot), checks
// permission, method, size and CSRF token, takes a lease on the module's process, forwards over its pages socket, and renders
// the View that comes back with the theme, or answers its data as JSON.
package core
