package handover_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/internal/moduletest"
)

// assignTo gives a record to an installer, who has opened the page before.
func (b *bench) assignTo(path string, who sdk.Identity) {
	b.t.Helper()
	b.Get(who, records)
	if a := b.act(b.office, path, "", url.Values{"name": {b.show(path).Record.Name}, "assigned": {fmt.Sprint(who.UserID)}}); a.Flash != "good Saved." {
		b.t.Fatalf("assigning answered %d %v %s", a.Status, a.View.FieldErrors, a.Body)
	}
}

func TestInstallers_SeeAndWorkOnTheirOwnJobsAlone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	paths := b.make(lamp, pump, cellar)
	b.assignTo(paths[0], b.ivo)
	b.assignTo(paths[1], b.ina)
	if mine, every := b.total(b.ivo, ""), b.total(b.office, ""); mine != 1 || every != 3 {
		t.Errorf("Ivo sees %d of %d", mine, every)
	}
	for _, query := range []string{"?assigned=" + fmt.Sprint(b.ina.UserID), "?assigned=none", "?q=Pump", "?batch="} {
		if a := b.Get(b.ivo, records+query); strings.Contains(a.Body, pump) || strings.Contains(a.Body, cellar) || strings.Contains(a.Body, "Ina") {
			t.Errorf("%s shows Ivo %s", query, a.Body)
		}
	}
	foreignKey := b.key(paths[1])
	labels := b.Get(b.ivo, records+"/labels?record=1&record=2&record=3&assigned="+fmt.Sprint(b.ina.UserID))
	if every := b.Get(b.ivo, records+"/labels").Body; strings.Contains(labels.Body+every, foreignKey) || !strings.Contains(every, b.key(paths[0])) {
		t.Error("Ivo's labels are not those of his job")
	}
	if a := b.Get(b.ivo, paths[0]+"/qr.svg"); a.Status != http.StatusOK {
		t.Errorf("his drawing answered %d", a.Status)
	}
	if a := b.act(b.ivo, paths[0], "", url.Values{"name": {"Hall lamp"}, "job": {"Stolen"}, "assigned": {fmt.Sprint(b.ina.UserID)}}); a.Status != http.StatusSeeOther {
		t.Errorf("naming the device answered %d %s", a.Status, a.Body)
	}
	if r := b.show(paths[0]).Record; r.Name != "Hall lamp" || r.Job != "" || r.AssignedTo != b.ivo.UserID {
		t.Errorf("an installer has changed more than the name: %+v", r)
	}
	if a := b.act(b.ivo, paths[0], "/take", url.Values{"action": {"back"}}); a.Location != records || b.total(b.ivo, "") != 0 {
		t.Errorf("giving the job back answered %d %s", a.Status, a.Location)
	}
	if a := b.act(b.office, paths[0], "/take", url.Values{"action": {"take"}}); a.Status != http.StatusSeeOther || b.show(paths[0]).Record.AssignedTo != b.office.UserID {
		t.Errorf("taking the job answered %d", a.Status)
	}
	if a := b.act(b.office, paths[0], "", url.Values{"assigned": {fmt.Sprint(b.ann.UserID)}}); a.Status != http.StatusUnprocessableEntity || a.View.FieldErrors["assigned"] == "" {
		t.Errorf("assigning to a customer answered %d", a.Status)
	}
}

// pages are all pages of records: method, path below a record or "" for the path itself, and the form.
var recordPages = []struct{ method, page string }{
	{"GET", ""}, {"POST", ""}, {"POST", "/key"}, {"GET", "/qr.svg"}, {"POST", "/mail"}, {"POST", "/take"}, {"GET", "/assign"}, {"POST", "/assign"}, {"POST", "/undo"}, {"GET", "/delete"}, {"POST", "/delete"},
}

