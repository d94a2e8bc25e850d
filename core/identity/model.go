package identity

import (
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"

	"mortise/core/fault"
)

// The roles that always exist.
const (
	RoleAdministrator = "administrator" // may do everything; its permissions are not stored
	RoleCustomer      = "customer"      // everybody who registers
	RoleAnonymous     = "anonymous"     // who is not signed in; has no permissions and is not stored
)

// The host's own permissions.
const (
	AdminAccess      = "admin.access"
	AdminModules     = "admin.modules"
	AdminPeople      = "admin.people"
	AdminPermissions = "admin.permissions"
	AdminAppearance  = "admin.appearance"
	AdminLog         = "admin.log"
	AdminStatus      = "admin.status"
	AdminSettings    = "admin.settings"
	AdminHelp        = "admin.help"
)

// Permission describes one permission for the matrix.
type Permission struct {
	ID          string `json:"id"`
	Title       string `json:"title"`
	Description string `json:"description"`
	Restricted  bool   `json:"restricted"` // gives power over the site
}

// HostPermissions are the host's own, in the order of the matrix.
func HostPermissions() []Permission {
	return []Permission{
		{AdminAccess, "Open the admin pages", "Needed for all that follows. Sessions of people who may do this end sooner.", false},
		{AdminModules, "Manage modules", "Enable, pause, configure and remove modules.", true},
		{AdminPeople, "Manage people", "Create, change, block and delete people, and give them roles that hold no more than one's own.", true},
		{AdminPermissions, "Manage roles and permissions", "Create roles and say what they may do.", true},
		{AdminAppearance, "Change the appearance", "Choose and set up the themes.", false},
		{AdminLog, "Read the log", "", false},
		{AdminStatus, "Read the status page", "", false},
		{AdminSettings, "Change the site's settings", "Name, registration, mail.", true},
		{AdminHelp, "Read the administrator's help", "", false},
	}
}

// User is one person. Its slices are shared: do not change them.
type User struct {
	ID          int64      `json:"id"`
	Name        string     `json:"name"`
	Email       string     `json:"email"`
	Roles       []string   `json:"roles"` // sorted
	Blocked     bool       `json:"blocked"`
	Locale      string     `json:"locale"`
	TimeZone    string     `json:"time_zone"`
	CreatedAt   time.Time  `json:"created_at"`
	LastSeenAt  *time.Time `json:"last_seen_at"` // nil: never signed in
	HasPassword bool       `json:"has_password"`

	location *time.Location
}

// Administrator tells whether the person has the role that may do everything.
func (u User) Administrator() bool { return slices.Contains(u.Roles, RoleAdministrator) }

// Location is the person's time zone; UTC when it is unknown.
func (u User) Location() *time.Location {
	if u.location != nil {
		return u.location
	}
	if loc, err := time.LoadLocation(u.TimeZone); err == nil {
		return loc
	}
	return time.UTC
}

// Client is who knocks.
type Client struct {
	Address netip.Addr // the visitor's own, after trusted proxies
	Agent   string     // the User-Agent header, for the list of sessions
}

// agent gives at most 200 printable characters of the header.
func (c Client) agent() string {
	clean := strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, c.Agent)
	if len(clean) > 200 {
		clean = strings.ToValidUTF8(clean[:200], "")
	}
	return clean
}

func (c Client) address() string {
	if !c.Address.IsValid() {
		return ""
	}
	return c.Address.Unmap().WithZone("").String()
}

// Session is one sign-in of one person.
type Session struct {
	ID          string    `json:"id"` // SHA-256 of the token in hexadecimal; safe on pages
	UserID      int64     `json:"user_id"`
	CreatedAt   time.Time `json:"created_at"`
	LastSeenAt  time.Time `json:"last_seen_at"`
	ConfirmedAt time.Time `json:"confirmed_at"` // when the password was last given
	ExpiresAt   time.Time `json:"expires_at"`   // when it ends if it is not used any more
	Address     string    `json:"address"`
	Agent       string    `json:"agent"`
}

// ConfirmedWithin tells whether the password was given within d before now. Things with power over the site ask for it.
func (s Session) ConfirmedWithin(now time.Time, d time.Duration) bool {
	return now.Sub(s.ConfirmedAt) <= d
}

// Principal is who is signed in.
type Principal struct {
	User    User    `json:"user"`
	Session Session `json:"session"`
}

// SignedIn is a new session with the token for the cookie; the token is not kept anywhere else.
type SignedIn struct {
	Token string `json:"-"`
	Principal
}

