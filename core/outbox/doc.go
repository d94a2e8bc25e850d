// Package outbox carries events: facts that happened, and questions about what is going to happen.
//
// A fact is written in the transaction that makes it true, with one delivery for each module that subscribes to it, running or
// paused. It then reaches every subscriber at least once, in order per subject: while one about a subject fails, later ones
// about it wait, others go on. Retries grow from one second to ten minutes; after days of failing a delivery is set aside as
// dead, for the administrator to try again or to drop. Each subscriber has its own worker, so that a slow one delays nobody.
//
// A question (a name with ".will_") is asked at once of all subscribers in parallel; any of them can refuse. One that does not
// answer in time refuses too, unless its manifest says on_fail: allow.
package outbox
