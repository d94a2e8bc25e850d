package supervisor

import (
	"context"
	"errors"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/core/wire"
)

// use does something with the running instance and counts it in.
func (s *Supervisor) use(id string, do func(p *wire.Process) error) error {
	u := s.unit(id)
	if u == nil {
		return unavailable(id, Available, 0)
	}
	i := u.instance.Load()
	if i == nil || !i.enter() {
		return u.notRunning()
	}
	defer i.leave()
	defer i.control.Add(-1)
	if i.control.Add(1) > controlAtOnce {
		return fault.New(fault.TooMany, "%s has too much to do at the moment.", u.name())
	}
	return do(i.process)
}

// Deliver hands one event over. A *sdk.RefuseError refuses what it announces; any other error means that it was not taken.
func (s *Supervisor) Deliver(ctx context.Context, module string, e sdk.Event) error {
	return s.use(module, func(p *wire.Process) error { return p.Deliver(ctx, e) })
}

// RunJob runs one job until it is done or ctx ends. A module that is paused or stopped meanwhile gives Unavailable.
func (s *Supervisor) RunJob(ctx context.Context, module, job string) error {
	return s.use(module, func(p *wire.Process) error { return p.RunJob(ctx, job) })
}

// Call calls a service that the module provides. claim is the host's proof of call.User for this module, requestID the
// visitor's request that led to it, if any.
func (s *Supervisor) Call(ctx context.Context, module string, call sdk.Call, claim, requestID string) (out []byte, err error) {
	ctx = wire.WithRequestID(ctx, requestID)
	err = s.use(module, func(p *wire.Process) error {
		out, err = p.Call(ctx, call, claim)
		return err
	})
	return out, err
}

// TestSettings has the running module try settings that are not saved.
func (s *Supervisor) TestSettings(ctx context.Context, module string, settings map[string]any) (problems []sdk.Problem, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.o.OperationTime)
	defer cancel()
	err = s.use(module, func(p *wire.Process) error {
		problems, err = p.TestSettings(ctx, settings)
		return err
	})
	return problems, err
}

// Configure reads the module's settings from the catalogue again and hands them over; a module that cannot take them while it
// runs is restarted. The error may be the module's own, an Invalid fault with fields.
func (s *Supervisor) Configure(ctx context.Context, module string) error {
	applied, err := s.Offer(ctx, module)
	if err != nil || applied {
		return err
	}
	_, err = s.Restart(ctx, module, "settings")
	return err
}

// Offer is Configure without the restart: applied is false when the module needs one. Nothing needs to be applied to a module that does
// not run.
func (s *Supervisor) Offer(ctx context.Context, module string) (applied bool, err error) {
	settings, err := s.o.Catalogue.Settings(ctx, module)
	if err != nil {
		return false, err
	}
	bounded, cancel := context.WithTimeout(ctx, s.o.OperationTime)
	defer cancel()
	err = s.use(module, func(p *wire.Process) (err error) {
		applied, err = p.Configure(bounded, settings)
		return err
	})
	var down *NotRunningError
	if errors.As(err, &down) {
		return true, nil // the next start hands over what is saved
	}
	return applied, err
}
