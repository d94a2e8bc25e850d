package privacy

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mortise/core/fault"
	"mortise/core/identity"
	"mortise/core/sdk"
)

// get asks the part itself, for pages that the test's manifest may not have.
func get(t *testing.T, h http.Handler, who sdk.Identity, path string) string {
	t.Helper()
	rec := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	h.ServeHTTP(rec, r.WithContext(sdk.WithRequest(r.Context(), sdk.Request{ID: "test", User: who})))
	return rec.Body.String()
}

type ownData struct {
	Account     customer
	Staff       bool
	Sessions    []session
	Links       links
	Devices     []Device
	DeviceTotal int `json:"device_total"`
}

func (b *bench) ownPage(who sdk.Identity) ownData {
	b.t.Helper()
	var data ownData
	if a := b.Get(who, "/customers"); a.Status != http.StatusOK || a.Decode(&data) != nil {
		b.t.Fatalf("%d %s", a.Status, a.Body)
	}
	return data
}

// signIn begins a session of a person, by a link as an administrator makes one.
func (b *bench) signIn(id int64) {
	b.t.Helper()
	token, _, err := b.People.LoginLink(b.t.Context(), identity.System, id)
	if err == nil {
		_, err = b.People.SignInByLink(b.t.Context(), token, identity.Client{Agent: "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/130.0", Address: netip.MustParseAddr("192.0.2.7")})
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

func TestOwn_ShowsTheAccountDevicesLinksAndSessions(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	data := b.ownPage(b.ann)
	if data.Account.Email != "ann@example.com" || data.Staff || data.Links.There || len(data.Devices) != 0 {
		t.Errorf("%+v", data)
	}
	b.linked = func() (any, error) {
		return json.RawMessage(`{"accounts":[{"account_id":1,"label":"a","state":"active","base_url":"x","access_token":"opensesame","generation":1},{"account_id":2,"label":"b","state":"dead","base_url":"x","generation":1}]}`), nil
	}
	for range 30 {
		b.part.devices = append(b.part.devices, Device{ID: "0a10aced202194944a000001", Name: "Lamp", Product: "Garden"})
	}
	a := b.Get(b.ann, "/customers")
	if err := a.Decode(&data); err != nil || data.Links != (links{There: true, Count: 2, Ended: 1}) || len(data.Devices) != 20 || data.DeviceTotal != 30 {
		t.Errorf("%+v", data)
	}
	if strings.Contains(a.Body, "opensesame") {
		t.Error("the page has a token")
	}
	b.linked = func() (any, error) { return nil, errors.New("linking is broken") }
	if data := b.ownPage(b.ann); data.Links.There {
		t.Errorf("%+v", data.Links)
	}
}

func TestSessions_AreEndedByTheirOwnPersonAlone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.signIn(b.ann.UserID)
	data := b.ownPage(b.ann)
	if len(data.Sessions) != 1 || data.Sessions[0].ID == "" || data.Sessions[0].Browser != "Firefox on Linux" {
		t.Fatalf("%+v", data.Sessions)
	}
	end := "/customers/sessions/" + data.Sessions[0].ID + "/end"
	for who, person := range map[string]sdk.Identity{"bob": b.bob, "the officer": b.officer} {
		b.Post(person, end, nil)
		if len(b.ownPage(b.ann).Sessions) != 1 {
			t.Fatalf("%s ended the session of another person", who)
		}
	}
	if a := b.Post(sdk.Identity{}, end, nil); a.Status != http.StatusUnauthorized {
		t.Errorf("nobody: %d", a.Status)
	}
	if a := b.Post(b.ann, end, nil); a.Status != http.StatusSeeOther || !strings.HasPrefix(a.Flash, "good ") || len(b.ownPage(b.ann).Sessions) != 0 {
		t.Errorf("%d %q", a.Status, a.Flash)
	}
	if a := b.Post(b.ann, end, nil); a.Status != http.StatusSeeOther || !strings.HasPrefix(a.Flash, "info ") {
		t.Errorf("twice: %d %q", a.Status, a.Flash)
	}
}

func TestDownload_GivesTheOwnDataAFewTimesAnHour(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.keep(b.bob.UserID, "not hers")
	for range downloadsAnHour {
		a := b.Get(b.ann, "/customers/data")
		if a.Status != http.StatusOK || !strings.Contains(a.Body, "ann@example.com") || strings.Contains(a.Body, "not hers") || a.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	}
	if a := b.Get(b.ann, "/customers/data"); a.Status != http.StatusTooManyRequests || strings.Contains(a.Body, "ann@example.com") {
		t.Errorf("one more: %d", a.Status)
	}
	if a := b.Get(b.bob, "/customers/data"); a.Status != http.StatusOK || strings.Contains(a.Body, "ann@") {
		t.Errorf("somebody else: %d", a.Status)
	}
	b.clock.forward(time.Hour + time.Minute)
	if a := b.Get(b.ann, "/customers/data"); a.Status != http.StatusOK {
		t.Errorf("an hour later: %d", a.Status)
	}
}

func TestLeave_ErasesAndDeletesAndSaysGoodbye(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.keep(b.ann.UserID, "Ann Annerson")
	b.signIn(b.ann.UserID)
	if a := b.Get(b.ann, "/customers/delete"); a.Status != http.StatusOK || !strings.Contains(a.Body, "Proof that data were erased") && !strings.Contains(a.Body, "Telling who did what") {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	for _, typed := range []string{"", "bob@example.com", "yes"} {
		if a := b.Post(b.ann, "/customers/delete", form("confirm", typed)); a.Status != http.StatusUnprocessableEntity || !b.exists(b.ann.UserID) {
			t.Errorf("%q: %d", typed, a.Status)
		}
	}
	a := b.Post(b.ann, "/customers/delete", form("confirm", "Ann@Example.com"))
	if a.Status != http.StatusSeeOther || a.Location != "/" || !strings.Contains(a.Flash, "Goodbye") || b.exists(b.ann.UserID) {
		t.Fatalf("%d %s %q %s", a.Status, a.Location, a.Flash, a.Body)
	}
	b.DeliverFacts()
	e := b.erasures()[0]
	if e.State != stateDone || e.ByID != b.ann.UserID || b.count("customers_history") != 0 || len(b.People.Sessions(b.ann.UserID)) != 0 {
		t.Errorf("%+v", e)
	}
	if !b.exists(b.bob.UserID) {
		t.Error("somebody else is gone as well")
	}
}

func TestLeave_ARefusalIsShownWithItsReason(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.part.set("An invoice is open.", nil)
	a := b.Post(b.ann, "/customers/delete", form("confirm", "ann@example.com"))
	if a.Status != http.StatusConflict || a.View.Message == nil || !strings.Contains(a.View.Message.Text, "An invoice is open.") || !b.exists(b.ann.UserID) {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

func TestStaff_HaveThePageButDoNotDeleteThemselvesHere(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if _, err := b.People.CreateUser(t.Context(), identity.System, identity.NewUser{Name: "Two", Email: "two@example.com", Roles: []string{identity.RoleAdministrator}}); err != nil {
		t.Fatal(err)
	}
	b.keep(b.officer.UserID, "stays")
	if data := b.ownPage(b.officer); !data.Staff || data.Account.Email != "olga@example.com" {
		t.Errorf("%+v", data)
	}
	if a := b.Get(b.officer, "/customers/delete"); a.Status != http.StatusOK || !strings.Contains(a.Body, `"staff":true`) {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	a := b.Post(b.officer, "/customers/delete", form("confirm", "olga@example.com"))
	if a.Status != http.StatusForbidden || a.Problem.Kind != fault.Denied.String() || !strings.Contains(a.Problem.Title, "staff") || !b.exists(b.officer.UserID) {
		t.Errorf("%d %+v", a.Status, a.Problem)
	}
	if a := b.Post(b.officer, "/customers/sessions/x/end", nil); a.Status != http.StatusForbidden {
		t.Errorf("%d", a.Status)
	}
	if len(b.part.asked) != 0 || len(b.history(b.officer.UserID)) != 1 {
		t.Errorf("asked %v, history %v", b.part.asked, b.history(b.officer.UserID))
	}
	if a := b.Get(b.officer, "/customers/data"); a.Status != http.StatusOK || !strings.Contains(a.Body, "olga@example.com") {
		t.Errorf("their own data: %d", a.Status)
	}
}
