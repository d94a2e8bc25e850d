package particletest

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// object is a client as the API lists it: never with its secret.
func (c *client) object() object {
	o := object{"id": c.ID, "name": c.Name, "type": c.Type}
	if c.Type == Web && len(c.RedirectURIs) > 0 {
		o["redirect_uri"] = c.RedirectURIs[0]
	}
	if c.Scope != "" {
		o["scope"] = c.Scope
	}
	if c.Product != "" {
		o["product_id"] = c.Product
	}
	return o
}

// clientOwner tells whose clients a request is about: a product's or the account's. ok is false when it was answered.
func (s *Server) clientOwner(w http.ResponseWriter, r *http.Request) (owner string, p *product, ok bool) {
	t := s.bearer(w, r)
	if t == nil {
		return "", nil, false
	}
	if r.PathValue("p") != "" {
		p = s.allowProduct(w, r, t)
		return t.Subject, p, p != nil
	}
	if t.Customer {
		s.fail(w, http.StatusForbidden, "Permission denied")
		return "", nil, false
	}
	return t.Subject, nil, true
}

func (c *client) belongs(owner string, p *product) bool {
	if c.public {
		return false
	}
	if p != nil {
		return p.is(c.Product)
	}
	return c.Product == "" && strings.EqualFold(c.Owner, owner)
}

func (s *Server) listClients(w http.ResponseWriter, r *http.Request) {
	owner, p, ok := s.clientOwner(w, r)
	if !ok {
		return
	}
	list := []object{}
	s.mu.Lock()
	for _, id := range slices.Sorted(maps.Keys(s.clients)) {
		if c := s.clients[id]; c.belongs(owner, p) {
			list = append(list, c.object())
		}
	}
	s.mu.Unlock()
	s.reply(w, http.StatusOK, object{"ok": true, "clients": list})
}

func (s *Server) createClient(w http.ResponseWriter, r *http.Request) {
	owner, p, ok := s.clientOwner(w, r)
	if !ok {
		return
	}
	fields, ok := s.body(w, r)
	if !ok {
		return
	}
	c := Client{Name: fields.text("name"), Type: fields.text("type"), Scope: fields.text("scope"), Owner: owner}
	redirect := fields.text("redirect_uri")
	var errors []any
	if c.Name == "" {
		errors = append(errors, "name is required")
	}
	if c.Type != Web && c.Type != Installed {
		errors = append(errors, "type must be web or installed")
	}
	if c.Type == Web && !goodRedirect(redirect) {
		errors = append(errors, "redirect_uri must be a valid https URI")
	}
	if c.Scope != "" && c.Scope != "customers:create" && c.Scope != "*:*" {
		errors = append(errors, "scope is unknown")
	}
	if errors != nil {
		s.failList(w, http.StatusBadRequest, errors...)
		return
	}
	if redirect != "" {
		c.RedirectURIs = []string{redirect}
	}
	s.mu.Lock()
	if p != nil {
		c.Product = p.Slug
	}
	c.ID, c.Secret = dashed(c.Name)+"-"+s.random.digits(4), s.random.hex(40)
	s.addClient(c)
	o := s.clients[c.ID].object()
	s.save()
	s.mu.Unlock()
	o["secret"] = c.Secret // here and never again
	s.reply(w, http.StatusOK, object{"ok": true, "client": o})
}

// goodRedirect asks for https, but lets the own machine use http, so that a site under test can register itself.
func goodRedirect(uri string) bool {
	u, err := url.Parse(uri)
	if err != nil || u.Host == "" || u.Fragment != "" {
		return false
	}
	local := u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1" || u.Hostname() == "::1"
	return u.Scheme == "https" || u.Scheme == "http" && local
}

func dashed(name string) string {
	id := strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		}
		return '-'
	}, strings.ToLower(name)), "-")
	for strings.Contains(id, "--") {
		id = strings.ReplaceAll(id, "--", "-")
	}
	if len(id) > 30 {
		id = id[:30]
	}
	if id == "" {
		id = "client"
	}
	return id
}

// findClient finds the client of a request, or answers.
func (s *Server) findClient(w http.ResponseWriter, r *http.Request) *client {
	owner, p, ok := s.clientOwner(w, r)
	if !ok {
		return nil
	}
	s.mu.Lock()
	c := s.clients[r.PathValue("id")]
	found := c != nil && c.belongs(owner, p)
	s.mu.Unlock()
	if !found {
		s.fail(w, http.StatusNotFound, "Client not found")
		return nil
	}
	return c
}

// updateClient changes name and scope; redirect_uri and type are left as they are without a word, as upstream.
func (s *Server) updateClient(w http.ResponseWriter, r *http.Request) {
	c := s.findClient(w, r)
	if c == nil {
		return
	}
	fields, ok := s.body(w, r)
	if !ok {
		return
	}
	if scope := fields.text("scope"); !slices.Contains([]string{"", "none", "customers:create", "*:*"}, scope) {
		s.failList(w, http.StatusBadRequest, "scope is unknown")
		return
	}
	s.mu.Lock()
	changed := *c
	if name := fields.text("name"); name != "" {
		changed.Name = name
	}
	switch scope := fields.text("scope"); scope {
	case "":
	case "none":
		changed.Scope = ""
	default:
		changed.Scope = scope
	}
	s.clients[c.ID] = &changed
	s.save()
	s.mu.Unlock()
	s.reply(w, http.StatusOK, object{"ok": true, "client": changed.object()})
}

func (s *Server) deleteClient(w http.ResponseWriter, r *http.Request) {
	c := s.findClient(w, r)
	if c == nil {
		return
	}
	s.mu.Lock()
	delete(s.clients, c.ID)
	s.save()
	s.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}
