package handover_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/core/sdk/sdkdb"
	"mortise/core/theme"
	"mortise/plugins/customers/handover"
	"mortise/plugins/customers/history"
	"mortise/plugins/customers/ownership"
	"mortise/plugins/customers/people"
	"mortise/plugins/customers/site"
	"mortise/plugins/internal/attachapi"
	"mortise/plugins/internal/moduletest"
	"mortise/plugins/internal/productapi"
	"mortise/plugins/internal/tokenapi"
	"mortise/themes"
)

const (
	records = "/admin/customers/records"
	lamp    = "0a10aced202194944a000001"
	pump    = "0a10aced202194944a000002"
	cellar  = "0a10aced202194944a000003"
	foreign = "0a10aced202194944a0000ff" // of no product here
	product = "1/10001"
)

// part is a module that is nothing but this part, with those that it stands on.
type part struct {
	*handover.Handover
	now    func() time.Time
	owners *ownership.Ownership
	people *people.Directory
	db     *gorm.DB
	routes *http.ServeMux
}

func (m *part) Start(ctx context.Context, host sdk.Host) error {
	db, err := sdkdb.Open(host)
	if err != nil {
		return err
	}
	s := &site.Site{Host: host, DB: db, Now: m.now}
	m.people = people.NewDirectory(s)
	m.db, m.owners, m.routes = db, ownership.New(s, m.people), http.NewServeMux()
	m.Handover = handover.New(s, m.owners, m.people)
	m.Routes(m.routes)
	return m.people.Start(ctx)
}

func (m *part) Stop(context.Context) error { return nil }

func (m *part) Migrations() []sdk.Migration {
	return []sdk.Migration{sdkdb.Migration(1, "create tables", func(tx *gorm.DB) error {
		return errors.Join(history.Migrate(tx), people.Migrate(tx), ownership.Migrate(tx), handover.Migrate(tx))
	})}
}

func (m *part) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.routes.ServeHTTP(w, r) }

func (m *part) Run(ctx context.Context, job string) error {
	_, err := m.Handover.Run(ctx, job)
	return err
}

// fleet stands for the service particle.product.
type fleet struct {
	mu      sync.Mutex
	asked   int
	devices []productapi.Device
	fail    *productapi.Problem
	away    bool   // organizations does not run
	linked  string // the Particle account that everybody has linked; "": linking does not run
	unseen  bool   // the module devices does not run
	silent  bool   // states knows nothing of what it is asked about
}

func (f *fleet) call(_ context.Context, service, method string, input []byte) (any, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if service != attachapi.PagesService {
		f.asked++
	}
	if service == tokenapi.Service && method == tokenapi.Get && f.linked != "" {
		return tokenapi.Accounts{Accounts: []tokenapi.Account{{ID: 1, Label: f.linked, State: tokenapi.Active, BaseURL: "https://other.example"}}}, nil
	}
	if service == attachapi.PagesService && !f.unseen {
		var q attachapi.Question
		err := json.Unmarshal(input, &q)
		return attachapi.Page{Path: strings.TrimRight("/devices/"+q.DeviceID, "/")}, err
	}
	if service != productapi.Service || f.away {
		return nil, fault.New(fault.Unavailable, "the provider does not run")
	}
	switch method {
	case productapi.MethodProducts:
		return productapi.Products{Products: []productapi.ProductInfo{{Product: productapi.Product{WorkspaceID: 1, ProductID: "10001"}, Workspace: "Garden", Name: "Garden lamp", Platform: "Photon"}}}, nil
	case productapi.MethodDevices:
		return productapi.Devices{Outcome: productapi.Outcome{Problem: f.fail}, Devices: f.devices, Page: 1, Pages: 1}, nil
	case productapi.MethodStates:
		var q productapi.StateQuery
		if err := json.Unmarshal(input, &q); err != nil {
			return nil, err
		}
		a := productapi.States{Outcome: productapi.Outcome{Problem: f.fail}, Devices: []productapi.Device{}, Missing: []string{}, Stale: f.silent}
		for _, id := range q.DeviceIDs {
			if i := slices.IndexFunc(f.devices, func(d productapi.Device) bool { return d.ID == id }); i >= 0 && !f.silent {
				a.Devices = append(a.Devices, f.devices[i])
			} else if !f.silent {
				a.Missing = append(a.Missing, id)
			}
		}
		return a, nil
	}
	return nil, fault.New(fault.NotFound, "no such method")
}

