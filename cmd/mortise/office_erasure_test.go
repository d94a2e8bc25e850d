package main_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"mortise/plugins"
)

// erasureShown is what a customer's privacy page says.
type erasureShown struct {
	Modules []struct {
		ID     string `json:"id"`
		Tables []struct {
			Table string `json:"table"`
			Total int64  `json:"total"`
		} `json:"tables"`
	} `json:"modules"`
	Erasure *struct {
		ID    int64  `json:"id"`
		State string `json:"state"`
		Left  []struct {
			Module string `json:"module"`
			Table  string `json:"table"`
		} `json:"left"`
	} `json:"erasure"`
}

// livesHere gives a customer something in every module: an account at Particle, devices with names and values, a claimed record, notes.
func (o *office) livesHere(ada, v *visitor, id int64, word string, lamp int) {
	t, person := o.t, personPage(id)
	if a := v.link(o.world, "allow"); a.status != http.StatusOK {
		t.Fatalf("linking ended on %v", a)
	}
	ada.sends(person+"/attach", "product", garden, "device", fleetLamp(lamp))
	ada.sends(person+"/notes", "text", word+" rings twice.", "once", ada.once(person))
	v.switches(v.lamp().ID, "on")
	v.switches(fleetLamp(lamp), "on")
	v.sends("/devices/"+fleetLamp(lamp)+"/rename", "name", word+"-lamp")
	v.reads("/devices", nil)
	events := v.streams(fleetLamp(lamp))
	events.hears("live")
	v.switches(fleetLamp(lamp), "off")
	events.hears("lamp/state")
	events.close()

	// A record with a key, which the customer claims.
	form := "/admin/customers/records/new?product=" + garden
	recorded := fleetLamp(lamp + 1)
	ada.sends("/admin/customers/records/new", "product", garden, "lines", recorded+", Hall lamp, SN-"+recorded[20:], "job", "House of "+word, "note", "Key is with "+word, "keys", "on", "once", ada.once(form))
	var labels struct {
		Labels []struct {
			Key string `json:"key"`
		} `json:"labels"`
	}
	ada.reads("/admin/customers/records/labels?q=SN-"+recorded[20:], &labels)
	if len(labels.Labels) != 1 {
		t.Fatalf("there are %d labels", len(labels.Labels))
	}
	v.submit("/customers/claim", "key", "AAAA-AAAA-AAAA-AAAA")
	v.sends("/customers/claim", "key", labels.Labels[0].Key, "claim", "1", "once", "")
	v.switches(recorded, "on")
}

// traces lists the tables that still name somebody, but for the host's own account and what it keeps for a while.
func (o *office) traces(words ...string) []string {
	o.t.Helper()
	found := []string{}
	for _, word := range words {
		for _, table := range o.tablesWith("", word) {
			if !slices.Contains([]string{"core_users", "core_outbox", "core_log", "core_sessions"}, table) {
				found = append(found, table+": "+word)
			}
		}
	}
	return found
}

// numbersIn lists the modules' tables that still have a person's number in a column of its own.
func (o *office) numbersIn(id int64) []string {
	o.t.Helper()
	columns, err := sqlite(o.t, o.world, `SELECT m.name || ' ' || c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'core_%' AND m.name NOT LIKE 'sqlite_%' AND c.name IN ('user_id', 'customer_id', 'assigned_to')`)
	if err != nil {
		o.t.Fatal(err)
	}
	found := []string{}
	for line := range strings.Lines(columns) {
		table, column, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := sqlite(o.t, o.world, fmt.Sprintf(`SELECT count(*) FROM %q WHERE %q = %d`, table, column, id))
		if err != nil {
			o.t.Fatal(err)
		}
		if strings.TrimSpace(n) != "0" {
			found = append(found, table+"."+column)
		}
	}
	return found
}

