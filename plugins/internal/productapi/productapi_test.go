package productapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"mortise/core/fault"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/productapi"
)

func TestClient_GivesAProblemBackAsTheErrorThatItWas(t *testing.T) {
	t.Parallel()
	was := &particle.Error{Kind: particle.RateLimited, Message: "Slow down.", Hint: "Wait.", Scope: "devices:list", RetryAfter: 90 * time.Second,
		Description: "words of the cloud", Cause: errors.New("a cause")}
	problem, ok := productapi.ProblemOf(fmt.Errorf("while listing: %w", was))
	if !ok || problem.Uncertain {
		t.Fatalf("%+v", problem)
	}
	c := productapi.Client{Call: func(_ context.Context, service, method string, _, out any) error {
		text, err := json.Marshal(productapi.Returned{Outcome: productapi.Outcome{Problem: problem}})
		if err != nil || service != productapi.Service || method != productapi.MethodCall {
			t.Error(service, method, err)
		}
		return json.Unmarshal(text, out)
	}}
	_, err := c.CallFunction(t.Context(), productapi.Product{WorkspaceID: 1, ProductID: "2"}, "id", "led", "on")
	var e *particle.Error
	if !errors.As(err, &e) || !particle.Is(err, particle.RateLimited) || !fault.Is(err, fault.TooMany) || e.Message != was.Message || e.Hint != was.Hint ||
		e.Scope != was.Scope || e.RetryAfter != was.RetryAfter || e.Op != "call" {
		t.Errorf("%#v", e)
	}
}

func TestClient_LeavesOtherFaultsAlone(t *testing.T) {
	t.Parallel()
	c := productapi.Client{Call: func(context.Context, string, string, any, any) error {
		return fault.New(fault.NotFound, "no such product")
	}}
	if _, err := c.Products(t.Context()); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
	if err := c.Rename(t.Context(), productapi.Product{}, "id", "name"); !fault.Is(err, fault.NotFound) || particle.KindOf(err) != "" {
		t.Error(err)
	}
	if _, ok := productapi.ProblemOf(errors.New("disk full")); ok {
		t.Error("a fault of this site is no problem of Particle's")
	}
}

func TestProblem_SaysWhenAChangeMayHaveHappened(t *testing.T) {
	t.Parallel()
	for kind, want := range map[particle.Kind]bool{particle.NoAnswer: true, particle.DeviceTimeout: true, particle.Offline: false, particle.DeadToken: false} {
		p, ok := productapi.ProblemOf(&particle.Error{Kind: kind})
		var e *particle.Error
		if !ok || p.Uncertain != want || !errors.As(p.Err("call"), &e) || e.Uncertain() != want {
			t.Errorf("%s: %+v", kind, p)
		}
	}
}