func (f *fleet) set(change func(*fleet)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (f *fleet) calls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

// bench is the part on a site with people.
type bench struct {
	*moduletest.Site
	t     *testing.T
	part  *part
	fleet *fleet
	clock *clock

	office sdk.Identity // may do everything here
	ivo    sdk.Identity // an installer
	ina    sdk.Identity // another one
	ann    sdk.Identity // a customer
	bob    sdk.Identity
}

var customer = []string{"customers.own"}

func newBench(t *testing.T) *bench {
	t.Helper()
	f := &fleet{devices: []productapi.Device{{ID: lamp, Name: "Porch lamp", Serial: "SN-1", ProductID: "10001"}, {ID: pump, Name: "Pump", ProductID: "10001"}, {ID: cellar, Name: "", ProductID: "10001"}}}
	for i := range 600 {
		f.devices = append(f.devices, productapi.Device{ID: fmt.Sprintf("0b10aced202194944a%06d", i), Name: fmt.Sprintf("Lamp %d", i), ProductID: "10001"})
	}
	manifest, err := os.ReadFile("../module.yaml")
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, part: &part{}, fleet: f, clock: &clock{at: time.Now().UTC()}}
	b.part.now = b.clock.now
	b.Site = moduletest.Start(t, b.part, manifest, moduletest.Options{People: true, Call: f.call})
	b.ann, b.bob = b.Person("Ann", "ann@example.com", customer...), b.Person("Bob", "bob@example.com", customer...)
	b.office = b.Person("Olga", "olga@example.com", "customers.view", "customers.attach", "customers.install", "customers.own")
	b.ivo, b.ina = b.Person("Ivo", "ivo@example.com", "customers.install"), b.Person("Ina", "ina@example.com", "customers.install")
	return b
}

// restart starts the part anew on the same store, as after a kill.
func (b *bench) restart() {
	b.t.Helper()
	m := &part{now: b.clock.now}
	if err := m.Start(b.t.Context(), b.Host); err != nil {
		b.t.Fatal(err)
	}
	*b.part = *m
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

// made is the report on new records.
type made struct {
	Made    int `json:"made"`
	Keys    int `json:"keys_made"`
	Results []struct {
		Line     int    `json:"line"`
		DeviceID string `json:"device_id"`
		Name     string `json:"name"`
		Result   string `json:"result"`
		Sentence string `json:"sentence"`
		Path     string `json:"path"`
	} `json:"results"`
}

func (m made) of(deviceID string) string {
	for _, r := range m.Results {
		if r.DeviceID == deviceID {
			return r.Result
		}
	}
	return "not there"
}

// once is a form's word.
func once(n int) string { return fmt.Sprintf("ONCEWORDONCEWORDONCE%s", strings.Repeat("A", n+1)) }

// make makes records with keys and gives their paths.
func (b *bench) make(ids ...string) []string {
	b.t.Helper()
	a := b.Post(b.office, records+"/new", url.Values{"product": {product}, "lines": {strings.Join(ids, "\n")}, "keys": {"on"}, "once": {site.Once()}})
	m := decode[made](b.t, a)
	paths := []string{}
	for _, id := range ids {
		i := slices.IndexFunc(m.Results, func(r struct {
			Line     int    `json:"line"`
			DeviceID string `json:"device_id"`
			Name     string `json:"name"`
			Result   string `json:"result"`
			Sentence string `json:"sentence"`
			Path     string `json:"path"`
		}) bool {
			return r.DeviceID == id && r.Result == "made"
		})
		if i < 0 {
			b.t.Fatalf("no record of %s was made: %d %s", id, a.Status, a.Body)
		}
		paths = append(paths, m.Results[i].Path)
	}
	return paths
}

// shown is a record on its page.
type shown struct {
	Record struct {
		ID         int64  `json:"id"`
		State      string `json:"state"`
		Expired    bool   `json:"expired"`
		Version    int64  `json:"version"`
		Name       string `json:"name"`
		Job        string `json:"job"`
		Customer   string `json:"customer"`
		UserID     int64  `json:"user_id"`
		AssignedTo int64  `json:"assigned_to"`
	} `json:"record"`
	History []struct {
		Kind     string `json:"kind"`
		Sentence string `json:"sentence"`
		By       string `json:"by"`
	} `json:"history"`
}

func (b *bench) show(path string) shown {
	b.t.Helper()
	return decode[shown](b.t, b.Get(b.office, path))
}

// act posts a form with the record's present version.
func (b *bench) act(who sdk.Identity, path, page string, form url.Values) moduletest.Answer {
	b.t.Helper()
	if form == nil {
		form = url.Values{}
	}
	form.Set("version", fmt.Sprint(b.show(path).Record.Version))
	return b.Post(who, path+page, form)
}

// key reads the key of a record's label.
func (b *bench) key(path string) string {
	b.t.Helper()
	var data struct {
		Labels []struct {
			Key  string `json:"key"`
			Path string `json:"path"`
		} `json:"labels"`
	}
	if err := b.Get(b.office, records+"/labels?record="+path[strings.LastIndex(path, "/")+1:]).Decode(&data); err != nil || len(data.Labels) != 1 {
		b.t.Fatalf("the labels of %s are %+v, %v", path, data, err)
	}
	return data.Labels[0].Key
}

// look opens the claim page with a key and gives what it says.
func (b *bench) look(who sdk.Identity, key string) string {
	b.t.Helper()
	return decode[struct {
		Outcome string `json:"outcome"`
	}](b.t, b.Get(who, "/customers/claim?key="+url.QueryEscape(key))).Outcome
}

func (b *bench) claim(who sdk.Identity, key string) moduletest.Answer {
	b.t.Helper()
	return b.Post(who, "/customers/claim", url.Values{"key": {key}, "claim": {"1"}})
}

// ownerOf tells whose a device is; 0 for nobody's.
func (b *bench) ownerOf(deviceID string) int64 {
	b.t.Helper()
	a, err := b.part.owners.OfDevice(b.t.Context(), deviceID)
	if err != nil && !fault.Is(err, fault.NotFound) {
		b.t.Fatal(err)
	}
	return a.UserID
}

// hear delivers the facts that the module has published itself.
func (b *bench) hear() {
	b.t.Helper()
	for _, name := range []string{"customers.device_detached", "customers.device_attached"} {
		for _, e := range b.Host.Events(name) {
			if err := b.part.Deliver(b.t.Context(), e); err != nil {
				b.t.Fatal(err)
			}
		}
	}
}

func decode[T any](t *testing.T, a moduletest.Answer) T {
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
		name := p.Template[strings.LastIndex(p.Template, "/")+1:]
		if ours := strings.HasPrefix(name, "record_") || strings.HasPrefix(name, "_record_") || strings.HasPrefix(name, "claim_") || strings.HasPrefix(name, "setup_"); p.Module == "customers" && ours {
			t.Error(p.Error())
		}
	}
}