func TestPages_WhoMayNotAndForgedNumbersGetTheSameAndNobodyIsAsked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	paths := b.make(lamp, pump)
	b.assignTo(paths[0], b.ivo)
	key, version := b.key(paths[1]), fmt.Sprint(b.show(paths[1]).Record.Version)
	asked, mails, facts := b.fleet.calls(), len(b.Host.Mails()), len(b.Facts())
	form := func() url.Values {
		return url.Values{"version": {version}, "action": {"revoke"}, "email": {"new@example.com"}, "name": {"x"}}
	}
	do := func(who sdk.Identity, method, path string) moduletest.Answer {
		if method == http.MethodGet {
			return b.Get(who, path)
		}
		return b.Post(who, path, form())
	}
	for _, p := range recordPages {
		missing := do(b.office, p.method, records+"/99"+p.page)
		if missing.Status != http.StatusNotFound {
			t.Errorf("%s %s of no record answered %d", p.method, p.page, missing.Status)
		}
		for _, forged := range []string{"0", "-1", "x", "1e1", "99999999999999999999", "1%20OR%201=1"} {
			if a := do(b.office, p.method, records+"/"+forged+p.page); a.Status != http.StatusNotFound {
				t.Errorf("%s %s of %s answered %d", p.method, p.page, forged, a.Status)
			}
		}
		a := do(b.ivo, p.method, paths[1]+p.page)
		needsAttach := p.page == "/undo" || p.page == "/delete"
		if needsAttach && a.Status != http.StatusForbidden || !needsAttach && (a.Status != http.StatusNotFound || a.Body != missing.Body) {
			t.Errorf("%s %s of somebody else's job answered %d %s", p.method, p.page, a.Status, a.Body)
		}
		for _, who := range []sdk.Identity{b.ann, {UserID: 77, Name: "Viewer", Permissions: []string{"customers.view", "customers.manage"}}} {
			if a := do(who, p.method, paths[1]+p.page); a.Status != http.StatusForbidden {
				t.Errorf("%s %s answered %s with %d", p.method, p.page, who.Name, a.Status)
			}
		}
		if a := do(sdk.Identity{}, p.method, paths[1]+p.page); a.Status != http.StatusUnauthorized {
			t.Errorf("%s %s answered a visitor with %d", p.method, p.page, a.Status)
		}
	}
	for _, p := range []struct{ method, path string }{{"GET", "/new"}, {"POST", "/new"}} {
		for _, who := range []sdk.Identity{b.ivo, b.ann} {
			if a := do(who, p.method, records+p.path); a.Status != http.StatusForbidden {
				t.Errorf("%s %s answered %s with %d", p.method, p.path, who.Name, a.Status)
			}
		}
	}
	for _, p := range []struct{ method, path string }{{"GET", ""}, {"GET", "/labels"}, {"POST", "/keys"}} {
		if a := do(b.ann, p.method, records+p.path); a.Status != http.StatusForbidden {
			t.Errorf("%s %s answered a customer with %d", p.method, p.path, a.Status)
		}
	}
	if b.fleet.calls() != asked || len(b.Host.Mails()) != mails || len(b.Facts()) != facts {
		t.Error("somebody was asked, mailed or invited")
	}
	if b.key(paths[1]) != key || b.ownerOf(pump) != 0 {
		t.Error("something was done")
	}
}

func TestAssign_ADeviceThatSomebodyHasTellsNothingAndInvitesNobody(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.make(lamp)[0]
	b.assignTo(path, b.ivo)
	b.claim(b.ann, b.key(path))
	mails := len(b.Host.Mails())
	for _, email := range []string{"bob@example.com", "stranger@example.com", "olga@example.com"} {
		a := b.act(b.ivo, path, "/assign", url.Values{"email": {email}, "name": {"X"}})
		if a.Status != http.StatusUnprocessableEntity || !strings.Contains(a.Body, "A customer has this device already") {
			t.Errorf("%s: %d %s", email, a.Status, a.Body)
		}
	}
	var known int64
	if err := b.part.db.Table("customers_people").Where("email = ?", "stranger@example.com").Count(&known).Error; err != nil || known != 0 || len(b.Host.Mails()) != mails {
		t.Errorf("a stranger was made or mailed: %d, %v", known, err)
	}
	if _, err := b.People.UserByEmail(t.Context(), "stranger@example.com"); !fault.Is(err, fault.NotFound) {
		t.Errorf("the stranger: %v", err)
	}
}

