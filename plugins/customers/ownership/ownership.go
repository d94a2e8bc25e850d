package ownership

import (
	"context"
	"time"

	"gorm.io/gorm"

	"mortise/core/sdk"
	"mortise/plugins/customers/people"
	"mortise/plugins/customers/site"
	"mortise/plugins/internal/particle"
	"mortise/plugins/internal/productapi"
)

// People is what this package needs of the list of customers.
type People interface {
	// Get gives a customer; fault.NotFound for who is none.
	Get(ctx context.Context, id int64) (people.Person, error)
	// Search finds up to n customers by name or address.
	Search(ctx context.Context, text string, n int) ([]people.Person, error)
	// SetDevices notes how many devices a customer has.
	SetDevices(tx *gorm.DB, userID int64, n int) error
}

// The permissions of the module that decide here.
const (
	mayAttach    = "customers.attach"
	mayConfigure = "customers.configure"
)

// The names of sealed values, as in module.yaml.
const (
	secretClient = "client"
	secretShadow = "shadow"
)

// Ownership is this part of the module.
type Ownership struct {
	site    *site.Site
	people  People
	records *records
	cloudOf productapi.Client
	moved   func(tx *gorm.DB, from, to int64, productID string) error // see OnMove
	limits  particle.Timeouts                                         // of calls to Particle; tests make them shorter

	clouds  particle.Clouds
	locks   locks   // by the subject of an operation
	guesses guesses // of keys of the page on which a password is chosen
}

// New makes the part.
func New(s *site.Site, p People) *Ownership {
	return &Ownership{site: s, people: p, records: &records{db: s.DB, now: s.Now}, cloudOf: productapi.Client{Call: s.Host.Call},
		limits: particle.Timeouts{Connect: 5 * time.Second, Token: 10 * time.Second, Call: 10 * time.Second}}
}

// SetLimits bounds the calls to Particle that this part makes itself. It is for before the first page.
func (o *Ownership) SetLimits(t particle.Timeouts) { o.limits = t }

func (o *Ownership) cloud(baseURL string) (*particle.Client, error) {
	return o.clouds.Of(particle.Options{BaseURL: baseURL, Timeouts: o.limits})
}

func can(ctx context.Context, permission string) bool { return sdk.UserFrom(ctx).Can(permission) }
