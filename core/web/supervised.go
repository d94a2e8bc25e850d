package web

import (
	"context"

	"mortise/core/supervisor"
)

// Supervised gives the web layer the processes that a supervisor keeps.
func Supervised(life *supervisor.Supervisor) Modules { return supervised{life} }

type supervised struct{ life *supervisor.Supervisor }

// Acquire implements Modules.
func (s supervised) Acquire(module string) (Lease, error) { return orLater(s.life.Acquire(module)) }

// AcquireStream implements Modules.
func (s supervised) AcquireStream(module string) (Lease, error) {
	return orLater(s.life.AcquireStream(module))
}

// WaitRunning implements Modules.
func (s supervised) WaitRunning(ctx context.Context, module string) error {
	_, err := orLater(nil, s.life.WaitRunning(ctx, module))
	return err
}

// orLater keeps a nil lease from becoming a Lease that is not nil, and says with an error when to come back.
func orLater(l *supervisor.Lease, err error) (Lease, error) {
	if err != nil {
		return nil, later(err, supervisor.RetryAfter(err))
	}
	return l, nil
}
