package web

import (
	"encoding/base64"
	"encoding/json"
	"testing"

	"mortise/core/sdk"
	"mortise/core/wire"
)

func TestProxy_SpeaksTheHeadersOfTheWire(t *testing.T) {
	t.Parallel()
	for ours, theirs := range map[string]string{
		tokenHeader: wire.TokenHeader, identityHeader: wire.IdentityHeader, claimHeader: wire.ClaimHeader, requestHeader: wire.RequestHeader,
	} {
		if ours != theirs {
			t.Errorf("%q is called %q by core/wire", ours, theirs)
		}
	}
	ann := sdk.Identity{UserID: 7, Name: "Änn", Roles: []string{"customer"}, Permissions: []string{"shop.use"}, Locale: "de", TimeZone: "UTC"}
	body, err := json.Marshal(ann)
	if err != nil {
		t.Fatal(err)
	}
	got, err := wire.DecodeIdentity(base64.RawURLEncoding.EncodeToString(body))
	if err != nil || got.UserID != 7 || got.Name != "Änn" || !got.Can("shop.use") {
		t.Errorf("core/wire reads %+v, %v", got, err)
	}
}