// Actor is who changes something about people or roles.
type Actor struct {
	UserID int64
	Roles  []string
	// Only, when it is not nil, keeps the actor from everybody who has another role than these, whatever Roles allow.
	Only []string
}

// System is the actor of the command line and of the host itself.
var System = Actor{Roles: []string{RoleAdministrator}}

// ActorOf is the actor of a signed-in person.
func ActorOf(p Principal) Actor { return Actor{UserID: p.User.ID, Roles: p.User.Roles} }

// OverCustomers is the actor of a module that looks after customers on behalf of a person, or by itself (0): it reaches nobody who is
// more than a customer.
func OverCustomers(userID int64) Actor {
	return Actor{UserID: userID, Roles: []string{RoleAdministrator}, Only: []string{RoleCustomer}}
}

// Reaches fails with fault.Denied for somebody whom the actor must leave alone, because of what they are.
func (a Actor) Reaches(u User) error { return a.reaches(u.Roles) }

// reaches fails with fault.Denied for somebody whom the actor must leave alone.
func (a Actor) reaches(roles []string) error {
	if a.Only != nil && len(extra(roles, a.Only)) > 0 {
		return fault.New(fault.Denied, "This person is more than a customer and is out of reach here.")
	}
	return nil
}

func (a Actor) administrator() bool { return slices.Contains(a.Roles, RoleAdministrator) }

// NoticeKind names a mail to a person.
type NoticeKind string

// The notices.
const (
	NoticeReset           NoticeKind = "reset"            // Token: the link to choose a new password
	NoticeInvite          NoticeKind = "invite"           // Token: the link to choose the first password
	NoticePasswordChanged NoticeKind = "password_changed" // to warn if it was somebody else
	NoticeEmailChanged    NoticeKind = "email_changed"    // goes to the old address
)

// Notice is a mail to be sent. Its token must not be logged.
type Notice struct {
	Kind      NoticeKind
	User      User
	To        string
	Token     string
	ExpiresAt time.Time
}

// Purpose is what a one-time link is for.
type Purpose string

// The purposes.
const (
	PurposeSetup Purpose = "setup" // make the first administrator
	PurposeReset Purpose = "reset" // choose a password; invitations too
	PurposeLogin Purpose = "login" // sign in, made by an administrator
)

// Link is what may be shown of a one-time link before it is used.
type Link struct {
	Purpose   Purpose   `json:"purpose"`
	UserID    int64     `json:"user_id"` // 0 for set-up
	Name      string    `json:"name"`
	ExpiresAt time.Time `json:"expires_at"`
}

// Limits are durations and numbers that a site may change.
type Limits struct {
	CustomerIdle, CustomerAbsolute time.Duration
	AdminIdle, AdminAbsolute       time.Duration // for whoever may open the admin pages
	ResetLink, LoginLink           time.Duration
	InviteLink, SetupLink          time.Duration
	SessionsPerUser                int // the one not used for longest ends when another begins
}

// DefaultLimits are those of a new site.
func DefaultLimits() Limits {
	const day = 24 * time.Hour
	return Limits{
		CustomerIdle: 14 * day, CustomerAbsolute: 90 * day,
		AdminIdle: 12 * time.Hour, AdminAbsolute: 7 * day,
		ResetLink: time.Hour, LoginLink: 15 * time.Minute, InviteLink: 3 * day, SetupLink: day,
		SessionsPerUser: 50,
	}
}

// orDefault fills what is zero.
func (l Limits) orDefault() Limits {
	d := DefaultLimits()
	for _, p := range []struct{ have, def *time.Duration }{
		{&l.CustomerIdle, &d.CustomerIdle}, {&l.CustomerAbsolute, &d.CustomerAbsolute},
		{&l.AdminIdle, &d.AdminIdle}, {&l.AdminAbsolute, &d.AdminAbsolute},
		{&l.ResetLink, &d.ResetLink}, {&l.LoginLink, &d.LoginLink}, {&l.InviteLink, &d.InviteLink}, {&l.SetupLink, &d.SetupLink},
	} {
		if *p.have <= 0 {
			*p.have = *p.def
		}
	}
	if l.SessionsPerUser <= 0 {
		l.SessionsPerUser = d.SessionsPerUser
	}
	return l
}

// userPayload is the payload of the events about people: no more than modules need to look the person up.
func userPayload(id int64) any { return map[string]any{"user_id": id} }
