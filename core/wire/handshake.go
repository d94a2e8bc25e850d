package wire

import (
	plugin "github.com/hashicorp/go-plugin"

	"mortise/core/sdk"
)

// What host and module say to each other before gRPC begins. The cookie protects nobody: it lets a program notice that it was
// started by hand.
var handshake = plugin.HandshakeConfig{MagicCookieKey: "MORTISE_MODULE", MagicCookieValue: "f4c1b0c5-mortise-module"}

const (
	pluginName = "module"
	// The environment variable with the number of the file descriptor whose end of file says that the host is gone.
	lifelineVariable = "MORTISE_LIFELINE_FD"
	// maxMessage bounds one gRPC message in either direction, in bytes.
	maxMessage = 4 << 20
)

// Bounds on what travels, in bytes.
const (
	MaxPayload  = 64 << 10 // of an event
	MaxCallData = 1 << 20  // of a service call's input or output
	maxSettings = 1 << 20
	maxUsers    = 500
)

func versioned(p plugin.Plugin) map[int]plugin.PluginSet {
	return map[int]plugin.PluginSet{sdk.ContractVersion: {pluginName: p}}
}
