package main

import (
	"bytes"
	"context"
	"encoding/json"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/internal/tokenapi"
)

// callPeople answers linking.people. It speaks for the module that asks, which may be a job: no person is needed, and only numbers
// are told.
func (m *Linking) callPeople(ctx context.Context, call sdk.Call) (any, error) {
	if call.Method != tokenapi.Count {
		return nil, fault.New(fault.NotFound, "The service has no method %q.", call.Method)
	}
	var in tokenapi.People
	decoder := json.NewDecoder(bytes.NewReader(call.Input))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&in); err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "expected user_ids")
	}
	if len(in.UserIDs) > tokenapi.MaxPeople {
		return nil, fault.New(fault.Invalid, "expected at most %d user_ids, got %d: ask for them in parts", tokenapi.MaxPeople, len(in.UserIDs))
	}
	counts, err := m.records.countOf(ctx, in.UserIDs, readSettings(m.host.Settings()).baseURL)
	return tokenapi.Counts{Counts: counts}, err
}
