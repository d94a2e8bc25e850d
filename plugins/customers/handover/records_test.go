package handover_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"mortise/core/sdk"
	"mortise/plugins/customers/site"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/productapi"
)

func TestRecords_ABadLineNeverStopsTheRest(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.make(pump)
	form := url.Values{"product": {product}, "lines": {"id,name,serial\n" + strings.ToUpper(lamp) + "; My lamp;SN-77\n\nnonsense\n" + foreign + "\n" + pump + "\n" + lamp + "\n# a remark"}, "device": {cellar, lamp}, "keys": {"on"}, "once": {once(1)}, "job": {"Order 1"}}
	m := decode[made](t, b.Post(b.office, records+"/new", form))
	if m.Made != 2 || m.Keys != 2 || len(m.Results) != 6 {
		t.Fatalf("the report is %+v", m)
	}
	if m.of("nonsense") != "invalid" || m.of(foreign) != "missing" || m.of(pump) != "exists" || m.of(cellar) != "made" {
		t.Errorf("the report is %+v", m.Results)
	}
	if m.Results[len(m.Results)-1].Result != "made" || m.Results[0].Result == "made" {
		t.Errorf("what went wrong does not come first: %+v", m.Results)
	}
	again := decode[made](t, b.Post(b.office, records+"/new", form))
	if again.Made != 2 || again.Keys != 0 {
		t.Errorf("the same form once more says %+v", again)
	}
	if got := b.total(b.office, "?job="+url.QueryEscape("Order 1")); got != 2 {
		t.Errorf("the job has %d records", got)
	}
	if got := b.show(m.Results[4].Path); m.Results[4].Line != 2 || got.Record.Name != "My lamp" || got.Record.Job != "Order 1" {
		t.Errorf("the record is %+v", got)
	}
}

func (b *bench) total(who sdk.Identity, query string) int {
	b.t.Helper()
	return decode[struct {
		Total int `json:"total"`
	}](b.t, b.Get(who, records+query)).Total
}

func TestRecords_FiveHundredAreMadeAtOnceAndNotOneMore(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	lines := make([]string, 501)
	for i := range lines {
		lines[i] = fmt.Sprintf("0b10aced202194944a%06d", i)
	}
	form := url.Values{"product": {product}, "lines": {strings.Join(lines, "\n")}, "keys": {"on"}, "once": {once(1)}}
	if a := b.Post(b.office, records+"/new", form); a.Status != http.StatusUnprocessableEntity || !strings.Contains(a.View.FieldErrors["lines"], "501") {
		t.Fatalf("501 answered %d %+v", a.Status, a.View.FieldErrors)
	}
	form.Set("lines", strings.Join(lines[:500], "\r\n"))
	if m := decode[made](t, b.Post(b.office, records+"/new", form)); m.Made != 500 || m.Keys != 500 {
		t.Fatalf("%d records and %d keys were made", m.Made, m.Keys)
	}
	if n := len(b.Host.Sealed("claimkey")); n != 500 {
		t.Errorf("%d keys are sealed", n)
	}
	var data struct {
		Labels []struct{ Key string } `json:"labels"`
		More   bool                   `json:"more"`
		Next   int                    `json:"next"`
	}
	keys := map[string]bool{}
	for next := 0; ; next = data.Next {
		if err := b.Get(b.office, fmt.Sprintf("%s/labels?batch=%s&from=%d", records, once(1), next)).Decode(&data); err != nil {
			t.Fatal(err)
		}
		for _, l := range data.Labels {
			keys[l.Key] = true
		}
		if !data.More {
			break
		}
	}
	if len(keys) != 500 {
		t.Errorf("%d different keys are on the labels", len(keys))
	}
}

func TestRecords_NothingIsMadeWhenTheCloudCannotBeAsked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	form := url.Values{"product": {product}, "lines": {lamp}, "once": {once(1)}}
	b.fleet.set(func(f *fleet) {
		f.fail = &productapi.Problem{Kind: particle.DeadToken, Message: "Particle refuses the token.", Hint: "Enter a new one."}
	})
	a := b.Post(b.office, records+"/new", form)
	if a.Status != http.StatusUnprocessableEntity || !strings.Contains(a.View.FieldErrors["lines"], "Particle refuses the token. Enter a new one.") || !strings.Contains(string(a.Body), lamp) {
		t.Errorf("answered %d %v", a.Status, a.View.FieldErrors)
	}
	b.fleet.set(func(f *fleet) { f.fail, f.silent = nil, true })
	if m := decode[made](t, b.Post(b.office, records+"/new", form)); m.of(lamp) != "unknown" {
		t.Errorf("a device that could not be looked up is %q", m.of(lamp))
	}
	b.fleet.set(func(f *fleet) { f.away = true })
	if a := b.Post(b.office, records+"/new", form); a.Status != http.StatusServiceUnavailable || !strings.Contains(a.Problem.Title, "Organizations") {
		t.Errorf("without organizations it answered %d %q", a.Status, a.Problem.Title)
	}
	if a := b.Get(b.office, records+"/new"); a.Status != http.StatusOK || !strings.Contains(a.Body, "Organizations") {
		t.Errorf("the products answered %d", a.Status)
	}
	if got := b.total(b.office, ""); got != 0 {
		t.Errorf("there are %d records", got)
	}
}

