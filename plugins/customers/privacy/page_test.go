package privacy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"gorm.io/gorm"

	"mortise/core/identity"
	"mortise/core/sdk"
)

func TestShow_TellsEverythingAndThatSomebodyLooked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.keep(b.ann.UserID, "Short")
	b.keep(b.ann.UserID, strings.Repeat("long ", 40))
	a := b.Get(b.officer, b.page(b.ann.UserID))
	var data struct {
		Account account
		Modules []moduleView
	}
	if a.Status != http.StatusOK || a.Decode(&data) != nil || data.Account.Email != "ann@example.com" || len(data.Modules) != 1 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	table := data.Modules[0].Tables[0]
	if table.Table != "customers_history" || table.Total != 3 || table.Cut || table.Rows[0][0].Name != "id" {
		t.Errorf("%+v", table)
	}
	text := fmt.Sprintf("%+v", table.Rows[1])
	if !strings.Contains(text, strings.TrimSpace(strings.Repeat("long ", 40))) || !strings.Contains(text, "at") {
		t.Errorf("the long value is cut for good: %s", text)
	}
	if said := b.history(b.ann.UserID); said[0] != "Olga Officer: Looked at the personal data." {
		t.Errorf("history: %v", said)
	}
}

func TestShow_NamesHowManyOfHowManyRows(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for range 250 {
		b.keep(b.ann.UserID, "again")
	}
	var data struct{ Modules []moduleView }
	if err := b.Get(b.officer, b.page(b.ann.UserID)).Decode(&data); err != nil {
		t.Fatal(err)
	}
	if table := data.Modules[0].Tables[0]; !table.Cut || table.Shown != 200 || table.Total != 251 {
		t.Errorf("%d of %d, cut %v", table.Shown, table.Total, table.Cut)
	}
}

func TestExport_IsAFileWithANeutralNameAndOnRecord(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := b.Get(b.officer, b.page(b.ann.UserID)+"/export")
	var out struct {
		Site   string
		Report report
	}
	if err := json.Unmarshal([]byte(a.Body), &out); a.Status != http.StatusOK || err != nil || out.Report.Account.Email != "ann@example.com" || out.Site == "" {
		t.Fatalf("%d %v %s", a.Status, err, a.Body)
	}
	name := a.Header.Get("Content-Disposition")
	if !strings.HasPrefix(name, "attachment; ") || strings.Contains(strings.ToLower(name), "ann") || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%q %q", name, a.Header.Get("Cache-Control"))
	}
	if said := b.history(b.ann.UserID); len(said) != 1 || said[0] != "Olga Officer: Downloaded the personal data." {
		t.Errorf("history: %v", said)
	}
}

// Each of the pages, for who may not open it and for customers who are not there: nobody learns anything, and nothing is asked.
func TestPages_KeepEverybodyElseOut(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	helper, err := b.People.CreateUser(t.Context(), identity.System, identity.NewUser{Name: "Sam", Email: "sam@example.com", Roles: []string{identity.RoleAdministrator}})
	if err != nil {
		t.Fatal(err)
	}
	viewer := sdk.Identity{UserID: helper.ID, Name: "Sam", Permissions: []string{"customers.view", "customers.manage", "customers.attach", "customers.install", "customers.configure", "customers.own"}}
	for _, suffix := range []string{"", "/export", "/erase"} {
		for who, person := range map[string]sdk.Identity{"nobody": {}, "ann": b.ann, "bob": b.bob, "viewer": viewer} {
			want := http.StatusForbidden
			if who == "nobody" {
				want = http.StatusUnauthorized
			}
			if a := b.Get(person, b.page(b.ann.UserID)+suffix); a.Status != want || strings.Contains(a.Body, "ann@example.com") {
				t.Errorf("%s opens %q: %d", who, suffix, a.Status)
			}
			if suffix == "/erase" {
				if a := b.Post(person, b.page(b.ann.UserID)+suffix, form("confirm", "ann@example.com")); a.Status != want {
					t.Errorf("%s erases: %d", who, a.Status)
				}
			}
		}
		bodies := map[string]bool{}
		for _, id := range []string{"999", idText(b.officer.UserID), idText(helper.ID), "0", "-1", "x", "9999999999999999999999"} {
			path := "/admin/customers/people/" + id + "/privacy" + suffix
			a := b.Get(b.officer, path)
			if bodies[a.Body] = true; a.Status != http.StatusNotFound {
				t.Errorf("%s: %d", path, a.Status)
			}
			if suffix == "/erase" {
				if a := b.Post(b.officer, path, form("confirm", "olga@example.com", "wish", "account")); a.Status != http.StatusNotFound {
					t.Errorf("POST %s: %d", path, a.Status)
				}
			}
		}
		if len(bodies) != 1 {
			t.Errorf("%q tells unknown and forbidden numbers apart: %v", suffix, bodies)
		}
	}
	if len(b.part.asked) != 0 || len(b.erasures()) != 0 || b.count("customers_history") != 0 {
		t.Errorf("asked %v, %d records", b.part.asked, len(b.erasures()))
	}
}

func TestList_TellsWhoErasedWhomByNumber(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Post(b.officer, b.page(b.ann.UserID)+"/erase", form("wish", "account", "confirm", "ann@example.com"))
	b.Post(b.bob, "/customers/delete", form("confirm", "bob@example.com"))
	rec := get(t, b.part, b.officer, "/admin/customers/erasures")
	if !strings.Contains(rec, `"by":"Olga Officer"`) || !strings.Contains(rec, `"by":"the customer"`) || strings.Contains(rec, "bob@") || !strings.Contains(rec, `"total":2`) {
		t.Error(rec)
	}
	if rec := get(t, b.part, b.ann, "/admin/customers/erasures"); !strings.Contains(rec, `"denied"`) {
		t.Error(rec)
	}
}

func TestStore_AFailureShowsNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if err := b.part.DB.Callback().Create().Before("gorm:create").Register("break", func(tx *gorm.DB) { _ = tx.AddError(gorm.ErrInvalidTransaction) }); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{b.page(b.ann.UserID), b.page(b.ann.UserID) + "/export"} {
		if a := b.Get(b.officer, path); a.Status != http.StatusInternalServerError || strings.Contains(a.Body, "ann@") {
			t.Errorf("%s without a line in the history: %d", path, a.Status)
		}
	}
	if a := b.Get(b.ann, "/customers/data"); a.Status != http.StatusInternalServerError || strings.Contains(a.Body, "ann@") {
		t.Errorf("%d", a.Status)
	}
	if a := b.Post(b.ann, "/customers/delete", form("confirm", "ann@example.com")); a.Status != http.StatusInternalServerError || !b.exists(b.ann.UserID) || len(b.part.asked) != 0 {
		t.Errorf("deleted without a record: %d", a.Status)
	}
}
