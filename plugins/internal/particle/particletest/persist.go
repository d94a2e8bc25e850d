package particletest

import (
	"encoding/json"
	"os"
	"slices"
	"time"
)

// kept is what outlives a restart in StateFile, so that accounts linked to a demo stay linked.
type kept struct {
	Tokens  []*token              `json:"tokens"`
	Devices map[string]keptDevice `json:"devices"`

	Products map[int]keptProduct  `json:"products"`
	Orgs     map[string][]*member `json:"organizations"` // teams by the organization's id
	Clients  map[string]Client    `json:"clients"`
}

// keptProduct is what makers change in a product.
type keptProduct struct {
	Staff     []*member      `json:"team"`
	Customers []keptCustomer `json:"customers"`
}

type keptCustomer struct {
	ID       string `json:"id"`
	Email    string `json:"email"`
	Password string `json:"password"`
}

type keptDevice struct {
	Name      string         `json:"name"`
	Owner     string         `json:"owner"`
	Variables map[string]any `json:"variables"` // text alone: a lamp's state

	Product     string   `json:"product"`
	Groups      []string `json:"groups"`
	Notes       string   `json:"notes"`
	Development bool     `json:"development"`
}

// save writes the state file, if there is one; the mutex is held. It cannot fail a request: SaveError tells.
func (s *Server) save() {
	if s.StateFile == "" || !s.seeded {
		return
	}
	k := kept{Tokens: s.sortedTokens(), Devices: map[string]keptDevice{}, Products: map[int]keptProduct{}, Orgs: map[string][]*member{}, Clients: map[string]Client{}}
	for id, d := range s.devices {
		row := keptDevice{Name: d.Name, Owner: d.Owner, Variables: map[string]any{}, Product: d.Product, Groups: d.Groups, Notes: d.Notes, Development: d.Development}
		for name, v := range d.Variables {
			if text, ok := v.(string); ok {
				row.Variables[name] = text
			}
		}
		k.Devices[id] = row
	}
	for _, p := range s.products {
		row := keptProduct{Staff: p.staff}
		for _, c := range p.customers {
			row.Customers = append(row.Customers, keptCustomer{c.id, c.Email, c.Password})
		}
		k.Products[p.ID] = row
	}
	for _, o := range s.organizations {
		k.Orgs[o.ID] = o.staff
	}
	for id, c := range s.clients {
		if !c.public {
			k.Clients[id] = c.Client
		}
	}
	raw, err := json.Marshal(k)
	if err == nil {
		temporary := s.StateFile + ".new"
		if err = os.WriteFile(temporary, raw, 0o600); err == nil {
			err = os.Rename(temporary, s.StateFile)
		}
	}
	s.saveError = err
}

// SaveError is why the state file could not be written last, or nil.
func (s *Server) SaveError() error {
	s.init()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.saveError
}

// load reads the state file; the mutex is held. A missing or damaged one is an empty one: it is a simulator's memory.
func (s *Server) load() {
	if s.StateFile == "" {
		return
	}
	raw, err := os.ReadFile(s.StateFile)
	var k kept
	if err != nil || json.Unmarshal(raw, &k) != nil {
		return
	}
	s.loadProducts(k)
	now := s.Now()
	for _, t := range k.Tokens {
		if t == nil || t.Access == "" || !t.Expires.IsZero() && t.Expires.Before(now.Add(-14*24*time.Hour)) {
			continue
		}
		s.tokens[t.Access] = t
		if t.Refresh != "" {
			s.refreshes[t.Refresh] = t
		}
	}
	for id, row := range k.Devices {
		d := s.devices[id]
		if d == nil {
			continue
		}
		d.Name, d.Owner = row.Name, row.Owner
		if k.Products != nil { // the file of an older simulator does not know the rest
			d.Product, d.Groups, d.Notes, d.Development = row.Product, row.Groups, row.Notes, row.Development
		}
		for name, v := range row.Variables {
			if _, ok := d.Variables[name].(string); ok {
				d.Variables[name] = v
			}
		}
	}
}

// loadProducts takes over teams, customers and OAuth clients; what the file of an older simulator lacks stays as seeded.
func (s *Server) loadProducts(k kept) {
	if k.Products == nil || k.Clients == nil {
		return
	}
	for _, t := range s.sortedTokens() {
		if t.APIUser { // as seeded: the file tells which still live
			delete(s.tokens, t.Access)
		}
	}
	for _, p := range s.products {
		row, ok := k.Products[p.ID]
		if !ok {
			continue
		}
		p.staff, p.customers = withoutNil(row.Staff), nil
		for _, c := range row.Customers {
			p.customers = append(p.customers, &customer{Customer{Email: c.Email, Password: c.Password, Product: p.Slug}, c.ID})
		}
	}
	for _, o := range s.organizations {
		if staff, ok := k.Orgs[o.ID]; ok {
			o.staff = withoutNil(staff)
		}
	}
	for id, c := range s.clients {
		if _, ok := k.Clients[id]; !ok && !c.public {
			delete(s.clients, id)
		}
	}
	for _, c := range k.Clients {
		s.addClient(c)
	}
}

func withoutNil(staff []*member) []*member {
	return slices.DeleteFunc(staff, func(m *member) bool { return m == nil })
}
