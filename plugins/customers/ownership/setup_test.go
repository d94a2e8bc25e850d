package ownership

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"mortise/core/fault"
	"mortise/core/identity"
	"mortise/core/sdk"
	"mortise/core/sdk/sdkdb"
	"mortise/core/theme"
	"mortise/plugins/customers/history"
	"mortise/plugins/customers/people"
	"mortise/plugins/customers/site"
	"mortise/plugins/internal/moduletest"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/particle/particletest"
	"mortise/themes"
)

const (
	maker   = "maker@particle.example"
	lamp    = "10001" // the product
	lampKey = "1/10001"
	pump    = "10002"
	root    = "/admin/customers"
)

// limits of calls are short enough for clouds that hang, and long enough for a machine that is busy.
var limits = particle.Timeouts{Connect: 2 * time.Second, Token: 2 * time.Second, Call: 2 * time.Second}

// deviceID is the id of the n-th device of the product lamp.
func deviceID(n int) string { return fmt.Sprintf("0a10aced202194944a%06x", n) }

// module is this part with the list of customers, as a module with the real manifest.
type module struct {
	clock  *clock
	people *people.People
	owner  *Ownership
	mux    *http.ServeMux
	db     *gorm.DB
}

func (m *module) Migrations() []sdk.Migration {
	return []sdk.Migration{sdkdb.Migration(1, "create", func(tx *gorm.DB) error {
		for _, create := range []func(*gorm.DB) error{history.Migrate, people.Migrate, Migrate} {
			if err := create(tx); err != nil {
				return err
			}
		}
		return nil
	})}
}

func (m *module) Start(ctx context.Context, host sdk.Host) (err error) {
	if m.db, err = sdkdb.Open(host); err != nil {
		return err
	}
	s := &site.Site{Host: host, DB: m.db, Now: m.clock.now}
	m.people, m.mux = people.New(s), http.NewServeMux()
	m.owner = New(s, m.people)
	m.owner.SetLimits(limits)
	m.people.SetOwner(m.owner)
	m.people.Routes(m.mux)
	m.owner.Routes(m.mux)
	return m.people.Start(ctx)
}

func (m *module) Stop(ctx context.Context) error { return m.people.Stop(ctx) }

func (m *module) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.mux.ServeHTTP(w, r) }

func (m *module) Deliver(ctx context.Context, e sdk.Event) error {
	if err := m.people.Deliver(ctx, e); err != nil {
		return err
	}
	return m.owner.Deliver(ctx, e)
}

// clock is the module's, which tests put forward.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().UTC().Add(c.ahead)
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

// bench is a site with this part, a cloud, and stand-ins for the modules organizations and linking.
type bench struct {
	*moduletest.Site
	*module
	cloud    *particletest.Server
	url      string // of the cloud
	services *services
	ada      sdk.Identity // may do everything
	sam      sdk.Identity // may look
	ines     sdk.Identity // an installer
}

var everything = []string{"customers.view", "customers.manage", "customers.attach", "customers.install", "customers.configure", "customers.privacy"}

func newBench(t testing.TB) *bench {
	t.Helper()
	yaml, err := os.ReadFile("../module.yaml")
	if err != nil {
		t.Fatal(err)
	}
	cloud := &particletest.Server{}
	cloud.AddAccount(particletest.Account{Username: maker, Password: "x"})
	cloud.AddProduct(particletest.Product{ID: 10001, Slug: "garden-lamp-v1", Name: "Garden lamp", Platform: 12, Team: []string{maker}})
	cloud.AddProduct(particletest.Product{ID: 10002, Slug: "pump-v3", Name: "Pump", Platform: 6, Team: []string{maker}})
	for n := 1; n <= 30; n++ {
		cloud.AddDevice(particletest.Device{ID: deviceID(n), Name: fmt.Sprintf("lamp-%02d", n), Product: lamp, Platform: 12})
	}
	cloud.AddClient(particletest.Client{ID: "shadow-client-1", Secret: "s3cr3t-of-client", Type: particletest.Installed, Owner: maker, Product: lamp})
	address, stop, err := cloud.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	b := &bench{module: &module{clock: &clock{}}, cloud: cloud, url: address, services: newServices(t, cloud, address)}
	b.Site = moduletest.Start(t, b.module, yaml, moduletest.Options{People: true, Call: b.services.call, PublicURL: "https://Site.Example:8443"})
	b.ada = b.colleague(t, "Ada", everything...)
	b.sam = b.colleague(t, "Sam", "customers.view")
	b.ines = b.colleague(t, "Ines", "customers.install")
	return b
}

// restart starts the module's program anew on the same store, as after a kill.
func (b *bench) restart(t testing.TB) *module {
	t.Helper()
	m := &module{clock: b.clock}
	if err := m.Start(t.Context(), b.Host); err != nil {
		t.Fatal(err)
	}
	return m
}

