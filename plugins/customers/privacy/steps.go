package privacy

import (
	"context"
	"errors"
	"time"

	"mortise/core/fault"
)

const (
	lease   = 2 * time.Minute // for which a page or the job has an erasure to itself
	keepFor = 2 * 365 * 24 * time.Hour
	lateBy  = 10 * time.Minute // after which an open erasure is told to administrators
)

// The sentences of records. They are about steps, never about the person, and never a module's own words.
const (
	saidBegun   = "Has begun."
	saidRefused = "A module refused. Nothing was erased."
	saidFailed  = "The modules could not be asked. Nothing was erased."
	saidUnsure  = "It is not known whether the modules were told. Telling them again does no harm."
	saidWaiting = "The modules were told; whether they are done is seen when somebody opens the page."
	saidAgain   = "The modules could not be told once more to erase what is left."
	saidNoLeave = "The data are erased, but a module does not let the account be deleted."
	saidErased  = "The personal data are erased."
	saidGone    = "The personal data are erased, and the account is deleted."
)

// tell asks every module whether the person may be erased, and tells them to do it. It takes a person: the host hears no job.
// The error is what the person reads; the record says whether anything happened.
func (p *Privacy) tell(ctx context.Context, e *erasure) error {
	var out struct {
		Kept []kept `json:"kept"`
	}
	err := p.Host.Call(ctx, "host.privacy", "erase", userIn{e.UserID}, &out)
	safe, now := context.WithoutCancel(ctx), p.Now()
	if err == nil {
		e.AskedAt, e.Kept = &now, encode(out.Kept)
		return p.records.write(safe, e.ID, map[string]any{"asked_at": now, "kept": e.Kept})
	}
	how := map[string]any{"state": stateAttention, "sentence": saidUnsure}
	switch fault.KindOf(err) {
	case fault.Conflict:
		how = map[string]any{"state": stateRefused, "sentence": saidRefused, "ended_at": now}
	case fault.Denied, fault.SignedOut, fault.NotFound, fault.Invalid, fault.Unavailable, fault.TooMany: // before anybody is told
		how = map[string]any{"state": stateRefused, "sentence": saidFailed, "ended_at": now}
	}
	e.State, _ = how["state"].(string)
	return errors.Join(p.records.write(safe, e.ID, how), err)
}

// remind tells the modules once more: the person may have got something new since, which nobody else would ask them to erase.
func (p *Privacy) remind(ctx context.Context, e *erasure) error {
	err := p.Host.Call(ctx, "host.privacy", "erase", userIn{e.UserID}, nil)
	if err == nil {
		return nil
	}
	e.State, e.Sentence = stateAttention, saidAgain
	return errors.Join(p.records.write(context.WithoutCancel(ctx), e.ID, map[string]any{"state": e.State, "sentence": e.Sentence}), err)
}

// advance does all that may be done without a person, once every module was told. watch waits for the modules in between, which takes
// a person.
func (p *Privacy) advance(ctx context.Context, e *erasure, watch bool) error {
	said := ""
	if e.ParticleAt == nil && p.forget(ctx, e) != nil {
		said = "What stands for the person at Particle could not be ended; it is tried again by itself."
	}
	if watch && e.ModulesAt == nil {
		if err := p.watch(ctx, e); err != nil {
			p.Host.Log().WarnContext(ctx, "what modules have left of a customer could not be seen", "user_id", e.UserID, "error", err)
		}
	}
	if e.DeleteAccount && e.DeletedAt == nil {
		switch err := p.delete(ctx, e); {
		case err == nil:
		case fault.Is(err, fault.Conflict), fault.Is(err, fault.Denied):
			return errors.Join(p.records.write(context.WithoutCancel(ctx), e.ID, map[string]any{"state": stateAttention, "sentence": saidNoLeave}), err)
		default:
			said = "The account could not be deleted yet; it is tried again by itself."
		}
	}
	return p.settle(ctx, e, said)
}

