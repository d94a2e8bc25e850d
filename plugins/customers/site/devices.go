package site

import (
	"context"
	"strings"

	"mortise/core/fault"
	"mortise/plugins/internal/attachapi"
)

// OwnPath is the page on which customers see what the site knows about them.
const OwnPath = "/customers"

// DevicesPath is the page on which the person of a request sees a device, or with "" all of them. It is "" when there is none: the module
// devices is not enabled, or the person may not look.
func (s *Site) DevicesPath(ctx context.Context, deviceID string) string {
	var page attachapi.Page
	err := s.Host.Call(ctx, attachapi.PagesService, attachapi.PageOf, attachapi.Question{DeviceID: deviceID}, &page)
	switch {
	case err == nil && strings.HasPrefix(page.Path, "/") && !strings.HasPrefix(page.Path, "//"):
		return page.Path
	case err != nil && !fault.Is(err, fault.Unavailable) && !fault.Is(err, fault.Denied):
		s.Host.Log().WarnContext(ctx, "the page of a device cannot be asked for", "error", err)
	}
	return ""
}
