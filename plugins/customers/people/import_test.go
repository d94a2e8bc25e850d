package people

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"testing"

	"mortise/core/fault"
	"mortise/core/identity"
	"mortise/plugins/customers/history"
	"mortise/plugins/internal/moduletest"
)

type importData struct {
	Import importView    `json:"import"`
	Counts []resultCount `json:"counts"`
	Lines  []lineView    `json:"lines"`
	Open   int64         `json:"open"`
	Total  int64         `json:"total"`
}

// start sends the form and waits until what can be done at once is done.
func (b *bench) start(t testing.TB, pairs ...string) string {
	t.Helper()
	a := b.Post(b.ada, root+"/import", once(pairs...))
	if a.Status != http.StatusSeeOther {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	b.people.background.Wait()
	return a.Location
}

func (b *bench) progress(t testing.TB, path string) importData {
	t.Helper()
	return decoded[importData](t, b.Get(b.ada, path))
}

func (d importData) count(result string) int64 {
	for _, c := range d.Counts {
		if c.Result == result {
			return c.N
		}
	}
	return 0
}

func TestImport_ABadLineNeverStopsTheRest(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	there := b.customer(t, "There", "there@example.com")
	blocked := b.customer(t, "Blocked", "blocked@example.com")
	if _, err := b.People.Block(t.Context(), identity.System, blocked.ID); err != nil {
		t.Fatal(err)
	}
	path := b.start(t, "text", strings.Join([]string{
		"e-mail;name;invite;note",
		"new@example.com;Nora Neu;yes;Likes green",
		"silent@example.com;Silent;no;",
		"there@example.com;Somebody;no;Known since 1990",
		"there2@ex ample.com;X;;",
		"nobody",
		"new@example.com;Again;;",
		"sam@maker.example;Sam;yes;",
		"sam2..x@maker.example;Sam;no;",
		"blocked@example.com;B;yes;",
		"last@example.com;Käthe;;",
	}, "\r\n"), "invite", "on")
	d := b.progress(t, path)
	var results []string
	for _, l := range d.Lines {
		results = append(results, fmt.Sprintf("%d %s", l.Number, l.Result))
	}
	if want := []string{"5 invalid", "6 invalid", "7 duplicate", "8 staff", "9 invalid", "10 blocked", "2 invited", "3 created", "4 present", "11 invited"}; !slices.Equal(results, want) {
		t.Errorf("%q", results)
	}
	if d.Import.State != importDone || d.Open != 0 || d.count("invalid") != 3 {
		t.Errorf("%+v", d)
	}
	moduletest.Eventually(t, "the mails", func() bool { return len(b.Notices()) == 2 })
	nora, err := b.people.ByEmail(t.Context(), "new@example.com")
	if err != nil || nora.State != StateInvited || nora.Name != "Nora Neu" { // before any fact
		t.Fatalf("%+v, %v", nora, err)
	}
	b.DeliverFacts()
	if said := b.sentences(t, nora.ID); !slices.Equal(said, []string{"Ada: The account was made.", "Ada: An invitation was mailed.", "Ada: Wrote a note, by an import."}) {
		t.Errorf("%q", said)
	}
	if p := b.now(t, there.ID); p.Name != "There" {
		t.Errorf("somebody who was there was renamed: %+v", p)
	}
	if notes, err := b.people.store.notes(t.Context(), there.ID); err != nil || len(notes) != 1 {
		t.Errorf("%+v, %v", notes, err)
	}
	if d := b.progress(t, path+"?result=invalid"); d.Total != 3 || len(d.Lines) != 3 {
		t.Errorf("%+v", d)
	}
}

func TestImport_TheSameFormTwiceIsOneImport(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := once("text", "a@example.com,A,no,Hello")
	first := b.Post(b.ada, root+"/import", f)
	b.people.background.Wait()
	second := b.Post(b.ada, root+"/import", f)
	b.people.background.Wait()
	if first.Location == "" || first.Location != second.Location {
		t.Errorf("%q and %q", first.Location, second.Location)
	}
	if list, err := b.people.store.uploads(t.Context(), 10); err != nil || len(list) != 1 {
		t.Errorf("%d imports, %v", len(list), err)
	}
	path := b.start(t, "text", "a@example.com,A,no,Hello") // another form with the same line
	if d := b.progress(t, path); d.count(linePresent) != 1 {
		t.Errorf("%+v", d)
	}
	if p, err := b.people.ByEmail(t.Context(), "a@example.com"); err != nil {
		t.Error(err)
	} else if notes, err := b.people.store.notes(t.Context(), p.ID); err != nil || len(notes) != 1 {
		t.Errorf("%d notes, %v", len(notes), err)
	}
}

func TestImport_TakesAFile(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	_ = w.WriteField("once", once().Get("once"))
	part, err := w.CreateFormFile("file", "Kundenliste März.csv")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(part, "Name;E-Mail\r\nK\xe4the;kaethe@example.com\r\n")
	_ = w.Close()
	req := b.Request(b.ada, http.MethodPost, root+"/import", nil, "text/html")
	req.Body, req.ContentLength = io.NopCloser(&body), int64(body.Len())
	req.Header.Set("Content-Type", w.FormDataContentType())
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	b.people.background.Wait()
	d := b.progress(t, res.Header.Get("Location"))
	if d.Import.File != "Kundenliste März.csv" || len(d.Lines) != 1 || d.Lines[0].Name != "Käthe" || d.Lines[0].Result != lineCreated {
		t.Errorf("%d %+v", res.StatusCode, d)
	}
}

func TestImport_KeepsWhatWasTypedWhenNothingCanBeRead(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := b.Post(b.ada, root+"/import", once("text", "e-mail;name"))
	d := decoded[struct{ Text string }](t, a)
	if a.Status != http.StatusUnprocessableEntity || a.View.FieldErrors["text"] == "" || d.Text != "e-mail;name" {
		t.Errorf("%d %+v %+v", a.Status, a.View.FieldErrors, d)
	}
	if a := b.Post(b.ada, root+"/import", once("text", strings.Repeat("a@b\n", mostLines+1))); a.Status != http.StatusRequestEntityTooLarge {
		t.Errorf("%d", a.Status)
	}
	if a := b.Post(b.ada, root+"/import", form("text", "a@b")); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("a form without its word: %d", a.Status)
	}
}

