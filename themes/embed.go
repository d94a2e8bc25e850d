// Package themes carries the themes that ship with Mortise. They are data: see README.md beside this file.
package themes

import "embed"

// FS has one folder a theme.
//
//go:embed all:base all:customer all:admin all:workshop
var FS embed.FS
