package wire

import (
	"context"
	"database/sql/driver"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/core/tunnel"
)

// noStore is the store of a start that has none, such as a test's.
type noStore struct{}

func (noStore) Connect(context.Context) (driver.Conn, error) { return nil, errNoStore() }
func (noStore) Driver() driver.Driver                        { return noStore{} }
func (noStore) Open(string) (driver.Conn, error)             { return nil, errNoStore() }

func errNoStore() error { return fault.New(fault.Unavailable, "this start has no store") }

func storeConnector(socket, bearer string) driver.Connector {
	if socket == "" {
		return noStore{}
	}
	return tunnel.NewConnector(tunnel.Options{Socket: socket, Bearer: bearer})
}

func migrate(ctx context.Context, socket, bearer string, applied map[int]string, steps []sdk.Migration) ([]int, error) {
	if socket == "" {
		if len(steps) == 0 {
			return nil, nil
		}
		return nil, errNoStore()
	}
	return tunnel.Migrate(ctx, tunnel.Options{Socket: socket, Bearer: bearer}, applied, steps)
}