func TestImport_AThousandLines(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var file strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&file, "person%d@example.com,Person %d,no,Number %d\n", i, i, i)
	}
	d := b.progress(t, b.start(t, "text", file.String()))
	if d.Import.State != importDone || d.count(lineCreated) != 1000 || len(d.Lines) != linesOnPage {
		t.Errorf("%+v", d.Counts)
	}
	if data := b.list(t, ""); data.All != 1000 {
		t.Errorf("%d customers", data.All)
	}
}

func TestImport_GoesOnWhereItWasKilled(t *testing.T) {
	t.Parallel()
	b, host := newBetween(t)
	var file strings.Builder
	for i := range 120 {
		fmt.Fprintf(&file, "person%d@example.com,Person %d\n", i, i)
	}
	host.failWith("create", fault.New(fault.Unavailable, "the site is busy"))
	path := b.start(t, "text", file.String())
	if d := b.progress(t, path); d.Open != 120 || d.Import.State != importRunning {
		t.Fatalf("%+v", d.Counts)
	}
	host.failWith("", nil)
	n := 0
	host.set(func(method string) {
		if method == "create" {
			if n++; n == 70 {
				panic("killed") // the account is made, and nothing of it is written here
			}
		}
	})
	func() {
		defer func() { _ = recover() }()
		_ = b.people.Import(t.Context())
	}()
	host.set(nil)
	if d := b.progress(t, path); d.Open != 70 {
		t.Fatalf("%d lines are open", d.Open)
	}
	again := New(b.people.site) // the next process
	if err := again.Directory.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if mine, err := again.Run(t.Context(), "import"); err != nil || !mine {
		t.Fatal(err)
	}
	d := b.progress(t, path)
	if d.Import.State != importDone || d.count(lineCreated) != 120 { // also those of before the kill
		t.Errorf("%+v", d.Counts)
	}
	if data := b.list(t, ""); data.All != 120 {
		t.Errorf("%d customers", data.All)
	}
}

func TestImport_GoesOnWhenMailsMayBeSentAgain(t *testing.T) {
	t.Parallel()
	b, host := newBetween(t)
	host.failWith("invite", fault.New(fault.TooMany, "the module customers has sent too many mails"))
	path := b.start(t, "invite", "on", "text", "a@example.com,A\nb@example.com,B,no\nc@example.com,C\nd@example.com,D,no")
	d := b.progress(t, path)
	if d.count(lineMail) != 2 || d.count(lineCreated) != 2 || d.Import.State != importRunning || d.Import.Waiting == "" || d.Open != 2 {
		t.Fatalf("%+v", d)
	}
	if n := host.count("invite"); n != 1 {
		t.Errorf("asked %d times in vain", n)
	}
	host.failWith("", nil)
	b.run(t, "import")
	d = b.progress(t, path)
	if d.count(lineInvited) != 2 || d.Import.State != importDone || d.Import.Waiting != "" {
		t.Errorf("%+v", d)
	}
}

