package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"mortise/plugins"
)

// shadow is what a person's page says about the customer at Particle.
type shadow struct {
	Username  string     `json:"username"`
	State     string     `json:"state"`
	Problem   string     `json:"problem"`
	TokenAt   *time.Time `json:"token_at"`
	ExpiresAt *time.Time `json:"expires_at"`
}

// shadowOf gives the one shadow customer of a person, or a zero one.
func (v *visitor) shadowOf(person int64) shadow {
	v.t.Helper()
	var page struct {
		Shadows []shadow `json:"shadows"`
	}
	v.reads(personPage(person)+"/devices", &page)
	if len(page.Shadows) > 1 {
		v.t.Errorf("one person has %d shadow customers", len(page.Shadows))
	}
	if len(page.Shadows) == 0 {
		return shadow{}
	}
	return page.Shadows[0]
}

// atCloud asks the cloud itself, with the token of the workspace.
func (o *office) atCloud(path string, out any) {
	o.t.Helper()
	request, err := http.NewRequestWithContext(o.t.Context(), http.MethodGet, o.Particle.URL+path, nil)
	if err != nil {
		o.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+plugins.ParticleDemoAPIToken)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		o.t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(out); err != nil || response.StatusCode != http.StatusOK {
		o.t.Fatalf("GET %s answered %d, %v", path, response.StatusCode, err)
	}
}

// customersAtCloud lists the user names of the product's customers.
func (o *office) customersAtCloud() []string {
	o.t.Helper()
	names := []string{}
	for page := 1; ; page++ {
		var answer struct {
			Customers []struct {
				Username string `json:"username"`
			} `json:"customers"`
			Meta struct {
				Pages int `json:"total_pages"`
			} `json:"meta"`
		}
		o.atCloud(fmt.Sprintf("/v1/products/%s/customers?perPage=100&page=%d", plugins.ParticleDemoProduct, page), &answer)
		for _, c := range answer.Customers {
			names = append(names, c.Username)
		}
		if page >= answer.Meta.Pages {
			return names
		}
	}
}

// ownerAtCloud gives the owner of a device there; "" for none.
func (o *office) ownerAtCloud(device string) string {
	o.t.Helper()
	var answer struct {
		Owner string `json:"owner"`
	}
	o.atCloud("/v1/products/"+plugins.ParticleDemoProduct+"/devices/"+device, &answer)
	return answer.Owner
}

// makesShadows has the maker create the OAuth client for shadow customers, hand it over, and choose the way. It gives the secret.
func (o *office) makesShadows(ada *visitor) (secret string) {
	o.t.Helper()
	form := workspace + "/clients/new?purpose=server&product=" + plugins.ParticleDemoProduct
	var made struct {
		ClientID  string `json:"client_id"`
		Secret    string `json:"secret"`
		Once      string `json:"once"`
		Operation struct {
			Path string `json:"path"`
		} `json:"operation"`
	}
	a := ada.submit(workspace+"/clients/new", "purpose", "server", "product", plugins.ParticleDemoProduct, "name", "Garden site", "once", ada.once(form))
	if err := json.Unmarshal([]byte(a.body), &made); err != nil || a.status != http.StatusCreated || made.Secret == "" {
		o.t.Fatalf("creating the client answered %v", a.answer)
	}
	if a := ada.sends(made.Operation.Path+"/hand-over", "once", made.Once); a.Message.Tone != "good" {
		o.t.Fatalf("handing the client over answered %v", a.answer)
	}
	way := "/admin/customers/products/" + garden
	var product struct {
		Product struct {
			Version  int64  `json:"version"`
			ClientID string `json:"client_id"`
		} `json:"product"`
	}
	if ada.reads(way, &product); product.Product.ClientID != made.ClientID {
		o.t.Errorf("the product's page names the client %q, want %q", product.Product.ClientID, made.ClientID)
	}
	if a := ada.sends(way, "way", "shadow", "version", fmt.Sprint(product.Product.Version), "confirm", "on"); a.Message.Tone != "good" {
		o.t.Errorf("choosing the way answered %v", a.answer)
	}
	return made.Secret
}

