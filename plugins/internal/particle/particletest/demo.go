package particletest

import (
	"fmt"
	"strings"
	"time"
)

// What a Server has when nothing was seeded before its first request.
const (
	DemoEmail        = "ada@particle.example"
	DemoPassword     = "lamp-and-sensor"
	DemoClientID     = "mortise-demo-4821"
	DemoClientSecret = "1f2e3d4c5b6a79880a1b2c3d4e5f60718293a4b5"
	DemoLamp         = "e00fce680000000000000001" // switched by led, publishes lamp/state
	DemoSensor       = "e00fce680000000000000002" // temp drifts, publishes sensor/temp
	DemoOffline      = "e00fce680000000000000003"
	DemoLate         = "e00fce680000000000000004" // answers after three seconds
	DemoNegative     = "e00fce680000000000000005" // its function check returns -7
	DemoProduct      = "10001"                    // with the slug garden-lamp-10001
	DemoServerID     = "garden-server-2001"       // a client of the product, type installed
	DemoServerSecret = "a5b4c3d2e1f0091827364554637281900a1b2c3d"

	DemoOrganization   = "mortise-garden" // slug
	DemoOrganizationID = "5f0c1a2b3c4d5e6f70819203"
	DemoProduct2       = "10002"                                    // of the organization; its slug weather-station-v1 is not made of its number
	DemoOtherEmail     = "grace@particle.example"                   // the second member of the team
	DemoOtherPassword  = "weather-and-wind"                         //
	DemoAPIToken       = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee01" // of the API user "Mortise site" of DemoProduct, with the scopes that a site needs
	DemoReadToken      = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee02" // of the API user "Read only" of DemoProduct, which may list and look
	DemoCustomer       = "olive@customers.example"                  // a customer with a password
	DemoCustomerPass   = "olive-and-thyme"
	DemoShadow         = "7b0c8f3e-5a52-4ef1-9d3a-0e7f2f5c9b11@demo.example" // a customer without
	DemoForeign        = "e00fce680000000000000f01"                          // in no product and owned by somebody else
	DemoOtherPlatform  = "e00fce680000000000000f02"                          // in no product, of a platform that fits none
)

// SeedDemo seeds what the zero value has, but for an account of one's own. It does nothing when something was seeded before.
func (s *Server) SeedDemo(email, password string) {
	s.init()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.seeded {
		s.seedDemo(email, password)
	}
}

// seedDemo fills an empty server; the mutex is held.
func (s *Server) seedDemo(email, password string) {
	s.addAccount(Account{Username: email, Password: password, FirstName: "Ada", LastName: "Demo"})
	s.addAccount(Account{Username: DemoOtherEmail, Password: DemoOtherPassword, FirstName: "Grace", LastName: "Demo"})
	s.addClient(Client{ID: DemoClientID, Secret: DemoClientSecret, Name: "Mortise demo", Owner: email})
	s.addOrganization(Organization{ID: DemoOrganizationID, Slug: DemoOrganization, Name: "Mortise Garden", Team: []string{email, DemoOtherEmail}})
	s.addProduct(Product{ID: 10001, Slug: "garden-lamp-10001", Name: "Garden lamp", Platform: 32, Team: []string{email, DemoOtherEmail}, Groups: []string{"bench"}})
	s.addProduct(Product{ID: 10002, Slug: "weather-station-v1", Name: "Weather station", Platform: 13, Team: []string{email}, Organization: DemoOrganization})
	s.addClient(Client{ID: DemoServerID, Secret: DemoServerSecret, Name: "Garden server", Type: Installed, Owner: email, Product: DemoProduct})
	s.addAPIUser(APIUser{Product: DemoProduct, Name: "Mortise site", Scopes: siteScopes, Token: DemoAPIToken})
	s.addAPIUser(APIUser{Product: DemoProduct, Name: "Read only", Scopes: []string{"products:list", "products:get", "devices:list", "devices:get"}, Token: DemoReadToken})
	s.seedOwnDevices(email)
	s.seedFleet()
	s.load()
	s.seeded = true // from here on, what changes is kept
}

// siteScopes are what a site needs that lists, controls and hands over a product's devices and keeps its customers.
var siteScopes = strings.Fields("products:list products:get devices:list devices:get devices:update devices:ping devices:import " +
	"devices:remove devices:release devices.function:call devices.variable:get events:get events:send customers:list customers:update " +
	"customers:remove clients:list clients:create clients:update clients:remove teams.users:list teams.users:invite teams.users:update teams.users:remove")

