package moduletest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"mortise/core/identity"
	"mortise/core/sdk"
	"mortise/core/sdk/sdkdb"
	"mortise/plugins/internal/moduletest"
)

const crm = `
id: crm
name: Customers
description: Looks after customers.
version: 1.0.0
host: ^1.0
uses: [{name: host.people, version: ^1.0}, {name: host.settings, version: ^1.0}, {name: host.privacy, version: ^1.0}]
permissions: [{id: crm.use, title: Use}, {id: crm.privacy, title: See personal data, restricted: true}]
pages:
  - {path: /crm/report, permission: crm.use}
  - {path: /crm/leave, methods: [POST], permission: crm.use}
  - {path: /crm/invite, methods: [POST], permission: crm.use}
  - {path: /crm/client, methods: [POST], permission: crm.use}
settings: [{key: client, type: text, label: Client}]
tables: [crm_people]
personal_data: [{table: crm_people, column: user_id, purpose: The list}]
events: {subscribes: [{name: user.registered}, {name: user.erase_requested}, {name: user.will_be_erased}]}
`

type person struct {
	UserID      int64 `gorm:"primaryKey"`
	AccessToken string
}

func (person) TableName() string { return "crm_people" }

// module keeps a list of the people who registered.
type module struct {
	host    sdk.Host
	db      *gorm.DB
	client  string
	refuses bool
}

func (m *module) Migrations() []sdk.Migration {
	return []sdk.Migration{sdkdb.Migration(1, "people", func(tx *gorm.DB) error { return tx.AutoMigrate(&person{}) })}
}

func (m *module) Start(_ context.Context, host sdk.Host) (err error) {
	m.host = host
	m.db, err = sdkdb.Open(host)
	return err
}

func (m *module) Stop(context.Context) error { return nil }

func (m *module) Configure(_ context.Context, s sdk.Settings) error {
	m.client = s.String("client")
	return nil
}

func (m *module) Deliver(ctx context.Context, e sdk.Event) error {
	var about struct {
		UserID int64 `json:"user_id"`
	}
	if err := json.Unmarshal(e.Payload, &about); err != nil {
		return err
	}
	db := m.db.WithContext(ctx)
	switch {
	case e.Name == "user.registered":
		return db.Create(&person{UserID: about.UserID, AccessToken: "opensesame"}).Error
	case e.Name == "user.will_be_erased" && m.refuses:
		return sdk.Refuse("A repair is under way.")
	case e.Name == "user.erase_requested":
		return db.Delete(&person{UserID: about.UserID}).Error
	}
	return nil
}

func (m *module) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	me := map[string]any{"user_id": sdk.UserFrom(r.Context()).UserID}
	calls := map[string]struct {
		service, method string
		in              any
	}{
		"/crm/report": {"host.privacy", "report", me},
		"/crm/leave":  {"host.privacy", "erase", me},
		"/crm/invite": {"host.people", "invite", map[string]any{"name": "Dora", "email": r.PostFormValue("email")}},
		"/crm/client": {"host.settings", "save", map[string]any{"values": map[string]any{"client": r.PostFormValue("client")}}},
	}
	c := calls[r.URL.Path]
	var out map[string]any
	if err := m.host.Call(r.Context(), c.service, c.method, c.in, &out); err != nil {
		sdk.Fail(w, r, err)
		return
	}
	sdk.Render(w, r, sdk.View{Template: "any", Data: out})
}

func TestPeople_AreRealAndSoAreTheHostsServices(t *testing.T) {
	t.Parallel()
	m := &module{}
	site := moduletest.Start(t, m, []byte(crm), moduletest.Options{People: true})
	carla := site.Person("Carla", "carla@example.com", "crm.use")
	site.DeliverFacts()

	if a := site.Get(carla, "/crm/report"); !strings.Contains(a.Body, "carla@example.com") || !strings.Contains(a.Body, `"table":"crm_people"`) || strings.Contains(a.Body, "opensesame") {
		t.Errorf("report: %s", a.Body)
	}
	m.refuses = true
	if a := site.Post(carla, "/crm/leave", nil); a.Status != http.StatusConflict || a.Problem.Title != "A repair is under way." {
		t.Errorf("%d %+v", a.Status, a.Problem)
	}
	m.refuses = false
	if a := site.Post(carla, "/crm/leave", nil); a.Status != http.StatusOK || len(site.Facts()) != 1 {
		t.Errorf("%d %s, facts %v", a.Status, a.Body, site.Facts())
	}
	site.DeliverFacts()
	if a := site.Get(carla, "/crm/report"); strings.Contains(a.Body, "crm_people") {
		t.Errorf("report after the erasure: %s", a.Body)
	}

	if a := site.Post(carla, "/crm/invite", map[string][]string{"email": {"dora@example.com"}}); a.Status != http.StatusOK {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	moduletest.Eventually(t, "the invitation", func() bool { return len(site.Notices()) == 1 })
	if n := site.Notices()[0]; n.Kind != identity.NoticeInvite || n.To != "dora@example.com" {
		t.Errorf("notice = %+v", n)
	}
	if a := site.Post(carla, "/crm/client", map[string][]string{"client": {"abc"}}); a.Status != http.StatusOK || m.client != "abc" || site.Host.Settings().String("client") != "abc" {
		t.Errorf("%d %s, client %q", a.Status, a.Body, m.client)
	}
	if _, err := site.People.Block(t.Context(), identity.System, carla.UserID); err != nil {
		t.Fatal(err)
	}
	if a := site.Get(carla, "/crm/report"); a.Status != http.StatusUnauthorized {
		t.Errorf("a blocked person: %d %s", a.Status, a.Body)
	}
	if u, err := site.Host.Users().Get(t.Context(), carla.UserID); err != nil || !u.Blocked || time.Since(u.CreatedAt) > time.Hour {
		t.Errorf("%+v, %v", u, err)
	}
	if _, err := site.Host.Users().Get(t.Context(), 99); err == nil || fmt.Sprint(err) == "" {
		t.Error("somebody who is not there")
	}
}
