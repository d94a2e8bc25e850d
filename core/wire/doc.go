// Package wire is the boundary between the host and a module's process. It alone knows go-plugin, gRPC and protobuf.
//
// A module's main function calls Serve. The host calls Launch, which starts the program through a runner of its own and gives
// a Process with one method for each thing that the host may ask. Three connections join the two:
//
//	control   go-plugin's gRPC connection with AutoMTLS: modulepb.Module, and modulepb.Host the other way, dialled once
//	pages     HTTP/1.1 on a unix socket in the run folder, with a bearer and a check of the peer's user
//	store     a unix socket in the run folder on which the host answers; see core/tunnel
//
// Why the runner is our own: go-plugin panics the host on a log line `{"@message":1}`, stops reading stdout at a long line,
// waits for ever for a process that is stopped or for a grandchild that holds its pipes, and lets modules outlive a host that
// crashed. The runner reads stderr itself, owns the process group, and ends it within a bound.
package wire
