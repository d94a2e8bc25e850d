package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/internal/moduletest"
)

// clientBench is linking without a client, with settings that the service saves.
func clientBench(t *testing.T) (m *Linking, site *moduletest.Site, saved *map[string]any) {
	t.Helper()
	saved = &map[string]any{}
	m = New()
	options := moduletest.Options{Call: func(_ context.Context, service, method string, input []byte) (any, error) {
		if service != "host.settings" || method != "save" {
			return nil, fault.New(fault.NotFound, "no such service")
		}
		var in struct {
			Values map[string]any `json:"values"`
		}
		if err := json.Unmarshal(input, &in); err != nil {
			return nil, err
		}
		*saved = in.Values
		for key, value := range in.Values {
			site.Host.Set(key, value)
		}
		return map[string]any{"changed": []string{}}, nil
	}}
	site = moduletest.Start(t, m, manifest, options)
	return m, site, saved
}

func callOf(method, input string, permissions ...string) sdk.Call {
	return sdk.Call{Service: clientService, Method: method, Input: []byte(input), Caller: "organizations",
		User: sdk.Identity{UserID: 1, Name: "Ada", Permissions: permissions}}
}

const goodClient = `{"client_id":"my-site-1234","client_secret":"1f2e3d4c5b6a79880a1b2c3d4e5f60718293a4b5","base_url":"https://api.particle.io"}`

func TestClientService_TakesAClientFromSomebodyWhoMaySetUpLinking(t *testing.T) {
	t.Parallel()
	m, site, saved := clientBench(t)
	before, err := m.Call(t.Context(), callOf("get", `{}`))
	if err != nil || before.(clientState).Configured || before.(clientState).RedirectURI != callback {
		t.Fatalf("before: %+v %v", before, err)
	}
	if _, err := m.Call(t.Context(), callOf("set", goodClient, configure)); err != nil {
		t.Fatal(err)
	}
	if (*saved)["client_id"] != "my-site-1234" || (*saved)["base_url"] != "https://api.particle.io" {
		t.Errorf("saved %v", (*saved)["client_id"])
	}
	after, err := m.Call(t.Context(), callOf("get", `{}`))
	if err != nil || after.(clientState) != (clientState{"my-site-1234", callback, true}) {
		t.Errorf("after: %+v %v", after, err)
	}
	text, _ := json.Marshal(after)
	if strings.Contains(string(text)+site.Host.LogText(), "1f2e3d4c") {
		t.Error("the secret came out again")
	}
}

func TestClientService_RefusesWhoMayNotAndWhatCannotBeRight(t *testing.T) {
	t.Parallel()
	m, _, saved := clientBench(t)
	for _, tc := range []struct {
		name string
		call sdk.Call
		kind fault.Kind
	}{
		{"without the permission", callOf("set", goodClient, "linking.link", "linking.attempts"), fault.Denied},
		{"nobody", sdk.Call{Service: clientService, Method: "set", Input: []byte(goodClient)}, fault.Denied},
		{"an e-mail address as id", callOf("set", strings.Replace(goodClient, "my-site-1234", "a@b.example", 1), configure), fault.Invalid},
		{"an open address", callOf("set", strings.Replace(goodClient, "https://", "http://", 1), configure), fault.Invalid},
		{"another form", callOf("set", `{"secret":"1f2e3d4c"}`, configure), fault.Invalid},
		{"another method", callOf("erase", `{}`, configure), fault.NotFound},
	} {
		if _, err := m.Call(t.Context(), tc.call); !fault.Is(err, tc.kind) {
			t.Errorf("%s: %v", tc.name, err)
		} else if strings.Contains(err.Error(), "1f2e3d4c") {
			t.Errorf("%s: the error quotes the secret", tc.name)
		}
		if len(*saved) != 0 {
			t.Errorf("%s: was saved", tc.name)
		}
	}
}
