package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"mortise/core/sdk"
	"mortise/plugins/internal/moduletest"
	"mortise/plugins/internal/particle/particletest"
)

const imports = first + "/imports"

type shownImport struct {
	Import importView `json:"import"`
	Lines  []lineView `json:"lines"`
	Total  int        `json:"total"`
}

func spare(n int) string { return fmt.Sprintf("0a10aced2021949440%06d", n) }

// spares adds devices to the cloud that an import may add to the product 10001.
func (b *bench) spares(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = spare(i + 1)
		b.cloud.AddDevice(particletest.Device{ID: ids[i], Platform: 12})
	}
	return ids
}

func importing(text string) url.Values {
	return url.Values{"product": {"10001"}, "text": {text}, "once": {newOnce()}}
}

// begin sends an import and gives its page.
func (b *bench) begin(t *testing.T, form url.Values) string {
	t.Helper()
	a := b.Post(ada, imports+"/new", form)
	if a.Status != http.StatusSeeOther || !strings.HasPrefix(a.Location, imports+"/") {
		t.Fatalf("answered %d %s %v", a.Status, a.Body, a.View.FieldErrors)
	}
	return a.Location
}

func (b *bench) seen(t *testing.T, page string) shownImport {
	t.Helper()
	return decode[shownImport](t, b.page(t, page))
}

// page opens a page that must be there.
func (b *bench) page(t *testing.T, page string) moduletest.Answer {
	t.Helper()
	a := b.Get(ada, page)
	if a.Status != http.StatusOK {
		t.Fatalf("%s answered %d %s", page, a.Status, a.Body)
	}
	return a
}

// rests waits until nobody works on an import: it has ended, was stopped, or waits to try again.
func (b *bench) rests(t *testing.T, page string) importView {
	t.Helper()
	var v importView
	moduletest.Eventually(t, "the import rests", func() bool {
		v = b.seen(t, page).Import
		return !v.UnderWay || v.NextAt != nil
	})
	return v
}

