package wire

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	"mortise/core/sdk"
)

// The headers by which the host speaks to a module on the pages socket. The host removes whatever a visitor sends under these
// names, and the module's end removes them before a handler sees the request.
const (
	TokenHeader    = "Mortise-Token"    // the bearer of this start
	IdentityHeader = "Mortise-Identity" // EncodeIdentity
	ClaimHeader    = "Mortise-Claim"    // the host's proof of the identity, opaque for the module
	RequestHeader  = "Mortise-Request"  // the request's id
)

const maxIdentity = 16 << 10

// EncodeIdentity is the value of IdentityHeader.
func EncodeIdentity(i sdk.Identity) string {
	text, _ := json.Marshal(i) // strings and numbers always encode
	return base64.RawURLEncoding.EncodeToString(text)
}

// DecodeIdentity reads what EncodeIdentity wrote.
func DecodeIdentity(value string) (sdk.Identity, error) {
	var i sdk.Identity
	if len(value) > maxIdentity {
		return i, fmt.Errorf("the identity has %d bytes, at most %d are allowed", len(value), maxIdentity)
	}
	text, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil {
		return i, fmt.Errorf("decode the identity: %w", err)
	}
	if err := json.Unmarshal(text, &i); err != nil {
		return i, fmt.Errorf("decode the identity: %w", err)
	}
	return i, nil
}
