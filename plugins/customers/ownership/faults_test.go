package ownership

import (
	"encoding/json"
	"testing"

	"gorm.io/gorm"

	"mortise/core/sdk"
	"mortise/plugins/internal/attachapi"
	"mortise/plugins/internal/particle/particletest"
)

// fault switches a fault of the cloud on, as written on its command line.
func (b *bench) fault(t testing.TB, specs ...string) {
	t.Helper()
	for _, spec := range specs {
		change, err := particletest.ParseFault(spec)
		if err != nil {
			t.Fatal(err)
		}
		b.cloud.Faults.Update(change)
	}
}

func (b *bench) noFaults() { b.cloud.Faults.Set(particletest.Faults{}) }

// check asks the service about one device.
func (b *bench) check(t testing.TB, who sdk.Identity, id string) attachapi.Verdict {
	t.Helper()
	in, _ := json.Marshal(attachapi.Question{DeviceID: id})
	out, err := b.owner.Call(t.Context(), sdk.Call{Service: attachapi.Service, Method: attachapi.Check, Input: in, User: who})
	if err != nil {
		t.Fatal(err)
	}
	return out.(attachapi.Verdict)
}

// gormDB is what a transaction is given.
type gormDB = gorm.DB

// addDevices puts devices into the product lamp at the cloud.
func (b *bench) addDevices(ids []string) {
	for _, id := range ids {
		b.cloud.AddDevice(particletest.Device{ID: id, Name: "d-" + id[18:], Product: lamp, Platform: 12})
	}
}
