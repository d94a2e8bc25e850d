package particletest

import (
	"errors"
	"net/http"
	"strings"
	"time"
)

// claim is a claim code that was given out: good for one hour and one use.
type claim struct {
	subject  string
	customer string // product of the customer; "": an account's
	expires  time.Time
}

// postClaimCode is POST /v1/device_claims and its twin below a product, where a customer's token is right.
func (s *Server) postClaimCode(w http.ResponseWriter, r *http.Request) {
	t := s.bearer(w, r)
	if t == nil {
		return
	}
	if _, ok := s.body(w, r); !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if name := r.PathValue("p"); name != "" {
		p := s.product(name)
		if p == nil {
			s.fail(w, http.StatusNotFound, "Product not found.")
			return
		}
		if !s.inTeam(t, p) && !(t.Customer && p.is(t.Product)) {
			s.fail(w, http.StatusForbidden, "Permission denied")
			return
		}
	}
	ids := []string{}
	for _, id := range s.order {
		if s.mayUse(t, s.devices[id]) {
			ids = append(ids, id)
		}
	}
	code := s.random.claimCode()
	given := claim{subject: t.Subject, expires: s.Now().Add(time.Hour)}
	if t.Customer {
		given.customer = t.Product
	}
	s.claims[code] = given
	s.reply(w, http.StatusOK, object{"claim_code": code, "device_ids": ids})
}

// Redeem is what a device does after its set-up: it presents the claim code and belongs to whom the code was given. A code of
// a customer is good for devices of the customer's product alone.
func (s *Server) Redeem(deviceID, claimCode string) error {
	s.ready()
	s.mu.Lock()
	defer s.mu.Unlock()
	given, ok := s.claims[claimCode]
	d := s.devices[strings.ToLower(deviceID)]
	switch {
	case !ok || s.Now().After(given.expires):
		return errors.New("particletest: the claim code is unknown, used or too old")
	case d == nil:
		return errors.New("particletest: no such device")
	case d.Owner != "" && !strings.EqualFold(d.Owner, given.subject):
		return errors.New("particletest: the device belongs to someone else")
	case given.customer != "":
		if p := s.product(given.customer); p == nil || !p.is(d.Product) {
			return errors.New("particletest: the device is not in the customer's product")
		}
	}
	delete(s.claims, claimCode)
	d.Owner = given.subject
	s.save()
	return nil
}
