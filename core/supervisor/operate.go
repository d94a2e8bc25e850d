package supervisor

import (
	"context"
	"errors"
	"fmt"

	"mortise/core/fault"
)

// Enable brings a module up and puts its pages in place. It is all or nothing: when a step before the swap fails, the new process
// is ended, nothing has changed, and the report names the step, the reason and the remedy; the error is a fault that says the
// same. A module that is enabled already is left alone. The operation runs to its end even if ctx ends.
func (s *Supervisor) Enable(ctx context.Context, id, by string, tell func(Step)) (Report, error) {
	return s.enable(ctx, id, by, "enable", tell)
}

// Resume brings a paused or quarantined module back, as Enable does. It is a Conflict for one that was never enabled.
func (s *Supervisor) Resume(ctx context.Context, id, by string, tell func(Step)) (Report, error) {
	u := s.unit(id)
	if u == nil || u.state() == Available || u.state() == Removed {
		return Report{Module: id, Action: "resume"}, fault.New(fault.Conflict, "The module %s is not enabled.", id)
	}
	return s.enable(ctx, id, by, "resume", tell)
}

func (s *Supervisor) enable(ctx context.Context, id, by, action string, tell func(Step)) (Report, error) {
	spec, err := s.o.Catalogue.Spec(ctx, id)
	if err != nil {
		return Report{Module: id, Action: action, Failed: "verify", Reason: reasonOf(err), Remedy: remedies["verify"]}, err
	}
	u, err := s.adopt(Row{ID: id}, spec.Manifest)
	if err != nil {
		return Report{Module: id, Action: action}, err
	}
	return u.operate(ctx, action, tell, func(ctx context.Context, p *progress) (bool, error) { return u.enable(ctx, p, by) })
}

// operate has the unit's goroutine do an operation of an administrator.
func (u *unit) operate(ctx context.Context, action string, tell func(Step), do func(context.Context, *progress) (bool, error)) (Report, error) {
	p := newProgress(u.id, action, tell)
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(u.s.base, cancel)()
	var changed bool
	err := errStopping()
	u.do(func() {
		if u.s.base.Err() == nil {
			changed, err = do(ctx, p)
		}
	})
	return p.finish(u.state(), changed), err
}

// enable runs in the unit's goroutine.
func (u *unit) enable(ctx context.Context, p *progress, by string) (bool, error) {
	origin := u.state()
	if origin == Running {
		return false, nil
	}
	u.retry.Stop()
	u.move(evBegin, "", "")
	i, ok := u.bringUp(ctx, p)
	if ok {
		ok = p.step("swap", func() (string, error) { return "", u.swap(ctx, i, by) })
	}
	if !ok {
		u.abandon(origin, p)
		return false, p.failure(u.id)
	}
	u.unlucky = 0
	u.mu.Lock()
	u.forgiven = u.s.o.Now()
	u.status.Panic = ""
	u.mu.Unlock()
	u.move(evReady, "", "")
	return true, nil
}

// abandon leaves the module as it was before a start that failed.
func (u *unit) abandon(origin State, p *progress) {
	u.forgetProcess()
	u.move(evAbandon(origin), p.report.Reason, p.report.Remedy)
	if origin == Backoff {
		u.plan()
	}
}

// swap records that the module is wanted, lets requests in and publishes its routes. On an error everything is as before.
func (u *unit) swap(ctx context.Context, i *instance, by string) error {
	before := u.desired
	if err := u.record(ctx, DesiredEnabled, by, ""); err != nil {
		return errors.Join(err, i.end(ctx, false))
	}
	u.serve(i)
	err := u.s.o.Publish(ctx)
	if err == nil {
		return nil
	}
	u.instance.Store(nil)
	if before == "" {
		before = DesiredRemoved
	}
	return errors.Join(err, u.record(ctx, before, by, ""), i.end(ctx, false))
}

func (u *unit) record(ctx context.Context, want Desired, by, reason string) error {
	u.mu.Lock()
	version := u.status.Version
	u.mu.Unlock()
	if err := u.s.o.Catalogue.Record(ctx, u.id, want, version, by, reason); err != nil {
		return fmt.Errorf("record that %s is %s: %w", u.id, want, err)
	}
	u.desired = want
	return nil
}

// known gives the unit for an operation on a module that must have been enabled once.
func (s *Supervisor) known(id, action string) (*unit, error) {
	u := s.unit(id)
	if u == nil || u.state() == Available {
		return nil, fault.New(fault.Conflict, "The module %s is not enabled, so it cannot %s.", id, action)
	}
	return u, nil
}

