package hostapi_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mortise/core/fault"
	"mortise/core/hostapi"
	"mortise/core/identity"
	"mortise/core/manifest"
	"mortise/core/services"
)

func TestPeople_LooksAfterCustomersFromInvitationToDeletion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, staff := w.person("boss@example.com", identity.RoleAdministrator)

	var invited struct {
		ID               int64
		Created, Invited bool
	}
	if err := w.call(staff, "host.people", "invite", `{"name":"Carla","email":"Carla@Example.com"}`, &invited); err != nil || !invited.Created || !invited.Invited {
		t.Fatalf("%+v, %v", invited, err)
	}
	mail := <-w.mails
	if mail.Kind != identity.NoticeInvite || mail.To != "carla@example.com" {
		t.Errorf("mail = %+v", mail)
	}
	id := fmt.Sprintf(`{"id":%d}`, invited.ID)
	var again struct {
		ExpiresAt time.Time `json:"expires_at"`
	}
	if err := w.call(staff, "host.people", "resend", id, &again); err != nil || time.Until(again.ExpiresAt) < 71*time.Hour {
		t.Errorf("%+v, %v", again, err)
	}
	if _, err := w.people.ResetPassword(t.Context(), (<-w.mails).Token, password, identity.Client{}); err != nil {
		t.Fatal(err)
	}
	if err := w.call(staff, "host.people", "resend", id, nil); !fault.Is(err, fault.Conflict) {
		t.Errorf("resent to somebody with a password: %v", err)
	}
	in, err := w.people.SignIn(t.Context(), "carla@example.com", password, identity.Client{Agent: "Phone"})
	if err != nil {
		t.Fatal(err)
	}
	carla := w.claims.Mint(services.Claim{UserID: invited.ID, Session: in.Session.ID, Module: "crm", RequestID: "r", ExpiresAt: time.Now().Add(time.Hour)})

	var person hostapi.Person
	if err := w.call("", "host.people", "find", `{"email":"carla@example.com"}`, &person); err != nil || person.ID != invited.ID || !person.HasPassword || person.LastSeenAt == nil {
		t.Errorf("a job finds %+v, %v", person, err)
	}
	var sessions []hostapi.Session
	if err := w.call(carla, "host.people", "sessions", id, &sessions); err != nil || len(sessions) != 1 || !sessions[0].Current || sessions[0].Agent != "Phone" {
		t.Fatalf("%+v, %v", sessions, err)
	}
	if err := w.call(staff, "host.people", "end_session", fmt.Sprintf(`{"id":%d,"session":%q}`, invited.ID, sessions[0].ID), nil); err != nil {
		t.Fatal(err)
	}
	if err := w.call(carla, "host.people", "get", id, nil); !fault.Is(err, fault.SignedOut) {
		t.Errorf("after the session's end: %v", err)
	}
	for _, want := range []bool{true, false} {
		var block struct{ Changed bool }
		if err := w.call(staff, "host.people", "block", id, &block); err != nil || block.Changed != want {
			t.Errorf("%+v, %v", block, err)
		}
	}
	w.ask = fault.New(fault.Conflict, "An order is open.")
	if err := w.call(staff, "host.people", "delete", id, nil); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "order") {
		t.Errorf("a module's refusal: %v", err)
	}
	w.ask = nil
	if err := w.call(staff, "host.people", "delete", id, nil); err != nil {
		t.Fatal(err)
	}
	if err := w.call(staff, "host.people", "get", id, nil); !fault.Is(err, fault.NotFound) {
		t.Errorf("after the deletion: %v", err)
	}
	subject := fmt.Sprintf(" user/%d", invited.ID)
	want := []string{"user.registered" + subject, "user.invited" + subject, "user.invited" + subject, "user.changed" + subject, "user.blocked" + subject, "user.deleted" + subject}
	if got := w.facts[1:]; !slices.Equal(got, want) {
		t.Errorf("facts = %q", got)
	}
}

