package people

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"mortise/core/fault"
	"mortise/core/identity"
	"mortise/plugins/customers/history"
	"mortise/plugins/customers/site"
	"mortise/plugins/internal/moduletest"
)

type addData struct {
	Form    addForm `json:"form"`
	Taken   *taken  `json:"taken"`
	Problem string  `json:"problem"`
}

func TestAdd_InvitesByMail(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if d := decoded[addData](t, b.Get(b.ada, root+"/new?name=Nina&email=nina@example.com")); d.Form.Name != "Nina" || d.Form.Email != "nina@example.com" || !d.Form.Invite {
		t.Errorf("%+v", d)
	}
	f := once("name", "Nina", "email", "Nina@Example.com", "invite", "on", "note", "From the fair")
	a := b.Post(b.ada, root+"/new", f)
	if a.Status != http.StatusSeeOther || !strings.HasPrefix(a.Flash, "good Nina was invited") {
		t.Fatalf("%d %q %s", a.Status, a.Flash, a.Body)
	}
	moduletest.Eventually(t, "the mail", func() bool { return len(b.Notices()) == 1 })
	if n := b.Notices()[0]; n.Kind != identity.NoticeInvite || n.To != "nina@example.com" {
		t.Errorf("%+v", n)
	}
	again := b.Post(b.ada, root+"/new", f)
	if again.Location != a.Location || !strings.Contains(again.Flash, "came twice") {
		t.Errorf("the same form again: %q %q", again.Location, again.Flash)
	}
	b.DeliverFacts() // after the page; nothing is told twice
	p, err := b.people.ByEmail(t.Context(), "nina@example.com")
	if err != nil || p.State != StateInvited || a.Location != p.pathOf() {
		t.Fatalf("%+v, %v", p, err)
	}
	if said := b.sentences(t, p.ID); !slices.Equal(said, []string{"Ada: The account was made.", "Ada: An invitation was mailed.", "Ada: Wrote a note."}) {
		t.Errorf("%q", said)
	}
	if mails := b.Notices(); len(mails) != 1 {
		t.Errorf("%d mails", len(mails))
	}
}

func TestAdd_TellsWhoDidItAlsoWhenTheFactComesFirst(t *testing.T) {
	t.Parallel()
	b, host := newBetween(t)
	host.set(func(method string) {
		if method == "invite" {
			b.DeliverFacts()
		}
	})
	a := b.Post(b.ada, root+"/new", once("name", "Nina", "email", "nina@example.com", "invite", "on"))
	p, err := b.people.ByEmail(t.Context(), "nina@example.com")
	if err != nil || a.Location != p.pathOf() {
		t.Fatal(p, err)
	}
	if said := b.sentences(t, p.ID); !slices.Equal(said, []string{"Ada: The account was made.", "Ada: An invitation was mailed."}) {
		t.Errorf("%q", said)
	}
}

func TestAdd_SaysWhoHasTheAddress(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.customer(t, "Nina", "nina@example.com")
	b.DeliverFacts()
	a := b.Post(b.ada, root+"/new", once("name", "N.", "email", "NINA@example.com", "invite", "on", "note", "kept"))
	d := decoded[addData](t, a)
	if a.Status != http.StatusConflict || d.Taken == nil || d.Taken.Name != "Nina" || d.Taken.Path != p.pathOf() || !d.Taken.MayJoin || d.Form.Note != "kept" || d.Form.Name != "N." {
		t.Errorf("%d %+v", a.Status, d)
	}
	a = b.Post(b.ada, root+"/new", once("name", "S.", "email", "sam@maker.example", "invite", "on"))
	if d := decoded[addData](t, a); a.Status != http.StatusConflict || !strings.Contains(d.Problem, "staff") || d.Form.Email != "sam@maker.example" {
		t.Errorf("%d %+v", a.Status, d)
	}
	if facts := b.Facts(); len(facts) != 0 {
		t.Errorf("the site changed: %+v", facts)
	}
}

func TestAdd_KeepsWhatWasTypedWhenItIsWrong(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	long := strings.Repeat("a", 64) + "@" + strings.Repeat(strings.Repeat("b", 61)+".", 3) + "de"
	for name, tc := range map[string]struct{ name, email, field string }{
		"no address":      {"Nina", "nina", "email"},
		"too long":        {"Nina", long + "xxx", "email"},
		"no name":         {"", "nina@example.com", "name"},
		"a name too long": {strings.Repeat("ü", 101), "nina@example.com", "name"},
	} {
		a := b.Post(b.ada, root+"/new", once("name", tc.name, "email", tc.email))
		d := decoded[addData](t, a)
		if a.Status != http.StatusUnprocessableEntity || a.View.FieldErrors[tc.field] == "" || d.Form.Email != tc.email {
			t.Errorf("%s: %d %+v %+v", name, a.Status, a.View.FieldErrors, d)
		}
	}
	long = long[:251] + "org" // 254 characters
	a := b.Post(b.ada, root+"/new", once("name", "دعاء", "email", long))
	if p, err := b.people.ByEmail(t.Context(), long); len(long) != 254 || err != nil || p.Name != "دعاء" {
		t.Errorf("%d %+v %v, %s", len(long), p, err, a.Body)
	}
	if a := b.Post(b.ada, root+"/new", form("name", "X", "email", "x@example.com")); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("a form without its word: %d", a.Status)
	}
}

