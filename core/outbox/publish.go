package outbox

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"gorm.io/gorm"

	"mortise/core/fault"
	"mortise/core/manifest"
)

var validName = regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$`)

// Publish writes a fact of the host in the transaction tx. Call Wake once tx is committed. payload is encoded as JSON.
func (o *Outbox) Publish(ctx context.Context, tx *gorm.DB, name, subject string, payload any) error {
	body, err := json.Marshal(payload)
	if err != nil {
		return fmt.Errorf("encode the event %s: %w", name, err)
	}
	return o.Insert(ctx, tx.Statement.ConnPool, HostSource, name, subject, body)
}

// PublishFor writes a fact of a module in the transaction tx, such as the module's own. Call Wake once tx is committed.
func (o *Outbox) PublishFor(ctx context.Context, tx *gorm.DB, module, name, subject string, payload []byte) error {
	return o.Insert(ctx, tx.Statement.ConnPool, module, name, subject, payload)
}

// PublishNow writes a fact of a module, or of the host (HostSource), in a transaction of its own.
func (o *Outbox) PublishNow(ctx context.Context, source, name, subject string, payload []byte) error {
	if err := o.check(source, name, subject, payload); err != nil { // before it takes the writer's time
		return err
	}
	write := o.o.Store.Write
	if source != HostSource {
		write = func(ctx context.Context, fn func(*gorm.DB) error) error { return o.o.Store.WriteFor(ctx, source, fn) }
	}
	err := write(ctx, func(tx *gorm.DB) error {
		return o.Insert(ctx, tx.Statement.ConnPool, source, name, subject, payload)
	})
	if err != nil {
		return fmt.Errorf("publish %s: %w", name, err)
	}
	o.Wake()
	return nil
}

// Insert writes a fact and its deliveries by exec, in whatever transaction that is. Call Wake once it is committed.
//
// Errors: fault.Denied when the source's manifest does not list the name, fault.Invalid for a subject or a payload that cannot be
// accepted, fault.TooLarge above MaxPayload.
func (o *Outbox) Insert(ctx context.Context, exec Executor, source, name, subject string, payload []byte) error {
	if err := o.check(source, name, subject, payload); err != nil {
		return err
	}
	now := o.now()
	result, err := exec.ExecContext(ctx,
		`INSERT INTO core_outbox (key, name, subject, source, time, payload) VALUES (?, ?, ?, ?, ?, ?)`,
		rand.Text(), name, subject, source, now, payload)
	if err != nil {
		return fmt.Errorf("write the event %s: %w", name, err)
	}
	event, err := result.LastInsertId()
	if err != nil {
		return fmt.Errorf("write the event %s: %w", name, err)
	}
	for _, s := range o.o.Subscribers() {
		if !subscribes(s, name) {
			continue
		}
		_, err := exec.ExecContext(ctx,
			`INSERT INTO core_deliveries (event_id, module, subject, created_at, next_attempt) VALUES (?, ?, ?, ?, ?)`,
			event, s.Module, subject, now, now)
		if err != nil {
			return fmt.Errorf("queue the event %s for %s: %w", name, s.Module, err)
		}
	}
	return nil
}

func subscribes(s Subscriber, name string) bool {
	return slices.ContainsFunc(s.Events.Subscribes, func(x manifest.Subscription) bool { return x.Name == name })
}

func (o *Outbox) check(source, name, subject string, payload []byte) error {
	switch {
	case !validName.MatchString(name):
		return fault.New(fault.Invalid, "%q is not the name of an event", name)
	case strings.Contains(name, ".will_"):
		return fault.New(fault.Invalid, "%s is a question; only facts can be published", name)
	case len(subject) > maxSubject || !utf8.ValidString(subject):
		return fault.New(fault.Invalid, "the subject of %s must be text of at most %d bytes", name, maxSubject)
	case len(payload) > MaxPayload:
		return fault.New(fault.TooLarge, "the payload of %s has %d bytes, at most %d are allowed", name, len(payload), MaxPayload)
	case !json.Valid(payload):
		return fault.New(fault.Invalid, "the payload of %s is not JSON", name)
	case source != HostSource && !o.declared(source, name):
		return fault.New(fault.Denied, "the manifest of %s does not list the event %s under events/publishes", source, name)
	}
	return nil
}

func (o *Outbox) declared(source, name string) bool {
	for _, s := range o.o.Subscribers() {
		if s.Module == source {
			return slices.ContainsFunc(s.Events.Publishes, func(p manifest.Published) bool { return p.Name == name })
		}
	}
	return false
}
