package particletest

import (
	"mime"
	"net/http"
	"slices"
	"strings"
)

func (s *Server) listCustomers(w http.ResponseWriter, r *http.Request) {
	t := s.bearer(w, r)
	if t == nil {
		return
	}
	p := s.allowProduct(w, r, t)
	if p == nil {
		return
	}
	f := s.Faults.Get()
	if !s.wait(r, f.PageLatency) {
		return
	}
	s.mu.Lock()
	list, owned := []object{}, map[string][]object{}
	for _, id := range s.order {
		if d := s.devices[id]; p.is(d.Product) {
			owner := strings.ToLower(d.Owner)
			owned[owner] = append(owned[owner], s.deviceObject(d, f))
		}
	}
	for _, c := range p.customers {
		ids := []any{}
		for _, d := range owned[c.Email] {
			ids = append(ids, d["id"])
		}
		list = append(list, object{"id": c.id, "full_name": "", "username": c.Email, "devices": ids})
	}
	s.mu.Unlock()
	part, pages := page(r, list)
	devices := []object{}
	for _, c := range part {
		devices = append(devices, owned[c["username"].(string)]...) // made above
	}
	s.reply(w, http.StatusOK, object{"customers": part, "devices": devices, "meta": object{"total_pages": pages}})
}

// createCustomer is open to a team member's token and to a client of the product, by Basic or in the form. It is 201 and
// signs the customer in.
func (s *Server) createCustomer(w http.ResponseWriter, r *http.Request) {
	header := r.Header.Get("Authorization")
	clientID := ""
	var p *product
	if strings.HasPrefix(header, "Bearer ") {
		t := s.bearer(w, r)
		if t == nil {
			return
		}
		if p = s.allowProduct(w, r, t); p == nil {
			return
		}
		clientID = t.Client
	} else {
		if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/x-www-form-urlencoded" || r.ParseForm() != nil {
			s.oauthError(w, "invalid_request", "Method must be POST with application/x-www-form-urlencoded encoding")
			return
		}
		c := s.authenticateClient(w, r)
		if c == nil {
			return
		}
		s.mu.Lock()
		p = s.product(r.PathValue("p"))
		s.mu.Unlock()
		switch {
		case p == nil:
			s.fail(w, http.StatusNotFound, "Product not found.")
			return
		case !p.is(c.Product):
			s.fail(w, http.StatusForbidden, "Permission denied")
			return
		}
		clientID = c.ID
	}
	fields, ok := s.body(w, r)
	if !ok {
		return
	}
	email, password := strings.ToLower(strings.TrimSpace(fields.text("email"))), fields.text("password")
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case email == "":
		s.failList(w, http.StatusBadRequest, "email is required")
	case password == "" && !fields.truth("no_password"):
		s.failList(w, http.StatusBadRequest, "password is required")
	case p.customer(email) != nil:
		s.failList(w, http.StatusBadRequest, "Customer already exists")
	default:
		s.addCustomer(p, Customer{Email: email, Password: password, Product: p.Slug})
		t := s.issue(token{Subject: email, Customer: true, Product: p.Slug, Client: clientID}, 0)
		noStore(w)
		s.reply(w, http.StatusCreated, s.tokenAnswer(t))
	}
}

// findCustomer finds the customer of a request, or answers.
func (s *Server) findCustomer(w http.ResponseWriter, r *http.Request) (*product, *customer) {
	t := s.bearer(w, r)
	if t == nil {
		return nil, nil
	}
	p := s.allowProduct(w, r, t)
	if p == nil {
		return nil, nil
	}
	s.mu.Lock()
	c := p.customer(r.PathValue("email"))
	s.mu.Unlock()
	if c == nil {
		s.fail(w, http.StatusNotFound, "Customer not found")
		return nil, nil
	}
	return p, c
}

func (s *Server) putCustomer(w http.ResponseWriter, r *http.Request) {
	_, c := s.findCustomer(w, r)
	if c == nil {
		return
	}
	fields, ok := s.body(w, r)
	if !ok {
		return
	}
	s.mu.Lock()
	shadow := c.Password == ""
	if !shadow && fields.text("password") != "" {
		c.Password = fields.text("password")
		s.save()
	}
	s.mu.Unlock()
	switch {
	case shadow:
		s.failList(w, http.StatusBadRequest, "Customer has no password")
	case fields.text("password") == "":
		s.failList(w, http.StatusBadRequest, "password is required")
	default:
		s.reply(w, http.StatusOK, object{"ok": true})
	}
}

// deleteCustomer also ends the customer's tokens and releases the devices.
func (s *Server) deleteCustomer(w http.ResponseWriter, r *http.Request) {
	p, c := s.findCustomer(w, r)
	if c == nil {
		return
	}
	s.mu.Lock()
	p.customers = slices.DeleteFunc(p.customers, func(other *customer) bool { return other == c })
	for code, given := range s.claims {
		if given.customer != "" && p.is(given.customer) && strings.EqualFold(given.subject, c.Email) {
			delete(s.claims, code)
		}
	}
	for _, d := range s.devices {
		if p.is(d.Product) && strings.EqualFold(d.Owner, c.Email) {
			d.Owner = ""
		}
	}
	s.mu.Unlock()
	s.revokeWhere(func(t *token) bool { return t.Customer && p.is(t.Product) && strings.EqualFold(t.Subject, c.Email) })
	s.reply(w, http.StatusOK, object{"ok": true})
}