// goesOn lets the job go on with what waits, until the import has ended.
func (b *bench) goesOn(t *testing.T, page string) importView {
	t.Helper()
	for range 2 * importTries {
		v := b.rests(t, page)
		if !v.UnderWay {
			return v
		}
		b.clock.forward(longestPause)
		if err := b.module.Run(t.Context(), "resume"); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the import does not end")
	return importView{}
}

// inProduct counts the spare devices that the product has.
func (b *bench) inProduct(t *testing.T) int {
	t.Helper()
	d := decode[shownDevices](t, b.Get(ada, first+"/devices?product=10001&id=0a10aced2021949440"))
	if d.Trouble != nil {
		t.Fatal(d.Trouble)
	}
	if d.Pages == 1 {
		return len(d.Devices)
	}
	last := decode[shownDevices](t, b.Get(ada, first+fmt.Sprintf("/devices?product=10001&id=0a10aced2021949440&page=%d", d.Pages)))
	return (d.Pages-1)*perPage + len(last.Devices)
}

// fiveHundred are 500 lines, of which seven are bad, each in its own way but two.
func (b *bench) fiveHundred() string {
	ids := b.spares(494)
	b.cloud.AddDevice(particletest.Device{ID: spare(901), Platform: 12, Owner: "someone@else.example"})
	b.cloud.AddDevice(particletest.Device{ID: spare(902), Platform: 6})
	b.cloud.AddDevice(particletest.Device{ID: spare(903), Platform: 12, Product: "10002"})
	lines := append([]string{}, ids[:100]...)
	lines = append(lines, "0a10aced20219494", spare(901), spare(902))
	lines = append(lines, ids[100:300]...)
	lines = append(lines, spare(903), strings.ToUpper(ids[5]), "porch lamp", "")
	lines = append(lines, ids[300:]...)
	return strings.Join(append(lines, spare(999)), "\r\n")
}

func TestImport_ABadLineNeverStopsTheRest(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	text := b.fiveHundred()
	page := b.begin(t, importing(text))
	v := b.rests(t, page)
	if v.State != importDone || v.Lines != 501 || v.Counts[lineAdded] != 494 || v.Counts[lineNotID] != 2 || v.Counts[lineForeign] != 1 || v.Counts[lineDuplicate] != 1 || v.Counts[lineRefused] != 3 {
		t.Fatalf("is %+v", v)
	}
	if n := b.inProduct(t); n != 494 {
		t.Errorf("the product has %d of them", n)
	}
	if n := b.cloud.Calls("POST /v1/products/{p}/devices"); n != 5 {
		t.Errorf("it took %d calls", n)
	}
	shown := b.seen(t, page+"?result=not_id")
	if shown.Total != 2 || shown.Lines[0].Number != 101 || shown.Lines[0].Read != "0a10aced20219494" || !strings.Contains(shown.Lines[0].Sentence, "Read 16 characters") {
		t.Errorf("no ids: %+v", shown.Lines)
	}
	if shown = b.seen(t, page+"?result=duplicate"); shown.Lines[0].Sentence != "The id stands in line 6 already." {
		t.Errorf("duplicate: %+v", shown.Lines)
	}
	if shown = b.seen(t, page); !slices.ContainsFunc(badLines, func(r string) bool { return r == shown.Lines[0].Result }) || shown.Lines[len(shown.Lines)-1].Result != lineAdded {
		t.Errorf("the lines to look at do not come first: %+v", shown.Lines)
	}
	if shown = b.seen(t, page+"?page=21"); shown.Total != 501 || len(shown.Lines) != 1 || shown.Lines[0].Result != lineAdded {
		t.Errorf("last page: %+v", shown.Lines)
	}
	// The same text once more, in another form: everything is here already.
	if v = b.rests(t, b.begin(t, importing(text))); v.Counts[lineExisting] != 494 || v.Counts[lineAdded] != 0 {
		t.Errorf("once more: %+v", v.Counts)
	}
	list := decode[struct {
		Imports []importView `json:"imports"`
	}](t, b.page(t, imports)).Imports
	if len(list) != 2 || list[1].Counts[lineAdded] != 494 || list[1].Sentence == "" {
		t.Errorf("listed %+v", list)
	}
	if ops := decode[struct {
		Operations []operationView `json:"operations"`
	}](t, b.Get(ada, root+"/operations?state=done")).Operations; len(ops) != 2 || ops[1].ImportPath != page || ops[1].Sentence != list[1].Sentence {
		t.Errorf("among the changes: %+v", ops)
	}
}

func TestImport_EndsWellWhateverFaultComesInTheMiddle(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"500", "503", "429", "529", "hang", "drop", "html", "not_ok", "done500", "donehang", "donedrop"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.connect(t)
			text := strings.Join(b.spares(250), "\n")
			// The first call is let through; the three that follow it fail.
			set, err := particletest.ParseFault(name + "@POST /v1/products/10001/devices#3")
			if err != nil {
				t.Fatal(err)
			}
			b.cloud.Faults.Update(set)
			b.cloud.Faults.Update(func(f *particletest.Faults) {
				f.Rules = append([]particletest.Rule{{Prefix: "/v1/products/10001/devices", Method: "POST", Times: 1, Latency: time.Nanosecond}}, f.Rules...)
			})
			page := b.begin(t, importing(text))
			v := b.rests(t, page)
			if name != "not_ok" && (v.NextAt == nil || v.Sentence == "" || v.Counts[lineAdded] != 100) {
				t.Fatalf("in the middle: %+v", v)
			}
			v = b.goesOn(t, page)
			if v.State != importDone || v.Counts[lineAdded]+v.Counts[lineExisting] != 250 || b.inProduct(t) != 250 {
				t.Errorf("at the end: %+v", v)
			}
			if !strings.HasPrefix(name, "done") && v.Counts[lineAdded] != 250 {
				t.Errorf("nothing had been added when the call failed: %+v", v.Counts)
			}
		})
	}
}

// mortal is the module with a life that a test can end, as a kill does: nothing is tidied up.
type mortal struct {
	*Organizations
	ctx context.Context
}

type mortalHost struct {
	sdk.Host
	ctx context.Context
}

func (h mortalHost) Context() context.Context { return h.ctx }

func (m mortal) Start(ctx context.Context, host sdk.Host) error {
	return m.Organizations.Start(ctx, mortalHost{host, m.ctx})
}