func (b *bench) inOwnership(do func(tx *gorm.DB) error) {
	b.t.Helper()
	if err := b.part.db.Transaction(do); err != nil {
		b.t.Fatal(err)
	}
}

// knows opens somebody's page, as whoever attaches devices to them has.
func (b *bench) knows(who sdk.Identity) {
	b.t.Helper()
	if _, err := b.part.people.Get(b.t.Context(), who.UserID); err != nil {
		b.t.Fatal(err)
	}
}

// attach attaches a device on the pages of ownership.
func (b *bench) attach(who sdk.Identity, deviceID string) {
	b.knows(who)
	b.inOwnership(func(tx *gorm.DB) error {
		_, err := b.part.owners.AttachIn(tx, ownership.Attach{UserID: who.UserID, WorkspaceID: 1, ProductID: "10001", Product: "Garden lamp", DeviceID: deviceID})
		return err
	})
}

func (b *bench) detach(who sdk.Identity, deviceID string) {
	b.inOwnership(func(tx *gorm.DB) error {
		_, err := b.part.owners.DetachIn(tx, deviceID, who.UserID, history.Actor{})
		return err
	})
}

func (b *bench) transfer(deviceID string, from, to sdk.Identity) {
	b.knows(to)
	b.inOwnership(func(tx *gorm.DB) error {
		_, _, err := b.part.owners.TransferIn(tx, deviceID, from.UserID, to.UserID, history.Actor{})
		return err
	})
}

// chooseWay sets how devices of the product are owned from now on.
func (b *bench) chooseWay(way ownership.Way) {
	b.inOwnership(func(tx *gorm.DB) error {
		return tx.Table("customers_products").Create(map[string]any{"workspace_id": 1, "product_id": "10001", "name": "Garden lamp", "way": way, "version": 1, "client_id": "", "client_base_url": "", "client_problem": "", "changed_by": ""}).Error
	})
}