func TestRecords_WhatIsAttachedAlreadyGetsNone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.make(lamp)[0]
	b.claim(b.ann, b.key(path))
	if a := b.act(b.office, path, "/delete", nil); a.Status != http.StatusSeeOther {
		t.Fatalf("deleting answered %d %s", a.Status, a.Body)
	}
	m := decode[made](t, b.Post(b.office, records+"/new", url.Values{"product": {product}, "lines": {lamp}, "once": {once(1)}}))
	if m.of(lamp) != "attached" || b.ownerOf(lamp) != b.ann.UserID {
		t.Errorf("the device is %q", m.of(lamp))
	}
}

func TestRecords_ADeletedOnesNumberIsNotGivenAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	old := b.make(lamp)[0]
	if a := b.act(b.office, old, "/delete", nil); a.Status != http.StatusSeeOther {
		t.Fatalf("deleting answered %d %s", a.Status, a.Body)
	}
	fresh := b.make(pump)[0]
	if fresh == old {
		t.Errorf("the pump has the number of the lamp's record, and a page that is open still acts on it")
	}
	if list := b.show(fresh).History; len(list) != 2 {
		t.Errorf("its history is %+v", list)
	}
}

func TestRecords_AreFoundAndNarrowed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	paths := b.make(lamp, pump, cellar)
	b.act(b.office, paths[0], "", url.Values{"name": {"Porch 100%"}, "serial": {"SN-1"}, "job": {"Order 9"}})
	b.act(b.office, paths[1], "/key", url.Values{"action": {"revoke"}})
	for query, want := range map[string]int{"": 3, "?q=100%25": 1, "?q=000002": 1, "?q=sn-1": 1, "?state=ready": 2, "?state=revoked": 1, "?job=Order+9": 1, "?product=1/10001": 3,
		"?product=1/10002": 0, "?assigned=none": 3, "?assigned=99": 0, "?state=nonsense&page=x": 3, "?page=2": 3} {
		if got := b.total(b.office, query); got != want {
			t.Errorf("%q finds %d", query, got)
		}
	}
}

func TestRecords_TwoAdministratorsDoNotOverwriteEachOther(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.make(lamp)[0]
	old := fmt.Sprint(b.show(path).Record.Version)
	b.act(b.office, path, "", url.Values{"name": {"First"}})
	a := b.Post(b.office, path, url.Values{"name": {"Second"}, "version": {old}})
	data := decode[struct {
		Form struct {
			Name    string `json:"name"`
			Version int64  `json:"version"`
		} `json:"form"`
		shown
	}](t, a)
	if a.Status != http.StatusUnprocessableEntity || !strings.Contains(a.View.FieldErrors["name"], "First") || data.Form.Name != "Second" || data.Form.Version != data.Record.Version {
		t.Errorf("the second one got %d %v %+v", a.Status, a.View.FieldErrors, data)
	}
	key := b.key(path)
	for _, page := range []string{"/key", "/undo", "/take", "/delete", "/mail", "/assign"} {
		a := b.Post(b.office, path+page, url.Values{"version": {old}, "action": {"new"}, "email": {"ann@example.com"}})
		if a.Status != http.StatusSeeOther || !strings.HasPrefix(a.Flash, "warn Nothing was done") {
			t.Errorf("%s with an old form answered %d %q", page, a.Status, a.Flash)
		}
	}
	if b.key(path) != key || b.show(path).Record.State != "ready" {
		t.Error("an old form did something")
	}
}

func TestKeys_ThoseThatAreMissingAreMadeTogether(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Post(b.office, records+"/new", url.Values{"product": {product}, "lines": {lamp + "\n" + pump}, "once": {once(1)}, "job": {"A"}})
	b.Post(b.office, records+"/new", url.Values{"product": {product}, "lines": {cellar}, "once": {once(2)}, "job": {"B"}})
	if a := b.Post(b.office, records+"/keys", url.Values{"job": {"A"}, "days": {"x"}}); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("x days answered %d", a.Status)
	}
	if a := b.Post(b.office, records+"/keys", url.Values{"job": {"A"}}); a.Flash != "good 2 keys were made." {
		t.Errorf("answered %d %q", a.Status, a.Flash)
	}
	if a := b.Post(b.office, records+"/keys", url.Values{"job": {"A"}}); a.Flash != "good Every record had a key already." {
		t.Errorf("once more answered %q", a.Flash)
	}
	if got := b.total(b.office, "?state=bench"); got != 1 {
		t.Errorf("%d records are at the bench", got)
	}
}

