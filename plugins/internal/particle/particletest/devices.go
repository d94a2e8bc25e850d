package particletest

import (
	"net/http"
	"strconv"
	"strings"
)

// permissionDenied is the answer for a device that does not exist, belongs to another or to nobody. The link in it is useless,
// as upstream.
var permissionDenied = object{
	"error": "Permission Denied",
	"info":  "I didn't recognize that device name or ID, try opening https://api.particle.io/v1/devices?access_token=undefined",
}

// allowProduct finds the product of a request under /v1/products and checks that the token may use it, or answers.
func (s *Server) allowProduct(w http.ResponseWriter, r *http.Request, t *token) *product {
	s.mu.Lock()
	p := s.product(r.PathValue("p"))
	allowed := p != nil && s.inTeam(t, p)
	s.mu.Unlock()
	switch {
	case t.Customer:
		s.fail(w, http.StatusForbidden, "Permission denied")
	case p == nil:
		s.fail(w, http.StatusNotFound, "Product not found.")
	case !allowed:
		s.fail(w, http.StatusForbidden, "Permission denied")
	default:
		return p
	}
	return nil
}

// inTeam tells whether a token is a team member's, the product's own, or one of the organization above it; the mutex is held.
func (s *Server) inTeam(t *token, p *product) bool {
	if t.Customer {
		return false
	}
	if t.Product != "" {
		return p.is(t.Product)
	}
	if o := s.organization(p.Organization); o != nil && s.inOrganization(t, o) {
		return true
	}
	return t.Org == "" && isStaff(p.staff, t.Subject)
}

// mayUse tells whether a token reaches a device through the plain routes; the mutex is held.
func (s *Server) mayUse(t *token, d *device) bool {
	if (t.Product != "" || t.Org != "") && !t.Customer {
		p := s.product(d.Product)
		return p != nil && s.inTeam(t, p)
	}
	return d.Owner != "" && strings.EqualFold(d.Owner, t.Subject)
}

// find authenticates and finds the device of a request, or answers and returns nil.
func (s *Server) find(w http.ResponseWriter, r *http.Request) (*device, *token) {
	t := s.bearer(w, r)
	if t == nil {
		return nil, nil
	}
	id := r.PathValue("id")
	if r.PathValue("p") != "" {
		p := s.allowProduct(w, r, t)
		if p == nil {
			return nil, nil
		}
		s.mu.Lock()
		d := s.devices[strings.ToLower(id)]
		ok := d != nil && p.is(d.Product)
		s.mu.Unlock()
		if !ok {
			s.reply(w, http.StatusForbidden, permissionDenied)
			return nil, nil
		}
		return d, t
	}
	s.mu.Lock()
	d := s.devices[strings.ToLower(id)]
	if d == nil {
		for _, candidate := range s.order {
			if c := s.devices[candidate]; c.Name == id && s.mayUse(t, c) {
				d = c
				break
			}
		}
	}
	ok := d != nil && s.mayUse(t, d)
	s.mu.Unlock()
	if !ok {
		s.reply(w, http.StatusForbidden, permissionDenied)
		return nil, nil
	}
	return d, t
}

func (s *Server) listDevices(w http.ResponseWriter, r *http.Request) {
	t := s.bearer(w, r)
	if t == nil {
		return
	}
	f := s.Faults.Get()
	list := []object{}
	s.mu.Lock()
	for _, id := range s.order {
		if d := s.devices[id]; s.mayUse(t, d) {
			list = append(list, s.deviceObject(d, f))
		}
	}
	s.mu.Unlock()
	s.reply(w, http.StatusOK, list)
}

// getDevice is also the event stream of all own devices: GET /v1/devices/events.
func (s *Server) getDevice(w http.ResponseWriter, r *http.Request) {
	if r.PathValue("id") == "events" && r.PathValue("p") == "" {
		s.streamOwn(w, r, "")
		return
	}
	d, t := s.find(w, r)
	if t == nil {
		return
	}
	f := s.Faults.Get()
	s.mu.Lock()
	o := s.deviceObject(d, f)
	s.mu.Unlock()
	s.reply(w, http.StatusOK, o)
}

// postDevice is POST /v1/devices/events, the only request of its form.
func (s *Server) postDevice(w http.ResponseWriter, r *http.Request) {
	if r.PathValue("id") != "events" {
		s.refuseUnknown(w, r)
		return
	}
	s.publish(w, r)
}

