package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"mortise/core/fault"
	"mortise/core/identity"
	"mortise/core/sdk"
	"mortise/plugins/internal/moduletest"
)

// lifeWords are in everything that aLife leaves behind.
var lifeWords = []string{"zuleika", "quarrel", "fond of"}

// known makes sure that the parts know something of a person, so that its absence later means something.
func (w *whole) known(id int64) {
	w.t.Helper()
	for _, table := range []string{"customers_people", "customers_notes", "customers_history", "customers_attachments", "customers_records", "customers_guesses", "customers_import_lines"} {
		var n int64
		if err := w.db.Table(table).Where("user_id = ?", id).Count(&n).Error; err != nil || n == 0 {
			w.t.Errorf("there is nothing about the person in %s: %v", table, err)
		}
	}
	if len(w.has(lifeWords...)) < 5 {
		w.t.Errorf("the person is only in %v", w.has(lifeWords...))
	}
}

// numbers lists the tables that still have a person's number in a column of its own.
func (w *whole) numbers(id int64) []string {
	w.t.Helper()
	list := []string{}
	for _, table := range w.Manifest.Tables {
		var rows []map[string]any
		if err := w.db.Table(table).Find(&rows).Error; err != nil {
			w.t.Fatal(err)
		}
		for _, row := range rows {
			for _, column := range []string{"user_id", "by_id", "customer_id", "assigned_to"} {
				if place := table + "." + column; row[column] == id && !slices.Contains(list, place) {
					list = append(list, place)
				}
			}
		}
	}
	return list
}

func TestPersonalData_NamesEveryColumnThatRefersToPeople(t *testing.T) {
	t.Parallel()
	w := newWhole(t)
	named := map[string]bool{"customers_erasures.by_id": true} // proof of who erased somebody; of one's own wish it is user_id
	for _, p := range w.Manifest.Personal {
		named[p.Table+"."+p.Column] = true
	}
	for _, table := range w.Manifest.Tables {
		columns, err := w.db.Migrator().ColumnTypes(table)
		if err != nil || len(columns) == 0 {
			t.Fatalf("%s: %d columns, %v", table, len(columns), err)
		}
		for _, c := range columns {
			switch c.Name() {
			case "user_id", "by_id", "customer_id", "assigned_to":
				if !named[table+"."+c.Name()] {
					t.Errorf("%s.%s refers to people, and personal_data does not name it", table, c.Name())
				}
			}
		}
	}
}

func TestErasure_NoTableHasThePersonAnyMore(t *testing.T) {
	t.Parallel()
	for how, erase := range map[string]func(w *whole, zuleika sdk.Identity) moduletest.Answer{
		"by an officer": func(w *whole, zuleika sdk.Identity) moduletest.Answer {
			return w.send(w.chief, fmt.Sprintf("%s/people/%d/privacy/erase", customersRoot, zuleika.UserID), "wish", "account", "confirm", "zuleika@quarrel.example")
		},
		"by herself": func(w *whole, zuleika sdk.Identity) moduletest.Answer {
			return w.send(zuleika, "/customers/delete", "confirm", "zuleika@quarrel.example")
		},
		"by the site, without this module being asked": func(w *whole, zuleika sdk.Identity) moduletest.Answer {
			if err := w.People.Delete(t.Context(), identity.System, zuleika.UserID); err != nil {
				t.Fatal(err)
			}
			return moduletest.Answer{}
		},
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			w := newWhole(t)
			zuleika := w.aLife()
			w.known(zuleika.UserID)
			erase(w, zuleika)
			w.DeliverFacts()
			if _, err := w.People.User(t.Context(), zuleika.UserID); !fault.Is(err, fault.NotFound) {
				t.Errorf("the account: %v", err)
			}
			if err := w.run("sync"); err != nil {
				t.Error(err)
			}
			if found := w.has(lifeWords...); len(found) != 0 {
				t.Errorf("there is still %v", found)
			}
			for _, place := range w.numbers(zuleika.UserID) {
				if !strings.HasPrefix(place, "customers_erasures.") {
					t.Errorf("her number is still in %s", place)
				}
			}
			if a := w.Get(w.chief, customersRoot+"/devices/"+firstLamp); strings.Contains(strings.ToLower(a.Body), "zuleika") {
				t.Errorf("the device's page still names her: %s", a.Body)
			}
		})
	}
}

func TestErasure_OfTheDataAloneLeavesTheLineInTheList(t *testing.T) {
	t.Parallel()
	w := newWhole(t)
	zuleika := w.aLife()
	page := fmt.Sprintf("%s/people/%d/privacy", customersRoot, zuleika.UserID)
	w.send(w.chief, page+"/erase", "wish", "data", "confirm", "zuleika@quarrel.example")
	w.DeliverFacts()
	if a := w.Get(w.chief, page); a.Status != http.StatusOK || !strings.Contains(a.Body, `"state":"done"`) {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if err := w.run("sync"); err != nil {
		t.Fatal(err)
	}
	for _, found := range w.has(lifeWords...) { // the account is there, and the list follows the accounts
		if !strings.HasPrefix(found, "customers_people: ") || strings.Contains(found, "fond") {
			t.Errorf("there is still %s", found)
		}
	}
	if a := w.Get(zuleika, "/customers"); a.Status != http.StatusOK || strings.Contains(a.Body, "lamp") {
		t.Errorf("her own page: %d %s", a.Status, a.Body)
	}
}

func TestErasure_TheJobAndTheNoteOfARecordGoWithItsCustomer(t *testing.T) {
	t.Parallel()
	w := newWhole(t)
	zuleika := w.aLife()
	if err := w.db.Exec("UPDATE customers_records SET job = 'Zuleika, harbour 4', note = 'fond of red' WHERE user_id = ?", zuleika.UserID).Error; err != nil {
		t.Fatal(err)
	}
	w.send(zuleika, "/customers/delete", "confirm", "zuleika@quarrel.example")
	w.DeliverFacts()
	if found := w.has(lifeWords...); len(found) != 0 {
		t.Errorf("left of the customer: %v", found)
	}
}