func TestAssign_GivesTheDeviceOnTheSpotAndInvitesWhoIsNew(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	paths := b.make(lamp, pump, cellar)
	for _, p := range paths {
		b.assignTo(p, b.ivo)
	}
	key := b.key(paths[0])
	old := fmt.Sprint(b.show(paths[0]).Record.Version)
	form := url.Values{"version": {old}, "email": {" Nina@Example.com "}, "name": {"Nina"}}
	a := b.Post(b.ivo, paths[0]+"/assign", form)
	if a.Status != http.StatusSeeOther || a.Flash != "good The device belongs to Nina@Example.com now. An invitation is on its way." {
		t.Fatalf("answered %d %q %s", a.Status, a.Flash, a.Body)
	}
	moduletest.Eventually(t, "the invitation", func() bool { return len(b.Notices()) == 1 })
	owner := b.ownerOf(lamp)
	if a := b.Post(b.ivo, paths[0]+"/assign", form); a.Status != http.StatusSeeOther || b.ownerOf(lamp) != owner {
		t.Errorf("the same form once more answered %d %s", a.Status, a.Body)
	}
	if got := b.look(b.ann, key); got != "used" {
		t.Errorf("the label's key is %s", got)
	}
	if a := b.Post(b.ivo, paths[0]+"/assign", url.Values{"version": {old}, "email": {"bob@example.com"}}); a.Status != http.StatusUnprocessableEntity || b.ownerOf(lamp) != owner {
		t.Errorf("giving it to another one answered %d", a.Status)
	}
	body := b.Get(b.ivo, paths[0]).Body + b.Get(b.ivo, records).Body
	if strings.Contains(body, "Nina") || strings.Contains(body, "nina") || strings.Contains(body, fmt.Sprintf(`"user_id":%d`, owner)) {
		t.Errorf("the installer reads of the customer: %s", body)
	}
	for _, email := range []string{"", "nonsense"} {
		if a := b.act(b.ivo, paths[1], "/assign", url.Values{"email": {email}}); a.Status != http.StatusUnprocessableEntity || a.View.FieldErrors["email"] == "" {
			t.Errorf("%q answered %d %v", email, a.Status, a.View.FieldErrors)
		}
	}
	b.attach(b.bob, pump)
	if a := b.act(b.ivo, paths[1], "/assign", url.Values{"email": {"ann@example.com"}}); a.Status != http.StatusConflict || b.ownerOf(pump) != b.bob.UserID {
		t.Errorf("a device that is Bob's answered %d %s", a.Status, a.Body)
	}
	if r := b.show(paths[1]).Record; r.State != "ready" {
		t.Errorf("half of it stayed: %+v", r)
	}
}

