package main_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"mortise/plugins"
)

// begins sends a form and does not wait for what comes of it: whoever answers may be killed meanwhile. It gives the status, 0 for none.
func (v *visitor) begins(path string, pairs ...string) <-chan int {
	v.t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	request, err := http.NewRequestWithContext(v.t.Context(), http.MethodPost, v.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	request.Header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json"}, "X-Csrf-Token": {v.csrf}}
	answered := make(chan int, 1)
	go func() { // ends with the answer, or with the host
		response, err := v.http.Do(request)
		if err != nil {
			answered <- 0
			return
		}
		_ = response.Body.Close()
		answered <- response.StatusCode
	}()
	return answered
}

// slays kills a module's process and waits for the next one.
func (o *office) slays(module string) {
	o.t.Helper()
	before := o.module(module)
	if before.PID == 0 {
		o.t.Fatalf("%s has no process: %+v", module, before)
	}
	if err := syscall.Kill(before.PID, syscall.SIGKILL); err != nil {
		o.t.Fatal(err)
	}
	eventually(o.t, 15*time.Second, module+" is back", func() bool { now := o.module(module); return now.State == "running" && now.PID != before.PID })
}

// number asks the store for one number.
func (o *office) number(query string) (n int) {
	o.t.Helper()
	text, err := sqlite(o.t, o.world, query)
	if err != nil {
		o.t.Fatal(err)
	}
	_, _ = fmt.Sscan(text, &n) // no row is 0
	return n
}

func TestOffice_WhatIsKilledInTheMiddleGoesOnAndDoesNothingTwice(t *testing.T) {
	t.Parallel()
	o, ada := newBackOffice(t)
	o.importsThroughKills(ada)
	o.makesAShadowThroughAKill()
	o.erasesThroughAKill()
	if out, err := sqlite(t, o.world, "PRAGMA integrity_check; PRAGMA foreign_key_check"); err != nil || out != "ok\n" {
		t.Errorf("the store: %q, %v", out, err)
	}
	if unknown := o.cloud.Unknown(); len(unknown) > 0 {
		t.Errorf("the cloud was asked what it does not know: %v", unknown)
	}
}

const (
	massDevices   = 300
	massCustomers = 500
)

// importsThroughKills imports devices and customers, kills both modules and then the whole host, and looks at every line.
func (o *office) importsThroughKills(ada *visitor) {
	t := o.t
	o.cloud.AddSpares(massDevices)
	devices, customers := make([]string, massDevices), make([]string, massCustomers)
	for i := range devices {
		devices[i] = plugins.ParticleSpareID(i + 1)
	}
	for i := range customers {
		customers[i] = fmt.Sprintf("Mass Person %d,mass%d@customers.example,", i, i)
	}
	const adding = "POST /v1/products/{p}/devices"
	o.fault("slow=3s@POST /v1/products/" + plugins.ParticleDemoProduct + "/devices")
	form := workspace + "/imports/new?product=" + plugins.ParticleDemoProduct
	into := ada.sends(workspace+"/imports/new", "product", plugins.ParticleDemoProduct, "text", strings.Join(devices, "\n"), "once", ada.once(form))
	people := ada.sends("/admin/customers/import", "text", "name,email,note\n"+strings.Join(customers, "\n"), "once", ada.once("/admin/customers/import"))

	// The modules, each with something under way.
	made := func() int { return o.number("SELECT count(*) FROM core_users WHERE email LIKE 'mass%'") }
	eventually(t, 20*time.Second, "customers are being made", func() bool { return made() > 50 })
	o.slays("customers")
	eventually(t, 20*time.Second, "devices are being added", func() bool { return o.cloud.Calls(adding) > 0 })
	before := o.cloud.Calls(adding)
	o.slays("organizations")
	for _, path := range []string{"/admin/customers", into.Redirect, people.Redirect, "/admin/customers/devices", workspace} {
		if a := ada.get(path); a.status != http.StatusOK {
			t.Errorf("%s answered %v", path, a)
		}
	}
	// Then the host, while both go on.
	ada.submit("/admin/modules/organizations/jobs/resume/run")
	ada.submit("/admin/modules/customers/jobs/import/run")
	eventually(t, 30*time.Second, "devices are being added again", func() bool { return o.cloud.Calls(adding) > before })
	o.kill()
	o.fault()
	o.again()

	ada = o.admin()
	var imported struct {
		Import struct {
			State  string         `json:"state"`
			Counts map[string]int `json:"counts"`
		} `json:"import"`
	}
	ada.pursues("organizations", "resume", "the devices are imported", func() bool { ada.reads(into.Redirect, &imported); return imported.Import.State == "done" })
	if c := imported.Import.Counts; c["added"]+c["existing"] != massDevices {
		t.Errorf("of %d devices there are %v", massDevices, c)
	}
	for _, n := range []int{1, 100, 101, 200, 201, massDevices} {
		o.ownerAtCloud(plugins.ParticleSpareID(n)) // fails for a device that is not in the product
	}
	var led struct {
		Import struct {
			State string `json:"state"`
		} `json:"import"`
		Counts []struct {
			Result string `json:"result"`
			N      int    `json:"n"`
		} `json:"counts"`
	}
	ada.pursues("customers", "import", "the customers are imported", func() bool { ada.reads(people.Redirect, &led); return led.Import.State == "done" })
	sum := 0
	for _, c := range led.Counts {
		if c.Result == "created" || c.Result == "present" || c.Result == "invited" {
			sum += c.N
		}
	}
	if listed := o.number("SELECT count(*) FROM customers_people WHERE email LIKE 'mass%'"); made() != massCustomers || sum != massCustomers || listed != massCustomers {
		t.Errorf("of %d customers %d accounts were made, %d are listed, and the lines say %+v", massCustomers, made(), listed, led.Counts)
	}
	if twice := o.number("SELECT count(*) FROM (SELECT user_id FROM customers_history WHERE kind = 'made' GROUP BY user_id HAVING count(*) > 1)"); twice != 0 {
		t.Errorf("of %d customers the history says twice that they were made", twice)
	}
}

// makesAShadowThroughAKill kills the module while Particle makes a customer and does not answer.
func (o *office) makesAShadowThroughAKill() {
	t, ada := o.t, o.admin()
	o.makesShadows(ada)
	clara, ben := ada.personID("Clara Vogt"), ada.personID("ben")
	ada.pursues("customers", "resume", "Ben, who has devices, has a shadow customer too", func() bool { return ada.shadowOf(ben).State == "ready" })
	before := len(o.customersAtCloud())
	const making = "POST /v1/products/{p}/customers"
	calls := o.cloud.Calls(making)
	o.fault("donehang@POST /v1/products/" + plugins.ParticleDemoProduct + "/customers#1")
	answered := ada.begins(personPage(clara)+"/attach", "product", garden, "device", fleetLamp(50))
	eventually(t, 10*time.Second, "Particle is asked", func() bool { return o.cloud.Calls(making) > calls && len(o.customersAtCloud()) > before })
	o.slays("customers")
	if status := <-answered; status == http.StatusOK {
		t.Error("a form was answered as done by a process that was killed")
	}
	o.fault()
	ada.pursues("customers", "resume", "the shadow customer has a token", func() bool { return ada.shadowOf(clara).State == "ready" })
	if now := o.customersAtCloud(); len(now) != before+1 || !slices.Contains(now, ada.shadowOf(clara).Username) {
		t.Errorf("there were %d customers at Particle, and are %d", before, len(now))
	}
	if n := o.number("SELECT count(*) FROM customers_attachments WHERE detached_at IS NULL AND device_id = '" + fleetLamp(50) + "'"); n != 1 {
		t.Errorf("the device is attached %d times", n)
	}
}

// erasesThroughAKill kills the whole host while a customer is erased.
func (o *office) erasesThroughAKill() {
	t, ada := o.t, o.admin()
	clara := ada.personID("Clara Vogt")
	name := ada.shadowOf(clara).Username
	erase := personPage(clara) + "/privacy/erase"
	const deleting = "DELETE /v1/products/{p}/customers/{email}"
	calls := o.cloud.Calls(deleting)
	o.fault("hang@DELETE /v1/products/" + plugins.ParticleDemoProduct + "/customers")
	answered := ada.begins(erase, "wish", "account", "confirm", "clara.vogt@customers.example", "once", ada.once(erase))
	eventually(t, 20*time.Second, "Particle is asked to delete", func() bool { return o.cloud.Calls(deleting) > calls })
	o.kill()
	if status := <-answered; status == http.StatusOK {
		t.Error("a form was answered as done by a host that was killed")
	}
	o.fault()
	o.again()
	ada = o.admin()
	if a := ada.get(personPage(clara) + "/privacy"); a.status != http.StatusOK {
		t.Errorf("the page of somebody who is being erased answered %v", a)
	}
	ada.pursues("customers", "resume", "the shadow customer is gone", func() bool { return !slices.Contains(o.customersAtCloud(), name) && len(o.cloud.Tokens(name)) == 0 })
	ada.pursues("customers", "erase", "Clara is nowhere", func() bool {
		return len(o.traces("clara.vogt", "clara vogt")) == 0 && o.number(fmt.Sprintf("SELECT count(*) FROM core_users WHERE id = %d", clara)) == 0
	})
}
