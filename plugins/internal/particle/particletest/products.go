package particletest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

func (s *Server) listOrgs(w http.ResponseWriter, r *http.Request) {
	if s.bearer(w, r) != nil {
		s.reply(w, http.StatusOK, object{"organizations": []object{}}) // as for every ordinary account
	}
}

func (p *product) object() object {
	user := ""
	if len(p.Team) > 0 {
		user = p.Team[0]
	}
	return object{"id": p.ID, "slug": p.Slug, "name": p.Name, "description": p.Name, "platform_id": p.Platform, "user": user,
		"groups": []string{}, "settings": object{"location": object{}, "quarantine": true}}
}

func (s *Server) listProducts(w http.ResponseWriter, r *http.Request) {
	t := s.bearer(w, r)
	if t == nil {
		return
	}
	if t.Customer {
		s.fail(w, http.StatusForbidden, "Permission denied")
		return
	}
	list := []object{}
	s.mu.Lock()
	for _, p := range s.products {
		if s.inTeam(t, p) {
			list = append(list, p.object())
		}
	}
	s.mu.Unlock()
	s.reply(w, http.StatusOK, object{"products": list})
}

func (s *Server) getProduct(w http.ResponseWriter, r *http.Request) {
	if t := s.bearer(w, r); t != nil {
		if p := s.allowProduct(w, r, t); p != nil {
			s.reply(w, http.StatusOK, object{"product": p.object()})
		}
	}
}

func (s *Server) listTeam(w http.ResponseWriter, r *http.Request) {
	t := s.bearer(w, r)
	if t == nil {
		return
	}
	p := s.allowProduct(w, r, t)
	if p == nil {
		return
	}
	list := []object{}
	for i, name := range p.Team {
		role := "Developer"
		if i == 0 {
			role = "Owner"
		}
		list = append(list, object{"_id": fmt.Sprintf("%024x", i+1), "username": name, "role": object{"id": fmt.Sprintf("%024x", i+1), "name": role}})
	}
	s.reply(w, http.StatusOK, object{"ok": true, "team": list})
}

// page cuts a list as page and perPage (or per_page) say.
func page[T any](r *http.Request, list []T) (part []T, pages int) {
	q := r.URL.Query()
	size := 25
	for _, key := range []string{"perPage", "per_page"} {
		if n, err := strconv.Atoi(q.Get(key)); err == nil && n > 0 && n <= 1000 {
			size = n
		}
	}
	number := 1
	if n, err := strconv.Atoi(q.Get("page")); err == nil && n > 0 && n < 1<<20 {
		number = n
	}
	pages = max(1, (len(list)+size-1)/size)
	from := min((number-1)*size, len(list))
	return list[from:min(from+size, len(list))], pages
}

func (s *Server) listProductDevices(w http.ResponseWriter, r *http.Request) {
	t := s.bearer(w, r)
	if t == nil {
		return
	}
	p := s.allowProduct(w, r, t)
	if p == nil {
		return
	}
	f := s.Faults.Get()
	q := r.URL.Query()
	list := []object{}
	s.mu.Lock()
	for _, id := range s.order {
		d := s.devices[id]
		if p.is(d.Product) && strings.Contains(d.ID, strings.ToLower(q.Get("deviceId"))) && strings.Contains(strings.ToLower(d.Name), strings.ToLower(q.Get("deviceName"))) {
			list = append(list, s.deviceObject(d, f))
		}
	}
	customers := []object{}
	for _, c := range p.customers {
		customers = append(customers, object{"id": c.id, "username": c.Email})
	}
	s.mu.Unlock()
	part, pages := page(r, list)
	s.reply(w, http.StatusOK, object{"devices": part, "customers": customers, "meta": object{"total_pages": pages}})
}

// importDevices is POST /v1/products/{p}/devices by id or ids. It is 200 even when nothing was added: the lists tell.
func (s *Server) importDevices(w http.ResponseWriter, r *http.Request) {
	t := s.bearer(w, r)
	if t == nil {
		return
	}
	p := s.allowProduct(w, r, t)
	if p == nil {
		return
	}
	fields, ok := s.body(w, r)
	if !ok {
		return
	}
	var ids []string
	if list, ok := fields["ids"].([]any); ok {
		for _, id := range list {
			ids = append(ids, fmt.Sprint(id))
		}
	} else if fields.has("id") {
		ids = []string{fields.text("id")}
	}
	added, existing, foreign, invalid := []string{}, []string{}, []string{}, []string{}
	s.mu.Lock()
	for _, id := range ids {
		d := s.devices[strings.ToLower(id)]
		switch {
		case d == nil, d.Platform != p.Platform && p.Platform != 0, d.Product != "" && !p.is(d.Product):
			invalid = append(invalid, id)
		case d.Product != "":
			existing = append(existing, d.ID)
		case d.Owner != "" && !slices.Contains(p.Team, d.Owner):
			foreign = append(foreign, d.ID)
		default:
			d.Product = strconv.Itoa(p.ID)
			added = append(added, d.ID)
		}
	}
	s.save()
	s.mu.Unlock()
	s.reply(w, http.StatusOK, object{"updated": len(added), "updatedDeviceIds": added, "existingDeviceIds": existing,
		"nonmemberDeviceIds": foreign, "invalidDeviceIds": invalid, "protectedDeviceIds": []string{}})
}
