package people

import (
	"context"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"mortise/core/identity"
	"mortise/core/sdk"
	"mortise/core/sdk/sdkdb"
	"mortise/core/theme"
	"mortise/plugins/customers/history"
	"mortise/plugins/customers/site"
	"mortise/plugins/internal/moduletest"
	"mortise/themes"
)

// module is this part alone, as a module with the real manifest.
type module struct {
	clock  *clock
	people *People
	owner  *owner
	mux    *http.ServeMux
	db     *gorm.DB
	wrap   func(sdk.Host) sdk.Host // between the part and the host; nil: nothing
}

func (m *module) Migrations() []sdk.Migration {
	return []sdk.Migration{sdkdb.Migration(1, "create", func(tx *gorm.DB) error {
		if err := history.Migrate(tx); err != nil {
			return err
		}
		return Migrate(tx)
	})}
}

func (m *module) Start(ctx context.Context, host sdk.Host) (err error) {
	if m.db, err = sdkdb.Open(host); err != nil {
		return err
	}
	if m.wrap != nil {
		host = m.wrap(host)
	}
	m.people, m.mux = New(&site.Site{Host: host, DB: m.db, Now: m.clock.now}), http.NewServeMux()
	m.people.SetOwner(m.owner)
	m.people.Routes(m.mux)
	return m.people.Start(ctx)
}

func (m *module) Stop(ctx context.Context) error { return m.people.Stop(ctx) }

func (m *module) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.mux.ServeHTTP(w, r) }

func (m *module) Deliver(ctx context.Context, e sdk.Event) error { return m.people.Deliver(ctx, e) }

// owner stands for the part that knows the devices.
type owner struct {
	mu        sync.Mutex
	devices   map[int64]int
	forgotten []int64
}

func (o *owner) CountDevices(_ *gorm.DB, ids []int64) (map[int64]int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	found := map[int64]int{}
	for _, id := range ids {
		found[id] = o.devices[id]
	}
	return found, nil
}

func (o *owner) Follows(context.Context, int64) ([]string, error) {
	return []string{"3 devices are detached."}, nil
}

func (o *owner) Forget(_ context.Context, id int64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.forgotten = append(o.forgotten, id)
	return nil
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

// bench is a site with this part.
type bench struct {
	*moduletest.Site
	*module
	ada   sdk.Identity // may do everything
	staff sdk.Identity // may look
}

func newBench(t testing.TB, change ...func(*module)) *bench {
	t.Helper()
	yaml, err := os.ReadFile("../module.yaml")
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{module: &module{clock: &clock{}, owner: &owner{devices: map[int64]int{}}}}
	for _, f := range change {
		f(b.module)
	}
	b.Site = moduletest.Start(t, b.module, yaml, moduletest.Options{People: true})
	b.people.background.Wait()
	b.ada = b.colleague(t, "Ada", "ada@maker.example", "customers.view", "customers.manage", "customers.privacy")
	b.staff = b.colleague(t, "Sam", "sam@maker.example", "customers.view")
	return b
}

// colleague makes a person of the staff.
func (b *bench) colleague(t testing.TB, name, email string, permissions ...string) sdk.Identity {
	t.Helper()
	u, err := b.People.CreateUser(t.Context(), identity.System, identity.NewUser{Name: name, Email: email, Roles: []string{identity.RoleAdministrator}})
	if err != nil {
		t.Fatal(err)
	}
	return sdk.Identity{UserID: u.ID, Name: u.Name, Roles: u.Roles, Permissions: permissions, TimeZone: "Europe/Berlin"}
}

// customer makes a customer who is in the list.
func (b *bench) customer(t testing.TB, name, email string) Person {
	t.Helper()
	who := b.Person(name, email)
	b.DeliverFacts()
	return b.now(t, who.UserID)
}

func (b *bench) now(t testing.TB, id int64) Person {
	t.Helper()
	p, err := b.people.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (b *bench) run(t testing.TB, job string) {
	t.Helper()
	if mine, err := b.people.Run(t.Context(), job); err != nil || !mine {
		t.Fatalf("job %s: mine %t, %v", job, mine, err)
	}
}

func (b *bench) history(t testing.TB, id int64) []history.Entry {
	t.Helper()
	list, _, err := history.List(t.Context(), b.db, history.Filter{UserID: id, Limit: 200})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// sentences gives the history from the oldest to the newest, each with who did it.
func (b *bench) sentences(t testing.TB, id int64) []string {
	t.Helper()
	var said []string
	for _, e := range b.history(t, id) {
		said = append([]string{e.ByName + ": " + e.Sentence}, said...)
	}
	return said
}

type listData struct {
	People []PersonView `json:"people"`
	Counts []stateCount `json:"counts"`
	All    int64        `json:"all"`
	Total  int64        `json:"total"`
	Page   int          `json:"page"`
	Export string       `json:"export"`
}

func decoded[T any](t testing.TB, a moduletest.Answer) T {
	t.Helper()
	var data T
	if err := a.Decode(&data); err != nil {
		t.Fatalf("%d %s: %v", a.Status, a.Body, err)
	}
	return data
}

func (b *bench) list(t testing.TB, query string) listData {
	t.Helper()
	return decoded[listData](t, b.Get(b.ada, root+query))
}

func form(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

// once is a form with its word.
func once(pairs ...string) url.Values { return form(append(pairs, "once", site.Once())...) }

func names(list []PersonView) []string {
	var said []string
	for _, p := range list {
		said = append(said, p.Name)
	}
	return said
}

func TestTemplates_DrawInEveryTheme(t *testing.T) {
	t.Parallel()
	for _, p := range theme.Check(theme.CheckOptions{Themes: []fs.FS{themes.FS}, Modules: []theme.Module{{ID: "customers", Digest: "test", Templates: os.DirFS("../templates")}}}) {
		if p.Module == "customers" {
			t.Error(p.Error())
		}
	}
}

func (p Person) pathOf() string { return PathOf(p.ID) }