// seedOwnDevices adds the devices that the account has claimed.
func (s *Server) seedOwnDevices(email string) {
	s.addDevice(Device{ID: DemoLamp, Name: "desk-lamp", Owner: email, Product: DemoProduct, Behaviour: Lamp})
	s.addDevice(Device{ID: DemoSensor, Name: "greenhouse", Owner: email, Platform: 12, Behaviour: Sensor})
	s.addDevice(Device{ID: DemoOffline, Name: "garage-door", Owner: email, Platform: 6, Offline: true,
		Functions: map[string]func(string) int{"door": func(string) int { return 1 }}, Variables: map[string]any{"open": false}})
	s.addDevice(Device{ID: DemoLate, Name: "slow-boiler", Owner: email, Platform: 13, Latency: 3 * time.Second,
		Functions: map[string]func(string) int{"heat": func(string) int { return 1 }}, Variables: map[string]any{"pressure": 1.4}})
	s.addDevice(Device{ID: DemoNegative, Name: "self-test", Owner: email, Platform: 12,
		Functions: map[string]func(string) int{"check": func(string) int { return -7 }}, Variables: map[string]any{"errors": 3}})
}

// DemoFleetID is the id of the nth of the 60 lamps (from 1) that DemoProduct has beside the first one.
func DemoFleetID(n int) string { return fmt.Sprintf("e00fce6800000000001%05d", n) }

// DemoStationID is the id of the nth of the eight stations (from 1) of DemoProduct2.
func DemoStationID(n int) string { return fmt.Sprintf("e00fce6800000000002%05d", n) }

// SpareID is the id of the nth device (from 1) that is in no product and owned by nobody. The demo has ten; see AddSpares.
func SpareID(n int) string { return fmt.Sprintf("e00fce6800000000003%05d", n) }

// AddSpares adds devices of the platform of DemoProduct that are in no product, numbered from 1 to n by SpareID, and returns
// their ids: something to import.
func (s *Server) AddSpares(n int) []string {
	s.ready()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addSpares(n)
}

func (s *Server) addSpares(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = SpareID(i + 1)
		if s.devices[ids[i]] == nil {
			s.addDevice(Device{ID: ids[i], Behaviour: Lamp})
		}
	}
	return ids
}

// seedFleet adds what makers see: three pages of lamps, of which some are offline or a customer's, and a second product.
func (s *Server) seedFleet() {
	p := s.product(DemoProduct)
	s.addCustomer(p, Customer{Email: DemoCustomer, Password: DemoCustomerPass, Product: DemoProduct})
	s.addCustomer(p, Customer{Email: DemoShadow, Product: DemoProduct})
	for i := range 30 { // two pages
		s.addCustomer(p, Customer{Email: fmt.Sprintf("customer%02d@customers.example", i+1), Password: "demo-password", Product: DemoProduct})
	}
	now := s.Now()
	for n := 1; n <= 60; n++ {
		d := Device{ID: DemoFleetID(n), Name: fmt.Sprintf("lamp-%03d", n), Product: DemoProduct, Behaviour: Lamp, Offline: n%7 == 0,
			Groups: []string{[]string{"north", "south"}[n%2]}, Development: n == 1}
		switch {
		case n <= 3:
			d.Groups = append(d.Groups, "bench")
			d.Notes = "On the bench for the burn-in test."
		case n == 10:
			d.Owner = DemoCustomer
		case n == 11:
			d.Owner = DemoShadow
		case n == 60:
			d.Quarantined, d.Groups = true, nil
		}
		s.addDevice(d)
		if d.Offline {
			s.devices[d.ID].lastHeard = now.Add(-time.Duration(n) * time.Hour)
		}
	}
	for n := 1; n <= 8; n++ {
		s.addDevice(Device{ID: DemoStationID(n), Name: fmt.Sprintf("station-%d", n), Product: DemoProduct2, Platform: 13, Behaviour: Sensor, Offline: n == 8})
	}
	s.addSpares(10)
	s.addDevice(Device{ID: DemoForeign, Name: "not-ours", Owner: "someone@else.example"})
	s.addDevice(Device{ID: DemoOtherPlatform, Name: "old-core", Platform: 0x7f})
}