// Pause takes the module's pages off the site, lets it finish what it has, stops it, and keeps its data. Modules that require it
// go on running; their calls of its services fail as Unavailable.
func (s *Supervisor) Pause(ctx context.Context, id, by string) (Report, error) {
	u, err := s.known(id, "be paused")
	if err != nil {
		return Report{Module: id, Action: "pause"}, err
	}
	u.stopWaiting()
	return u.operate(ctx, "pause", nil, func(ctx context.Context, p *progress) (bool, error) {
		switch u.state() {
		case Paused:
			return false, nil
		case Removed, Available:
			return false, fault.New(fault.Conflict, "The module %s is not enabled, so it cannot be paused.", id)
		}
		if err := u.unpublish(ctx, DesiredPaused, by); err != nil {
			return false, err
		}
		u.leave(ctx, p, evPause)
		return true, nil
	})
}

// unpublish records that the module is not wanted and takes its routes away.
func (u *unit) unpublish(ctx context.Context, want Desired, by string) error {
	before := u.desired
	if err := u.record(ctx, want, by, ""); err != nil {
		return err
	}
	if err := u.s.o.Publish(ctx); err != nil {
		return errors.Join(err, u.record(ctx, before, by, ""))
	}
	return nil
}

// leave ends the process, if there is one, and moves to the state of e.
func (u *unit) leave(ctx context.Context, p *progress, e Event) {
	u.retry.Stop()
	if u.instance.Load() != nil {
		u.move(evDrain, "", "")
		u.takeDown(ctx, p)
	}
	u.move(e, "", "")
}

// Restart stops the process and starts it anew; for a module that waits for its next start it is now. When the start fails, the
// module is tried again as after a crash.
func (s *Supervisor) Restart(ctx context.Context, id, by string) (Report, error) {
	u, err := s.known(id, "be restarted")
	if err != nil {
		return Report{Module: id, Action: "restart"}, err
	}
	return u.operate(ctx, "restart", nil, func(ctx context.Context, p *progress) (bool, error) {
		switch state := u.state(); state {
		case Running:
			u.s.o.Log.Info("module is restarted", "module", id, "by", by)
			u.move(evDrain, "", "")
			u.takeDown(ctx, p)
			u.countRestart()
		case Backoff, Stopped, Incompatible:
			u.retry.Stop()
		default:
			return false, fault.New(fault.Conflict, "The module %s is %s; resume it instead.", id, state)
		}
		if !u.startAgain(ctx, p) {
			return true, p.failure(id)
		}
		return true, nil
	})
}

// Remove stops the module, takes it off the site and does with its data what was chosen. It is a Conflict while enabled modules
// require it. For a module that is removed already DeleteData erases what was kept, or what an erasure that failed has left.
func (s *Supervisor) Remove(ctx context.Context, id, by string, data DataChoice) (Report, error) {
	u, err := s.known(id, "be removed")
	if err != nil {
		return Report{Module: id, Action: "remove"}, err
	}
	if err := s.checkDependents(ctx, id); err != nil {
		return Report{Module: id, Action: "remove", State: u.state()}, err
	}
	u.stopWaiting()
	return u.operate(ctx, "remove", nil, func(ctx context.Context, p *progress) (bool, error) {
		if u.state() == Removed && data != DeleteData {
			return false, nil
		}
		if u.state() != Removed {
			if err := u.unpublish(ctx, DesiredRemoved, by); err != nil {
				return false, err
			}
			u.leave(ctx, p, evRemove)
		}
		if !p.step("erase", func() (string, error) { return string(data), u.s.o.Catalogue.Erase(ctx, id, data) }) {
			return true, p.cause
		}
		return true, nil
	})
}

func (s *Supervisor) checkDependents(ctx context.Context, id string) error {
	rows, err := s.o.Catalogue.Rows(ctx)
	if err != nil {
		return err
	}
	for _, row := range rows {
		spec, err := s.o.Catalogue.Spec(ctx, row.ID)
		if err != nil || row.Desired == DesiredRemoved {
			continue // it cannot run, so it needs nothing
		}
		if _, needs := spec.Manifest.Requires[id]; needs {
			return fault.New(fault.Conflict, "The module %s is required by %s. Remove that first.", id, spec.Manifest.Name)
		}
	}
	return nil
}