// putDevice changes one thing, by the field that is there.
func (s *Server) putDevice(w http.ResponseWriter, r *http.Request) {
	d, t := s.find(w, r)
	if t == nil {
		return
	}
	p, ok := s.body(w, r)
	if !ok {
		return
	}
	f := s.Faults.Get()
	s.mu.Lock()
	offline := d.Offline || f.Offline
	now := stamp(s.Now())
	s.mu.Unlock()
	inProduct := r.PathValue("p") != ""
	if p.has("signal") {
		s.signal(w, d, offline, p.truth("signal"))
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := object{"id": d.ID, "updated_at": now}
	switch {
	case p.has("name"):
		d.Name = p.text("name")
		changed["name"] = d.Name
	case p.has("notes"):
		d.Notes = p.text("notes")
		changed["notes"] = d.Notes
	case p.has("groups") && inProduct:
		groups, ok := p.list("groups")
		if !ok {
			s.failList(w, http.StatusBadRequest, "groups must be a list of names")
			return
		}
		d.Groups = groups
		changed["groups"] = groups
	case p.has("development"):
		d.Development = p.truth("development")
		changed["development"] = d.Development
	default:
		s.fail(w, http.StatusBadRequest, "Nothing to do?")
		return
	}
	s.save()
	s.reply(w, http.StatusOK, changed)
}

// signal tells the device itself, so it must be there.
func (s *Server) signal(w http.ResponseWriter, d *device, offline, on bool) {
	if offline {
		s.reply(w, http.StatusInternalServerError, object{"ok": false, "code": 500, "errors": []object{{"error": "Timed out, didn't hear back from device service"}}})
		return
	}
	s.mu.Lock()
	d.signaling = on
	s.mu.Unlock()
	s.reply(w, http.StatusOK, object{"id": d.ID, "connected": true, "signaling": on})
}

// putDevicePart is PUT …/ping, the only request of its form. That a device is offline is a good answer.
func (s *Server) putDevicePart(w http.ResponseWriter, r *http.Request) {
	if r.PathValue("name") != "ping" {
		s.refuseUnknown(w, r)
		return
	}
	d, t := s.find(w, r)
	if t == nil {
		return
	}
	f := s.Faults.Get()
	s.mu.Lock()
	online := !d.Offline && !f.Offline
	latency := d.Latency + f.DeviceLatency
	s.mu.Unlock()
	if online && !s.wait(r, min(latency, s.DeviceWait)) {
		return
	}
	s.reply(w, http.StatusOK, object{"online": online && latency < s.DeviceWait, "ok": true})
}

// deleteDevice releases a claimed device. Under a product …/owner does that, and the device itself leaves the product.
func (s *Server) deleteDevice(w http.ResponseWriter, r *http.Request) {
	d, t := s.find(w, r)
	if t == nil {
		return
	}
	fromProduct := r.PathValue("p") != "" && !strings.HasSuffix(r.URL.Path, "/owner")
	s.mu.Lock()
	if p := s.product(d.Product); fromProduct {
		if p != nil && p.customer(d.Owner) != nil {
			d.Owner = ""
		}
		d.Product, d.Groups, d.Development, d.Quarantined = "", nil, false, false
	} else {
		d.Owner = ""
	}
	s.save()
	s.mu.Unlock()
	if fromProduct {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	s.reply(w, http.StatusOK, object{"ok": true})
}

// claimDevice is POST /v1/devices. The device must be online.
func (s *Server) claimDevice(w http.ResponseWriter, r *http.Request) {
	t := s.bearer(w, r)
	if t == nil {
		return
	}
	p, ok := s.body(w, r)
	if !ok {
		return
	}
	id := strings.ToLower(strings.TrimSpace(p.text("id")))
	offline := s.Faults.Get().Offline
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.devices[id]
	switch {
	case id == "":
		s.failList(w, http.StatusBadRequest, "arg.deviceID is empty")
	case d == nil:
		s.failList(w, http.StatusNotFound, "device does not exist")
	case d.Owner != "" && !strings.EqualFold(d.Owner, t.Subject) && p.truth("request_transfer"):
		s.transfers++
		s.reply(w, http.StatusOK, object{"transfer_id": "transfer-" + strconv.Itoa(s.transfers)})
	case d.Owner != "" && !strings.EqualFold(d.Owner, t.Subject):
		s.reply(w, http.StatusForbidden, object{"errors": []string{"That belongs to someone else."}})
	case d.Offline || offline:
		s.failList(w, http.StatusNotFound, []any{"Core isn't online", 404})
	default:
		d.Owner = t.Subject
		s.save()
		s.reply(w, http.StatusOK, object{"user_id": s.subjectID(t), "id": d.ID, "connected": true, "ok": true})
	}
}

// subjectID is the id of a token's person; the mutex is held.
func (s *Server) subjectID(t *token) string {
	if t.Customer {
		if p := s.product(t.Product); p != nil {
			if c := p.customer(t.Subject); c != nil {
				return c.id
			}
		}
	}
	if a := s.accounts[strings.ToLower(t.Subject)]; a != nil {
		return a.id
	}
	return ""
}

func (s *Server) getUser(w http.ResponseWriter, r *http.Request) {
	t := s.bearer(w, r)
	if t == nil {
		return
	}
	s.mu.Lock()
	a := s.accounts[strings.ToLower(t.Subject)]
	s.mu.Unlock()
	if t.Customer || a == nil {
		s.fail(w, http.StatusForbidden, "Permission denied")
		return
	}
	s.reply(w, http.StatusOK, object{
		"username": a.Username, "subscription_ids": []any{}, "tos": 1, "memberships": []any{},
		"account_info":      object{"first_name": a.FirstName, "last_name": a.LastName, "business_account": false, "company_name": ""},
		"mfa":               object{"enabled": a.OTP != ""},
		"wifi_device_count": 0, "cellular_device_count": 0, "scim_provisioned": false, "no_password": false,
	})
}