func TestImport_GoesOnAfterAKill(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	text := strings.Join(b.spares(250), "\n")
	life, kill := context.WithCancel(t.Context())
	victim := New()
	b.prepare(victim)
	if err := (mortal{victim, life}).Start(t.Context(), b.Host); err != nil {
		t.Fatal(err)
	}
	b.cloud.Faults.Set(particletest.Faults{Rules: []particletest.Rule{{Prefix: "/v1/products/10001/devices", Method: "POST", Times: 1, Latency: time.Nanosecond},
		{Prefix: "/v1/products/10001/devices", Method: "POST", Times: 1, Hang: true, After: true}}})
	victim.limits.Device = time.Minute
	read, err := readEntries([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	imp := &deviceImport{Once: newOnce(), WorkspaceID: 1, ProductID: "10001", Product: "Garden lamp", Lines: 250, State: importRunning, NextAt: b.clock.now(), StartedAt: b.clock.now()}
	op := &operation{Once: imp.Once, Kind: opDeviceImport, WorkspaceID: 1, State: opRunning, StartedAt: b.clock.now()}
	if _, err := victim.records.createImport(t.Context(), imp, linesOf(read), op, false); err != nil {
		t.Fatal(err)
	}
	over := victim.wake(imp.ID)
	page := imports + "/" + keyOf(imp.ID)
	moduletest.Eventually(t, "the second call is on its way", func() bool { return b.inProduct(t) == 200 })
	kill()
	<-over
	if v := b.seen(t, page).Import; v.State != importRunning || v.Counts[lineAdded] != 100 || v.Counts[lineAsked] != 100 || v.Counts[lineWaiting] != 50 {
		t.Fatalf("after the kill: %+v", v)
	}
	b.restart(t)
	v := b.seen(t, page).Import
	if v.State != importDone || v.Counts[lineAdded] != 150 || v.Counts[lineExisting] != 100 || b.inProduct(t) != 250 {
		t.Errorf("at the end: %+v", v)
	}
	if shown := b.seen(t, page+"?result=existing"); !strings.Contains(shown.Lines[0].Sentence, "this import may have added it") {
		t.Errorf("says %+v", shown.Lines[0])
	}
}

func TestImport_IsMadeOnceByTheSameForm(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	form := importing(strings.Join(b.spares(3), "\n"))
	page := b.begin(t, form)
	b.rests(t, page)
	if again := b.begin(t, form); again != page {
		t.Errorf("made %s and %s", page, again)
	}
	form.Set("once", "x")
	if a := b.Post(ada, imports+"/new", form); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("without its word: %d", a.Status)
	}
}

func TestImport_StopsWhenTheCredentialIsRevokedAndGoesOnWithANewOne(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	text := strings.Join(b.spares(150), "\n")
	b.cloud.Faults.Set(particletest.Faults{Rules: []particletest.Rule{{Prefix: "/v1/products/10001/devices", Method: "POST", Times: 1, Latency: time.Nanosecond},
		{Prefix: "/v1/products/10001/devices", Method: "POST", Times: 1, Status: 401}}})
	page := b.begin(t, importing(text))
	v := b.rests(t, page)
	if v.State != importStopped || !strings.Contains(v.Sentence, "refuses the credential") || v.Counts[lineAdded] != 100 || v.Counts[lineWaiting] != 50 {
		t.Fatalf("is %+v", v)
	}
	if findings, err := b.module.Check(t.Context()); err != nil || len(findings) != 2 {
		t.Errorf("needs attention: %+v %v", findings, err)
	}
	calls := b.upstream()
	b.clock.forward(time.Hour)
	if err := b.module.Run(t.Context(), "resume"); err != nil || b.upstream() != calls {
		t.Errorf("went on by itself: %v", err)
	}
	form := url.Values{"name": {"Garden"}, "base_url": {b.url}, "version": {"1"}, "token": {b.cloud.IssueToken(maker, "")}}
	if a := b.Post(ada, first+"/edit", form); a.Status != http.StatusSeeOther {
		t.Fatalf("renewed: %d %s", a.Status, a.Body)
	}
	if a := b.Post(ada, page+"/go-on", nil); !strings.HasPrefix(a.Flash, "good ") {
		t.Errorf("go on: %d %q", a.Status, a.Flash)
	}
	if v = b.goesOn(t, page); v.State != importDone || v.Counts[lineAdded] != 150 {
		t.Errorf("at the end: %+v", v)
	}
	if a := b.Post(ada, page+"/go-on", nil); !strings.HasPrefix(a.Flash, "info ") {
		t.Errorf("once more: %q", a.Flash)
	}
}

func TestImport_NamesTheScopeThatTheCredentialLacks(t *testing.T) {
	t.Parallel()
	for _, as := range []int{0, http.StatusForbidden} {
		b := newBench(t)
		b.token = b.cloud.AddAPIUser(particletest.APIUser{Product: "10001", Name: "Reader", Scopes: []string{"products:list", "devices:list", "devices:get"}})
		b.connect(t)
		b.cloud.Faults.Set(particletest.Faults{ScopeAs: as})
		v := b.rests(t, b.begin(t, importing(strings.Join(b.spares(120), "\n"))))
		if v.State != importStopped || v.Scope != "devices:import" || v.Counts[lineWaiting] != 120 {
			t.Errorf("%d: %+v", as, v)
		}
	}
}

func TestImport_CancelStopsWhatIsNotSent(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	text := strings.Join(b.spares(250), "\n")
	b.cloud.Faults.Set(particletest.Faults{Rules: []particletest.Rule{{Prefix: "/v1/products/10001/devices", Method: "POST", Times: 1, Latency: time.Nanosecond},
		{Prefix: "/v1/products/10001/devices", Method: "POST", Times: 1, Status: 500, After: true}}})
	page := b.begin(t, importing(text))
	b.rests(t, page)
	if a := b.Post(ada, page+"/cancel", nil); !strings.HasPrefix(a.Flash, "good ") {
		t.Fatalf("answered %d %q", a.Status, a.Flash)
	}
	v := b.goesOn(t, page)
	if v.State != importCancelled || v.Counts[lineAdded] != 100 || v.Counts[lineExisting] != 100 || v.Counts[lineWaiting] != 50 || b.inProduct(t) != 200 {
		t.Errorf("is %+v", v)
	}
	if a := b.Post(ada, page+"/cancel", nil); !strings.HasPrefix(a.Flash, "info ") {
		t.Errorf("once more: %q", a.Flash)
	}
}

func TestImport_AsksAPersonAfterManyFailures(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	b.cloud.Faults.Set(particletest.Faults{Rules: []particletest.Rule{{Prefix: "/v1/products/10001/devices", Method: "POST", Status: 503}}})
	v := b.goesOn(t, b.begin(t, importing(strings.Join(b.spares(2), "\n"))))
	if v.State != importStopped || !strings.Contains(v.Remedy, "tried 20 times") {
		t.Errorf("is %+v", v)
	}
}

func TestImport_WritesNamesGroupsAndNotesAfterwards(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(t)
	ids := b.spares(3)
	text := "device id;name;groups;notes\n" + ids[0] + ";Porch;north|bench;\"line one\nline two\"\n" + ids[1] + ";;;\n" + lamp + ";Renamed;;\n" + ids[2] + ";Cellar;;"
	b.cloud.Faults.Set(particletest.Faults{Rules: []particletest.Rule{{Prefix: "/v1/products/10001/devices/" + ids[0], Method: "PUT", Times: 1, Status: 500, After: true}}})
	page := b.begin(t, importing(text))
	if v := b.rests(t, page); v.NextAt == nil {
		t.Fatalf("is %+v", v)
	}
	if v := b.goesOn(t, page); v.State != importDone || v.Counts[lineAdded] != 3 || v.Counts[lineExisting] != 1 {
		t.Fatalf("is %+v", v)
	}
	look := func(id string) deviceView {
		return decode[struct {
			Device deviceView `json:"device"`
		}](t, b.Get(ada, first+"/devices/"+id+"?product=10001")).Device
	}
	if d := look(ids[0]); d.Name != "Porch" || d.Notes != "line one\nline two" || strings.Join(d.Groups, "+") != "north+bench" {
		t.Errorf("is %+v", d)
	}
	if d := look(ids[2]); d.Name != "Cellar" {
		t.Errorf("is %+v", d)
	}
	if d := look(lamp); d.Name != "lamp" {
		t.Errorf("what was here before is called %q", d.Name)
	}
	form := importing(text)
	form.Set("overwrite", "on")
	b.goesOn(t, b.begin(t, form))
	if d := look(lamp); d.Name != "Renamed" {
		t.Errorf("is called %q", d.Name)
	}
}
