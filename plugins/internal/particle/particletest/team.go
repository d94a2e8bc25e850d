package particletest

import (
	"net/http"
	"slices"
	"strings"
)

// member is a person or an API user in the team of a product or an organization.
type member struct {
	ID       string   `json:"id"`
	Username string   `json:"username"`
	Role     string   `json:"role"`
	Name     string   `json:"name"`
	Scopes   []string `json:"scopes"` // nil: a person
	Invited  bool     `json:"invited"`
}

// APIUser is a program in the team of a product or an organization.
type APIUser struct {
	Product      string // number or slug; or
	Organization string // id or slug
	Name         string
	Scopes       []string
	Token        string // "": made
}

// AddAPIUser adds an API user to a product or an organization, which must exist, and returns its token, which never expires.
func (s *Server) AddAPIUser(u APIUser) (token string) {
	s.seed(func() { token = s.addAPIUser(u) })
	return token
}

// IssueAPIToken gives a token of a new API user of a product, as a test's shortcut.
func (s *Server) IssueAPIToken(product string, scopes ...string) string {
	s.ready()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addAPIUser(APIUser{Product: product, Name: "test", Scopes: scopes})
}

func (s *Server) addAPIUser(u APIUser) string {
	staff := s.staff(u.Product, u.Organization)
	if staff == nil {
		panic("particletest: no product " + u.Product + " and no organization " + u.Organization)
	}
	m := s.newAPIUser(u.Name, u.Scopes)
	*staff = append(*staff, m)
	return s.issueAPIToken(m, u.Product, u.Organization, u.Token).Access
}

func (s *Server) newAPIUser(name string, scopes []string) *member {
	return &member{ID: s.random.hex(24), Username: dashed(name) + "+" + s.random.hex(10) + "@api.particle.io", Name: name, Scopes: slices.Clone(scopes)}
}

// issueAPIToken gives the one token that an API user has; the mutex is held.
func (s *Server) issueAPIToken(m *member, product, organization, access string) *token {
	if p := s.product(product); p != nil {
		product = p.Slug
	}
	t := s.issue(token{Subject: m.Username, Product: product, Org: organization, Scopes: m.Scopes, APIUser: true}, -1)
	if access != "" {
		delete(s.tokens, t.Access)
		t.Access = access
		s.tokens[access] = t
		s.save()
	}
	return t
}

// staff is the team of a product or an organization, or nil; the mutex is held.
func (s *Server) staff(product, organization string) *[]*member {
	if p := s.product(product); p != nil {
		return &p.staff
	}
	if o := s.organization(organization); o != nil {
		return &o.staff
	}
	return nil
}

func (s *Server) staffOf(names []string) []*member {
	var staff []*member
	for i, name := range names {
		role := "Developer"
		if i == 0 {
			role = "Owner"
		}
		staff = append(staff, &member{ID: s.random.hex(24), Username: name, Role: role})
	}
	return staff
}

// AcceptInvitation lets a person accept all invitations to teams, as by the link in the mail.
func (s *Server) AcceptInvitation(username string) {
	s.ready()
	s.mu.Lock()
	defer s.mu.Unlock()
	accept := func(staff []*member) {
		for _, m := range staff {
			if strings.EqualFold(m.Username, username) {
				m.Invited = false
			}
		}
	}
	for _, p := range s.products {
		accept(p.staff)
	}
	for _, o := range s.organizations {
		accept(o.staff)
	}
	s.save()
}

func (m *member) object() object {
	o := object{"_id": m.ID, "username": m.Username}
	switch {
	case m.Scopes != nil:
		o["is_programmatic"], o["friendly_name"], o["scopes"] = true, m.Name, m.Scopes
	case m.Invited:
		o["status"] = "invited"
		fallthrough
	default:
		o["role"] = object{"id": "5d0000000000000000" + idOfRole(m.Role), "name": m.Role}
	}
	return o
}

func idOfRole(role string) string {
	i := slices.Index(roles, role)
	return "00000" + string(rune('1'+max(i, 0)))
}

var roles = []string{"Owner", "Administrator", "Developer", "Support", "View-only"}

// team finds the team of a request, below a product or an organization, and checks that the token is of it, or answers.
func (s *Server) team(w http.ResponseWriter, r *http.Request) (staff *[]*member, product, organization string) {
	t := s.bearer(w, r)
	if t == nil {
		return nil, "", ""
	}
	if r.PathValue("p") != "" {
		if p := s.allowProduct(w, r, t); p != nil {
			return &p.staff, p.Slug, ""
		}
		return nil, "", ""
	}
	if o := s.allowOrganization(w, r, t); o != nil {
		return &o.staff, "", o.ID
	}
	return nil, "", ""
}

func (s *Server) listTeam(w http.ResponseWriter, r *http.Request) {
	staff, _, _ := s.team(w, r)
	if staff == nil {
		return
	}
	list := []object{}
	s.mu.Lock()
	for _, m := range *staff {
		list = append(list, m.object())
	}
	s.mu.Unlock()
	s.reply(w, http.StatusOK, object{"ok": true, "team": list})
}

