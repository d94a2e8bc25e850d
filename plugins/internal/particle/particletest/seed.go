package particletest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Account is a developer account.
type Account struct {
	Username  string // an e-mail address
	Password  string
	FirstName string
	LastName  string
	OTP       string // when set, sign-in by password asks for this one-time password
}

// Types of OAuth clients.
const (
	Web       = "web"       // may use authorization_code and refresh_token
	Installed = "installed" // may use password, client_credentials and refresh_token
)

// Client is an OAuth client.
type Client struct {
	ID           string
	Secret       string
	Name         string // "" means the id
	Type         string // "" means Web
	RedirectURIs []string
	Scope        string
	Owner        string // user name; "" means the first account
	Product      string // number or slug: a client of that product
}

// Product is a fleet.
type Product struct {
	ID       int
	Slug     string
	Name     string
	Platform int
	Team     []string // user names; the first is the owner

	Organization string   // id or slug; "": its owner's own
	Groups       []string // beside those of its devices
}

// Customer is an end user of a product.
type Customer struct {
	Email    string
	Password string // "": a shadow customer
	Product  string // number or slug
}

// Behaviour is what a simulated device does by itself, beside its own Functions and Variables.
type Behaviour string

// Behaviours.
const (
	Lamp   Behaviour = "lamp"   // functions led (on, off, toggle) and brightness (0 to 255); variables led and brightness; event lamp/state
	Sensor Behaviour = "sensor" // variables temp and humidity drift; event sensor/temp at each Beat
)

// Device is a simulated device. Functions and variable functions are called without any lock, possibly at once from several
// goroutines; they may call the server's methods.
type Device struct {
	ID        string // 24 hex digits
	Name      string
	Owner     string // user name of an account or a customer; "": claimed by nobody
	Product   string // number or slug; "": none
	Platform  int    // 0 means 32, Photon 2
	Behaviour Behaviour
	Offline   bool
	Latency   time.Duration                   // until it answers a call; longer than Server.DeviceWait means 408
	Functions map[string]func(arg string) int // the result is cut to 32 bits
	Variables map[string]any                  // int, float64, string, bool, or func() any

	// Of a product's device.
	Groups      []string
	Notes       string
	Development bool
	Quarantined bool
}

type account struct {
	Account
	id string
}

type client struct {
	Client
	public bool
}

type customer struct {
	Customer
	id string
}

type product struct {
	Product
	staff     []*member
	customers []*customer
}

func (p *product) is(idOrSlug string) bool {
	return idOrSlug != "" && (idOrSlug == fmt.Sprint(p.ID) || idOrSlug == p.Slug)
}

// AddAccount adds or replaces an account.
func (s *Server) AddAccount(a Account) {
	s.seed(func() { s.addAccount(a) })
}

// AddClient adds or replaces an OAuth client.
func (s *Server) AddClient(c Client) {
	s.seed(func() { s.addClient(c) })
}

// AddProduct adds a product.
func (s *Server) AddProduct(p Product) {
	s.seed(func() { s.addProduct(p) })
}

func (s *Server) addProduct(p Product) *product {
	added := &product{Product: p, staff: s.staffOf(p.Team)}
	s.products = append(s.products, added)
	return added
}

// AddCustomer adds a customer to a product, which must exist.
func (s *Server) AddCustomer(c Customer) {
	s.seed(func() {
		if p := s.product(c.Product); p != nil {
			s.addCustomer(p, c)
		} else {
			panic("particletest: no product " + c.Product)
		}
	})
}

// AddDevice adds or replaces a device.
func (s *Server) AddDevice(d Device) {
	s.seed(func() { s.addDevice(d) })
}

// AddRedirectURI lets a client redirect to one more address: the address of a site is often known only once it listens.
// It reports whether the client exists.
func (s *Server) AddRedirectURI(clientID, uri string) bool {
	s.ready()
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.clients[clientID]
	if c == nil {
		return false
	}
	if !slices.Contains(c.RedirectURIs, uri) {
		c.RedirectURIs = append(slices.Clone(c.RedirectURIs), uri)
	}
	return true
}

func (s *Server) seed(add func()) {
	s.init()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seeded = true
	add()
}

func (s *Server) addAccount(a Account) *account {
	added := &account{Account: a, id: s.random.hex(24)}
	s.accounts[strings.ToLower(a.Username)] = added
	return added
}

func (s *Server) addClient(c Client) {
	if c.Type == "" {
		c.Type = Web
	}
	if c.Name == "" {
		c.Name = c.ID
	}
	s.clients[c.ID] = &client{Client: c}
}

func (s *Server) addCustomer(p *product, c Customer) *customer {
	c.Email = strings.ToLower(c.Email)
	added := &customer{Customer: c, id: s.random.hex(24)}
	p.customers = append(p.customers, added)
	return added
}

func (s *Server) addDevice(d Device) {
	d.ID = strings.ToLower(d.ID)
	if d.Platform == 0 {
		d.Platform = 32
	}
	d.Groups = slices.Clone(d.Groups)
	d.Functions, d.Variables = maps.Clone(d.Functions), maps.Clone(d.Variables)
	if d.Functions == nil {
		d.Functions = map[string]func(string) int{}
	}
	if d.Variables == nil {
		d.Variables = map[string]any{}
	}
	if s.devices[d.ID] == nil {
		s.order = append(s.order, d.ID)
	}
	added := &device{Device: d, lastHeard: s.Now()}
	s.behave(added)
	s.devices[d.ID] = added
}

// product finds one by number or slug; the mutex is held.
func (s *Server) product(idOrSlug string) *product {
	for _, p := range s.products {
		if p.is(idOrSlug) {
			return p
		}
	}
	return nil
}
