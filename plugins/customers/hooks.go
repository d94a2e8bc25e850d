package main

import (
	"context"
	"errors"
	"time"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/customers/history"
	"mortise/plugins/customers/site"
)

// keepHistory is how long entries of the history are kept.
const keepHistory = 2 * 365 * 24 * time.Hour

// Deliver hands a fact to every part. Delivered twice, each does nothing more; when one part fails the fact comes again to all.
func (m *Customers) Deliver(ctx context.Context, event sdk.Event) error {
	var failed []error
	for _, p := range m.parts {
		failed = append(failed, p.Deliver(ctx, event))
	}
	if err := errors.Join(failed...); err != nil {
		return err
	}
	if id, gone := forgotten(event); gone { // last: forgetting may have written history
		return history.Forget(ctx, m.site.DB, id)
	}
	return nil
}

// forgotten tells whom a fact wants to be forgotten.
func forgotten(event sdk.Event) (userID int64, ok bool) {
	if event.Name != "user.erase_requested" && event.Name != "user.deleted" {
		return 0, false
	}
	return site.PersonOf(event)
}

// Run does a job of the manifest: the share of each part that has one.
func (m *Customers) Run(ctx context.Context, job string) error {
	var failed []error
	known := false
	if job == "retention" {
		known = true
		failed = append(failed, history.Trim(ctx, m.site.DB, m.now().Add(-keepHistory)))
	}
	for _, p := range m.parts {
		mine, err := p.Run(ctx, job)
		known = known || mine
		failed = append(failed, err)
	}
	if !known {
		return fault.New(fault.NotFound, "There is no job %q.", job)
	}
	return errors.Join(failed...)
}

// Check gathers what needs attention.
func (m *Customers) Check(ctx context.Context) ([]sdk.Finding, error) {
	var all []sdk.Finding
	for _, p := range m.parts {
		found, err := p.Check(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}
