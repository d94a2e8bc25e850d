package main

import (
	"context"
	"encoding/json"
)

// doDeviceChange carries out device_change, the first time and after a crash: each step sets a value and may be repeated.
func (m *Organizations) doDeviceChange(ctx context.Context, a *access, op *operation) error {
	var in deviceInput
	if err := json.Unmarshal([]byte(op.Input), &in); err != nil {
		return err
	}
	cloud := a.in(op.ProductID)
	var err error
	if in.Name != nil {
		err = cloud.Rename(ctx, a.token, op.Subject, *in.Name)
	}
	if err == nil && in.Notes != nil {
		err = cloud.SetNotes(ctx, a.token, op.Subject, *in.Notes)
	}
	if err == nil && in.Groups != nil {
		err = cloud.SetGroups(ctx, a.token, op.Subject, *in.Groups)
	}
	if err != nil {
		return m.refusedOrUnknown(ctx, a, op, err, "devices:update")
	}
	return m.end(ctx, op, opDone, "The device "+op.Name+" is changed.")
}
