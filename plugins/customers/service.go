package main

import (
	"context"

	"mortise/core/sdk"
)

// Call answers the services of the manifest, which are those of the part ownership.
func (m *Customers) Call(ctx context.Context, call sdk.Call) (any, error) {
	return m.ownership.Call(ctx, call)
}