func TestKeys_NeitherLogNorHistoryNorStoreNorEventKnowsThem(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	paths := b.make(lamp, pump)
	keys := []string{b.key(paths[0]), b.key(paths[1])}
	b.act(b.office, paths[0], "/mail", url.Values{"email": {"ann@example.com"}})
	b.claim(b.ann, keys[0])
	b.look(b.ann, keys[0])
	b.act(b.office, paths[0], "/undo", nil)
	b.act(b.office, paths[1], "/key", url.Values{"action": {"new"}})
	keys = append(keys, b.key(paths[0]), b.key(paths[1]))

	var texts []string
	for _, table := range b.Manifest.Tables {
		var rows []map[string]any
		if err := b.part.db.Table(table).Find(&rows).Error; err == nil {
			texts = append(texts, fmt.Sprint(rows))
		}
	}
	for _, e := range b.Host.Events("") {
		texts = append(texts, string(e.Payload))
	}
	texts = append(texts, b.Host.LogText(), b.Get(b.office, records).Body, b.Get(b.office, paths[0]).Body, b.Get(b.office, paths[1]).Body)
	for _, text := range texts {
		for _, key := range keys {
			if strings.Contains(text, key) || strings.Contains(text, strings.ReplaceAll(key, "-", "")) {
				t.Errorf("the key %s stands in %.200s", key, text)
			}
		}
	}
	if n := len(b.Host.Sealed("claimkey")); n != 2 {
		t.Errorf("%d keys are sealed; two are in force", n)
	}
}

func TestLabels_CarryTheKeyAndTheAddressAndAreNeverKept(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	paths := b.make(lamp, pump, cellar)
	b.act(b.office, paths[1], "/key", url.Values{"action": {"revoke"}})
	a := b.Get(b.office, records+"/labels?paper=single")
	data := decode[struct {
		Labels []struct {
			Name string `json:"name"`
			Key  string `json:"key"`
			Last string `json:"last"`
			QR   string `json:"qr"`
		} `json:"labels"`
		Paper string `json:"paper"`
		Host  string `json:"host"`
		Rest  string `json:"path"`
	}](t, a)
	if len(data.Labels) != 2 || data.Paper != "single" || data.Host+data.Rest != "site.example/customers/claim" || data.Labels[0].Last != "000001" || data.Labels[0].Name != "Porch lamp" || data.Labels[1].Name != "Device …000003" {
		t.Errorf("the labels are %+v", data)
	}
	svg := b.Get(b.office, data.Labels[0].QR)
	if svg.Status != http.StatusOK || svg.Header.Get("Cache-Control") != "no-store" || svg.Header.Get("Content-Type") != "image/svg+xml" || !strings.HasPrefix(svg.Body, "<svg ") {
		t.Errorf("the drawing answered %d %v", svg.Status, svg.Header)
	}
	if a := b.Get(b.office, paths[1]+"/qr.svg"); a.Status != http.StatusNotFound {
		t.Errorf("the drawing of a revoked key answered %d", a.Status)
	}
}

func TestKeys_OneThatNeverCameIntoForceIsSweptAway(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.make(lamp)[0]
	key := b.key(path)
	// As after a kill between sealing and bringing into force.
	if err := b.part.db.Exec("INSERT INTO customers_keys (record_id, hash, state, sealed, made_at, ended_at) VALUES (1, 'x', 'making', 1, ?, ?)", b.clock.now(), b.clock.now()).Error; err != nil {
		t.Fatal(err)
	}
	if err := b.Host.Secrets().Set(t.Context(), "claimkey", "2", "LEFTOVERLEFTOVER"); err != nil {
		t.Fatal(err)
	}
	b.restart()
	for hours, want := range []int{2, 1} {
		if hours == 1 {
			b.clock.forward(2 * 3600e9)
		}
		if err := b.part.Run(t.Context(), "resume"); err != nil {
			t.Fatal(err)
		}
		if n := len(b.Host.Sealed("claimkey")); n != want {
			t.Errorf("after %d hours %d keys are sealed", 2*hours, n)
		}
	}
	if b.key(path) != key {
		t.Error("the key in force was swept away")
	}
}

func TestRecords_AFormWithoutItsWordMakesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if a := b.Post(b.office, records+"/new", url.Values{"product": {product}, "lines": {lamp}}); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("answered %d", a.Status)
	}
	if a := b.Post(b.office, records+"/new", url.Values{"product": {"1/99999"}, "lines": {lamp}, "once": {site.Once()}}); a.Status != http.StatusNotFound {
		t.Errorf("an unknown product answered %d", a.Status)
	}
	if got := b.total(b.office, ""); got != 0 {
		t.Errorf("there are %d records", got)
	}
}
