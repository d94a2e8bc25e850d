package main

import (
	"context"
	"encoding/json"
	"strings"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/internal/attachapi"
)

// Call answers devices.pages: other modules link to a person's devices only where this one is enabled and the person may look.
func (m *Devices) Call(_ context.Context, call sdk.Call) (any, error) {
	if call.Service != attachapi.PagesService || call.Method != attachapi.PageOf {
		return nil, fault.New(fault.NotFound, "There is no method %q of a service %q.", call.Method, call.Service)
	}
	if !call.User.Can("devices.view") {
		return nil, fault.New(fault.Denied, "The person may not see devices.")
	}
	var in attachapi.Question
	if err := json.Unmarshal(call.Input, &in); err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "expected device_id")
	}
	id := strings.ToLower(in.DeviceID)
	switch {
	case id == "":
		return attachapi.Page{Path: "/devices"}, nil
	case !isDeviceID(id):
		return nil, fault.New(fault.Invalid, "expected device_id as 24 hex digits")
	}
	return attachapi.Page{Path: "/devices/" + id}, nil
}
