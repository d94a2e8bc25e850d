package main

import (
	"strings"
	"testing"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/internal/attachapi"
)

func TestPagesService_TellsWhereOnlyWhoMayLook(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ask := func(person sdk.Identity, id string) (any, error) {
		return b.module.Call(t.Context(), sdk.Call{Service: attachapi.PagesService, Method: attachapi.PageOf, Input: []byte(`{"device_id":"` + id + `"}`), User: person, Caller: "customers"})
	}
	for id, want := range map[string]string{"": "/devices", pump: "/devices/" + pump, strings.ToUpper(pump): "/devices/" + pump} {
		if got, err := ask(looker, id); err != nil || got != (attachapi.Page{Path: want}) {
			t.Errorf("%q: %v %v", id, got, err)
		}
	}
	for _, person := range []sdk.Identity{nobody, {UserID: 9, Name: "Ada", Permissions: []string{"devices.control"}}} {
		if got, err := ask(person, pump); !fault.Is(err, fault.Denied) {
			t.Errorf("%s: %v %v", person.Name, got, err)
		}
	}
	if got, err := ask(ann, "../admin"); !fault.Is(err, fault.Invalid) {
		t.Errorf("nonsense: %v %v", got, err)
	}
	if _, err := b.module.Call(t.Context(), sdk.Call{Service: attachapi.PagesService, Method: "list", User: ann}); !fault.Is(err, fault.NotFound) {
		t.Errorf("another method: %v", err)
	}
}
