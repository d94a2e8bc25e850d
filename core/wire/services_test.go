package wire_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/core/wire"
)

// services is a site for tests: user 7 is Ann, everything else is remembered.
type services struct {
	mu        sync.Mutex
	published []string
	claims    []string
	requests  []string
	secrets   map[string]string
	mails     []sdk.Mail
}

func (s *services) Publish(_ context.Context, module, name, subject string, payload []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.published = append(s.published, module+" "+name+" "+subject+" "+string(payload))
	return nil
}

func (s *services) Call(ctx context.Context, _, claim, service, method string, in []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claims = append(s.claims, claim)
	s.requests = append(s.requests, wire.RequestID(ctx))
	return json.Marshal(map[string]string{"did": service + "." + method + " " + string(in)})
}

func (s *services) SecretGet(_ context.Context, module, name, key string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.secrets[module+name+key], nil
}

func (s *services) SecretSet(_ context.Context, module, name, key, value string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.secrets == nil {
		s.secrets = map[string]string{}
	}
	s.secrets[module+name+key] = value
	return nil
}

func (s *services) SecretDelete(context.Context, string, string, string) error {
	panic("the host's own mistake")
}

func (s *services) UserGet(_ context.Context, _ string, id int64) (sdk.User, error) {
	if id != 7 {
		return sdk.User{}, fault.Wrap(fault.NotFound, errors.New("no row"), "There is no user %d.", id)
	}
	return sdk.User{ID: 7, Name: "Ann"}, nil
}

func (s *services) UserList(_ context.Context, _ string, ids []int64) ([]sdk.User, error) {
	return []sdk.User{{ID: 7, Name: "Ann"}}, nil
}

func (s *services) SendMail(_ context.Context, _ string, mail sdk.Mail) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mails = append(s.mails, mail)
	return nil
}
