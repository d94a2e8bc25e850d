package privacy

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"mortise/core/fault"
	"mortise/core/sdk"
	"mortise/plugins/customers/site"
)

const (
	permission      = "customers.privacy"
	downloadsAnHour = 5
	kindDownload    = "data_downloaded"
)

// Deps is what this part needs of the others. Each may be nil.
type Deps struct {
	// Head gives what the head of a customer's pages, the template _person, is drawn with. fault.NotFound: it is drawn from the account.
	Head func(ctx context.Context, userID int64) (any, error)
	// Forget ends whatever stands for a person at Particle, and erases the tokens for it. It may be called again, and after the account is gone.
	Forget func(ctx context.Context, userID int64) error
	// Devices gives the names of the devices that are attached to a person.
	Devices func(ctx context.Context, userID int64) ([]Device, error)
}

// Device is one that a customer has.
type Device struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Product string `json:"product"`
}

// Privacy is the part.
type Privacy struct {
	*site.Site
	deps    Deps
	records records
	// Patience is how long a page waits for the modules to have erased what they have, before it says what is left.
	Patience time.Duration
}

// New makes the part.
func New(s *site.Site, deps Deps) *Privacy {
	return &Privacy{Site: s, deps: deps, records: records{s}, Patience: 2 * time.Second}
}

// Start lets the job go on with what the last run of the program left half done.
func (p *Privacy) Start(ctx context.Context) error { return p.records.release(ctx) }

// Routes adds the pages.
func (p *Privacy) Routes(mux *http.ServeMux) {
	const person = " /admin/customers/people/{person}/privacy"
	for pattern, handler := range map[string]http.HandlerFunc{
		"GET" + person:                           p.show,
		"GET" + person + "/export":               p.export,
		"GET" + person + "/erase":                p.confirmErase,
		"POST" + person + "/erase":               p.eraseNow,
		"GET /admin/customers/erasures":          p.list,
		"GET /customers":                         p.own,
		"POST /customers/sessions/{session}/end": p.endSession,
		"GET /customers/data":                    p.download,
		"GET /customers/delete":                  p.confirmLeave,
		"POST /customers/delete":                 p.leave,
	} {
		mux.HandleFunc(pattern, handler)
	}
}

// customer is a person as host.people gives one.
type customer struct {
	ID          int64      `json:"id"`
	Name        string     `json:"name"`
	Email       string     `json:"email"`
	Blocked     bool       `json:"blocked"`
	HasPassword bool       `json:"has_password"`
	CreatedAt   time.Time  `json:"created_at"`
	LastSeenAt  *time.Time `json:"last_seen_at"`
}

type idIn struct {
	ID int64 `json:"id"`
}

// customer finds a customer. NotFound for who is none, whether they exist or not.
func (p *Privacy) customer(ctx context.Context, id int64) (customer, error) {
	var c customer
	err := p.Host.Call(ctx, "host.people", "get", idIn{id}, &c)
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Denied) {
		err = site.ErrNotFound
	}
	return c, err
}

// head gives what the page's head is drawn with; nil when only the account is known.
func (p *Privacy) head(ctx context.Context, id int64) (any, error) {
	if p.deps.Head == nil {
		return nil, nil
	}
	view, err := p.deps.Head(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return nil, nil
	}
	return view, err
}

// allowed checks once more what the manifest asks for: these pages show everything about a person.
func allowed(r *http.Request) error {
	if !sdk.UserFrom(r.Context()).Can(permission) {
		return fault.New(fault.Denied, "You may not see personal data.")
	}
	return nil
}

func pathOf(userID int64) string { return "/admin/customers/people/" + strconv.FormatInt(userID, 10) }

func privacyOf(userID int64) string { return pathOf(userID) + "/privacy" }

var topCrumb = sdk.Link{Title: "Customers", Path: "/admin/customers"}
