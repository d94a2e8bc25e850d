package ownership

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"mortise/core/sdk"
	"mortise/plugins/customers/site"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/particle/particletest"
)

const carla = "carla+x@customers.example"

// atParticle is the address of a page about a customer at Particle.
func atParticle(username, page string) string {
	return root + "/products/" + lampKey + "/particle/" + customerKey(username) + "/" + page
}

func simpleBench(t *testing.T) *bench {
	t.Helper()
	b := newBench(t)
	b.cloud.AddCustomer(particletest.Customer{Email: carla, Password: "old password", Product: lamp})
	return b
}

func TestParticle_ListsItsCustomersAndWhoTheyAreHere(t *testing.T) {
	t.Parallel()
	b := simpleBench(t)
	b.shadowWay(t)
	ann := b.customer(t, "Ann")
	b.attach(t, ann, deviceID(1))
	b.cloud.AddCustomer(particletest.Customer{Email: "ann@example.com", Password: "x", Product: lamp})
	b.cloud.AddCustomer(particletest.Customer{Email: "0b8e2f5c-3d4a-4c1e-9f70-5a6b7c8d9e0f@site.example", Product: lamp})
	b.cloud.AddCustomer(particletest.Customer{Email: "serial-17", Product: lamp})
	data := decode[struct{ Customers []particleCustomer }](t, b.Get(b.ada, root+"/products/"+lampKey+"/particle"))
	is := map[string]particleCustomer{}
	for _, c := range data.Customers {
		is[c.Username] = c
	}
	shadow := b.shadowOf(t, ann).Username
	for name, want := range map[string]string{carla: "stranger", "ann@example.com": "person", shadow: "shadow", "0b8e2f5c-3d4a-4c1e-9f70-5a6b7c8d9e0f@site.example": "other", "serial-17": "other"} {
		if is[name].Is != want {
			t.Errorf("%s is %+v, expected %s", name, is[name], want)
		}
	}
	if is[carla].NewPath == "" || is[carla].ResetPath == "" || is["serial-17"].ResetPath != "" || is[shadow].DeletePath != "" || is["ann@example.com"].Person != "Ann" {
		t.Errorf("%+v", is)
	}
	if strings.Contains(is[carla].ResetPath, "carla") {
		t.Error("an address is in a path, which is logged")
	}
	if err := b.services.client.DeleteCustomer(t.Context(), b.services.token, lamp, shadow); err != nil {
		t.Fatal(err)
	}
	missing := decode[struct {
		Missing  []shadowView
		Complete bool
	}](t, b.Get(b.ada, root+"/products/"+lampKey+"/particle?view=missing"))
	if len(missing.Missing) != 1 || missing.Missing[0].Username != shadow || !missing.Complete {
		t.Errorf("missing: %+v", missing)
	}
}

func TestParticle_WhenItDoesNotAnswerThePageSaysSo(t *testing.T) {
	t.Parallel()
	b := simpleBench(t)
	for _, spec := range []string{"503", "429", "401", "403", "html", "hang", "drop"} {
		b.fault(t, spec+"@GET /v1/products/10001/customers")
		for _, view := range []string{"", "?view=missing"} {
			if a := b.Get(b.ada, root+"/products/"+lampKey+"/particle"+view); a.Status != http.StatusOK || !strings.Contains(a.Body, `"trouble":{"kind"`) {
				t.Errorf("%s%s answered %d: %s", spec, view, a.Status, a.Body)
			}
		}
		b.noFaults()
	}
}

