// Package supervisor runs the modules: it starts, checks, restarts, pauses and stops their processes, and hands out leases on
// those that run.
//
// Each module has one goroutine that owns its state; the states and what may follow what stand as a table in state.go.
// Operations of administrators are done by that goroutine, one after the other. Requests do not pass through it: Acquire reads
// the running instance from an atomic pointer and counts itself in.
//
// A process that ends by itself is started again after a tenth of a second; if it ends again, after half a second, then after
// twice as long each time, up to a minute; ten healthy minutes reset that. The fifth end in ten minutes puts the module in quarantine until an administrator resumes it.
// What a module requires must be enabled before it; when a required module is paused afterwards, its dependents go on running
// and their calls of its services fail as Unavailable.
package supervisor