func TestOffice_ErasingACustomerLeavesNothingInAnyModule(t *testing.T) {
	t.Parallel()
	o, ada := newBackOffice(t)
	benID, annID := ada.personID("ben"), ada.personID("ann")
	ben, ann := o.ben(), o.customer()
	o.livesHere(ada, ben, benID, "benjamina", 30)
	o.livesHere(ada, ann, annID, "annabella", 40)
	if n := len(o.cloud.Tokens(plugins.ParticleDemoEmail)); n != 2 {
		t.Errorf("two people have linked the account, which has %d tokens", n)
	}

	privacy := personPage(benID) + "/privacy"
	var shown erasureShown
	ada.reads(privacy, &shown)
	for _, module := range []string{"linking", "devices", "customers"} {
		if !slices.ContainsFunc(shown.Modules, func(m struct {
			ID     string `json:"id"`
			Tables []struct {
				Table string `json:"table"`
				Total int64  `json:"total"`
			} `json:"tables"`
		}) bool {
			return m.ID == module && len(m.Tables) > 0
		}) {
			t.Errorf("the report has nothing of %s: %+v", module, shown)
		}
	}
	export := ada.get(privacy + "/export")
	for _, word := range []string{"benjamina rings twice", "benjamina-lamp", "devices_names", "linking_accounts", "customers_records"} {
		if !strings.Contains(export.body, word) {
			t.Errorf("the export does not have %q", word)
		}
	}
	secretFree(t, "the export", export.body, plugins.ParticleDemoAPIToken, plugins.ParticleDemoClientSecret)
	if before := o.traces("benjamina", "ben gardener", benEmail); len(before) < 5 {
		t.Errorf("Ben is only in %v", before)
	}

	// Ben's data alone, while devices is paused: what is left is told, and erased once it runs again.
	ada.submit("/admin/modules/devices/pause")
	eventually(t, 10*time.Second, "devices is paused", func() bool { return o.module("devices").State == "paused" })
	a := ada.sends(privacy+"/erase", "wish", "data", "confirm", benEmail, "once", ada.once(privacy+"/erase"))
	says(t, "erasing", a.Message.Text)
	ada.reads(privacy, &shown)
	if shown.Erasure == nil || shown.Erasure.State == "done" || len(shown.Erasure.Left) == 0 {
		t.Errorf("with devices paused the page says %+v", shown.Erasure)
	} else {
		for _, left := range shown.Erasure.Left {
			if !strings.HasPrefix(left.Table, "devices_") {
				t.Errorf("left is also %+v", left)
			}
		}
		if page := ada.get(privacy); !strings.Contains(page.body, "Devices") || page.status != http.StatusOK {
			t.Errorf("the page answered %v", page)
		}
	}
	ada.submit("/admin/modules/devices/resume")
	eventually(t, 20*time.Second, "the erasure is done", func() bool {
		ada.reads(privacy, &shown)
		return shown.Erasure != nil && shown.Erasure.State == "done"
	})
	// The list of customers follows the accounts, and the account is still there.
	for _, trace := range o.traces("benjamina", "ben gardener", benEmail) {
		if !strings.HasPrefix(trace, "customers_people: ") || strings.Contains(trace, "benjamina") {
			t.Errorf("after the erasure there is still %s", trace)
		}
	}
	for _, place := range o.numbersIn(benID) {
		if place != "customers_people.user_id" && place != "customers_erasures.user_id" {
			t.Errorf("after the erasure Ben's number is still in %s", place)
		}
	}
	if list := ben.has(); len(list) != 0 {
		t.Errorf("after the erasure Ben has %+v", list)
	}
	o.misses(ben, fleetLamp(4), "erased")
	if n := len(o.cloud.Tokens(plugins.ParticleDemoEmail)); n != 1 {
		t.Errorf("after Ben's erasure the account at Particle has %d tokens, want Ann's", n)
	}
	ann.switches(fleetLamp(40), "on")

	// Ann leaves by herself: her account goes too, and her sessions.
	other := o.customer()
	said := ann.submit("/customers/delete", "confirm", "somebody@else.example", "once", ann.once("/customers/delete"))
	if said.status != http.StatusUnprocessableEntity {
		t.Errorf("a wrong address answered %v", said.answer)
	}
	ann.sends("/customers/delete", "confirm", o.Customer.Email, "once", ann.once("/customers/delete"))
	if a := other.get("/account"); a.status == http.StatusOK {
		t.Error("another session of a deleted account is open")
	}
	var left []string
	defer func() {
		if len(left) > 0 {
			t.Errorf("after Ann left there is still %v", left)
		}
	}()
	eventually(t, 20*time.Second, "Ann is nowhere", func() bool {
		left = o.traces("annabella", "ann customer", o.Customer.Email)
		return len(left) == 0 && len(o.cloud.Tokens(plugins.ParticleDemoEmail)) == 0
	})
	for _, place := range o.numbersIn(annID) {
		if place != "customers_erasures.user_id" {
			t.Errorf("after Ann left her number is still in %s", place)
		}
	}
	if users, err := sqlite(t, o.world, "SELECT count(*) FROM core_users WHERE email = '"+o.Customer.Email+"'"); err != nil || users != "0\n" {
		t.Errorf("%s accounts, %v", users, err)
	}
	if page := ada.get(personPage(annID) + "/privacy"); page.status != http.StatusOK || strings.Contains(page.body, "Ann Customer") {
		t.Errorf("the proof of the erasure: %v", page)
	}
	if a := ada.get("/admin/customers/erasures"); a.status != http.StatusOK {
		t.Errorf("the erasures answered %v", a)
	}
}
