package services

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/Masterminds/semver/v3"

	"mortise/core/fault"
	"mortise/core/manifest"
	"mortise/core/sdk"
)

// Call has the provider of a service answer a call of module. claim is the one of the request that led to it; "" when the module acts
// on its own. in and the answer are JSON.
//
// Errors: fault.Denied when the manifest does not ask for the service or the claim is not good; fault.Unavailable when nobody provides
// it or the provider does not run; fault.Invalid for input outside the contract; fault.Conflict for a chain of calls that is too
// deep; fault.TooMany, fault.Timeout; and whatever the provider answers.
func (s *Services) Call(ctx context.Context, module, claim, service, method string, in []byte) ([]byte, error) {
	use, err := s.granted(module, service)
	if err != nil {
		return nil, err
	}
	provider, contract, err := s.provider(use, method)
	if err != nil {
		return nil, err
	}
	// Without a claim the module acts on its own, or at a page of somebody who is not signed in: then it says of which request.
	from := Claim{ExpiresAt: s.o.Claims.now().Add(PageTTL), RequestID: s.o.RequestID(ctx)}
	if claim != "" {
		if from, err = s.o.Claims.Verify(claim, module); err != nil {
			return nil, err
		}
	}
	if from.Depth >= MaxDepth {
		return nil, fault.New(fault.Conflict, "modules call each other too deep: %d calls led to %s.%s", from.Depth, service, method)
	}
	if use.OfHost() {
		caller, err := s.manifest(module)
		if err != nil {
			return nil, err
		}
		return s.callHost(ctx, caller, from, contract, HostCall{Service: service, Method: method, Input: in})
	}
	call := sdk.Call{Service: service, Method: method, Input: in, Caller: module}
	if from.UserID != 0 {
		if call.User, err = s.o.People.Identity(ctx, from.UserID, from.Session, provider.ID); err != nil {
			return nil, err
		}
	}
	if err := s.fits(provider, service, method, input, contract.Input, in); err != nil {
		return nil, err
	}
	if !s.o.Running(provider.ID) {
		return nil, unavailable(provider, service)
	}
	if err := s.notWriting(ctx, module); err != nil {
		return nil, err
	}
	end, err := s.begin(module)
	if err != nil {
		return nil, err
	}
	defer end()
	onward := from
	onward.Module, onward.Depth = provider.ID, from.Depth+1
	return s.ask(ctx, provider, contract, call, onward)
}

func (s *Services) ask(ctx context.Context, provider *manifest.Manifest, contract manifest.Method, call sdk.Call, claim Claim) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, s.o.CallTimeout)
	defer cancel()
	began := time.Now()
	out, err := s.o.CallModule(ctx, provider.ID, call, s.o.Claims.Mint(claim), claim.RequestID)
	if err != nil {
		return nil, late(err, provider.Name, began)
	}
	if err := s.fits(provider, call.Service, call.Method, output, contract.Output, out); err != nil {
		s.o.Log.ErrorContext(ctx, "a service answered outside its contract", "module", provider.ID, "service", call.Service, "method", call.Method, "error", err)
		return nil, fault.Wrap(fault.Internal, err, "%s answered something that its contract does not allow", provider.Name)
	}
	return out, nil
}

// late makes a fault of an error that only says that the time was over.
func late(err error, provider string, began time.Time) error {
	if errors.Is(err, context.DeadlineExceeded) && fault.KindOf(err) == fault.Internal {
		return fault.Wrap(fault.Timeout, err, "%s gave no answer within %s", provider, time.Since(began).Round(time.Second))
	}
	return err
}

func unavailable(provider *manifest.Manifest, service string) error {
	return fault.New(fault.Unavailable, "%s is not available at the moment, so %s cannot be used", provider.Name, service)
}

// granted finds the service among those that the module asked for and was granted.
func (s *Services) granted(module, service string) (manifest.Use, error) {
	m, err := s.manifest(module)
	if err != nil {
		return manifest.Use{}, err
	}
	i := slices.IndexFunc(m.Uses, func(u manifest.Use) bool { return u.Name == service })
	if i < 0 {
		return manifest.Use{}, fault.New(fault.Denied, "the manifest of %s does not list the service %s under uses", module, service)
	}
	return m.Uses[i], nil
}

func (s *Services) provider(use manifest.Use, method string) (*manifest.Manifest, manifest.Method, error) {
	versions, err := semver.NewConstraint(use.Version)
	if err != nil {
		return nil, manifest.Method{}, fault.Wrap(fault.Internal, err, "the range of %s cannot be read", use.Name)
	}
	providers := []*manifest.Manifest{manifest.Host()}
	if !use.OfHost() {
		providers = s.o.Enabled()
	}
	for _, m := range providers {
		for _, offered := range m.Provides {
			if offered.Name != use.Name {
				continue
			}
			v, err := semver.NewVersion(offered.Version)
			if err != nil || !versions.Check(v) {
				continue
			}
			contract, ok := offered.Methods[method]
			if !ok {
				return nil, manifest.Method{}, fault.New(fault.NotFound, "the service %s %s has no method %q", use.Name, offered.Version, method)
			}
			return m, contract, nil
		}
	}
	return nil, manifest.Method{}, fault.New(fault.Unavailable, "no enabled module provides the service %s %s", use.Name, use.Version)
}

// begin counts a call; a module that calls itself in a circle without handing its claims on comes to an end here.
func (s *Services) begin(module string) (end func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls[module] >= maxCalls {
		return nil, fault.New(fault.TooMany, "the module %s has %d calls under way", module, maxCalls)
	}
	s.calls[module]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.calls[module]--; s.calls[module] == 0 {
			delete(s.calls, module)
		}
	}, nil
}

// fits checks a message against its size, JSON and schema.
func (s *Services) fits(provider *manifest.Manifest, service, method string, way direction, schema map[string]any, message []byte) error {
	if len(message) > MaxMessage {
		return fault.New(fault.TooLarge, "the %s of %s.%s has %d bytes, at most %d are allowed", way, service, method, len(message), MaxMessage)
	}
	if schema == nil {
		if !json.Valid(message) {
			return fault.New(fault.Invalid, "the %s of %s.%s is not JSON", way, service, method)
		}
		return nil
	}
	contract, err := s.schemas.get(provider, service, method, way, schema)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "the contract of %s.%s cannot be read", service, method)
	}
	if err := contract.validate(message); err != nil {
		return fault.Wrap(fault.Invalid, err, "the %s of %s.%s does not fit its contract: %v", way, service, method, err)
	}
	return nil
}
