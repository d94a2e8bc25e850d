package particletest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// getDevicePart is a variable, or an event stream where "events" stands in the place of the device or of the variable.
func (s *Server) getDevicePart(w http.ResponseWriter, r *http.Request) {
	id, name, prefix := r.PathValue("id"), r.PathValue("name"), r.PathValue("prefix")
	switch {
	case id == "events" && r.PathValue("p") == "" && prefix == "":
		s.streamOwn(w, r, name)
	case name == "events":
		if d, t := s.find(w, r); t != nil {
			s.streamDevice(w, r, t, d, prefix)
		}
	case prefix != "":
		s.refuseUnknown(w, r)
	default:
		s.readVariable(w, r, name)
	}
}

// reach waits as the cloud waits for a device, and tells whether it answered; if not, the request is answered.
// act runs even when the answer comes too late: a timeout does not mean that nothing happened.
func (s *Server) reach(w http.ResponseWriter, r *http.Request, d *device, act func()) bool {
	f := s.Faults.Get()
	s.mu.Lock()
	online := !d.Offline && !f.Offline
	latency := d.Latency + f.DeviceLatency
	s.mu.Unlock()
	if !online {
		switch f.OfflineAs {
		case http.StatusBadRequest: // as in 2015
			s.fail(w, http.StatusBadRequest, "Timed out.")
		case http.StatusOK: // an early form
			s.reply(w, http.StatusOK, object{"id": d.ID, "connected": false, "result": nil, "coreInfo": object{"deviceID": d.ID, "connected": false}})
		default:
			s.fail(w, http.StatusRequestTimeout, "timed out")
		}
		return false
	}
	if !s.wait(r, min(latency, s.DeviceWait)) {
		return false
	}
	act()
	if latency >= s.DeviceWait {
		s.fail(w, http.StatusRequestTimeout, "timed out")
		return false
	}
	return true
}

func (s *Server) readVariable(w http.ResponseWriter, r *http.Request, name string) {
	d, t := s.find(w, r)
	if t == nil {
		return
	}
	s.mu.Lock()
	_, known := d.Variables[name]
	s.mu.Unlock()
	if !known {
		s.fail(w, http.StatusNotFound, "Unknown Variable: "+name)
		return
	}
	var value any
	if !s.reach(w, r, d, func() { value = s.Variable(d.ID, name) }) {
		return
	}
	if r.URL.Query().Get("format") == "raw" {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = fmt.Fprint(w, value)
		return
	}
	s.mu.Lock()
	o := object{"name": name, "result": value, "coreInfo": object{"name": d.Name, "deviceID": d.ID, "connected": true, "last_handshake_at": stamp(d.lastHeard)}}
	s.mu.Unlock()
	s.reply(w, http.StatusOK, o)
}

// callFunction takes the argument as "arg", which is documented, or "args", which the SDK sends.
func (s *Server) callFunction(w http.ResponseWriter, r *http.Request) {
	d, t := s.find(w, r)
	if t == nil {
		return
	}
	p, ok := s.body(w, r)
	if !ok {
		return
	}
	name := r.PathValue("name")
	s.mu.Lock()
	f := d.Functions[name]
	s.mu.Unlock()
	if f == nil {
		s.fail(w, http.StatusNotFound, "Function "+name+" not found")
		return
	}
	arg := p.text("arg")
	if arg == "" {
		arg = p.text("args")
	}
	result := 0
	if !s.reach(w, r, d, func() {
		s.mu.Lock()
		d.called[name]++
		s.mu.Unlock()
		result = int(int32(f(arg))) // the wire holds 32 bits
	}) {
		return
	}
	if p.text("format") == "raw" {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = fmt.Fprint(w, result)
		return
	}
	s.mu.Lock()
	o := object{"id": d.ID, "name": d.Name, "connected": true, "return_value": result}
	s.mu.Unlock()
	s.reply(w, http.StatusOK, o)
}

// publish is POST /v1/devices/events and POST /v1/products/{p}/events. data must be text; an object is sent as its JSON.
func (s *Server) publish(w http.ResponseWriter, r *http.Request) {
	t := s.bearer(w, r)
	if t == nil {
		return
	}
	e := event{ttl: 60, owner: t.Subject}
	if r.PathValue("p") != "" {
		p := s.allowProduct(w, r, t)
		if p == nil {
			return
		}
		e.product, e.owner = fmt.Sprint(p.ID), ""
	}
	p, ok := s.body(w, r)
	if !ok {
		return
	}
	e.name = p.text("name")
	switch {
	case e.name == "":
		s.fail(w, http.StatusBadRequest, "name is required")
		return
	case strings.HasPrefix(e.name, "spark/") || strings.HasPrefix(e.name, "particle/"):
		s.fail(w, http.StatusBadRequest, "reserved event name")
		return
	case len(e.name) > 64 || len(p.text("data")) > 1024:
		s.fail(w, http.StatusBadRequest, "event name or data is too long")
		return
	}
	if p.has("data") {
		data := p.text("data")
		if _, isText := p["data"].(string); !isText && data == "" {
			raw, _ := json.Marshal(p["data"]) // came from JSON
			data = string(raw)
		}
		e.data = &data
	}
	s.mu.Lock()
	e.coreID = s.subjectID(t)
	if as := strings.ToLower(p.text("as_device_id")); as != "" && e.product != "" {
		e.coreID = as
	}
	e.at = s.Now()
	s.mu.Unlock()
	s.broadcast(e)
	s.reply(w, http.StatusOK, object{"ok": true})
}

// Emit publishes an event as a device. It does nothing for an unknown device.
func (s *Server) Emit(deviceID, name, data string) {
	s.ready()
	s.mu.Lock()
	d := s.devices[strings.ToLower(deviceID)]
	if d == nil {
		s.mu.Unlock()
		return
	}
	e := event{name: name, data: &data, ttl: 60, coreID: d.ID, owner: d.Owner, product: d.Product, at: s.Now()}
	d.lastHeard = e.at
	s.mu.Unlock()
	s.broadcast(e)
}

// SetOffline switches a device off or on, which it tells by the event spark/status.
func (s *Server) SetOffline(deviceID string, offline bool) {
	s.change(deviceID, func(d *device) { d.Offline = offline })
	status := "online"
	if offline {
		status = "offline"
	}
	s.Emit(deviceID, "spark/status", status)
}

// SetLatency changes how long a device takes to answer.
func (s *Server) SetLatency(deviceID string, latency time.Duration) {
	s.change(deviceID, func(d *device) { d.Latency = latency })
}

// SetVariable changes a variable's value, which publishes nothing.
func (s *Server) SetVariable(deviceID, name string, value any) {
	s.change(deviceID, func(d *device) { d.Variables[name] = value })
}

// Variable reads a variable without a request; nil when there is none. A sensor's drift.
func (s *Server) Variable(deviceID, name string) any {
	s.ready()
	s.mu.Lock()
	d := s.devices[strings.ToLower(deviceID)]
	if d == nil {
		s.mu.Unlock()
		return nil
	}
	s.drift(d)
	value := d.Variables[name]
	s.mu.Unlock()
	if f, ok := value.(func() any); ok {
		return f()
	}
	return value
}

func (s *Server) change(deviceID string, do func(*device)) {
	s.ready()
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.devices[strings.ToLower(deviceID)]; d != nil {
		do(d)
		s.save()
	}
}
