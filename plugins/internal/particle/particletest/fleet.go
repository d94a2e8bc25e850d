package particletest

import (
	"bufio"
	"cmp"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// listProductDevices filters, sorts and cuts the list as the query says.
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
	if !s.wait(r, f.PageLatency) {
		return
	}
	fits := deviceFilter(r)
	s.mu.Lock()
	var found []*device
	for _, id := range s.order {
		if d := s.devices[id]; p.is(d.Product) && fits(d) {
			found = append(found, d)
		}
	}
	s.sortDevices(r, found, f)
	part, pages := page(r, found)
	list, owners := []object{}, map[string]bool{}
	for _, d := range part {
		list = append(list, s.deviceObject(d, f))
		owners[strings.ToLower(d.Owner)] = true
	}
	customers := []object{}
	for _, c := range p.customers {
		if owners[c.Email] {
			customers = append(customers, object{"id": c.id, "username": c.Email})
		}
	}
	s.mu.Unlock()
	s.reply(w, http.StatusOK, object{"devices": list, "customers": customers, "meta": object{"total_pages": pages}})
}

func deviceFilter(r *http.Request) func(*device) bool {
	q := r.URL.Query()
	id, name, serial := strings.ToLower(q.Get("deviceId")), strings.ToLower(q.Get("deviceName")), strings.ToLower(q.Get("serialNumber"))
	var groups []string
	for _, g := range strings.Split(q.Get("groups"), ",") {
		if g = strings.TrimSpace(g); g != "" {
			groups = append(groups, g)
		}
	}
	quarantined := q.Get("quarantined") == "true"
	return func(d *device) bool {
		inGroup := len(groups) == 0 || slices.ContainsFunc(d.Groups, func(g string) bool { return slices.Contains(groups, g) })
		return inGroup && strings.Contains(d.ID, id) && strings.Contains(strings.ToLower(d.Name), name) &&
			strings.Contains(strings.ToLower(d.serial()), serial) && (!quarantined || d.Quarantined)
	}
}

func (d *device) serial() string { return "SIM" + strings.ToUpper(d.ID[len(d.ID)-8:]) }

// sortDevices orders by sortAttr and sortDir; by default those that are connected come first. The mutex is held.
func (s *Server) sortDevices(r *http.Request, list []*device, f Faults) {
	heard := func(d *device) int64 {
		if !d.Offline && !f.Offline {
			return s.Now().Unix()
		}
		return d.lastHeard.Unix()
	}
	compare := func(a, b *device) int { return cmp.Compare(heard(a), heard(b)) }
	descending := r.URL.Query().Get("sortDir") != "asc"
	switch r.URL.Query().Get("sortAttr") {
	case "deviceName":
		compare = func(a, b *device) int { return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) }
	case "deviceId":
		compare = func(a, b *device) int { return strings.Compare(a.ID, b.ID) }
	case "firmwareVersion":
		compare = func(_, _ *device) int { return 0 }
	}
	slices.SortStableFunc(list, func(a, b *device) int {
		if descending {
			return compare(b, a)
		}
		return compare(a, b)
	})
}

// imported tells what became of the ids of an import.
type imported struct{ added, existing, foreign, invalid []string }

// importDevices is POST /v1/products/{p}/devices by id, ids or file. It is 200 even when nothing was added: the lists tell.
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
	ids, ok := readImport(r, fields)
	if !ok {
		s.fail(w, http.StatusBadRequest, "No device ID provided")
		return
	}
	claimUser := fields.text("claim_user")
	if claimUser == "" {
		claimUser = r.URL.Query().Get("claim_user")
	}
	s.mu.Lock()
	if claimUser != "" && !isStaff(p.staff, claimUser) {
		s.mu.Unlock()
		s.fail(w, http.StatusBadRequest, "claim_user is not a member of this team")
		return
	}
	done := s.importInto(p, ids, claimUser)
	s.save()
	s.mu.Unlock()
	s.reply(w, http.StatusOK, object{"updated": len(done.added), "updatedDeviceIds": done.added, "existingDeviceIds": done.existing,
		"nonmemberDeviceIds": done.foreign, "invalidDeviceIds": done.invalid, "protectedDeviceIds": []string{}})
}

// importInto adds what may be added; the mutex is held. An identifier may also be a serial number.
func (s *Server) importInto(p *product, ids []string, claimUser string) imported {
	done := imported{[]string{}, []string{}, []string{}, []string{}}
	for _, id := range ids {
		d := s.devices[strings.ToLower(id)]
		if d == nil {
			for _, known := range s.devices {
				if strings.EqualFold(known.serial(), id) {
					d = known
				}
			}
		}
		switch {
		case d == nil, d.Platform != p.Platform && p.Platform != 0, d.Product != "" && !p.is(d.Product):
			done.invalid = append(done.invalid, id)
		case d.Product != "":
			done.existing = append(done.existing, d.ID)
		case d.Owner != "" && !isStaff(p.staff, d.Owner):
			done.foreign = append(done.foreign, d.ID)
		default:
			d.Product = strconv.Itoa(p.ID)
			if claimUser != "" {
				d.Owner = claimUser
			}
			done.added = append(done.added, d.ID)
		}
	}
	return done
}

// readImport takes the ids from a JSON list, a single field, or the lines of a file; ok is false when there are none.
func readImport(r *http.Request, fields params) (ids []string, ok bool) {
	if list, found := fields.list("ids"); found {
		return list, len(list) > 0
	}
	if fields.text("id") != "" {
		return []string{fields.text("id")}, true
	}
	if r.MultipartForm == nil || len(r.MultipartForm.File["file"]) == 0 {
		return nil, false
	}
	file, err := r.MultipartForm.File["file"][0].Open()
	if err != nil {
		return nil, false
	}
	defer file.Close()
	return readLines(file)
}

// readLines reads one identifier a line; a byte order mark, spaces and empty lines do not count.
func readLines(file io.Reader) (lines []string, ok bool) {
	scanner := bufio.NewScanner(file)
	for scanner.Scan() {
		if line := strings.TrimSpace(strings.TrimPrefix(scanner.Text(), "\ufeff")); line != "" {
			lines = append(lines, line)
		}
	}
	return lines, scanner.Err() == nil && len(lines) > 0
}