func TestResend_MailsOnceAndOnlyWhoHasNoPassword(t *testing.T) {
	t.Parallel()
	b, host := newBetween(t)
	p := b.customer(t, "Nina", "nina@example.com")
	f := once()
	for range 2 {
		if a := b.Post(b.ada, p.pathOf()+"/invite", f); a.Status != http.StatusSeeOther {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	}
	b.DeliverFacts()
	if n := host.count("resend"); n != 1 {
		t.Errorf("asked %d times", n)
	}
	if p := b.now(t, p.ID); p.State != StateInvited {
		t.Errorf("%+v", p)
	}
	if said := b.sentences(t, p.ID); !slices.Equal(said, []string{": The account was made.", "Ada: An invitation was mailed."}) {
		t.Errorf("%q", said)
	}
	host.failWith("resend", fault.New(fault.TooMany, "the module customers has sent too many mails"))
	if a := b.Post(b.ada, p.pathOf()+"/invite", once()); a.Status != http.StatusSeeOther || !strings.HasPrefix(a.Flash, "warn Too many mails") {
		t.Errorf("%d %q", a.Status, a.Flash)
	}
	host.failWith("", nil)
	b.Post(b.ada, p.pathOf()+"/block", form("do", "block", "version", "0"))
	if a := b.Post(b.ada, p.pathOf()+"/invite", once()); !strings.HasPrefix(a.Flash, "warn No mail was sent: This person is blocked") {
		t.Errorf("%d %q", a.Status, a.Flash)
	}
}

func TestResend_OfTwoSameFormsAtOnceOneMails(t *testing.T) {
	t.Parallel()
	b, host := newBetween(t)
	p := b.customer(t, "Nina", "nina@example.com")
	f := once()
	var inner moduletest.Answer
	var one atomic.Bool
	host.set(func(method string) {
		if method == "resend" && one.CompareAndSwap(false, true) { // the mail is not known to be on its way yet
			inner = b.Post(b.ada, p.pathOf()+"/invite", f)
		}
	})
	if a := b.Post(b.ada, p.pathOf()+"/invite", f); !strings.HasPrefix(a.Flash, "good ") || !strings.HasPrefix(inner.Flash, "info ") || host.count("resend") != 1 {
		t.Errorf("%q and %q, asked %d times", a.Flash, inner.Flash, host.count("resend"))
	}
	f = once()
	host.failWith("resend", fault.New(fault.TooMany, "the module customers has sent too many mails"))
	b.Post(b.ada, p.pathOf()+"/invite", f)
	host.failWith("", nil)
	if a := b.Post(b.ada, p.pathOf()+"/invite", f); !strings.HasPrefix(a.Flash, "good ") {
		t.Errorf("sent again after it failed: %d %q", a.Status, a.Flash)
	}
}

func TestBlock_ByTwoAdministrators(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.customer(t, "Nina", "nina@example.com")
	if a := b.Post(b.ada, p.pathOf()+"/block", form("do", "block", "version", "0")); a.Status != http.StatusSeeOther || !b.now(t, p.ID).Blocked {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	b.DeliverFacts()
	if a := b.Post(b.ada, p.pathOf()+"/block", form("do", "block", "version", "0")); a.Status != http.StatusSeeOther || !strings.HasPrefix(a.Flash, "info ") {
		t.Errorf("blocked twice: %d %q", a.Status, a.Flash)
	}
	a := b.Post(b.ada, p.pathOf()+"/block", form("do", "unblock", "version", "0")) // as it was before the other blocked
	if d := decoded[struct{ Conflict bool }](t, a); a.Status != http.StatusConflict || !d.Conflict || !b.now(t, p.ID).Blocked {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := b.Post(b.ada, p.pathOf()+"/block", form("do", "unblock", "version", "1")); a.Status != http.StatusSeeOther || b.now(t, p.ID).Blocked {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	b.DeliverFacts()
	if said := b.sentences(t, p.ID); !slices.Equal(said, []string{": The account was made.", "Ada: The account was blocked.", "Ada: The account was unblocked."}) {
		t.Errorf("%q", said)
	}
	if _, err := b.People.Block(t.Context(), identity.System, p.ID); err != nil { // elsewhere
		t.Fatal(err)
	}
	b.DeliverFacts()
	if said := b.sentences(t, p.ID); said[len(said)-1] != ": The account was blocked." {
		t.Errorf("%q", said)
	}
}

func TestDelete_WithTheTypedAddressAndTheVersionThatWasSeen(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.customer(t, "Nina", "nina@example.com")
	path := p.pathOf() + "/delete"
	if d := decoded[struct{ Follows []string }](t, b.Get(b.ada, path)); !slices.Equal(d.Follows, []string{"3 devices are detached."}) {
		t.Errorf("%+v", d)
	}
	if a := b.Post(b.ada, path, once("confirm", "nina", "version", "0")); a.Status != http.StatusUnprocessableEntity || a.View.FieldErrors["confirm"] == "" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := b.Post(b.ada, path, once("confirm", "nina@example.com", "version", "7")); a.Status != http.StatusConflict {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	b.now(t, p.ID)
	f := once("confirm", " Nina@example.com ", "version", "0")
	for range 2 {
		if a := b.Post(b.ada, path, f); a.Status != http.StatusSeeOther || a.Location != root {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	}
	if _, err := b.People.User(t.Context(), p.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("the account: %v", err)
	}
	if !slices.Equal(b.owner.forgotten, []int64{p.ID}) {
		t.Errorf("forgotten: %v", b.owner.forgotten)
	}
	b.DeliverFacts()
	if a := b.Get(b.ada, p.pathOf()); a.Status != http.StatusNotFound {
		t.Errorf("%d", a.Status)
	}
}

func TestDelete_AModuleMayRefuse(t *testing.T) {
	t.Parallel()
	b, host := newBetween(t)
	p := b.customer(t, "Nina", "nina@example.com")
	host.failWith("delete", fault.New(fault.Conflict, "A repair is under way."))
	a := b.Post(b.ada, p.pathOf()+"/delete", once("confirm", "nina@example.com", "version", "0"))
	if d := decoded[struct{ Problem string }](t, a); a.Status != http.StatusConflict || d.Problem != "A repair is under way." {
		t.Errorf("%d %+v", a.Status, d)
	}
	b.now(t, p.ID)
	if len(b.owner.forgotten) > 0 {
		t.Error("the devices were detached")
	}
}

type personData struct {
	Person  PersonView `json:"person"`
	Notes   []noteView `json:"notes"`
	Older   int64      `json:"older"`
	History []struct {
		ID int64 `json:"id"`
	} `json:"history"`
}

func TestNotes_OfAColleagueWhoIsGoneNameNobodyAndCanBeDeleted(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	eve := b.colleague(t, "Eve", "eve@maker.example", "customers.view", "customers.manage")
	p := b.customer(t, "Nina", "nina@example.com")
	b.Post(eve, p.pathOf()+"/notes", once("text", "likes red"))
	if err := b.People.Delete(t.Context(), identity.System, eve.UserID); err != nil {
		t.Fatal(err)
	}
	b.DeliverFacts()
	a := b.Get(b.ada, p.pathOf())
	d := decoded[personData](t, a)
	if len(d.Notes) != 1 || d.Notes[0].ByName != "a former colleague" || !d.Notes[0].Own {
		t.Fatalf("%+v", d.Notes)
	}
	if a := b.Post(b.ada, d.Notes[0].Path, form("do", "delete", "version", "1")); a.Status != http.StatusSeeOther {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

func TestNotes_NoneIsWrittenAboutSomebodyWhoWasErasedMeanwhile(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.customer(t, "Nina", "nina@example.com")
	if err := b.module.people.Forget(t.Context(), p.ID); err != nil {
		t.Fatal(err)
	}
	err := b.module.people.store.addNote(t.Context(), note{UserID: p.ID, Text: "late", Once: site.Once(), At: b.module.clock.now()}, history.Actor{ID: 1, Name: "Ada"})
	if !fault.Is(err, fault.NotFound) {
		t.Errorf("a page that was open: %v", err)
	}
	late := note{UserID: p.ID, Text: "late", Once: "import/1/1", At: b.module.clock.now()}
	told := history.Entry{UserID: p.ID, Kind: kindNote, Sentence: "Wrote a note, by an import."}
	if err := b.module.people.store.answered(t.Context(), []importLine{{ID: 1, ImportID: 1, Number: 1}}, []note{late}, []history.Entry{told}); err != nil {
		t.Fatal(err)
	}
	var left int64
	if err := b.module.db.Raw("SELECT (SELECT count(*) FROM customers_notes) + (SELECT count(*) FROM customers_history WHERE kind = 'note')").Scan(&left).Error; err != nil || left != 0 {
		t.Errorf("%d rows, %v", left, err)
	}
}

func TestNotes_AreWrittenOnceAndDeletedByTheirAuthorAlone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	eve := b.colleague(t, "Eve", "eve@maker.example", "customers.view", "customers.manage")
	p := b.customer(t, "Nina", "nina@example.com")
	f := once("text", "  <script>alert(1)</script>\r\nsecond line ")
	for range 2 {
		if a := b.Post(b.ada, p.pathOf()+"/notes", f); a.Status != http.StatusSeeOther {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	}
	d := decoded[personData](t, b.Get(b.ada, p.pathOf()))
	if len(d.Notes) != 1 || d.Notes[0].Text != "<script>alert(1)</script>\nsecond line" || len(d.Notes[0].Lines) != 2 || !d.Notes[0].Own {
		t.Fatalf("%+v", d.Notes)
	}
	for text, want := range map[string]int{" \n ": http.StatusUnprocessableEntity, strings.Repeat("ä", mostNote+1): http.StatusUnprocessableEntity, strings.Repeat("ä", mostNote): http.StatusSeeOther} {
		if a := b.Post(b.ada, p.pathOf()+"/notes", once("text", text)); a.Status != want {
			t.Errorf("%d characters: %d", len([]rune(text)), a.Status)
		}
	}
	path := d.Notes[0].Path
	if a := b.Post(eve, path, form("do", "delete", "version", "1")); a.Status != http.StatusForbidden {
		t.Errorf("Eve deletes Ada's note: %d", a.Status)
	}
	if a := b.Post(eve, path, form("do", "save", "version", "1", "text", "Eve's words")); a.Status != http.StatusSeeOther {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	a := b.Post(b.ada, path, form("do", "save", "version", "1", "text", "Ada's words"))
	c := decoded[struct {
		Note     noteView
		Text     string
		Conflict bool
	}](t, a)
	if a.Status != http.StatusConflict || !c.Conflict || c.Note.Text != "Eve's words" || c.Note.ChangedBy != "Eve" || c.Text != "Ada's words" || c.Note.Version != 2 {
		t.Errorf("%d %+v", a.Status, c)
	}
	if a := b.Post(b.ada, path, form("do", "delete", "version", "1")); a.Status != http.StatusConflict {
		t.Errorf("deleting what was changed since: %d", a.Status)
	}
	if a := b.Post(b.ada, path, form("do", "delete", "version", "2")); a.Status != http.StatusSeeOther {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := b.Post(b.ada, path, form("do", "delete", "version", "2")); a.Status != http.StatusNotFound {
		t.Errorf("deleted twice: %d", a.Status)
	}
}

func TestPerson_PagesThroughTheHistory(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.customer(t, "Nina", "nina@example.com")
	for i := range 2 * historyPage {
		if a := b.Post(b.ada, p.pathOf()+"/notes", once("text", fmt.Sprint(i))); a.Status != http.StatusSeeOther {
			t.Fatal(a.Body)
		}
	}
	seen, path := 0, p.pathOf()
	for range 5 {
		d := decoded[personData](t, b.Get(b.ada, path))
		if seen += len(d.History); d.Older == 0 {
			break
		}
		path = fmt.Sprintf("%s?before=%d", p.pathOf(), d.Older)
	}
	if seen != 2*historyPage+1 {
		t.Errorf("%d entries on the pages", seen)
	}
}

func TestPerson_IsShownAsTheSiteKnowsThemNowAndWhenTheSiteIsBusy(t *testing.T) {
	t.Parallel()
	b, host := newBetween(t)
	p := b.customer(t, "Nina", "nina@example.com")
	if _, err := b.People.Block(t.Context(), identity.System, p.ID); err != nil {
		t.Fatal(err)
	}
	if d := decoded[personData](t, b.Get(b.ada, p.pathOf())); d.Person.State != StateBlocked {
		t.Errorf("%+v", d.Person)
	}
	host.failWith("get", fault.New(fault.Unavailable, "the site is busy"))
	if d := decoded[personData](t, b.Get(b.ada, p.pathOf())); d.Person.Name != "Nina" {
		t.Errorf("%+v", d.Person)
	}
}

func TestAdd_RefusesWhoWasBlockedMeanwhile(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if _, err := b.People.Block(t.Context(), identity.System, b.ada.UserID); err != nil {
		t.Fatal(err)
	}
	if a := b.Post(b.ada, root+"/new", once("name", "X", "email", "x@example.com")); a.Status != http.StatusUnauthorized {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}