func TestPeople_ListsCustomersAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.person("boss@example.com", identity.RoleAdministrator, identity.RoleCustomer)
	for i := range 5 {
		if err := w.call("", "host.people", "create", fmt.Sprintf(`{"name":"Customer %d","email":"c%d@example.com"}`, i, i), nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.call("", "host.people", "create", `{"name":"Twin","email":"c1@example.com"}`, nil); fault.FieldsOf(err)["email"] == "" {
		t.Errorf("a known address: %v", err)
	}
	var page struct {
		People []hostapi.Person
		Total  int
	}
	if err := w.call("", "host.people", "list", `{"sort":"email","desc":true,"offset":1,"limit":2}`, &page); err != nil || page.Total != 5 ||
		len(page.People) != 2 || page.People[0].Email != "c3@example.com" {
		t.Errorf("%+v, %v", page, err)
	}
	if err := w.call("", "host.people", "list", `{"search":"boss"}`, &page); err != nil || page.Total != 0 {
		t.Errorf("%+v, %v", page, err)
	}
	select {
	case m := <-w.mails:
		t.Errorf("a mail went out: %+v", m)
	default:
	}
}

func TestPeople_RefusesEverythingThatIsNotGranted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	boss, staff := w.person("boss@example.com", identity.RoleAdministrator)
	id := fmt.Sprintf(`{"id":%d}`, boss)
	nobody := w.claims.Mint(services.Claim{Module: "crm", RequestID: "r", ExpiresAt: time.Now().Add(time.Hour)})
	for _, tc := range []struct {
		name, module, claim, service, method, in string
		want                                     fault.Kind
	}{
		{"a module without the grant", "notes", "", "host.people", "list", `{}`, fault.Denied},
		{"a service that is not listed", "crm", "", "host.files", "list", `{}`, fault.Denied},
		{"another module's claim", "notes", staff, "host.privacy", "report", `{"user_id":1}`, fault.Denied},
		{"a page of somebody who is not signed in", "crm", nobody, "host.people", "list", `{}`, fault.SignedOut},
		{"an unknown method", "crm", staff, "host.people", "promote", id, fault.NotFound},
		{"a role", "crm", staff, "host.people", "create", `{"name":"A","email":"a@example.com","roles":["administrator"]}`, fault.Invalid},
		{"an odd id", "crm", staff, "host.people", "get", `{"id":"1 OR 1=1"}`, fault.Invalid},
		{"an odd order", "crm", staff, "host.people", "list", `{"sort":"password"}`, fault.Invalid},
		{"a whole site", "crm", staff, "host.people", "list", `{"limit":100000}`, fault.Invalid},
		{"an administrator by id", "crm", staff, "host.people", "get", id, fault.Denied},
		{"an administrator by address", "crm", "", "host.people", "find", `{"email":"boss@example.com"}`, fault.Denied},
		{"block an administrator", "crm", "", "host.people", "block", id, fault.Denied},
		{"unblock an administrator", "crm", "", "host.people", "unblock", id, fault.Denied},
		{"delete an administrator", "crm", "", "host.people", "delete", id, fault.Denied},
		{"invite an administrator", "crm", staff, "host.people", "invite", `{"name":"A","email":"boss@example.com"}`, fault.Conflict},
		{"mail an administrator", "crm", staff, "host.people", "resend", id, fault.Denied},
		{"sessions of an administrator", "crm", "", "host.people", "sessions", id, fault.Denied},
		{"end those", "crm", "", "host.people", "end_session", fmt.Sprintf(`{"id":%d,"session":"x"}`, boss), fault.Denied},
	} {
		if _, err := w.Call(t.Context(), tc.module, tc.claim, tc.service, tc.method, []byte(tc.in)); !fault.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
	}
	if u, err := w.people.User(t.Context(), boss); err != nil || u.Blocked || len(w.people.Sessions(boss)) != 1 {
		t.Errorf("%+v, %v", u, err)
	}
}