var opaque = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}@[a-z0-9.-]+$`)

// insides are words that no page has for people.
var insides = []string{"dial tcp", "eof", "rpc error", "context deadline", "unmarshal", "127.0.0.1:", "panic"}

// says fails when a text for people has what is inside.
func says(t testing.TB, where, text string) {
	t.Helper()
	for _, inside := range insides {
		if strings.Contains(strings.ToLower(text), inside) {
			t.Errorf("%s says %q: %s", where, inside, text)
		}
	}
}

func TestOffice_ShadowCustomersStandForPeopleThroughEveryFault(t *testing.T) {
	t.Parallel()
	o, ada := newBackOffice(t)
	secret := o.makesShadows(ada)
	before := o.customersAtCloud()

	// Each attachment meets another fault at the moment when the customer is made at Particle.
	const making = "@POST /v1/products/" + plugins.ParticleDemoProduct + "/customers#1"
	faults := []struct{ person, fault string }{
		{"Ben Gardener", ""}, {"Clara Vogt", "done500"}, {"Emma Okafor", "donehang"}, {"Farid Haddad", "429"}, {"Greta Lind", "529"},
		{"Hana Suzuki", "drop"}, {"Kim Park", "donedrop"}, {"Lena Brandt", "not_ok"},
	}
	people := map[string]int64{}
	for i, f := range faults {
		people[f.person] = ada.personID(f.person)
		o.fault()
		if f.fault != "" {
			o.fault(f.fault + making)
		}
		a := ada.sends(personPage(people[f.person])+"/attach", "product", garden, "device", fleetLamp(20+i))
		if a.Message.Tone != "good" {
			t.Errorf("%s: attaching answered %v", f.fault, a.answer)
		}
		s := ada.shadowOf(people[f.person])
		if !opaque.MatchString(s.Username) {
			t.Errorf("%s: the shadow customer is called %q", f.fault, s.Username)
		}
		says(t, f.fault, s.Problem)
		if ready := s.State == "ready"; f.fault == "" && !ready || !ready && (s.State != "wanted" || s.Problem == "") {
			t.Errorf("%s: right after it the shadow customer is %+v", f.fault, s)
		}
	}
	o.fault()
	var ops struct {
		Operations []struct {
			Kind, State, Sentence, Path string
		} `json:"operations"`
	}
	ada.pursues("customers", "resume", "every shadow customer has a token", func() bool {
		ada.reads("/admin/customers/operations?state=failed", &ops)
		for _, op := range ops.Operations { // refused for good, as far as could be told: a person tries again
			ada.sends(op.Path + "/retry")
		}
		return !slices.ContainsFunc(faults, func(f struct{ person, fault string }) bool { return ada.shadowOf(people[f.person]).State != "ready" })
	})
	after := o.customersAtCloud()
	if len(after) != len(before)+len(faults) {
		t.Errorf("there were %d customers at Particle, and are %d, want %d more", len(before), len(after), len(faults))
	}
	for _, f := range faults {
		s := ada.shadowOf(people[f.person])
		if n := len(o.cloud.Tokens(s.Username)); !slices.Contains(after, s.Username) || s.TokenAt == nil || s.ExpiresAt == nil || n == 0 {
			t.Errorf("%s: %+v with %d tokens at Particle", f.fault, s, n)
		}
	}
	o.saysNobodysName(secret)
	o.claimsAndLoses(ada, people["Ben Gardener"])
	o.deletes(ada, people, []string{"Clara Vogt", "Farid Haddad", "Hana Suzuki"}, []string{"500", "429", "donedrop"})
	o.saysNobodysName(secret)
	if unknown := o.cloud.Unknown(); len(unknown) > 0 {
		t.Errorf("the cloud was asked what it does not know: %v", unknown)
	}
}

// saysNobodysName fails when Particle was told who somebody is, or given a password, or when the secret stands in the log.
func (o *office) saysNobodysName(secret string) {
	o.t.Helper()
	for _, word := range []string{"ben@", "gardener", "clara", "emma", "okafor", "farid", "greta", "hana", "suzuki", "customers.example"} {
		if told := o.seen.with(word); len(told) > 0 {
			o.t.Errorf("Particle was told %q: %s", word, told[0])
		}
	}
	for _, request := range o.seen.with("no_password") {
		if !strings.Contains(request, "no_password=true") || strings.Contains(request, "&password=") {
			o.t.Errorf("a shadow customer was made by %s", request)
		}
	}
	if len(o.seen.with("no_password=true")) == 0 {
		o.t.Error("no shadow customer was made without a password")
	}
	secretFree(o.t, "the log", o.logs.String(), secret, plugins.ParticleDemoAPIToken)
}

// claimsAndLoses has a customer set a device up with a claim code, and the maker revoke, renew and detach.
func (o *office) claimsAndLoses(ada *visitor, id int64) {
	t, lamp := o.t, fleetLamp(20)
	ben, person := o.ben(), personPage(id)
	setup := "/customers/setup?device=" + lamp
	var page struct {
		State string `json:"state"`
		Code  string `json:"code"`
	}
	if ben.reads(setup, &page); page.State != "waiting" || page.Code != "" {
		t.Errorf("before the claim the page says %+v", page)
	}
	if a := ben.submit(setup); json.Unmarshal([]byte(a.body), &page) != nil || page.Code == "" {
		t.Fatalf("the claim code: %v", a.answer)
	}
	if err := o.cloud.Redeem(lamp, page.Code); err != nil {
		t.Fatal(err)
	}
	name := ada.shadowOf(id).Username
	if owner := o.ownerAtCloud(lamp); owner != name {
		t.Errorf("the device belongs to %q, want %q", owner, name)
	}
	eventually(t, 10*time.Second, "the page says that the device is there", func() bool { ben.reads(setup, &page); return page.State == "online" })
	ben.switches(lamp, "on")
	if a := o.customer().status(setup); a != http.StatusNotFound {
		t.Errorf("somebody else's set-up answered %d", a)
	}

	old := o.cloud.Tokens(name)
	if a := ada.sends(person+"/shadow", "product", garden, "action", "renew"); a.Message.Tone != "good" {
		t.Errorf("renewing answered %v", a.answer)
	}
	if now := o.cloud.Tokens(name); len(now) != 1 || len(old) != 1 || now[0].Token == old[0].Token {
		t.Errorf("after renewing there are %d tokens, before %d", len(now), len(old))
	}
	o.fault("503@DELETE /v1/access_tokens")
	a := ada.sends(person+"/shadow", "product", garden, "action", "revoke")
	says(t, "revoking", a.Message.Text)
	if s := ada.shadowOf(id); s.State != "revoking" {
		t.Errorf("while Particle does not answer the token is %+v: %v", s, a.answer)
	}
	o.fault()
	ada.pursues("customers", "resume", "the token is revoked", func() bool { return ada.shadowOf(id).State == "revoked" })
	if n := len(o.cloud.Tokens(name)); n != 0 {
		t.Errorf("after revoking %d tokens live", n)
	}
	ada.sends(person+"/shadow", "product", garden, "action", "renew")
	o.fault("429@DELETE /v1/products")
	// With the last of the product's devices the token goes too.
	ada.sends(person+"/detach", "device", lamp, "device", fleetLamp(4), "device", fleetLamp(5), "device", fleetLamp(7))
	o.misses(ben, lamp, "detached while Particle is busy")
	o.fault()
	ada.pursues("customers", "resume", "the device has no owner and the token is revoked", func() bool {
		return o.ownerAtCloud(lamp) == "" && len(o.cloud.Tokens(name)) == 0
	})
}

// deletes deletes customers, each with another fault in the way.
func (o *office) deletes(ada *visitor, people map[string]int64, names, faults []string) {
	t := o.t
	shadows := []string{}
	for i, name := range names {
		person := personPage(people[name])
		shadows = append(shadows, ada.shadowOf(people[name]).Username)
		var page struct {
			Person struct {
				Email   string `json:"email"`
				Version int64  `json:"version"`
			} `json:"person"`
		}
		ada.reads(person+"/delete", &page)
		o.fault(faults[i] + "@DELETE /v1/products/" + plugins.ParticleDemoProduct + "/customers#1")
		a := ada.sends(person+"/delete", "once", ada.once(person+"/delete"), "confirm", page.Person.Email, "version", fmt.Sprint(page.Person.Version))
		says(t, "deleting "+name, a.Message.Text)
		eventually(t, 5*time.Second, name+" is not listed any more", func() bool { return ada.status(person) == http.StatusNotFound })
	}
	o.fault()
	ada.pursues("customers", "resume", "the deleted are gone at Particle", func() bool {
		left := o.customersAtCloud()
		return !slices.ContainsFunc(shadows, func(s string) bool { return slices.Contains(left, s) || len(o.cloud.Tokens(s)) > 0 })
	})
	for _, name := range names {
		var list struct {
			Total int `json:"total"`
		}
		if ada.reads("/admin/customers/devices?q="+url.QueryEscape(name), &list); list.Total != 0 {
			t.Errorf("%s still has %d devices", name, list.Total)
		}
	}
}
