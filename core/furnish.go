package core

import (
	"context"
	"fmt"

	"mortise/core/modules"
)

// Configure sets settings of a module, as the settings form does; those that form does not name stay.
func (h *Host) Configure(ctx context.Context, module string, form map[string]any) error {
	_, err := h.modules.SaveSettings(ctx, module, form, operator)
	return err
}

// Want enables modules, and what they require, unless somebody decided about them before: what an administrator paused or
// removed stays so.
func (h *Host) Want(ctx context.Context, ids ...string) error {
	for _, id := range ids {
		e, err := h.modules.Get(id)
		if err != nil {
			return err
		}
		if !e.Row.ChangedAt.IsZero() {
			continue
		}
		if _, err := h.modules.Enable(ctx, id, modules.EnableOptions{WithRequired: true}, operator, nil); err != nil {
			return fmt.Errorf("enable %s: %w", id, err)
		}
	}
	return nil
}