func TestParticle_ACustomerIsDeletedAfterTypingTheNameAndOnce(t *testing.T) {
	t.Parallel()
	b := simpleBench(t)
	form := url.Values{"username": {carla}, "confirm": {"something else"}, "once": {site.Once()}}
	if a := b.Post(b.ada, atParticle(carla, "delete"), form); a.Status != http.StatusUnprocessableEntity || len(b.customersAt(t)) != 1 {
		t.Fatalf("a wrong name: answered %d", a.Status)
	}
	form.Set("confirm", strings.ToUpper(carla))
	b.fault(t, "done500@DELETE /v1/products/10001/customers")
	if a := b.Post(b.ada, atParticle(carla, "delete"), form); a.Status != http.StatusSeeOther || !strings.HasPrefix(a.Flash, "warn ") {
		t.Errorf("answered %d %q", a.Status, a.Flash)
	}
	b.noFaults()
	before := b.cloud.Calls("DELETE /v1/products/{p}/customers/{email}")
	if a := b.Post(b.ada, atParticle(carla, "delete"), form); a.Status != http.StatusSeeOther {
		t.Errorf("a double click answered %d", a.Status)
	}
	if b.cloud.Calls("DELETE /v1/products/{p}/customers/{email}") != before || len(b.operations(t)) != 1 {
		t.Error("the double click acted")
	}
	b.run(t, b.module)
	if op := b.operations(t)[0]; op.State != opDone || op.Subject != "c…@customers.example" || len(b.customersAt(t)) != 0 {
		t.Errorf("%+v", op)
	}
}

func TestParticle_TheShadowOfSomebodyIsNotDeletedByItself(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.shadowWay(t)
	ann := b.customer(t, "Ann")
	b.attach(t, ann, deviceID(1))
	name := b.shadowOf(t, ann).Username
	a := b.Post(b.ada, atParticle(name, "delete"), url.Values{"username": {name}, "confirm": {name}, "once": {site.Once()}})
	if a.Status != http.StatusSeeOther || !strings.HasPrefix(a.Flash, "bad ") || len(b.customersAt(t)) != 1 {
		t.Errorf("answered %d %q", a.Status, a.Flash)
	}
	if a := b.Post(b.ada, atParticle(name, "reset"), url.Values{"username": {name}}); a.Status != http.StatusConflict || len(b.Host.Mails()) != 0 {
		t.Errorf("a mail for a shadow customer: %d", a.Status)
	}
}

var linkInMail = regexp.MustCompile(`/customers/password\?key=(\S+)`)

// mailed sends the mail and gives the key in it.
func (b *bench) mailed(t *testing.T) string {
	t.Helper()
	if a := b.Post(b.ada, atParticle(carla, "reset"), url.Values{"username": {carla}}); a.Status != http.StatusSeeOther || !strings.HasPrefix(a.Flash, "good ") {
		t.Fatalf("answered %d %q %s", a.Status, a.Flash, a.Body)
	}
	mails := b.Host.Mails()
	mail := mails[len(mails)-1]
	found := linkInMail.FindStringSubmatch(mail.Text)
	if found == nil || mail.To != carla {
		t.Fatalf("the mail is %+v", mail)
	}
	return found[1]
}

func (b *bench) signsIn(password string) bool {
	client := particle.OAuthClient{ID: "shadow-client-1", Secret: "s3cr3t-of-client"}
	_, err := b.services.client.Password(b.Host.Context(), client, carla, password)
	return err == nil
}

func TestPassword_ALinkChangesItOnceAndIsKeptNowhere(t *testing.T) {
	t.Parallel()
	b := simpleBench(t)
	key := b.mailed(t)
	visitor := sdk.Identity{}
	if a := b.Get(visitor, "/customers/password?key="+key); a.Status != http.StatusOK || a.View.Template != "owner_password" {
		t.Fatalf("answered %d: %s", a.Status, a.Body)
	}
	post := func(password, again string) int {
		return b.Post(visitor, "/customers/password", url.Values{"key": {key}, "password": {password}, "again": {again}}).Status
	}
	if post("short", "short") != http.StatusUnprocessableEntity || post("blue horse battery", "another") != http.StatusUnprocessableEntity {
		t.Error("a bad password is accepted")
	}
	for _, spec := range []string{"503", "hang", "drop", "html", "429"} {
		b.fault(t, spec+"@PUT /v1/products/10001/customers")
		if code := post("blue horse battery", "blue horse battery"); code != http.StatusServiceUnavailable {
			t.Errorf("%s answered %d", spec, code)
		}
		b.noFaults()
	}
	if code := post("blue horse battery", "blue horse battery"); code != http.StatusOK || !b.signsIn("blue horse battery") {
		t.Fatalf("answered %d", code)
	}
	if code := post("a third password", "a third password"); code != http.StatusNotFound || b.signsIn("a third password") {
		t.Errorf("the link works twice: %d", code)
	}
	var rows []reset
	if err := b.db.Find(&rows).Error; err != nil || len(rows) != 1 || strings.Contains(rows[0].Hash, key) {
		t.Errorf("%+v, %v", rows, err)
	}
	if log := b.Host.LogText(); strings.Contains(log, key) || strings.Contains(log, "blue horse") || strings.Contains(log, carla) {
		t.Error("the log tells too much")
	}
}

