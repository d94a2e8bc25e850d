package particletest

import (
	"net/http"
	"strings"
)

// routes is every address that the simulator knows.
//
// "events" below a device, and in the place of a device, is the event stream; ServeMux cannot hold both patterns, so the
// handlers look.
func (s *Server) routes() *http.ServeMux {
	m := http.NewServeMux()
	for pattern, handler := range map[string]http.HandlerFunc{
		"GET /oauth/authorize":  s.authorize,
		"POST /oauth/authorize": s.authorize,
		"/oauth/token":          s.postToken,

		"GET /v1/access_tokens":            s.listTokens,
		"DELETE /v1/access_tokens":         s.deleteAllTokens,
		"GET /v1/access_tokens/current":    s.getCurrentToken,
		"DELETE /v1/access_tokens/current": s.deleteCurrentToken,
		"DELETE /v1/access_tokens/{token}": s.deleteToken,
		"GET /v1/user":                     s.getUser,

		"GET /v1/orgs":                          s.listOrgs,
		"GET /v1/orgs/{org}":                    s.getOrg,
		"GET /v1/orgs/{org}/products":           s.listOrgProducts,
		"GET /v1/orgs/{org}/team":               s.listTeam,
		"POST /v1/orgs/{org}/team":              s.postTeam,
		"PUT /v1/orgs/{org}/team/{username}":    s.putMember,
		"POST /v1/orgs/{org}/team/{username}":   s.putMember,
		"DELETE /v1/orgs/{org}/team/{username}": s.deleteMember,

		"GET /v1/devices":                      s.listDevices,
		"POST /v1/devices":                     s.claimDevice,
		"GET /v1/devices/{id}":                 s.getDevice,
		"POST /v1/devices/{id}":                s.postDevice,
		"PUT /v1/devices/{id}":                 s.putDevice,
		"DELETE /v1/devices/{id}":              s.deleteDevice,
		"GET /v1/devices/{id}/{name}":          s.getDevicePart,
		"POST /v1/devices/{id}/{name}":         s.callFunction,
		"PUT /v1/devices/{id}/{name}":          s.putDevicePart,
		"GET /v1/devices/{id}/{name}/{prefix}": s.getDevicePart,
		"POST /v1/device_claims":               s.postClaimCode,
		"GET /v1/events":                       s.streamAll,
		"GET /v1/events/{prefix}":              s.streamAll,

		"GET /v1/clients":         s.listClients,
		"POST /v1/clients":        s.createClient,
		"PUT /v1/clients/{id}":    s.updateClient,
		"DELETE /v1/clients/{id}": s.deleteClient,

		"GET /v1/products":             s.listProducts,
		"GET /v1/user/products":        s.listProducts,
		"GET /v1/products/{p}":         s.getProduct,
		"GET /v1/products/{p}/team":    s.listTeam,
		"GET /v1/products/{p}/clients": s.listClients,

		"POST /v1/products/{p}/team":              s.postTeam,
		"PUT /v1/products/{p}/team/{username}":    s.putMember,
		"POST /v1/products/{p}/team/{username}":   s.putMember, // as the documentation shows it in one place
		"DELETE /v1/products/{p}/team/{username}": s.deleteMember,

		"POST /v1/products/{p}/clients":        s.createClient,
		"PUT /v1/products/{p}/clients/{id}":    s.updateClient,
		"DELETE /v1/products/{p}/clients/{id}": s.deleteClient,

		"GET /v1/products/{p}/customers":            s.listCustomers,
		"POST /v1/products/{p}/customers":           s.createCustomer,
		"PUT /v1/products/{p}/customers/{email}":    s.putCustomer,
		"DELETE /v1/products/{p}/customers/{email}": s.deleteCustomer,
		"POST /v1/products/{p}/device_claims":       s.postClaimCode,

		"GET /v1/products/{p}/devices":                      s.listProductDevices,
		"POST /v1/products/{p}/devices":                     s.importDevices,
		"GET /v1/products/{p}/devices/{id}":                 s.getDevice,
		"PUT /v1/products/{p}/devices/{id}":                 s.putDevice,
		"DELETE /v1/products/{p}/devices/{id}":              s.deleteDevice,
		"GET /v1/products/{p}/devices/{id}/{name}":          s.getDevicePart,
		"POST /v1/products/{p}/devices/{id}/{name}":         s.callFunction,
		"PUT /v1/products/{p}/devices/{id}/{name}":          s.putDevicePart,
		"DELETE /v1/products/{p}/devices/{id}/owner":        s.deleteDevice,
		"GET /v1/products/{p}/devices/{id}/{name}/{prefix}": s.getDevicePart,
		"GET /v1/products/{p}/events":                       s.streamProduct,
		"GET /v1/products/{p}/events/{prefix}":              s.streamProduct,
		"POST /v1/products/{p}/events":                      s.publish,
	} {
		m.HandleFunc(pattern, handler)
	}
	return m
}

// routeName is the pattern under which a request is counted: the pattern of routes, with "events" and "ping" named where they
// stand in the place of a device or a name.
func routeName(r *http.Request, pattern string) string {
	path := r.URL.EscapedPath()
	if !strings.Contains(pattern, " ") {
		pattern = r.Method + " " + pattern
	}
	switch {
	case strings.HasPrefix(path, "/v1/devices/events"):
		return strings.NewReplacer("{id}", "events", "{name}", "{prefix}").Replace(pattern)
	case strings.Contains(pattern, "{name}"):
		at := strings.Split(strings.TrimPrefix(pattern[strings.IndexByte(pattern, ' ')+1:], "/"), "/")
		have := strings.Split(strings.TrimPrefix(path, "/"), "/")
		for i, segment := range at {
			if segment == "{name}" && i < len(have) && (have[i] == "events" || have[i] == "ping") {
				return strings.Replace(pattern, "{name}", have[i], 1)
			}
		}
	}
	return pattern
}
