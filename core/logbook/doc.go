// Package logbook is the site's log: one slog.Handler that writes lines to stderr and to the table core_log.
//
// Nothing waits for the log. Lines go into a bounded buffer; when it is full they are dropped and counted, and the count is logged as
// soon as there is room. stderr is written at once, because it is what is left when the store is not.
//
// Values whose key names a secret are replaced before anything sees them (see redact.go), and control characters are replaced in
// messages and values, so that a line cannot pretend to be two.
package logbook
