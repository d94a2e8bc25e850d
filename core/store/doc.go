// Package store keeps the site's one database: a SQLite file in WAL mode that the host alone opens.
//
// The host reads through a pool of read-only connections (Store.Read) and writes through one queue (Store.Write). Modules reach the
// same file through a Tunnel: a unix socket on which each connection is one session of package tunnel's protocol.
//
// There is one writer at any time, whoever it is. SQLite would sort writers out with locks and busy errors; the queue does it in turn,
// fair between modules, so that one module with a thousand waiting writes delays another by one write and not by a thousand.
//
// A module's statements run on connections of its own whose SQLite authorizer denies everything that is not on a list (authorizer.go).
// What an authorizer cannot see, a comparison of the schema before COMMIT does (schema.go).
//
// Why synchronous=NORMAL: in WAL mode it keeps the file consistent whatever happens, and loses nothing when a process dies. After a
// power cut the last commits since the most recent checkpoint may be missing, as a whole. FULL would cost one fsync for each commit,
// which on small machines is a hundred times the commit itself. Source: https://sqlite.org/pragma.html#pragma_synchronous.
//
// A read cache in the modules is possible because nobody but a module writes its tables: answers carry the tables that a statement read
// or wrote and whether it is deterministic (facts.go).
package store
