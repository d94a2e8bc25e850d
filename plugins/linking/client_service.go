package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/internal/particle"
)

// The service by which another module, which has just made an OAuth client, hands it over without a person in between.
const (
	clientService = "linking.client"
	configure     = "linking.configure"
)

// clientState is the answer of linking.client get. It holds no secret.
type clientState struct {
	ClientID    string `json:"client_id"`
	RedirectURI string `json:"redirect_uri"`
	Configured  bool   `json:"configured"`
}

// newClient is the input of linking.client set.
type newClient struct {
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
	BaseURL      string `json:"base_url"`
}

// callClient answers linking.client.
func (m *Linking) callClient(ctx context.Context, call sdk.Call) (any, error) {
	switch call.Method {
	case "get":
		v := readSettings(m.host.Settings())
		return clientState{ClientID: v.client.ID, RedirectURI: m.redirectURI(), Configured: v.complete()}, nil
	case "set":
		if !call.User.Can(configure) {
			return nil, fault.New(fault.Denied, "Only somebody who may set up linking can give it another OAuth client.")
		}
		var in newClient
		decoder := json.NewDecoder(bytes.NewReader(call.Input))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&in); err != nil {
			return nil, fault.New(fault.Invalid, "expected client_id, client_secret and base_url") // the cause would quote the secret
		}
		return struct{}{}, m.takeClient(ctx, in)
	}
	return nil, fault.New(fault.NotFound, "The service has no method %q.", call.Method)
}

// takeClient saves a client as the settings, when it can be right.
func (m *Linking) takeClient(ctx context.Context, in newClient) error {
	base, err := particle.ParseBaseURL(in.BaseURL)
	if err != nil {
		return err
	}
	v := values{baseURL: strings.TrimRight(base.String(), "/"), client: particle.OAuthClient{ID: in.ClientID, Secret: in.ClientSecret}}
	if problems := shapeProblems(v); len(problems) > 0 {
		return fault.New(fault.Invalid, "%s", problems[0].Message)
	}
	input := map[string]any{"values": map[string]any{"client_id": v.client.ID, "client_secret": v.client.Secret, "base_url": v.baseURL}}
	if err := m.host.Call(ctx, "host.settings", "save", input, nil); err != nil {
		return err
	}
	m.host.Log().Info("another module has handed over an OAuth client", "client", v.client.ID)
	return nil
}
