package store

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"time"

	"mortise/core/fault"
	"mortise/core/tunnel"
)

// patience is how long a statement may take before somebody listens for its cancellation. Most are done by then and cost a timer only,
// no other goroutine and no further system call.
const patience = 2 * time.Millisecond

// watch cancels the statement of a session when the module asks for it or goes away, or when it takes too long.
//
// go-sqlite3 interrupts when its context ends, but not if that happens in the moment before the statement has begun. Nothing is
// cancelled before patience is over, so that moment has passed; closing the tunnel cancels as well only by closing the socket.
type watch struct {
	s        *session
	ctx      context.Context //nolint:containedctx // of the running statement; made anew only after it was cancelled
	cancel   context.CancelCauseFunc
	timer    *time.Timer
	ended    chan struct{} // the watching goroutine says that it is gone
	finished atomic.Bool   // the statement is done
	seq      uint64
	deadline time.Time
}

// Why a statement was cancelled.
var (
	errCancelled = errors.New("cancelled by the module")
	errGone      = errors.New("the module has gone")
	errTooLong   = fault.New(fault.Timeout, "the statement took too long")
)

func newWatch(s *session) *watch {
	w := &watch{s: s, ended: make(chan struct{}, 1)}
	w.ctx, w.cancel = context.WithCancelCause(s.t.ctx)
	w.timer = time.AfterFunc(time.Hour, w.run)
	w.timer.Stop()
	return w
}

// start watches request seq.
func (w *watch) start(seq uint64, limit time.Duration) context.Context {
	w.seq, w.deadline = seq, time.Now().Add(limit)
	w.finished.Store(false)
	w.timer.Reset(patience)
	return w.ctx
}

// stop ends watching and tells why the statement was cancelled, nil when it was not.
func (w *watch) stop() error {
	if !w.timer.Stop() {
		w.finished.Store(true)
		_ = w.s.nc.SetReadDeadline(time.Unix(1, 0)) // wakes run; a socket that is gone wakes it as well
		<-w.ended
		w.s.deadline = time.Unix(1, 0)
	}
	if w.ctx.Err() == nil {
		return nil
	}
	cause := context.Cause(w.ctx)
	w.ctx, w.cancel = context.WithCancelCause(context.Background())
	return cause
}

// run listens on the session's socket, which nobody else reads while a statement runs.
func (w *watch) run() {
	defer func() { w.ended <- struct{}{} }()
	if err := w.s.nc.SetReadDeadline(w.deadline); err != nil {
		w.cancel(errGone)
		return
	}
	for !w.finished.Load() {
		kind, body, err := w.s.r.Peek()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			if !w.finished.Load() {
				w.cancel(errTooLong)
			}
			return
		case err != nil:
			w.cancel(errGone)
			return
		case kind != tunnel.KindCancel || body == nil:
			w.cancel(errGone) // it must wait for its answer; the session ends when that frame is read
			return
		}
		seq, err := tunnel.ReadSeq(body)
		w.s.r.Discard(body)
		if err == nil && seq == w.seq {
			w.cancel(errCancelled)
			return
		}
	}
}

func (w *watch) close() {
	w.timer.Stop()
	w.cancel(nil)
}