func (b *bench) colleague(t testing.TB, name string, permissions ...string) sdk.Identity {
	t.Helper()
	u, err := b.People.CreateUser(t.Context(), identity.System, identity.NewUser{Name: name, Email: strings.ToLower(name) + "@maker.example", Roles: []string{identity.RoleAdministrator}})
	if err != nil {
		t.Fatal(err)
	}
	return sdk.Identity{UserID: u.ID, Name: u.Name, Roles: u.Roles, Permissions: permissions}
}

// customer makes a customer who is in the list.
func (b *bench) customer(t testing.TB, name string) sdk.Identity {
	t.Helper()
	who := b.Person(name, strings.ToLower(name)+"@example.com", "customers.own")
	b.DeliverFacts()
	return who
}

// personPage is the address of a page of a customer.
func personPage(who sdk.Identity, page string) string {
	return fmt.Sprintf("%s/people/%d/%s", root, who.UserID, page)
}

// attach attaches devices of the product lamp by the page.
func (b *bench) attach(t testing.TB, who sdk.Identity, ids ...string) {
	t.Helper()
	a := b.Post(b.ada, personPage(who, "attach"), url.Values{"product": {lampKey}, "device": ids})
	if a.Status != http.StatusSeeOther || !strings.HasPrefix(a.Flash, "good ") {
		t.Fatalf("attaching answered %d %q: %s", a.Status, a.Flash, a.Body)
	}
}

func (b *bench) detach(t testing.TB, who sdk.Identity, ids ...string) {
	t.Helper()
	a := b.Post(b.ada, personPage(who, "detach"), url.Values{"device": ids})
	if a.Status != http.StatusSeeOther || !strings.HasPrefix(a.Flash, "good ") {
		t.Fatalf("detaching answered %d %q: %s", a.Status, a.Flash, a.Body)
	}
}

// shadowWay gives the product lamp the way shadow, and its client.
func (b *bench) shadowWay(t testing.TB) {
	t.Helper()
	b.setClient(t, "shadow-client-1", "s3cr3t-of-client")
	b.way(t, "shadow")
}

func (b *bench) setClient(t testing.TB, id, secret string) {
	t.Helper()
	in, _ := json.Marshal(newClient{1, lamp, id, secret, b.url})
	if _, err := b.owner.Call(t.Context(), sdk.Call{Service: ClientService, Method: "set", Input: in, User: b.ada}); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) way(t testing.TB, way string) {
	t.Helper()
	p, err := b.owner.Product(t.Context(), 1, lamp)
	if err != nil {
		t.Fatal(err)
	}
	a := b.Post(b.ada, root+"/products/"+lampKey, url.Values{"way": {way}, "version": {fmt.Sprint(p.Version)}, "confirm": {"on"}})
	if a.Status != http.StatusSeeOther {
		t.Fatalf("choosing the way %s answered %d: %s", way, a.Status, a.Body)
	}
}

// shadowOf gives the shadow customer of a person in the product lamp; nil when there is none.
func (b *bench) shadowOf(t testing.TB, who sdk.Identity) *shadow {
	t.Helper()
	s, err := b.owner.records.shadow(t.Context(), who.UserID, 1, lamp)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// operations lists all, the oldest first.
func (b *bench) operations(t testing.TB) []operation {
	t.Helper()
	var list []operation
	if err := b.db.WithContext(t.Context()).Order("id").Find(&list).Error; err != nil {
		t.Fatal(err)
	}
	return list
}

// has tells which devices are attached to a person, by the service.
func (b *bench) has(t testing.TB, who sdk.Identity) []string {
	t.Helper()
	devices, _, err := b.owner.OfPerson(t.Context(), who.UserID)
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{}
	for _, d := range devices {
		ids = append(ids, d.DeviceID)
	}
	return ids
}

// upstream counts the requests that reached the cloud.
func (b *bench) upstream() int {
	n := 0
	for _, calls := range b.cloud.AllCalls() {
		n += calls
	}
	return n
}

func decode[T any](t testing.TB, a moduletest.Answer) T {
	t.Helper()
	var data T
	if err := a.Decode(&data); err != nil {
		t.Fatalf("%d %s: %v", a.Status, a.Body, err)
	}
	return data
}

func TestTemplates_DrawInEveryTheme(t *testing.T) {
	t.Parallel()
	for _, p := range theme.Check(theme.CheckOptions{Themes: []fs.FS{themes.FS}, Modules: []theme.Module{{ID: "customers", Digest: "test", Templates: os.DirFS("../templates")}}}) {
		if p.Module == "customers" && strings.Contains(p.Error(), "owner_") {
			t.Error(p.Error())
		}
	}
}
