package supervisor

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"mortise/core/fault"
	"mortise/core/wire"
)

// pause is how long to wait before the next start after n ends in a row. After the first it is short: a module that ended once
// should be back within a second, and its start takes some of that. Then it begins with first and is doubled each time, up to
// the longest, and spread by a fifth so that modules that fell together do not rise together.
func pause(n int, first, longest time.Duration, random func() float64) time.Duration {
	if n <= 1 {
		return first / 5
	}
	d := longest
	if n < 30 {
		d = min(first<<(n-2), longest)
	}
	return time.Duration(float64(d) * (0.8 + 0.4*random()))
}

// plan sets the time of the next start.
func (u *unit) plan() {
	wait := pause(u.unlucky, u.s.o.FirstPause, u.s.o.LongestPause, rand.Float64)
	u.mu.Lock()
	u.status.NextStart = u.s.o.Now().Add(wait)
	u.mu.Unlock()
	u.retry.Reset(wait)
}

func (u *unit) countRestart() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.status.Restarts++
}

// ended takes note that the process has ended without being asked. why is "" when it ended by itself.
func (u *unit) ended(why string) {
	i := u.instance.Swap(nil)
	if i == nil {
		return
	}
	_ = i.end(context.Background(), false) // cleans up after the process, which is gone
	exit := Exit{At: u.s.o.Now(), How: i.process.Exit().String(), Uptime: u.s.o.Now().Sub(i.ready)}
	if why != "" {
		exit.How = why
	}
	u.forgetProcess()
	if exit.Uptime >= u.s.o.HealthyAfter {
		u.unlucky = 0
	}
	u.s.o.Log.Warn("module ended", "module", u.id, "how", exit.How, "uptime", exit.Uptime)
	u.unlucky++
	u.noteExit(exit)
	u.afterEnd(evExit, "It "+exit.How+".")
}

// afterEnd plans the next start, or puts the module in quarantine when it ended too often.
func (u *unit) afterEnd(e Event, reason string) {
	if n := u.recentExits(); n >= u.s.o.QuarantineAfter {
		reason = fmt.Sprintf("It ended %d times within %s. The last time: %s", n, words(u.s.o.QuarantineWindow), reason)
		u.move(evExhaust, reason, remedyQuarantine)
		if err := u.record(context.WithoutCancel(u.s.base), DesiredQuarantined, "host", reason); err != nil {
			u.s.o.Log.Error("a quarantine is not recorded", "module", u.id, "error", err)
		}
		return
	}
	u.move(e, reason, remedyBackoff)
	u.plan()
}

func words(d time.Duration) string {
	if d >= time.Minute {
		return fmt.Sprintf("%d minutes", int(d.Minutes()))
	}
	return d.String()
}

// restartItself is the planned start after an end.
func (u *unit) restartItself() {
	if u.state() != Backoff || u.s.base.Err() != nil {
		return
	}
	u.countRestart()
	_ = u.startItself(u.s.base) // reported in the status
}

// startItself starts the module without an administrator, at boot or after an end, unless parent or the supervisor ends.
func (u *unit) startItself(parent context.Context) error {
	ctx, done := u.interruptible(parent)
	defer done()
	defer context.AfterFunc(u.s.base, u.stopWaiting)()
	p := newProgress(u.id, "start", nil)
	if u.startAgain(ctx, p) {
		return nil
	}
	return p.failure(u.id)
}

// startAgain brings an enabled module up; when that fails, what went wrong decides what follows.
func (u *unit) startAgain(ctx context.Context, p *progress) bool {
	u.move(evBegin, "", "")
	i, ok := u.bringUp(ctx, p)
	if ok {
		u.serve(i)
		u.move(evReady, "", "")
		return true
	}
	reason, remedy := p.report.Reason, p.report.Remedy
	switch {
	case ctx.Err() != nil: // an administrator or the end of the host came in between; what they want follows
		u.move(evMissing, "The start was interrupted.", "")
	case errors.Is(p.cause, wire.ErrIncompatible):
		u.move(evIncompatible, reason, remedy)
	case p.report.Failed == "verify" && (fault.Is(p.cause, fault.NotFound) || fault.Is(p.cause, fault.Invalid) || fault.Is(p.cause, fault.Conflict)):
		u.move(evMissing, reason, remedy) // trying again changes nothing: somebody has to
	default:
		u.unlucky++
		u.noteExit(Exit{At: u.s.o.Now(), How: "did not start: " + reason})
		u.afterEnd(evFail, reason)
	}
	return false
}

// stopForGood is the end of the host.
func (u *unit) stopForGood(ctx context.Context) {
	u.retry.Stop()
	if u.instance.Load() != nil {
		u.move(evDrain, "", "")
		u.takeDown(ctx, newProgress(u.id, "stop", nil))
		u.move(evStop, "", "")
		return
	}
	if u.state() == Backoff {
		u.move(evStop, "", "")
	}
}

// checkResult is one answer to a check.
type checkResult struct {
	instance *instance
	checked  wire.Checked
	err      error
}

// check asks the module how it is, beside everything else. missesToRestart answers that do not come end the process.
func (u *unit) check() {
	u.latency.turn(u.s.o.Now())
	i := u.instance.Load()
	if i == nil || u.checking {
		return
	}
	u.checking = true
	go func() {
		ctx, cancel := context.WithTimeout(u.s.base, u.s.o.CheckTime)
		defer cancel()
		c, err := i.process.Check(ctx)
		u.checks <- checkResult{i, c, err}
	}()
}

const missesToRestart = 3

func (u *unit) checked(r checkResult) {
	u.checking = false
	if r.instance != u.instance.Load() {
		return
	}
	u.keepCheck(r.instance, r.checked, r.err)
	u.s.tell(u)
	if r.err == nil {
		u.misses = 0
		return
	}
	if u.misses++; u.misses < missesToRestart || u.s.base.Err() != nil {
		return
	}
	u.s.o.Log.Warn("module does not answer its checks", "module", u.id, "error", r.err)
	r.instance.process.Kill()
	u.ended(fmt.Sprintf("missed %d checks: %s", missesToRestart, reasonOf(r.err)))
}

// keepCheck keeps what a check found, and what the process uses.
func (u *unit) keepCheck(i *instance, c wire.Checked, err error) {
	sample := i.process.Sample()
	if sample.PSS == 0 {
		sample.PSS = c.PSS
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.status.LastCheck, u.status.CheckError = u.s.o.Now(), ""
	u.status.RSS, u.status.Threads, u.status.CPU = sample.RSS, sample.Threads, sample.CPU
	if sample.PSS > 0 {
		u.status.PSS = sample.PSS
	}
	if err != nil {
		u.status.CheckError = reasonOf(err)
		return
	}
	u.status.Findings = c.Findings
}