func TestUndo_MakesTheDeviceNobodysWithANewKey(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.make(lamp)[0]
	first := b.key(path)
	if a := b.act(b.office, path, "/undo", nil); a.Status != http.StatusConflict {
		t.Errorf("undoing nothing answered %d", a.Status)
	}
	b.claim(b.ann, first)
	if a := b.act(b.office, path, "/key", url.Values{"action": {"new"}}); a.Status != http.StatusConflict {
		t.Errorf("a new key for Ann's device answered %d", a.Status)
	}
	if a := b.act(b.office, path, "/undo", nil); a.Status != http.StatusSeeOther {
		t.Fatalf("answered %d %s", a.Status, a.Body)
	}
	b.hear()
	second := b.key(path)
	if b.ownerOf(lamp) != 0 || first == second || b.look(b.bob, first) != "revoked" && b.look(b.bob, first) != "used" {
		t.Errorf("the first key is %s", b.look(b.bob, first))
	}
	if a := b.claim(b.bob, second); a.Location != "/devices/"+lamp || b.ownerOf(lamp) != b.bob.UserID {
		t.Errorf("Bob got %d %s", a.Status, a.Body)
	}
	kinds := []string{}
	for _, h := range b.show(path).History {
		kinds = append(kinds, h.Kind+" by "+h.By)
	}
	if got := strings.Join(kinds, ", "); got != "record_claimed by Bob, record_undone by Olga, record_claimed by Ann, key_made by Olga, record_made by Olga" {
		t.Errorf("the history is %s", got)
	}
	// Ann transfers what is hers elsewhere: then it is too late for an old page.
	b.transfer(lamp, b.bob, b.ann)
	if a := b.act(b.office, path, "/undo", nil); a.Status != http.StatusConflict || b.ownerOf(lamp) != b.ann.UserID {
		t.Errorf("undoing what was given on answered %d", a.Status)
	}
}

func TestMail_SendsTheLinkAndKeepsNoAddress(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.make(lamp)[0]
	key := b.key(path)
	for _, email := range []string{"", "nonsense", "Ann <ann@example.com>", "a@b.c\r\nBcc: x@example.com", strings.Repeat("a", 250) + "@example.com"} {
		if a := b.act(b.office, path, "/mail", url.Values{"email": {email}}); a.Status != http.StatusUnprocessableEntity || a.View.FieldErrors["email"] == "" {
			t.Errorf("%q answered %d", email, a.Status)
		}
	}
	if a := b.act(b.office, path, "/mail", url.Values{"email": {"new@example.com"}}); a.Status != http.StatusSeeOther {
		t.Fatalf("answered %d %s", a.Status, a.Body)
	}
	mails := b.Host.Mails()
	if len(mails) != 1 || mails[0].To != "new@example.com" || !strings.Contains(mails[0].Text, "https://site.example/customers/claim?key="+key) || !strings.Contains(mails[0].Text, "Porch lamp") {
		t.Errorf("the mails are %+v", mails)
	}
	var rows []map[string]any
	if err := b.part.db.Table("customers_history").Find(&rows).Error; err != nil || strings.Contains(fmt.Sprint(rows), "new@example.com") {
		t.Errorf("the history keeps the address, or %v", err)
	}
	for range 59 {
		b.act(b.office, path, "/mail", url.Values{"email": {"new@example.com"}})
	}
	if a := b.act(b.office, path, "/mail", url.Values{"email": {"new@example.com"}}); a.Status != http.StatusTooManyRequests {
		t.Errorf("the sixty-first mail answered %d", a.Status)
	}
	b.clock.forward(61 * time.Minute)
	b.act(b.office, path, "/key", url.Values{"action": {"revoke"}})
	if a := b.act(b.office, path, "/mail", url.Values{"email": {"new@example.com"}}); a.Status != http.StatusConflict || len(b.Host.Mails()) != 60 {
		t.Errorf("without a key it answered %d", a.Status)
	}
}

func TestDelete_TakesTheKeyAndLeavesTheDevice(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.make(lamp)[0]
	key := b.key(path)
	if a := b.Get(b.office, path+"/delete"); a.Status != http.StatusOK {
		t.Fatalf("the question answered %d", a.Status)
	}
	if a := b.act(b.office, path, "/delete", nil); a.Location != records {
		t.Fatalf("answered %d %s", a.Status, a.Body)
	}
	if got := b.look(b.ann, key); got != "wrong" || len(b.Host.Sealed("claimkey")) != 0 {
		t.Errorf("the key is %s", got)
	}
	var keys int64
	if err := b.part.db.Table("customers_keys").Count(&keys).Error; err != nil || keys != 0 {
		t.Errorf("%d keys stayed, %v", keys, err)
	}
	if again := b.make(lamp); len(again) != 1 {
		t.Error("no other record can be made")
	}
}