func TestPassword_ALinkEndsAfterAnHourAndIsForgotten(t *testing.T) {
	t.Parallel()
	b := simpleBench(t)
	key := b.mailed(t)
	b.clock.forward(61 * time.Minute)
	if a := b.Get(sdk.Identity{}, "/customers/password?key="+key); a.Status != http.StatusNotFound {
		t.Errorf("answered %d", a.Status)
	}
	if _, err := b.owner.Run(t.Context(), "resume"); err != nil {
		t.Fatal(err)
	}
	var n int64
	if err := b.db.Model(&reset{}).Count(&n).Error; err != nil || n != 0 {
		t.Errorf("%d rows, %v", n, err)
	}
}

func TestPassword_MailsAndGuessesAreLimitedAndRightLinksAlwaysWork(t *testing.T) {
	t.Parallel()
	b := simpleBench(t)
	key := b.mailed(t)
	b.mailed(t)
	b.mailed(t)
	if a := b.Post(b.ada, atParticle(carla, "reset"), url.Values{"username": {carla}}); !strings.Contains(a.Flash, "Too many") || len(b.Host.Mails()) != 3 {
		t.Errorf("a fourth mail: %q", a.Flash)
	}
	before := b.services.total()
	last := 0
	for range guessesMost + 1 {
		last = b.Get(sdk.Identity{}, "/customers/password?key=ABCDEFGHIJKLMNOPQRSTUVWXYZ").Status
	}
	if last != http.StatusTooManyRequests || b.services.total() != before {
		t.Errorf("guessing ended with %d", last)
	}
	if a := b.Get(sdk.Identity{}, "/customers/password?key="+key); a.Status != http.StatusOK {
		t.Errorf("the right link: %d", a.Status)
	}
	b.clock.forward(11 * time.Minute)
	if a := b.Get(sdk.Identity{}, "/customers/password?key=ABCDEFGHIJKLMNOPQRSTUVWXYZ"); a.Status != http.StatusNotFound {
		t.Errorf("later: %d", a.Status)
	}
}

func TestOperations_AreListedAndAnUnclearOneNeedsAttention(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.shadowWay(t)
	ann := b.customer(t, "Ann")
	b.fault(t, "503@POST /v1/products/10001/customers", "503@POST /oauth/token")
	b.attach(t, ann, deviceID(1))
	for range maxTries {
		b.run(t, b.module)
	}
	found, err := b.owner.Check(t.Context())
	if err != nil || len(found) == 0 || !strings.Contains(found[0].Link, "state=attention") {
		t.Fatalf("findings %+v, %v", found, err)
	}
	data := decode[struct {
		Operations []operationView
		Total      int
	}](t, b.Get(b.sam, root+"/operations?state=attention&q=ann"))
	if data.Total != 1 || data.Operations[0].Customer != "Ann" || !data.Operations[0].Retry {
		t.Fatalf("%+v", data)
	}
	b.noFaults()
	if a := b.Post(b.ada, data.Operations[0].Path+"/retry", nil); !strings.HasPrefix(a.Flash, "good ") {
		t.Errorf("trying again: %q", a.Flash)
	}
	if a := b.Post(b.ada, data.Operations[0].Path+"/retry", nil); !strings.HasPrefix(a.Flash, "info ") {
		t.Errorf("once more: %q", a.Flash)
	}
	if found, _ := b.owner.Check(t.Context()); len(found) != 0 {
		t.Errorf("findings %+v", found)
	}
}
