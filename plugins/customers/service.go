package main

import (
	"context"

	"mortise/core/fault"
	"mortise/core/sdk"
)

// Call answers the services of the manifest.
func (m *Customers) Call(context.Context, sdk.Call) (any, error) {
	return nil, fault.New(fault.NotFound, "There is no such service.")
}
