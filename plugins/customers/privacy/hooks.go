package privacy

import (
	"context"
	"fmt"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/customers/site"
)

// Deliver notes in an open erasure what the site says is done: a crash may have kept the page from it.
func (p *Privacy) Deliver(ctx context.Context, event sdk.Event) error {
	if event.Name != "user.erase_requested" && event.Name != "user.deleted" {
		return nil
	}
	userID, ok := site.PersonOf(event)
	if !ok {
		return nil
	}
	e, err := p.records.openOf(ctx, userID)
	if err != nil || e == nil {
		return err
	}
	now := p.Now()
	if e.AskedAt == nil {
		e.AskedAt, e.State = &now, stateRunning
		if err := p.records.write(ctx, e.ID, map[string]any{"asked_at": now, "state": stateRunning}); err != nil {
			return err
		}
	}
	if event.Name == "user.deleted" && e.DeletedAt == nil {
		e.DeletedAt = &now
		if err := p.records.write(ctx, e.ID, map[string]any{"deleted_at": now, "state": stateRunning}); err != nil {
			return err
		}
		return p.settle(ctx, e, "")
	}
	return nil
}

// Run does this part's share of a job.
func (p *Privacy) Run(ctx context.Context, job string) (mine bool, err error) {
	switch job {
	case "erase":
		return true, p.resume(ctx)
	case "retention":
		return true, p.records.forget(ctx, p.Now().Add(-keepFor))
	}
	return false, nil
}

// resume goes on with erasures that nobody works on.
func (p *Privacy) resume(ctx context.Context) error {
	list, err := p.records.due(ctx)
	if err != nil {
		return err
	}
	for i := range list {
		e := &list[i]
		mine, err := p.records.take(ctx, e, p.Now().Add(lease))
		if err != nil {
			return err
		}
		if !mine {
			continue
		}
		if e.AskedAt == nil { // cut short while the modules were asked: if they were, the fact says so here as well
			err = p.records.write(ctx, e.ID, map[string]any{"state": stateAttention, "sentence": saidUnsure})
		} else if err = p.advance(ctx, e, false); fault.Is(err, fault.Conflict) || fault.Is(err, fault.Denied) {
			err = nil // it is on record, and waits for a person
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Check tells what waits for a person, and what takes long.
func (p *Privacy) Check(ctx context.Context) ([]sdk.Finding, error) {
	list, err := p.records.unfinished(ctx, p.Now().Add(-lateBy))
	if err != nil {
		return nil, err
	}
	findings := make([]sdk.Finding, 0, len(list))
	for i := range list {
		e := &list[i]
		f := sdk.Finding{Level: sdk.LevelWarning, Link: privacyOf(e.UserID), Title: fmt.Sprintf("The erasure of customer no. %d is not finished. %s", e.UserID, e.Sentence),
			Remedy: "Open the page to see what is left; the rest goes on by itself."}
		if e.State == stateAttention {
			f.Remedy = "Open the page and press “Go on with the erasure”."
		}
		findings = append(findings, f)
	}
	return findings, nil
}
