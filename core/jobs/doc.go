// Package jobs runs the jobs that modules declare, at their times.
//
// One goroutine with one timer watches all of them. A job never runs beside itself: a time that comes while it still runs is skipped. A
// module has a small number of workers of its own, so that its jobs delay nobody else's. When a job is due is kept in the store: what
// was missed while the host was down runs once when it is back, however often it was missed; what was due while the administrator had
// the module paused is skipped. A failed run is tried again with growing pauses, a few times, and then left for the next regular time.
package jobs