func TestPeople_SendsNoFloodOfInvitations(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 200 {
		err := w.call("", "host.people", "invite", fmt.Sprintf(`{"name":"Customer","email":"c%d@example.com"}`, i), nil)
		if fault.Is(err, fault.TooMany) {
			if i < 100 {
				t.Errorf("refused after %d", i)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Error("200 invitations at once")
}

func TestSettings_AreTheModulesOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	boss, staff := w.person("boss@example.com", identity.RoleAdministrator)
	var out struct{ Changed []string }
	if err := w.call(staff, "host.settings", "save", `{"values":{"client_id":"abc","client_secret":null}}`, &out); err != nil || len(out.Changed) != 1 {
		t.Fatalf("%+v, %v", out, err)
	}
	if want := fmt.Sprintf("crm map[client_id:abc client_secret_clear:true] module crm for user/%d", boss); len(w.saved) != 1 || w.saved[0] != want {
		t.Errorf("saved %q, want %q", w.saved, want)
	}
	for name, in := range map[string]string{
		"another module": `{"module":"notes","values":{"client_id":"x"}}`, "nothing": `{"values":{}}`, "an object": `{"values":{"client_id":{}}}`,
		"an unknown key": `{"values":{"other":"x"}}`, "what the form means by it": `{"values":{"_form":"1"}}`, "a clearing": `{"values":{"client_secret_clear":true}}`,
	} {
		if err := w.call(staff, "host.settings", "save", in, nil); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(w.saved) != 1 {
		t.Errorf("saved %q", w.saved)
	}
}

func TestPrivacy_ShowsEverythingToThePersonAndToTheOnesWhoMay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`CREATE TABLE crm_people (user_id INTEGER, state TEXT, claim_token TEXT)`)
	w.exec(`CREATE TABLE notes_lines (id INTEGER PRIMARY KEY, author INTEGER, text TEXT)`)
	boss, admin := w.person("boss@example.com", identity.RoleAdministrator)
	carla, own := w.person("carla@example.com", identity.RoleCustomer)
	other, foreign := w.person("other@example.com", identity.RoleCustomer)
	w.exec(fmt.Sprintf(`INSERT INTO crm_people VALUES (%d, 'linked', 'opensesame'), (%d, 'new', 'opensesame')`, carla, other))
	w.exec(fmt.Sprintf(`INSERT INTO notes_lines (author, text) VALUES (%d, 'Carla''s line'), (%d, 'not hers')`, carla, other))

	for name, claim := range map[string]string{"the person": own, "an administrator": admin} {
		var r hostapi.Report
		if err := w.call(claim, "host.privacy", "report", fmt.Sprintf(`{"user_id":%d}`, carla), &r); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if r.Account.Email != "carla@example.com" || len(r.Account.Sessions) != 1 || len(r.Modules) != 2 || r.Modules[0].ID != "crm" {
			t.Errorf("%s sees %+v", name, r)
		}
		people, lines := r.Modules[0].Tables[0], r.Modules[1].Tables[0]
		if people.Rows[0]["state"] != "linked" || !slices.Equal(people.Hidden, []string{"claim_token"}) || lines.Total != 1 || lines.Rows[0]["text"] != "Carla's line" {
			t.Errorf("%s sees %+v", name, r.Modules)
		}
		if strings.Contains(fmt.Sprint(r), "opensesame") || strings.Contains(fmt.Sprint(r), "not hers") {
			t.Errorf("%s sees too much: %+v", name, r)
		}
	}
	for name, tc := range map[string]struct {
		claim string
		id    int64
	}{
		"another customer": {foreign, carla}, "a job": {"", carla}, "a customer about staff": {own, boss}, "somebody unknown": {own, 999},
	} {
		for _, method := range []string{"report", "erase"} {
			if err := w.call(tc.claim, "host.privacy", method, fmt.Sprintf(`{"user_id":%d}`, tc.id), nil); !fault.Is(err, fault.Denied) {
				t.Errorf("%s, %s: %v", name, method, err)
			}
		}
	}
	if err := w.people.CreateRole(t.Context(), identity.System, "helper", "Helper", ""); err != nil {
		t.Fatal(err)
	}
	if err := w.people.GrantDefaults(t.Context(), map[string][]string{"crm.privacy": {"helper"}, "notes.privacy": {identity.RoleCustomer}}); err != nil {
		t.Fatal(err)
	}
	_, helper := w.person("help@example.com", "helper")
	for id, want := range map[int64]bool{carla: true, boss: false} {
		err := w.call(helper, "host.privacy", "report", fmt.Sprintf(`{"user_id":%d}`, id), nil)
		if want != (err == nil) || !want && !fault.Is(err, fault.Denied) {
			t.Errorf("a helper about %d: %v", id, err)
		}
	}
	if err := w.call(foreign, "host.privacy", "report", fmt.Sprintf(`{"user_id":%d}`, carla), nil); !fault.Is(err, fault.Denied) {
		t.Errorf("by another module's permission: %v", err)
	}
}

func TestPrivacy_ReportFitsIntoAnAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`CREATE TABLE crm_people (user_id INTEGER, a TEXT, b TEXT)`)
	w.exec(`CREATE TABLE notes_lines (id INTEGER PRIMARY KEY, author INTEGER, text TEXT)`)
	carla, own := w.person("carla@example.com", identity.RoleCustomer)
	w.exec(fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
		INSERT INTO crm_people SELECT %d, printf('%%.*c', 6000, '"'), printf('%%.*c', 6000, '"') FROM n`, carla))
	w.exec(fmt.Sprintf(`INSERT INTO notes_lines (author, text) VALUES (%d, 'last')`, carla))
	var r hostapi.Report
	if err := w.call(own, "host.privacy", "report", fmt.Sprintf(`{"user_id":%d}`, carla), &r); err != nil {
		t.Fatal(err)
	}
	if people := r.Modules[0].Tables[0]; people.Total != 300 || len(people.Rows) == 0 || len(people.Rows) >= 200 {
		t.Errorf("%d of %d rows", len(people.Rows), people.Total)
	}
	if r.Modules[1].Tables[0].Total != 1 {
		t.Errorf("the last table is not counted: %+v", r.Modules[1])
	}
}

func TestPrivacy_AsksBeforeItErasesAndNamesWhatStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	carla, own := w.person("carla@example.com", identity.RoleCustomer)
	in := fmt.Sprintf(`{"user_id":%d}`, carla)
	w.ask = fault.New(fault.Conflict, "A repair is under way.")
	if err := w.call(own, "host.privacy", "erase", in, nil); !fault.Is(err, fault.Conflict) {
		t.Errorf("a module's refusal: %v", err)
	}
	if want := 1; len(w.facts) != want {
		t.Errorf("facts = %q", w.facts)
	}
	w.ask = nil
	var out struct {
		Requested bool
		Kept      []hostapi.Kept
	}
	if err := w.call(own, "host.privacy", "erase", in, &out); err != nil || !out.Requested || len(out.Kept) != 1 || out.Kept[0].Table != "crm_bills" || out.Kept[0].Keep != "Ten years by law." {
		t.Errorf("%+v, %v", out, err)
	}
	if got := w.facts[len(w.facts)-1]; got != fmt.Sprintf("user.erase_requested user/%d", carla) {
		t.Errorf("facts = %q", w.facts)
	}
	if _, err := w.people.User(t.Context(), carla); err != nil {
		t.Errorf("the account is gone: %v", err)
	}
}

func TestAPI_AnswersEveryMethodOfItsContracts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, s := range manifest.Host().Provides {
		for name := range s.Methods {
			_, err := w.api.Call(t.Context(), services.HostCall{Service: s.Name, Method: name, Input: []byte(`[`)})
			if !fault.Is(err, fault.Invalid) { // it would be NotFound for a method that is not there
				t.Errorf("%s.%s: %v", s.Name, name, err)
			}
		}
	}
	if _, err := w.api.Call(t.Context(), services.HostCall{Service: "host.people", Method: "promote"}); !fault.Is(err, fault.NotFound) {
		t.Errorf("an unknown method: %v", err)
	}
}
