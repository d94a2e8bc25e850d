package hostapi

import (
	"context"
	"fmt"

	"mortise/core/fault"
	"mortise/core/manifest"
	"mortise/core/services"
)

var errHasPassword = fault.New(fault.Conflict, "This person has chosen a password already.")

type settingsIn struct {
	Values map[string]any `json:"values"`
}

type settingsOut struct {
	Changed []string `json:"changed"`
}

// saveSettings keeps settings of the calling module. Its name comes from the process boundary, so no other module's can be meant.
func (a *API) saveSettings(ctx context.Context, call services.HostCall, in settingsIn) (any, error) {
	values, err := ownSettings(call.Module, in.Values)
	if err != nil {
		return nil, err
	}
	by := "module " + call.Module.ID
	if call.User.UserID != 0 {
		by = fmt.Sprintf("%s for user/%d", by, call.User.UserID)
	}
	changed, err := a.o.SaveSettings(ctx, call.Module.ID, values, by)
	if err != nil {
		return nil, err
	}
	if changed == nil {
		changed = []string{}
	}
	if len(changed) > 0 {
		a.o.Log.InfoContext(ctx, "a module changed its settings", "module", call.Module.ID, "settings", changed, "by", call.User.UserID)
	}
	return settingsOut{changed}, nil
}

// ownSettings refuses names that the form means something else by, and turns null of a secret into what erases one.
func ownSettings(m *manifest.Manifest, values map[string]any) (map[string]any, error) {
	form, wrong := map[string]any{}, map[string]string{}
	for key, value := range values {
		s, ok := m.Setting(key)
		switch {
		case !ok:
			wrong[key] = "there is no such setting"
		case s.Secret() && value == nil:
			form[key+"_clear"] = true
		default:
			form[key] = value
		}
	}
	if len(wrong) > 0 {
		return nil, fault.InvalidFields("Some values cannot be accepted.", wrong)
	}
	return form, nil
}
