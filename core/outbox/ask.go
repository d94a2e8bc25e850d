package outbox

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"mortise/core/fault"
	"mortise/core/sdk"
)

// Ask puts a question (a name with ".will_") to every subscriber at once and waits for the answers. nil means that nobody refuses.
// A refusal is a fault of kind Conflict with the reasons. A module that fails, does not answer in time or does not run refuses
// too, unless its manifest says on_fail: allow. Never call it inside a write transaction: those who are asked may want to write.
func (o *Outbox) Ask(ctx context.Context, name, subject string, payload any) error {
	if !validName.MatchString(name) || !strings.Contains(name, ".will_") {
		return fault.New(fault.Internal, "%q is not a question", name)
	}
	body, err := json.Marshal(payload)
	if err != nil {
		return fmt.Errorf("encode the question %s: %w", name, err)
	}
	event := sdk.Event{Name: name, Subject: subject, Key: rand.Text(), Time: o.now(), Source: HostSource, Payload: body}

	var asked []Subscriber
	for _, s := range o.o.Subscribers() {
		if subscribes(s, name) {
			asked = append(asked, s)
		}
	}
	reasons := make([]string, len(asked))
	var wg sync.WaitGroup
	for i, s := range asked {
		wg.Go(func() { reasons[i] = o.askOne(ctx, s, event) })
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("ask %s: %w", name, err)
	}
	var refused []string
	for _, r := range reasons {
		if r != "" {
			refused = append(refused, r)
		}
	}
	if len(refused) > 0 {
		return fault.New(fault.Conflict, "%s", strings.Join(refused, " "))
	}
	return nil
}

// askOne gives the reason of a refusal, or "".
func (o *Outbox) askOne(ctx context.Context, s Subscriber, event sdk.Event) string {
	ctx, cancel := context.WithTimeout(ctx, o.o.AskTimeout)
	defer cancel()
	var refusal *sdk.RefuseError
	err := o.deliverAsked(ctx, s, event)
	if err == nil {
		return ""
	}
	if errors.As(err, &refusal) {
		if refusal.Reason == "" {
			return fmt.Sprintf("The module %s does not allow it.", s.Module)
		}
		return refusal.Reason
	}
	problem := "is paused"
	if !s.Paused {
		problem = "gave no answer"
		o.o.Log.WarnContext(ctx, "a module did not answer a question", "module", s.Module, "event", event.Name, "error", err)
	}
	if onFail(s, event.Name) == "allow" {
		return ""
	}
	return fmt.Sprintf("The module %s must agree first, but it %s.", s.Module, problem)
}

// deliverAsked gives up when the time is over even if Deliver does not.
func (o *Outbox) deliverAsked(ctx context.Context, s Subscriber, event sdk.Event) error {
	if s.Paused {
		return fault.New(fault.Unavailable, "the module %s is paused", s.Module)
	}
	answer := make(chan error, 1)
	go func() { answer <- o.o.Deliver(ctx, s.Module, event) }()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func onFail(s Subscriber, name string) string {
	for _, x := range s.Events.Subscribes {
		if x.Name == name {
			return x.OnFail
		}
	}
	return "refuse"
}