// forget ends what stands for the person at Particle.
func (p *Privacy) forget(ctx context.Context, e *erasure) error {
	if p.deps.Forget != nil {
		if err := p.deps.Forget(ctx, e.UserID); err != nil {
			p.Host.Log().WarnContext(ctx, "a customer could not be erased at Particle", "user_id", e.UserID, "error", err)
			return err
		}
	}
	now := p.Now()
	e.ParticleAt = &now
	return p.records.write(context.WithoutCancel(ctx), e.ID, map[string]any{"particle_at": now})
}

// delete ends the account. Conflict when a module refuses.
func (p *Privacy) delete(ctx context.Context, e *erasure) error {
	err := p.Host.Call(ctx, "host.people", "delete", idIn{e.UserID}, nil)
	if err != nil && !fault.Is(err, fault.NotFound) {
		p.Host.Log().WarnContext(ctx, "an account could not be deleted after its data were erased", "user_id", e.UserID, "error", err)
		return err
	}
	now := p.Now()
	e.DeletedAt = &now
	return p.records.write(context.WithoutCancel(ctx), e.ID, map[string]any{"deleted_at": now})
}

// settle ends an erasure whose steps are all done, and has the job look again at any other. said tells what went wrong, "" for
// nothing.
func (p *Privacy) settle(ctx context.Context, e *erasure, said string) error {
	ctx = context.WithoutCancel(ctx)
	now := p.Now()
	modules := e.ModulesAt != nil || e.DeletedAt != nil // of a deleted account the host tells every module once more, until it has heard it
	if e.ParticleAt != nil && modules && (!e.DeleteAccount || e.DeletedAt != nil) {
		e.State, e.Sentence, e.EndedAt = stateDone, saidErased, &now
		if e.DeletedAt != nil {
			e.Sentence = saidGone
		}
		return p.records.write(ctx, e.ID, map[string]any{"state": e.State, "sentence": e.Sentence, "ended_at": now})
	}
	if said == "" {
		e.Sentence, e.NextAt = saidWaiting, now.Add(time.Hour)
	} else {
		e.Tries++
		e.Sentence, e.NextAt = said, now.Add(min(time.Duration(e.Tries*e.Tries)*30*time.Second, time.Hour))
	}
	return p.records.write(ctx, e.ID, map[string]any{"sentence": e.Sentence, "next_at": e.NextAt, "tries": e.Tries})
}

// watch waits for the modules to have erased what they have. What is left when patience ends is on record.
func (p *Privacy) watch(ctx context.Context, e *erasure) error {
	end := time.Now().Add(p.Patience)
	for pause := 100 * time.Millisecond; ; pause *= 2 {
		report, err := p.ask(ctx, e.UserID)
		if err != nil {
			return err
		}
		if err := p.looked(ctx, e, report); err != nil || e.ModulesAt != nil || time.Now().Add(pause).After(end) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// looked notes what a report says about the modules.
func (p *Privacy) looked(ctx context.Context, e *erasure, r report) error {
	rest := r.remaining()
	e.Remaining = encode(rest)
	columns := map[string]any{"remaining": e.Remaining}
	if len(rest) == 0 {
		now := p.Now()
		e.ModulesAt = &now
		columns["modules_at"] = now
	}
	return p.records.write(context.WithoutCancel(ctx), e.ID, columns)
}

// seen notes in an open erasure what a page has seen, and gives it as it then stands.
func (p *Privacy) seen(ctx context.Context, e *erasure, r report) (*erasure, error) {
	if e == nil || !e.open() || e.AskedAt == nil || e.ModulesAt != nil {
		return e, nil
	}
	if err := p.looked(ctx, e, r); err != nil {
		return e, err
	}
	if e.ModulesAt != nil && e.State == stateRunning && e.ParticleAt != nil && !e.DeleteAccount {
		return e, p.settle(ctx, e, "")
	}
	return e, nil
}

// goOn does all steps that are not done yet, for a person. The error is for the person to read.
func (p *Privacy) goOn(ctx context.Context, e *erasure) error {
	if e.AskedAt == nil {
		if err := p.tell(ctx, e); err != nil {
			return err
		}
	} else if e.ModulesAt == nil {
		if err := p.remind(ctx, e); err != nil {
			return err
		}
	}
	return p.advance(ctx, e, true)
}
