// Package tunnel is how a module reaches the store: a database/sql driver whose connections are sessions with the host over a unix
// socket, and the protocol that both ends speak. It is plain Go without cgo; SQLite lives in the host (core/store has the other end).
//
// # Protocol
//
// A frame is its length (4 bytes, little endian, of what follows), one byte of kind, and a body. The client sends one request and reads
// one answer; only Cancel and CloseCursor have none. Numbers are varints as in encoding/binary, texts and blobs carry their length.
//
//	Hello    version, bearer                        → Welcome  version, mode, module
//	Query    seq, tx, sql, arguments                → Rows     seq, flags, header, facts, rows
//	Exec     seq, tx, sql, arguments                → Done     seq, last insert id, affected, facts
//	More     seq, cursor                            → Rows
//	Close    cursor                                 → (nothing)
//	Commit, Rollback, Ping  seq                     → Done
//	Publish  seq, tx, name, subject, payload        → Done
//	Applied  seq, tx, number, name                  → Done     (only in migrate mode)
//	Cancel   seq                                    → (nothing: the cancelled request answers)
//	any of them                                     → Fail     seq, flags, code, extended code, errno, kind, message
//
// The first answer to a query carries the columns, the first rows and whether there are more, so a usual query is one round trip. More
// rows are pulled, so an abandoned result costs nothing. A transaction has no message of its own to begin: it begins with its first
// statement (tx says so), which saves a round trip. There is no Prepare: the host keeps prepared statements by their text.
//
// Answers say which tables the statement read and wrote and whether it is deterministic (Facts), so that a cache can be kept coherent
// by the only one who can change those tables: the module itself.
//
// One session is one driver.Conn and at most one transaction; when its socket closes, for whatever reason, the host rolls back.
package tunnel
