package tunnel

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"time"

	"mortise/core/fault"
)

// Options say where the host listens.
type Options struct {
	Socket string // path of the unix socket
	Bearer string // what proves that this is the module that the host started
}

// Connector opens sessions. Use it with sql.OpenDB.
type Connector struct {
	options Options
}

// NewConnector gives a connector; nothing is dialled before the first statement.
func NewConnector(o Options) *Connector { return &Connector{options: o} }

const (
	dialTimeout   = 5 * time.Second
	cancelTimeout = 5 * time.Second // how long a cancelled statement may take to stop
)

// Connect opens one session.
func (c *Connector) Connect(ctx context.Context) (driver.Conn, error) { return c.connect(ctx) }

func (c *Connector) connect(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	var d net.Dialer
	nc, err := d.DialContext(ctx, "unix", c.options.Socket)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the store cannot be reached")
	}
	s := &conn{nc: nc, r: NewFrameReader(nc), metas: map[string]*meta{}}
	if err := s.hello(ctx, c.options.Bearer); err != nil {
		_ = nc.Close()
		return nil, err
	}
	return s, nil
}

// Driver is part of driver.Connector.
func (c *Connector) Driver() driver.Driver { return noDSN{} }

// noDSN is a driver without connection strings.
type noDSN struct{}

var errNoDSN = errors.New("tunnel: there is no connection string; use sql.OpenDB with the connector")

func (noDSN) Open(string) (driver.Conn, error) { return nil, errNoDSN }

// hello authenticates the session.
func (c *conn) hello(ctx context.Context, bearer string) error {
	deadline, _ := ctx.Deadline()
	if err := c.nc.SetDeadline(deadline); err != nil {
		return err
	}
	c.out = Finish(AppendHello(Begin(c.out, KindHello), bearer))
	if _, err := c.nc.Write(c.out); err != nil {
		return fault.Wrap(fault.Unavailable, err, "the store closed the connection")
	}
	kind, body, err := c.r.Read(nil, MaxHello)
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "the store closed the connection")
	}
	if kind == KindFail {
		_, e, err := ReadError(body)
		if err != nil {
			return err
		}
		return e
	}
	if kind != KindWelcome {
		return malformed("answer %q to Hello", kind)
	}
	w, err := ReadWelcome(body)
	if err != nil {
		return err
	}
	if w.Version != Version {
		return fmt.Errorf("%w: version %d, expected %d", ErrProtocol, w.Version, Version)
	}
	c.module, c.migrate = w.Module, w.Migrate
	return c.nc.SetDeadline(time.Time{})
}
