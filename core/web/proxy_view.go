package web

import (
	"encoding/json"
	"fmt"

	"mortise/core/sdk"
	"mortise/core/theme"
)

// readView reads a view and leaves its data, which is most of it, as it is: data is a part of body, and whoever uses it checks it.
// Reading the whole of it here would have every page's data read twice.
func readView(body []byte) (view sdk.View, data []byte, err error) {
	data = []byte("{}")
	err = theme.Members(body, func(key string, value []byte) error {
		var into any
		switch key {
		case "data":
			data = value
			return nil
		case "template":
			into = &view.Template
		case "title":
			into = &view.Title
		case "status":
			into = &view.Status
		case "message":
			into = &view.Message
		case "breadcrumbs":
			into = &view.Breadcrumbs
		case "refresh":
			into = &view.Refresh
		case "field_errors":
			into = &view.FieldErrors
		default:
			return nil // of a newer contract
		}
		if err := json.Unmarshal(value, into); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		return nil
	})
	return view, data, err
}