// postTeam invites a person, or makes an API user when there is a friendly_name.
func (s *Server) postTeam(w http.ResponseWriter, r *http.Request) {
	staff, product, organization := s.team(w, r)
	if staff == nil {
		return
	}
	fields, ok := s.body(w, r)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if fields.has("friendly_name") {
		scopes, wrong := readScopes(fields)
		if wrong != "" {
			s.failList(w, http.StatusBadRequest, wrong)
			return
		}
		m := s.newAPIUser(fields.text("friendly_name"), scopes)
		*staff = append(*staff, m)
		s.replyAPIUser(w, "created", m, s.issueAPIToken(m, product, organization, ""))
		return
	}
	username, role := strings.TrimSpace(fields.text("username")), fields.text("role")
	if role == "" {
		role = "Developer"
	}
	switch {
	case username == "":
		s.failList(w, http.StatusBadRequest, "username is required")
	case !slices.Contains(roles, role):
		s.failList(w, http.StatusBadRequest, "role is unknown")
	case s.accounts[strings.ToLower(username)] == nil:
		s.failList(w, http.StatusNotFound, "User not found")
	case findMember(*staff, username) != nil:
		s.failList(w, http.StatusBadRequest, "User is already a member of this team")
	default:
		*staff = append(*staff, &member{ID: s.random.hex(24), Username: username, Role: role, Invited: true})
		s.save()
		s.reply(w, http.StatusOK, object{"ok": true, "invited": object{"username": username}})
	}
}

func (s *Server) replyAPIUser(w http.ResponseWriter, key string, m *member, t *token) {
	s.reply(w, http.StatusOK, object{"ok": true, key: object{"username": m.Username, "friendly_name": m.Name, "is_programmatic": true,
		"scopes": m.Scopes, "tokens": []object{{"token": t.Access}}}})
}

func readScopes(fields params) (scopes []string, wrong string) {
	list, _ := fields["scopes"].([]any)
	for _, v := range list {
		name, _ := v.(string)
		if !knownScope(name) {
			return nil, "scope is unknown: " + name
		}
		scopes = append(scopes, name)
	}
	switch {
	case fields.text("friendly_name") == "":
		return nil, "friendly_name is required"
	case len(scopes) == 0:
		return nil, "scopes are required"
	}
	return scopes, ""
}

func findMember(staff []*member, username string) *member {
	for _, m := range staff {
		if strings.EqualFold(m.Username, username) {
			return m
		}
	}
	return nil
}

// putMember changes a person's role, or an API user's name and scopes, which always gives it another token.
func (s *Server) putMember(w http.ResponseWriter, r *http.Request) {
	staff, product, organization := s.team(w, r)
	if staff == nil {
		return
	}
	fields, ok := s.body(w, r)
	if !ok {
		return
	}
	s.mu.Lock()
	m := findMember(*staff, r.PathValue("username"))
	if m == nil || m.Scopes == nil {
		defer s.mu.Unlock()
		s.putRole(w, m, fields)
		return
	}
	if !fields.has("friendly_name") {
		fields["friendly_name"] = m.Name
	}
	scopes, wrong := m.Scopes, ""
	if fields.has("scopes") {
		scopes, wrong = readScopes(fields)
	}
	if wrong != "" {
		s.mu.Unlock()
		s.failList(w, http.StatusBadRequest, wrong)
		return
	}
	m.Name, m.Scopes = fields.text("friendly_name"), scopes
	s.mu.Unlock()
	s.revokeWhere(func(t *token) bool { return t.APIUser && t.Subject == m.Username })
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replyAPIUser(w, "updated", m, s.issueAPIToken(m, product, organization, ""))
}

func (s *Server) putRole(w http.ResponseWriter, m *member, fields params) {
	role := fields.text("role")
	switch {
	case m == nil:
		s.fail(w, http.StatusNotFound, "User not found")
	case !slices.Contains(roles, role) || role == "Owner":
		s.failList(w, http.StatusBadRequest, "role is unknown")
	case m.Role == "Owner":
		s.fail(w, http.StatusForbidden, "Permission denied")
	default:
		m.Role = role
		s.save()
		s.reply(w, http.StatusOK, object{"ok": true, "updated": object{"username": m.Username, "role": object{"name": role}}})
	}
}

func (s *Server) deleteMember(w http.ResponseWriter, r *http.Request) {
	staff, _, _ := s.team(w, r)
	if staff == nil {
		return
	}
	s.mu.Lock()
	m := findMember(*staff, r.PathValue("username"))
	owner, program := m != nil && m.Role == "Owner", m != nil && m.Scopes != nil
	if m != nil && !owner {
		*staff = slices.DeleteFunc(*staff, func(other *member) bool { return other == m })
		s.save()
	}
	s.mu.Unlock()
	switch {
	case m == nil:
		s.fail(w, http.StatusNotFound, "User not found")
		return
	case owner:
		s.fail(w, http.StatusForbidden, "Permission denied")
		return
	case program:
		s.revokeWhere(func(t *token) bool { return t.APIUser && t.Subject == m.Username })
	}
	s.reply(w, http.StatusOK, object{"ok": true})
}
