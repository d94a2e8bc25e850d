package people

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"mortise/core/sdk"
)

// fill puts n customers into the list as the site could have told them.
func (b *bench) fill(t testing.TB, n int) {
	t.Helper()
	given := []string{"Ada", "Björn", "Chloé", "Dmitri", "Käthe", "Łukasz", "Mercedes", "Nguyễn", "Özlem", "Zoë"}
	family := []string{"Hansen", "Müller-Lüdenscheidt", "Çelik", "O'Neill", "Świętosławski", "van der Berg", "Donaudampfschifffahrt", "Garcia", "Ito", "Kovács"}
	random, now := rand.New(rand.NewPCG(1, 2)), b.clock.now()
	rows := make([]row, 0, n)
	for i := range n {
		name := fmt.Sprintf("%s %s %d", given[random.IntN(len(given))], family[random.IntN(len(family))], i)
		r := rowOf(account{ID: int64(1000 + i), Name: name, Email: fmt.Sprintf("person-%05d@customers-of-the-maker.example", n-i), Blocked: random.IntN(50) == 0,
			HasPassword: random.IntN(10) > 1, CreatedAt: now.Add(-time.Duration(random.IntN(1000)) * time.Hour)}, 1)
		if r.Registered {
			seen := now.Add(-time.Duration(random.IntN(400*24)) * time.Hour)
			r.LastSeenAt = &seen
			r.Devices, r.Linked = random.IntN(4), random.IntN(2)
		}
		rows = append(rows, r)
	}
	if err := b.people.store.put(b.db.WithContext(t.Context()), rows); err != nil {
		t.Fatal(err)
	}
}

func TestList_SearchesFiltersSortsAndPages(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	anna := b.customer(t, "Anna Müller", "anna@example.com")
	bert := b.customer(t, "Bert Ärmel", "zz@example.org")
	carl := b.customer(t, "Carl", "carl@example.org")
	seen := b.clock.now().Add(-40 * 24 * time.Hour)
	for id, fields := range map[int64]map[string]any{
		anna.ID: {"registered": true, "devices": 2, "last_seen_at": seen},
		bert.ID: {"registered": true, "linked": 1, "last_seen_at": b.clock.now()},
		carl.ID: {"blocked": true, "devices": 1},
	} {
		if err := b.db.Model(&row{}).Where("user_id = ?", id).Updates(fields).Error; err != nil {
			t.Fatal(err)
		}
	}
	b.people.glance.Store(b.clock.now().Unix()) // the site knows nothing of what was written above
	for query, want := range map[string]string{
		"":                             "Anna Müller, Bert Ärmel, Carl",
		"?q=muller":                    "Anna Müller",
		"?q=MÜLLER+anna":               "Anna Müller",
		"?q=example.org":               "Bert Ärmel, Carl",
		"?q=%25":                       "",
		"?q=nobody":                    "",
		"?state=devices":               "Anna Müller",
		"?state=linked":                "Bert Ärmel",
		"?state=blocked":               "Carl",
		"?state=nonsense":              "Anna Müller, Bert Ärmel, Carl",
		"?blocked=no":                  "Anna Müller, Bert Ärmel",
		"?blocked=yes":                 "Carl",
		"?unseen=30":                   "Anna Müller, Carl",
		"?unseen=90":                   "Carl",
		"?unseen=never":                "Carl",
		"?unseen=30&state=devices":     "Anna Müller",
		"?sort=-name":                  "Carl, Bert Ärmel, Anna Müller",
		"?sort=email":                  "Anna Müller, Carl, Bert Ärmel",
		"?sort=-seen":                  "Bert Ärmel, Anna Müller, Carl",
		"?sort=-devices":               "Anna Müller, Carl, Bert Ärmel",
		"?sort=created":                "Anna Müller, Bert Ärmel, Carl",
		"?sort=email;drop":             "Anna Müller, Bert Ärmel, Carl",
		"?page=99":                     "Anna Müller, Bert Ärmel, Carl",
		"?page=-1&size=7":              "Anna Müller, Bert Ärmel, Carl",
		"?q=" + url.QueryEscape("'\""): "",
	} {
		if got := strings.Join(names(b.list(t, query).People), ", "); got != want {
			t.Errorf("%s lists %q, want %q", query, got, want)
		}
	}
	data := b.list(t, "?q=example&state=devices")
	if data.All != 3 || data.Total != 1 || !slices.Contains(data.Counts, stateCount{StateLinked, 1}) || data.Export != "/admin/customers/export?q=example&state=devices" {
		t.Errorf("%+v", data)
	}
}

func TestList_PagesThroughAll(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.fill(t, 130)
	seen := map[string]bool{}
	for page := 1; page <= 3; page++ {
		data := b.list(t, fmt.Sprintf("?size=50&page=%d&sort=-created", page))
		for _, n := range names(data.People) {
			seen[n] = true
		}
	}
	if len(seen) != 130 {
		t.Errorf("%d of 130 customers were on the pages", len(seen))
	}
	if data := b.list(t, "?size=50&page=99"); data.Page != 3 || len(data.People) != 30 {
		t.Errorf("page %d with %d customers", data.Page, len(data.People))
	}
}

