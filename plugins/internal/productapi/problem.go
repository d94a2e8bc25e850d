package productapi

import (
	"errors"
	"time"

	"mortise/plugins/internal/particle"
)

// Problem is a failure of Particle, or on the way to it, as it travels through the service. It holds no secret.
type Problem struct {
	Kind         particle.Kind `json:"kind"`
	Message      string        `json:"message"` // a sentence for a person
	Hint         string        `json:"hint"`    // what to do about it
	MissingScope string        `json:"missing_scope,omitempty"`
	Uncertain    bool          `json:"uncertain,omitempty"` // a change may have happened all the same: look before it is repeated
	RetryAfterMS int64         `json:"retry_after_ms,omitempty"`
}

// Err gives the problem as the error that it was; op is what was tried. nil for no problem.
func (p *Problem) Err(op string) error {
	if p == nil {
		return nil
	}
	return &particle.Error{Kind: p.Kind, Message: p.Message, Hint: p.Hint, Scope: p.MissingScope, Op: op,
		RetryAfter: time.Duration(p.RetryAfterMS) * time.Millisecond}
}

// ProblemOf gives what is told of an error. ok is false when it is not one of Particle's.
func ProblemOf(err error) (p *Problem, ok bool) {
	var e *particle.Error
	if !errors.As(err, &e) {
		return nil, false
	}
	return &Problem{Kind: e.Kind, Message: e.Message, Hint: e.Hint, MissingScope: e.Scope, Uncertain: e.Uncertain(),
		RetryAfterMS: e.RetryAfter.Milliseconds()}, true
}
