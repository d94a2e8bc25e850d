package particletest

import (
	"net/http"
	"strings"
)

// Organization stands above products.
type Organization struct {
	ID   string // 24 hex digits; "": made
	Slug string
	Name string
	Team []string // user names; the first is the owner
}

type organization struct {
	Organization
	staff []*member
}

func (o *organization) is(idOrSlug string) bool {
	return idOrSlug != "" && (idOrSlug == o.ID || idOrSlug == o.Slug)
}

// AddOrganization adds an organization.
func (s *Server) AddOrganization(o Organization) {
	s.seed(func() { s.addOrganization(o) })
}

func (s *Server) addOrganization(o Organization) {
	if o.ID == "" {
		o.ID = s.random.hex(24)
	}
	s.organizations = append(s.organizations, &organization{Organization: o, staff: s.staffOf(o.Team)})
}

// organization finds one by id or slug; the mutex is held.
func (s *Server) organization(idOrSlug string) *organization {
	for _, o := range s.organizations {
		if o.is(idOrSlug) {
			return o
		}
	}
	return nil
}

// inOrganization tells whether a token is of the organization's team or its API user's; the mutex is held.
func (s *Server) inOrganization(t *token, o *organization) bool {
	switch {
	case t.Customer || t.Product != "":
		return false
	case t.Org != "":
		return o.is(t.Org)
	}
	return isStaff(o.staff, t.Subject)
}

// allowOrganization finds the organization of a request and checks that the token is of its team, or answers.
func (s *Server) allowOrganization(w http.ResponseWriter, r *http.Request, t *token) *organization {
	s.mu.Lock()
	o := s.organization(r.PathValue("org"))
	allowed := o != nil && s.inOrganization(t, o)
	s.mu.Unlock()
	switch {
	case t.Customer:
		s.fail(w, http.StatusForbidden, "Permission denied")
	case !allowed: // that it exists is not told
		s.fail(w, http.StatusNotFound, "Organization not found.")
	default:
		return o
	}
	return nil
}

func (o *organization) object() object {
	return object{"id": o.ID, "slug": o.Slug, "name": o.Name}
}

func (s *Server) listOrgs(w http.ResponseWriter, r *http.Request) {
	t := s.bearer(w, r)
	if t == nil {
		return
	}
	list := []object{}
	s.mu.Lock()
	for _, o := range s.organizations {
		if s.inOrganization(t, o) {
			list = append(list, o.object())
		}
	}
	s.mu.Unlock()
	s.reply(w, http.StatusOK, object{"organizations": list})
}

func (s *Server) getOrg(w http.ResponseWriter, r *http.Request) {
	if t := s.bearer(w, r); t != nil {
		if o := s.allowOrganization(w, r, t); o != nil {
			s.reply(w, http.StatusOK, object{"organization": o.object()})
		}
	}
}

func (s *Server) listOrgProducts(w http.ResponseWriter, r *http.Request) {
	t := s.bearer(w, r)
	if t == nil {
		return
	}
	o := s.allowOrganization(w, r, t)
	if o == nil {
		return
	}
	list := []object{}
	s.mu.Lock()
	for _, p := range s.products {
		if o.is(p.Organization) {
			list = append(list, s.productObject(p))
		}
	}
	s.mu.Unlock()
	s.reply(w, http.StatusOK, object{"products": list})
}

func isStaff(staff []*member, username string) bool {
	for _, m := range staff {
		if !m.Invited && strings.EqualFold(m.Username, username) {
			return true
		}
	}
	return false
}
