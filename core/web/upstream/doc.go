// Package upstream speaks HTTP/1.1 with the pages socket of one module.
//
// It is a client of our own because the answers come from a program that nobody trusts: a status outside 200–599, a head of
// more than 16 KiB, a body without end or a chunk that never comes must each end in an error, after a bounded time, and must
// never be passed on. fasthttp's HostClient cannot say how long a streamed body may pause (the deadline of the head stays on the
// connection), passes any three-digit number as a status, and buffers bodies that have no length.
//
// Only the head is parsed by fasthttp; the connections, their reuse and the body are handled here.
package upstream