func TestImport_SendsAsManyInvitationsAsTheSiteAllows(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var file strings.Builder
	for i := range 150 {
		fmt.Fprintf(&file, "person%d@example.com,Person %d\n", i, i)
	}
	d := b.progress(t, b.start(t, "invite", "on", "text", file.String()))
	if n := d.count(lineInvited); n < 100 || d.count(lineInvited)+d.count(lineMail) != 150 || d.count(lineMail) == 0 {
		t.Errorf("%+v", d.Counts)
	}
}

func TestImport_IsStoppedAndGoesOn(t *testing.T) {
	t.Parallel()
	b, host := newBetween(t)
	host.failWith("create", fault.New(fault.Unavailable, "the site is busy"))
	path := b.start(t, "text", "a@example.com\nb@example.com")
	host.failWith("", nil)
	if a := b.Post(b.ada, path, form("do", "stop")); a.Status != http.StatusSeeOther {
		t.Fatal(a.Body)
	}
	b.run(t, "import")
	if d := b.progress(t, path); d.Import.State != importStopped || d.Open != 2 {
		t.Errorf("%+v", d)
	}
	b.Post(b.ada, path, form("do", "go"))
	b.people.background.Wait()
	if d := b.progress(t, path); d.Import.State != importDone || d.count(lineCreated) != 2 {
		t.Errorf("%+v", d)
	}
	if a := b.Post(b.ada, path, form("do", "stop")); !strings.HasPrefix(a.Flash, "info ") {
		t.Errorf("%q", a.Flash)
	}
}

func readCSV(t *testing.T, a moduletest.Answer) [][]string {
	t.Helper()
	text, ok := strings.CutPrefix(a.Body, "\uFEFF")
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || !ok || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/csv") || !strings.HasPrefix(a.Header.Get("Content-Disposition"), "attachment") {
		t.Fatalf("%d %v %v: %s", a.Status, a.Header, err, a.Body)
	}
	return rows
}

func TestReport_HasEveryLine(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.start(t, "text", "a@example.com,=cmd()\nnobody\n"+strings.Repeat("a@example.com\n", rowsAtOnce))
	rows := readCSV(t, b.Get(b.ada, path+"/report"))
	if len(rows) != rowsAtOnce+3 || rows[1][2] != "'=cmd()" || rows[1][3] != lineCreated || rows[2][3] != lineInvalid || rows[3][3] != lineDuplicate {
		t.Errorf("%d rows: %q", len(rows), rows[:4])
	}
}

func TestExport_GivesTheListOrAPartOfItAndCanBeImported(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.fill(t, 2*rowsAtOnce+7)
	b.customer(t, "=HYPERLINK(\"x\")", "formula@example.com")
	b.customer(t, "دعاء, الأحمد", "duaa@example.com")
	all := readCSV(t, b.Get(b.ada, root+"/export"))
	if len(all) != 2*rowsAtOnce+7+2+1 {
		t.Errorf("%d rows", len(all))
	}
	if rows := readCSV(t, b.Get(b.ada, root+"/export?q=hyperlink")); len(rows) != 2 || rows[1][1] != "'=HYPERLINK(\"x\")" || rows[1][2] != StateCreated {
		t.Errorf("%q", rows)
	}
	if rows := readCSV(t, b.Get(b.ada, root+"/export?q=nobody+at+all")); len(rows) != 1 {
		t.Errorf("%q", rows)
	}
	lines, err := readLines([]byte(b.Get(b.ada, root+"/export?q=example.com").Body), false)
	if got := told(lines); err != nil || !slices.Equal(got, []string{`2 formula@example.com|=HYPERLINK("x")|false|`, "3 duaa@example.com|دعاء, الأحمد|false|"}) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestRetention_ForgetsOldImports(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.start(t, "text", "a@example.com")
	b.run(t, "retention")
	b.progress(t, path)
	b.clock.forward(keepImports + 1)
	b.run(t, "retention")
	if a := b.Get(b.ada, path); a.Status != http.StatusNotFound {
		t.Errorf("%d", a.Status)
	}
	if mine, err := b.people.Run(t.Context(), "tokens"); mine || err != nil {
		t.Error("somebody else's job")
	}
	if list, _, err := history.List(t.Context(), b.db, history.Filter{UserID: 3}); err != nil || len(list) == 0 {
		t.Errorf("the history is kept longer: %v, %v", list, err)
	}
}
