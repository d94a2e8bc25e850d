package services

import (
	"context"
	"encoding/json"
	"time"

	"mortise/core/fault"
	"mortise/core/manifest"
	"mortise/core/sdk"
)

// HostCall is a call of one of the host's own services. Who calls is established, the service was granted to the module, and Input
// fits its contract.
type HostCall struct {
	Service, Method string
	Input           []byte // JSON
	Module          *manifest.Manifest
	// User is the person whose request led to the call, with those of Module's permissions that they have; zero when the module acts
	// on its own, as in a job.
	User    sdk.Identity
	Session string // the person's session, "" without one
}

// HostProvider answers calls of the services that core/manifest/host.yaml describes; core/hostapi is one. The answer is encoded as
// JSON.
type HostProvider func(ctx context.Context, call HostCall) (any, error)

// mailing are the methods that send a mail: they count like those that modules send themselves.
var mailing = map[string]bool{"host.people.invite": true, "host.people.resend": true}

// callHost answers a call of a service of the host, after the checks that hold for every call.
func (s *Services) callHost(ctx context.Context, caller *manifest.Manifest, from Claim, contract manifest.Method, call HostCall) ([]byte, error) {
	if from.UserID == 0 && from.RequestID != "" { // a page of somebody who is not signed in; a job has no request
		return nil, fault.New(fault.SignedOut, "Please sign in first.")
	}
	host := manifest.Host()
	if from.UserID != 0 {
		// The permissions are those of the caller: the host has none of its own to hand to modules.
		user, err := s.o.People.Identity(ctx, from.UserID, from.Session, caller.ID)
		if err != nil {
			return nil, err
		}
		call.User, call.Session = user, from.Session
	}
	if err := s.fits(host, call.Service, call.Method, input, contract.Input, call.Input); err != nil {
		return nil, err
	}
	if s.o.CallHost == nil {
		return nil, unavailable(host, call.Service)
	}
	if err := s.notWriting(ctx, caller.ID); err != nil {
		return nil, err
	}
	if mailing[call.Service+"."+call.Method] && !s.mailer(caller.ID).Allow() {
		return nil, fault.New(fault.TooMany, "the module %s has sent too many mails; it may send one every %s", caller.ID, s.o.MailEvery)
	}
	end, err := s.begin(caller.ID)
	if err != nil {
		return nil, err
	}
	defer end()
	call.Module = caller
	return s.askHost(ctx, contract, call)
}

func (s *Services) askHost(ctx context.Context, contract manifest.Method, call HostCall) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, s.o.CallTimeout)
	defer cancel()
	began := time.Now()
	answer, err := s.o.CallHost(ctx, call)
	if err != nil {
		return nil, late(err, "the site", began)
	}
	out, err := json.Marshal(answer)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "encode the answer of %s.%s", call.Service, call.Method)
	}
	if err := s.fits(manifest.Host(), call.Service, call.Method, output, contract.Output, out); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "%s.%s answered something that its contract does not allow", call.Service, call.Method)
	}
	return out, nil
}
