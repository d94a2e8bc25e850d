package main

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/internal/tokenapi"
)

func countCall(input string) sdk.Call {
	return sdk.Call{Service: tokenapi.PeopleService, Method: tokenapi.Count, Input: []byte(input), Caller: "customers"} // a job's: nobody is signed in
}

func TestPeopleService_CountsTheLinksThatWorkAndTellsNothingElse(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.link(t, ann)
	b.link(t, bob)
	for _, acc := range []account{
		{UserID: ann.UserID, Username: "dead@particle.example", BaseURL: b.url, State: accountDead},
		{UserID: ann.UserID, Username: "saving@particle.example", BaseURL: b.url, State: accountSaving},
		{UserID: ann.UserID, Username: "moved@particle.example", BaseURL: "https://other.example", State: accountActive},
		{UserID: ann.UserID, Username: "two@particle.example", BaseURL: b.url, State: accountActive},
	} {
		if err := b.module.records.db.Create(&acc).Error; err != nil {
			t.Fatal(err)
		}
	}
	ids, _ := json.Marshal(tokenapi.People{UserIDs: []int64{ann.UserID, 999, ann.UserID}})
	out, err := b.module.Call(t.Context(), countCall(string(ids)))
	if err != nil || !maps.Equal(out.(tokenapi.Counts).Counts, map[int64]int{ann.UserID: 2}) { // bob was not asked about
		t.Fatalf("%+v %v", out, err)
	}
	text, _ := json.Marshal(out)
	if strings.ContainsAny(string(text), "@") || strings.Contains(string(text), "999") {
		t.Errorf("tells %s", text)
	}
	if out, err := b.module.Call(t.Context(), countCall(`{"user_ids":[]}`)); err != nil || len(out.(tokenapi.Counts).Counts) != 0 {
		t.Errorf("of nobody: %+v %v", out, err)
	}
}

func TestPeopleService_IsBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for name, tc := range map[string]struct {
		input string
		kind  fault.Kind
	}{
		"too many":     {`{"user_ids":[1` + strings.Repeat(",1", tokenapi.MaxPeople) + `]}`, fault.Invalid},
		"another form": {`{"user_ids":["ann@example.com"]}`, fault.Invalid},
		"more":         {`{"user_ids":[2],"tokens":true}`, fault.Invalid},
	} {
		if out, err := b.module.Call(t.Context(), countCall(tc.input)); !fault.Is(err, tc.kind) {
			t.Errorf("%s: %v %v", name, out, err)
		}
	}
	if out, err := b.module.Call(t.Context(), sdk.Call{Service: tokenapi.PeopleService, Method: "list", Input: []byte(`{}`)}); !fault.Is(err, fault.NotFound) {
		t.Errorf("another method: %v %v", out, err)
	}
}
