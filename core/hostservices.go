package core

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"mortise/core/hostapi"
	"mortise/core/manifest"
	"mortise/core/outbox"
)

// hostServices are host.people, host.settings and host.privacy over the parts of this site.
func (h *Host) hostServices() *hostapi.API {
	return hostapi.New(hostapi.Options{
		People: h.people, Store: h.store, Modules: h.modulesWithData, SaveSettings: h.saveOwnSettings, Ask: h.outbox.Ask, Publish: h.publishFact, Log: h.log,
	})
}

// modulesWithData are those that were enabled once and may have rows in the store, also when they are removed now.
func (h *Host) modulesWithData() []*manifest.Manifest {
	var list []*manifest.Manifest
	for _, m := range h.catalogue.Modules() {
		if m.Accepted != nil {
			list = append(list, m.InForce())
		}
	}
	return list
}

// restartBudget bounds a restart that a module's own settings made necessary.
const restartBudget = 2 * time.Minute

// saveOwnSettings keeps what a module changes of its own settings. A module that cannot take them while it runs is restarted after its call:
// a restart waits for the requests that are under way, and one of them waits for this answer.
func (h *Host) saveOwnSettings(ctx context.Context, module string, values map[string]any, by string) ([]string, error) {
	changed, restart, err := h.modules.SaveOwnSettings(ctx, module, values, by)
	if restart {
		go func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), restartBudget)
			defer cancel()
			if _, err := h.modules.Restart(ctx, module, by); err != nil {
				h.log.ErrorContext(ctx, "a module was not restarted with its new settings", "module", module, "error", err)
			}
		}()
	}
	return changed, err
}

// publishFact puts a fact of the host into the outbox, in a transaction of its own.
func (h *Host) publishFact(ctx context.Context, name, subject string, payload any) error {
	body, err := json.Marshal(payload)
	if err != nil {
		return fmt.Errorf("encode the event %s: %w", name, err)
	}
	return h.outbox.PublishNow(ctx, outbox.HostSource, name, subject, body)
}
