package particle

import (
	"errors"
	"slices"
	"strings"
)

// ScopeInfo is one right that an API user can have.
type ScopeInfo struct {
	Name      string // as the cloud writes it, such as "devices:list"
	Group     string // heading to show it under
	Purpose   string // what a program needs it for, as the end of "lets the program …"
	Suggested bool   // a site that shows and controls a product's devices and keeps its customers needs it
}

// Scopes lists the scopes that concern this package's calls, by group.
//
// Source: https://docs.particle.io/reference/cloud-apis/api/#api-users.
func Scopes() []ScopeInfo { return slices.Clone(scopes) }

// SuggestedScopes are the names of the suggested ones.
func SuggestedScopes() []string {
	var names []string
	for _, s := range scopes {
		if s.Suggested {
			names = append(names, s.Name)
		}
	}
	return names
}

var scopes = []ScopeInfo{
	{"products:list", "Products", "list the products", true},
	{"products:get", "Products", "read a product's name, platform and settings", true},
	{"organization:get", "Products", "read the organization that a product belongs to", false},
	{"devices:list", "Devices", "list the devices of the product", true},
	{"devices:get", "Devices", "read one device: online, functions, variables", true},
	{"devices:update", "Devices", "rename devices, change notes, groups and the development mark, make a device signal", true},
	{"devices:ping", "Devices", "ask a device whether it is online", true},
	{"devices:import", "Devices", "add devices to the product", true},
	{"devices:remove", "Devices", "take devices out of the product", true},
	{"devices:release", "Devices", "end the ownership of a device", true},
	{"devices.function:call", "Devices", "call functions, which is how devices are controlled", true},
	{"devices.variable:get", "Devices", "read variables", true},
	{"events:get", "Events", "receive the events of the product's devices", true},
	{"events:send", "Events", "publish events to the product's devices", true},
	{"customers:list", "Customers", "list the customers that Particle knows", true},
	{"customers:update", "Customers", "set a customer's password", true},
	{"customers:remove", "Customers", "delete customers", true},
	{"clients:list", "OAuth clients", "list the OAuth clients", true},
	{"clients:create", "OAuth clients", "create OAuth clients", true},
	{"clients:update", "OAuth clients", "rename OAuth clients and change their scope", true},
	{"clients:remove", "OAuth clients", "delete OAuth clients", true},
	{"teams.users:list", "Team", "list the team and its API users", true},
	{"teams.users:invite", "Team", "invite people and create API users", false},
	{"teams.users:update", "Team", "change roles and scopes, and renew an API user's token", false},
	{"teams.users:remove", "Team", "remove people and API users from the team", false},
}

// neededScopes is the scope that each operation of this package needs from an API user. Operations without one are open to
// every token or to none.
var neededScopes = map[string]string{
	"list products": "products:list", "list products of an organization": "products:list", "get product": "products:get",
	"list organizations": "organization:get", "get organization": "organization:get", "list product devices": "devices:list",
	"list devices": "devices:list", "get device": "devices:get", "rename device": "devices:update", "change notes": "devices:update",
	"change groups": "devices:update", "change development mark": "devices:update", "signal device": "devices:update",
	"ping device": "devices:ping", "add devices": "devices:import", "remove device": "devices:remove", "deny device": "devices:remove",
	"unclaim device": "devices:release", "call function": "devices.function:call", "read variable": "devices.variable:get",
	"open event stream": "events:get", "publish event": "events:send", "list customers": "customers:list",
	"change customer password": "customers:update", "delete customer": "customers:remove",
	"list clients": "clients:list", "create client": "clients:create", "change client": "clients:update", "delete client": "clients:remove",
	"list team": "teams.users:list", "invite to team": "teams.users:invite", "create API user": "teams.users:invite",
	"change role": "teams.users:update", "change API user": "teams.users:update", "remove from team": "teams.users:remove",
}

// explainRefusal says more about a refusal of a bearer token than its kind alone does.
//
// A token without the needed scope is answered 400 invalid_scope by npm @particle/oauth2-server, and 403 by the written
// documentation, which a token of somebody outside the team gets too.
func (e *Error) explainRefusal(r call) {
	scope := neededScopes[r.op]
	if e.Kind == BadScope && r.token != "" {
		e.Kind, e.Scope = MissingScope, scope
		e.Message, e.Hint = explanation(MissingScope)
		if scope != "" {
			e.Message = "The access token lacks the scope \"" + scope + "\"."
		}
		return
	}
	if e.Kind != Denied {
		return
	}
	if strings.Contains(strings.ToLower(e.Description), "api users are not allowed") {
		e.Message, e.Hint = "Particle does not let an API user do this.", "Use a person's access token for it."
		return
	}
	if scope != "" && (strings.Contains(r.url, "/v1/products") || strings.Contains(r.url, "/v1/orgs") || strings.Contains(r.url, "/v1/clients")) {
		e.Scope = scope
		e.Message = "The access token may not do this."
		e.Hint = "Its owner must be in the team of the product; an API user needs the scope \"" + scope + "\"."
	}
}

// MissingScopeOf is the scope whose absence err reports for certain, or "".
func MissingScopeOf(err error) string {
	var e *Error
	if errors.As(err, &e) && e.Kind == MissingScope {
		return e.Scope
	}
	return ""
}

// Uncertain tells that a call that changes something may have been carried out although it failed: look before repeating it.
func (e *Error) Uncertain() bool {
	switch e.Kind {
	case NoAnswer, Upstream, Unreachable, NotParticle, Cancelled, DeviceTimeout:
		return true
	}
	return false
}

// IsGone tells that what was to be changed or removed does not exist: a repeated removal may take it for done.
func IsGone(err error) bool { return Is(err, NotFound) || Is(err, UnknownDevice) }
