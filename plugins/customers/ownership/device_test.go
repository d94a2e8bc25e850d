package ownership

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"mortise/core/identity"
	"mortise/plugins/customers/history"
	"mortise/plugins/internal/attachapi"
)

// versionOf reads the version of a device from its page.
func (b *bench) versionOf(t testing.TB, id string) string {
	t.Helper()
	return fmt.Sprint(decode[struct{ Device deviceView }](t, b.Get(b.ada, devicePath(id))).Device.Version)
}

func TestDevicePage_DetachesAndTheSecondOfTwoIsTold(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ann := b.customer(t, "Ann")
	b.attach(t, ann, deviceID(1))
	page, form := devicePath(deviceID(1)), url.Values{"version": {b.versionOf(t, deviceID(1))}}
	for range 2 { // the second time is a double click
		if a := b.Post(b.ada, page+"/detach", form); a.Status != http.StatusSeeOther || strings.HasPrefix(a.Flash, "bad") {
			t.Fatalf("detaching answered %d %q: %s", a.Status, a.Flash, a.Body)
		}
	}
	if n := len(b.Host.Events(attachapi.DeviceDetached)); n != 1 || len(b.has(t, ann)) != 0 {
		t.Errorf("%d facts; Ann has %v", n, b.has(t, ann))
	}
	if a := b.Post(b.ada, page+"/undo", url.Values{"version": {b.versionOf(t, deviceID(1))}}); !strings.HasPrefix(a.Flash, "good ") {
		t.Errorf("undoing answered %d %q", a.Status, a.Flash)
	}
	if a := b.Post(b.ada, page+"/detach", form); !strings.HasPrefix(a.Flash, "bad ") || len(b.has(t, ann)) != 1 {
		t.Errorf("with an old page: %d %q", a.Status, a.Flash)
	}
	if a := b.Post(b.ada, page+"/detach", url.Values{}); a.Status != http.StatusUnprocessableEntity && a.Status != http.StatusBadRequest {
		t.Errorf("without a version: %d", a.Status)
	}
}

func TestDevicePage_DetachesFromWhoIsNoCustomerAnyMore(t *testing.T) {
	t.Parallel()
	for who, leaves := range map[string]func(b *bench, id int64) error{
		"became staff": func(b *bench, id int64) error {
			_, err := b.People.SetRoles(t.Context(), identity.System, id, []string{identity.RoleAdministrator})
			return err
		},
		"nobody knows": func(b *bench, id int64) error {
			return b.db.Exec("DELETE FROM customers_people WHERE user_id = ?", id).Error
		},
	} {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			ann := b.customer(t, "Ann")
			b.attach(t, ann, deviceID(1))
			if err := leaves(b, ann.UserID); err != nil {
				t.Fatal(err)
			}
			b.DeliverFacts()
			page := devicePath(deviceID(1))
			for _, path := range []string{page, root + "/devices", page + "/transfer"} {
				if a := b.Get(b.ada, path); a.Status != http.StatusOK || !strings.Contains(a.Body, noCustomer) || !strings.Contains(a.Body, `"person_path":""`) {
					t.Errorf("%s answered %d: %s", path, a.Status, a.Body)
				}
			}
			if a := b.Post(b.ada, page+"/detach", url.Values{"version": {b.versionOf(t, deviceID(1))}}); !strings.HasPrefix(a.Flash, "good ") {
				t.Fatalf("detaching answered %d %q: %s", a.Status, a.Flash, a.Body)
			}
			if v := b.check(t, ann, deviceID(1)); v.Attached || len(b.Host.Events(attachapi.DeviceDetached)) != 1 {
				t.Errorf("the check says %+v", v)
			}
			past, _, err := history.List(t.Context(), b.db, history.Filter{DeviceID: deviceID(1), Limit: 5})
			if err != nil || len(past) != 2 || past[0].Kind != "detached" || past[0].ByID != b.ada.UserID {
				t.Errorf("the history is %+v, %v", past, err)
			}
			bob := b.customer(t, "Bob")
			b.attach(t, bob, deviceID(1))
		})
	}
}
