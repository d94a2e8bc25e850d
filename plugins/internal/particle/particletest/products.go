package particletest

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// productObject is a product as the API describes it; the mutex is held.
func (s *Server) productObject(p *product) object {
	user := ""
	if len(p.staff) > 0 {
		user = p.staff[0].Username
	}
	groups := append([]string{}, p.Groups...)
	for _, d := range s.devices {
		if p.is(d.Product) {
			groups = append(groups, d.Groups...)
		}
	}
	slices.Sort(groups)
	o := object{"id": p.ID, "slug": p.Slug, "name": p.Name, "description": p.Name, "platform_id": p.Platform, "user": user,
		"groups": slices.Compact(groups), "settings": object{"location": object{}, "quarantine": true}}
	if org := s.organization(p.Organization); org != nil {
		o["org"], o["organization_id"] = org.Name, org.ID
	}
	return o
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
	ownOnly := strings.HasPrefix(r.URL.Path, "/v1/user/")
	list := []object{}
	s.mu.Lock()
	for _, p := range s.products {
		if s.inTeam(t, p) && !(ownOnly && p.Organization != "") {
			list = append(list, s.productObject(p))
		}
	}
	s.mu.Unlock()
	s.reply(w, http.StatusOK, object{"products": list})
}

func (s *Server) getProduct(w http.ResponseWriter, r *http.Request) {
	if t := s.bearer(w, r); t != nil {
		if p := s.allowProduct(w, r, t); p != nil {
			s.mu.Lock()
			var described any = s.productObject(p)
			s.mu.Unlock()
			if s.Faults.Get().ProductList { // as recorded in 2018
				described = []any{described}
			}
			s.reply(w, http.StatusOK, object{"product": described})
		}
	}
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
