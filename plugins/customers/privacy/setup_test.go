package privacy

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strconv"
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
	"mortise/plugins/customers/site"
	"mortise/plugins/internal/moduletest"
	"mortise/plugins/internal/tokenapi"
	"mortise/themes"
)

// part is a module that is nothing but this part, with what tests want to happen.
type part struct {
	*Privacy
	now      func() time.Time
	routes   *http.ServeMux
	mu       sync.Mutex
	asked    []string
	stay     string // the reason with which deleting the account is refused
	refuse   string // the reason with which questions are refused
	particle error  // what forgetting at Particle answers
	forgot   []int64
	devices  []Device
}

func (m *part) Start(ctx context.Context, host sdk.Host) error {
	db, err := sdkdb.Open(host)
	if err != nil {
		return err
	}
	m.Privacy, m.routes = New(&site.Site{Host: host, DB: db, Now: m.now}, Deps{Forget: m.forget, Devices: m.devicesOf}), http.NewServeMux()
	m.Patience = 0
	m.Routes(m.routes)
	return m.Privacy.Start(ctx)
}

func (m *part) Stop(context.Context) error { return nil }

func (m *part) Migrations() []sdk.Migration {
	return []sdk.Migration{sdkdb.Migration(1, "create tables", func(tx *gorm.DB) error { return errors.Join(history.Migrate(tx), Migrate(tx)) })}
}

func (m *part) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.routes.ServeHTTP(w, r) }

func (m *part) Deliver(ctx context.Context, event sdk.Event) error {
	if strings.Contains(event.Name, ".will_") {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.asked = append(m.asked, event.Name); m.refuse != "" {
			return sdk.Refuse(m.refuse)
		}
		if event.Name == "user.will_be_deleted" && m.stay != "" {
			return sdk.Refuse(m.stay)
		}
		return nil
	}
	if err := m.Privacy.Deliver(ctx, event); err != nil {
		return err
	}
	if id, ok := site.PersonOf(event); ok && (event.Name == "user.erase_requested" || event.Name == "user.deleted") {
		return history.Forget(ctx, m.DB, id)
	}
	return nil
}

func (m *part) forget(_ context.Context, id int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.particle == nil {
		m.forgot = append(m.forgot, id)
	}
	return m.particle
}

func (m *part) devicesOf(context.Context, int64) ([]Device, error) { return m.devices, nil }

func (m *part) set(refuse string, particle error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refuse, m.particle = refuse, particle
}

// bench is the part on a site with people.
type bench struct {
	*moduletest.Site
	t       *testing.T
	part    *part
	clock   *clock
	linked  func() (any, error)
	officer sdk.Identity
	ann     sdk.Identity
	bob     sdk.Identity
}

type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func newBench(t *testing.T) *bench {
	t.Helper()
	yaml, err := os.ReadFile("../module.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(yaml), "    - name: user.registered\n", "    - name: user.registered\n    - name: user.will_be_erased\n    - name: user.will_be_deleted\n", 1)
	b := &bench{t: t, clock: &clock{at: time.Now().UTC().Truncate(time.Second)}}
	b.linked = func() (any, error) { return nil, fault.New(fault.Unavailable, "linking does not run") }
	b.part = &part{now: b.clock.now}
	b.Site = moduletest.Start(t, b.part, []byte(text), moduletest.Options{People: true, Call: func(_ context.Context, service, method string, _ []byte) (any, error) {
		if service == tokenapi.Service && method == tokenapi.Get {
			return b.linked()
		}
		return nil, fault.New(fault.Denied, "no such service")
	}})
	officer, err := b.People.CreateUser(t.Context(), identity.System, identity.NewUser{Name: "Olga Officer", Email: "olga@example.com", Roles: []string{identity.RoleAdministrator}})
	if err != nil {
		t.Fatal(err)
	}
	b.officer = sdk.Identity{UserID: officer.ID, Name: officer.Name, Roles: officer.Roles, Permissions: []string{"customers.privacy", "customers.view", "customers.own"}}
	b.ann = b.Person("Ann Annerson", "ann@example.com", "customers.own")
	b.bob = b.Person("Bob Bobson", "bob@example.com", "customers.own")
	b.DeliverFacts()
	return b
}

func (b *bench) page(id int64) string { return privacyOf(id) }

// form is what the form of a page sends, with a word of its own.
func form(pairs ...string) url.Values {
	f := url.Values{"once": {site.Once()}}
	for i := 0; i+1 < len(pairs); i += 2 {
		f.Set(pairs[i], pairs[i+1])
	}
	return f
}

// erasures lists the records, the oldest first.
func (b *bench) erasures() []erasure {
	b.t.Helper()
	var list []erasure
	if err := b.part.DB.Order("id").Find(&list).Error; err != nil {
		b.t.Fatal(err)
	}
	return list
}

// keep writes something into the history of a customer, so that there is something to erase.
func (b *bench) keep(id int64, sentence string) {
	b.t.Helper()
	if err := history.Add(b.part.DB, history.Entry{UserID: id, Kind: "x", Sentence: sentence}); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) history(id int64) []string {
	b.t.Helper()
	list, _, err := history.List(b.t.Context(), b.part.DB, history.Filter{UserID: id})
	if err != nil {
		b.t.Fatal(err)
	}
	said := []string{}
	for _, e := range list {
		said = append(said, e.ByName+": "+e.Sentence)
	}
	return said
}

func (b *bench) exists(id int64) bool {
	_, err := b.People.User(b.t.Context(), id)
	return err == nil
}

func idText(id int64) string { return strconv.FormatInt(id, 10) }

func TestTemplates_DrawInEveryTheme(t *testing.T) {
	t.Parallel()
	for _, p := range theme.Check(theme.CheckOptions{Themes: []fs.FS{themes.FS}, Modules: []theme.Module{{ID: "customers", Digest: "test", Templates: os.DirFS("../templates")}}}) {
		if p.Module == "customers" && (strings.Contains(p.Template, "privacy_") || strings.Contains(p.Template, "account_")) {
			t.Error(p.Error())
		}
	}
}
