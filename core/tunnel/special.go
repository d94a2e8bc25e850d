package tunnel

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"mortise/core/fault"
	"mortise/core/sdk"
)

// PublishQuery is what to "execute" on a *sql.DB or *sql.Tx of this driver to publish an event: arguments name, subject and payload
// (JSON, []byte). In a transaction the event counts when the transaction does. It never reaches SQLite.
const PublishQuery = "-- tunnel: publish"

// appliedQuery records a migration: arguments number and name.
const appliedQuery = "-- tunnel: applied"

func (c *conn) publish(args []driver.NamedValue) ([]byte, error) {
	var e Event
	ok := len(args) == 3
	if ok {
		var ok1, ok2, ok3 bool
		e.Name, ok1 = args[0].Value.(string)
		e.Subject, ok2 = args[1].Value.(string)
		e.Payload, ok3 = args[2].Value.([]byte)
		ok = ok1 && ok2 && ok3
	}
	if !ok {
		return nil, errors.New("tunnel: publish takes name, subject and payload")
	}
	if len(e.Payload) > MaxPayload {
		return nil, fault.New(fault.TooLarge, "the event's payload is longer than 64 KiB")
	}
	mode, err := c.mode()
	if err != nil {
		return nil, err
	}
	c.seq++
	e.Seq, e.Tx = c.seq, mode
	return AppendEvent(Begin(c.out, KindPublish), e), nil
}

func (c *conn) applied(args []driver.NamedValue) ([]byte, error) {
	var a Applied
	ok := len(args) == 2
	if ok {
		var ok1, ok2 bool
		a.Number, ok1 = args[0].Value.(int64)
		a.Name, ok2 = args[1].Value.(string)
		ok = ok1 && ok2
	}
	if !ok {
		return nil, errors.New("tunnel: applied takes number and name")
	}
	mode, err := c.mode()
	if err != nil {
		return nil, err
	}
	c.seq++
	a.Seq, a.Tx = c.seq, mode
	return AppendApplied(Begin(c.out, KindApplied), a), nil
}

type moduleKey struct{}

// ModuleFrom gives the id of the module whose migrations run with ctx; "" elsewhere.
func ModuleFrom(ctx context.Context) string {
	id, _ := ctx.Value(moduleKey{}).(string)
	return id
}

// Migrate runs those steps that applied (number to name) does not have, all in one transaction, and records them. o.Bearer is the one
// for migrating. It gives the numbers of the steps that ran. It refuses steps out of order and a recorded step that is gone or has
// another name; the host refuses, at the end, a schema that reaches beyond the module's own tables.
func Migrate(ctx context.Context, o Options, applied map[int]string, steps []sdk.Migration) (ran []int, err error) {
	pending, err := pendingSteps(applied, steps)
	if err != nil || len(pending) == 0 {
		return nil, err
	}
	db := sql.OpenDB(&migrator{NewConnector(o)})
	defer db.Close()
	db.SetMaxOpenConns(1)
	connection, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	if err := connection.Raw(func(c any) error {
		ctx = context.WithValue(ctx, moduleKey{}, c.(*conn).module) //nolint:forcetypeassert // migrator makes no other
		return nil
	}); err != nil {
		return nil, err
	}
	tx, err := connection.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after Commit
	for _, s := range pending {
		if err := runStep(ctx, tx, s); err != nil {
			return nil, fmt.Errorf("migration %d (%s): %w", s.Number, s.Name, err)
		}
		ran = append(ran, s.Number)
	}
	if err := tx.Commit(); err != nil {
		return nil, fmt.Errorf("the migrations were rolled back: %w", err)
	}
	return ran, nil
}

func runStep(ctx context.Context, tx *sql.Tx, s sdk.Migration) error {
	if err := s.Up(ctx, tx); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, appliedQuery, int64(s.Number), s.Name)
	return err
}

// pendingSteps checks steps against what was applied.
func pendingSteps(applied map[int]string, steps []sdk.Migration) (pending []sdk.Migration, err error) {
	known := map[int]bool{}
	for i, s := range steps {
		if s.Number != i+1 || s.Name == "" || s.Up == nil {
			return nil, fmt.Errorf("migration %d (%s): expected number %d, a name and a function", s.Number, s.Name, i+1)
		}
		known[s.Number] = true
		name, done := applied[s.Number]
		switch {
		case !done && len(applied) > 0 && s.Number <= len(applied):
			return nil, fmt.Errorf("migration %d (%s) was never applied, but later ones were", s.Number, s.Name)
		case !done:
			pending = append(pending, s)
		case name != s.Name:
			return nil, fmt.Errorf("migration %d was applied as %q and is now %q: a step that ran must not be changed", s.Number, name, s.Name)
		}
	}
	for number, name := range applied {
		if !known[number] {
			return nil, fmt.Errorf("migration %d (%s) was applied by a newer version of the module", number, name)
		}
	}
	return pending, nil
}

// migrator is a connector that insists on migrate mode.
type migrator struct{ *Connector }

// Connect opens the session.
func (m *migrator) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := m.connect(ctx)
	if err != nil {
		return nil, err
	}
	if !c.migrate {
		_ = c.Close()
		return nil, errors.New("tunnel: the bearer is not the one for migrating")
	}
	return c, nil
}