func TestList_ShowsWhoHasJustRegisteredWithoutAFact(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	nina := b.Person("Nina", "nina@example.com") // the fact comes later
	if got := names(b.list(t, "").People); !slices.Equal(got, []string{"Nina"}) {
		t.Errorf("%q", got)
	}
	b.DeliverFacts()
	if said := b.sentences(t, nina.UserID); !slices.Equal(said, []string{": The account was made."}) {
		t.Errorf("%q", said)
	}
}

func TestList_TeachesTheFirstStep(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if data := b.list(t, ""); data.All != 0 || data.People == nil {
		t.Errorf("%+v", data)
	}
}

func TestPages_RefuseWhoMayNot(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.customer(t, "Carla", "carla@example.com")
	b.Post(b.ada, p.pathOf()+"/notes", once("text", "Of Ada"))
	a := b.Post(b.ada, root+"/import", once("text", "x@example.com"))
	b.people.background.Wait()
	b.DeliverFacts()
	carla := sdk.Identity{UserID: p.ID, Name: "Carla", Roles: []string{"customer"}, Permissions: []string{"customers.own"}}
	view := []string{root, p.pathOf()}
	manage := []string{root + "/new", root + "/import", root + "/export", a.Location, a.Location + "/report", p.pathOf() + "/notes/1", p.pathOf() + "/block", p.pathOf() + "/delete"}
	posts := []string{root + "/new", root + "/import", a.Location, p.pathOf() + "/notes", p.pathOf() + "/notes/1", p.pathOf() + "/invite", p.pathOf() + "/block", p.pathOf() + "/delete"}
	all := once("name", "X", "email", "new@example.com", "text", "y@example.com", "do", "block", "version", "0", "confirm", "carla@example.com")
	for _, path := range slices.Concat(view, manage) {
		if got := b.Get(sdk.Identity{}, path).Status; got != http.StatusUnauthorized {
			t.Errorf("nobody gets %s: %d", path, got)
		}
		if got := b.Get(carla, path).Status; got != http.StatusForbidden {
			t.Errorf("a customer gets %s: %d", path, got)
		}
		if got := b.Get(b.ada, path).Status; got != http.StatusOK {
			t.Errorf("Ada gets %s: %d", path, got)
		}
	}
	for _, path := range manage {
		if got := b.Get(b.staff, path).Status; got != http.StatusForbidden {
			t.Errorf("who may only look gets %s: %d", path, got)
		}
	}
	for _, path := range posts {
		for who, status := range map[*sdk.Identity]int{{}: http.StatusUnauthorized, &carla: http.StatusForbidden, &b.staff: http.StatusForbidden} {
			if got := b.Post(*who, path, all).Status; got != status {
				t.Errorf("%q posts %s: %d", who.Name, path, got)
			}
		}
	}
	if facts := b.Facts(); len(facts) != 0 {
		t.Errorf("the site changed: %+v", facts)
	}
	b.people.background.Wait()
	if mails := b.Notices(); len(mails) > 0 {
		t.Errorf("mails: %+v", mails)
	}
}

func TestPages_ForgedNumbersAreNotFoundAndChangeNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.customer(t, "Carla", "carla@example.com")
	other := b.customer(t, "Dora", "dora@example.com")
	b.Post(b.ada, other.pathOf()+"/notes", once("text", "About Dora"))
	b.DeliverFacts()
	staffPath := PathOf(b.staff.UserID)
	for _, base := range []string{PathOf(999), root + "/people/0", root + "/people/-1", root + "/people/1x", root + "/people/99999999999999999999", staffPath} {
		for _, path := range []string{"", "/block", "/delete", "/notes/1"} {
			if got := b.Get(b.ada, base+path).Status; got != http.StatusNotFound {
				t.Errorf("get %s%s: %d", base, path, got)
			}
		}
		for _, path := range []string{"/block", "/delete", "/invite", "/notes", "/notes/1"} {
			form := once("do", "block", "version", "0", "confirm", "sam@maker.example", "text", "x")
			if got := b.Post(b.ada, base+path, form).Status; got != http.StatusNotFound {
				t.Errorf("post %s%s: %d", base, path, got)
			}
		}
	}
	if got := b.Get(b.ada, p.pathOf()+"/notes/1").Status; got != http.StatusNotFound {
		t.Errorf("a note about somebody else: %d", got)
	}
	if got := b.Post(b.ada, p.pathOf()+"/notes/1", form("do", "delete", "version", "1")).Status; got != http.StatusNotFound {
		t.Errorf("deleting a note about somebody else: %d", got)
	}
	if got := b.Get(b.ada, root+"/imports/7").Status; got != http.StatusNotFound {
		t.Errorf("an import that is not there: %d", got)
	}
	if facts := b.Facts(); len(facts) != 0 {
		t.Errorf("the site changed: %+v", facts)
	}
}

func BenchmarkList(b *testing.B) {
	s := newBench(b)
	s.fill(b, 10_000)
	s.people.glance.Store(s.clock.now().Add(time.Hour).Unix())
	for name, query := range map[string]string{"first": "", "last": "?page=400", "size-100": "?size=100&page=50", "search": "?q=muller+anna", "search-many": "?q=customers",
		"state": "?state=devices&sort=-seen", "unseen": "?unseen=90&sort=email", "devices": "?sort=-devices&page=200"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if a := s.Get(s.ada, root+query); a.Status != http.StatusOK {
					b.Fatal(a.Status, a.Body)
				}
			}
		})
	}
}
