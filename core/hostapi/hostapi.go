package hostapi

import (
	"context"
	"encoding/json"
	"log/slog"

	"mortise/core/fault"
	"mortise/core/identity"
	"mortise/core/manifest"
	"mortise/core/services"
	"mortise/core/store"
)

// Options are the parts that the services work with. All are needed but Log.
type Options struct {
	People *identity.Service
	Store  *store.Store
	// Modules gives the manifests of all modules that may keep data: enabled, paused, and removed ones whose tables were kept.
	Modules func() []*manifest.Manifest
	// SaveSettings checks and keeps some settings of a module and hands them to it; by is for the record.
	SaveSettings func(ctx context.Context, module string, values map[string]any, by string) (changed []string, err error)
	// Ask puts a question to the modules; an error forbids what it is about. See outbox.Ask.
	Ask func(ctx context.Context, name, subject string, payload any) error
	// Publish puts a fact of the host into the outbox.
	Publish func(ctx context.Context, name, subject string, payload any) error
	Log     *slog.Logger // nil discards
}

// API is safe for concurrent use.
type API struct {
	o       Options
	methods map[string]method // by "service.method"
}

type method func(ctx context.Context, call services.HostCall) (any, error)

// New makes the services.
func New(o Options) *API {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	a := &API{o: o}
	a.methods = map[string]method{
		"host.people.list": with(a.list), "host.people.get": with(a.get), "host.people.find": with(a.find),
		"host.people.invite": with(a.invite), "host.people.create": with(a.create), "host.people.resend": with(a.resend),
		"host.people.block": with(a.block), "host.people.unblock": with(a.unblock), "host.people.delete": with(a.remove),
		"host.people.sessions": with(a.sessions), "host.people.end_session": with(a.endSession),
		"host.settings.save":  with(a.saveSettings),
		"host.privacy.report": with(a.report), "host.privacy.erase": with(a.erase),
	}
	return a
}

// Call answers one call; it is a services.HostProvider. Errors: fault.NotFound for an unknown method, fault.Invalid for input that cannot
// be read, and those of the method.
func (a *API) Call(ctx context.Context, call services.HostCall) (any, error) {
	do, ok := a.methods[call.Service+"."+call.Method]
	if !ok {
		return nil, fault.New(fault.NotFound, "the host has no service %s with a method %q", call.Service, call.Method)
	}
	return do(ctx, call)
}

// with reads the input of a method.
func with[In any](do func(ctx context.Context, call services.HostCall, in In) (any, error)) method {
	return func(ctx context.Context, call services.HostCall) (any, error) {
		var in In
		if err := json.Unmarshal(call.Input, &in); err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "the input of %s.%s cannot be read", call.Service, call.Method)
		}
		return do(ctx, call, in)
	}
}

// done is the answer of a method that has nothing to say.
type done struct{}
