package particletest

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// device is a Device with what changes; Server.mu guards it.
type device struct {
	Device
	signaling bool
	lastHeard time.Time
	called    map[string]int
}

// behave gives a device the functions and variables of its behaviour. Those that were seeded by name stay.
func (s *Server) behave(d *device) {
	d.called = map[string]int{}
	id := d.ID
	function := func(name string, f func(arg string) int) {
		if d.Functions[name] == nil {
			d.Functions[name] = f
		}
	}
	variable := func(name string, v any) {
		if _, ok := d.Variables[name]; !ok {
			d.Variables[name] = v
		}
	}
	switch d.Behaviour {
	case Lamp:
		variable("led", "off")
		variable("brightness", 255)
		function("led", func(arg string) int { return s.switchLamp(id, arg) })
		function("brightness", func(arg string) int { return s.dimLamp(id, arg) })
	case Sensor:
		variable("temp", 21.5)
		variable("humidity", 48)
		function("calibrate", func(string) int { s.SetVariable(id, "temp", 21.5); return 0 })
	}
}

// switchLamp is a lamp's function led: 1 when it is on afterwards, 0 when off, -1 for an argument it does not know.
func (s *Server) switchLamp(id, arg string) int {
	s.mu.Lock()
	d := s.devices[id]
	if d == nil {
		s.mu.Unlock()
		return -1
	}
	next := strings.ToLower(strings.TrimSpace(arg))
	switch next {
	case "on", "off":
	case "1":
		next = "on"
	case "0":
		next = "off"
	case "toggle":
		next = "on"
		if d.Variables["led"] == "on" {
			next = "off"
		}
	default:
		s.mu.Unlock()
		return -1
	}
	d.Variables["led"] = next
	s.save()
	s.mu.Unlock()
	s.Emit(id, "lamp/state", next)
	if next == "on" {
		return 1
	}
	return 0
}

// dimLamp is a lamp's function brightness: it returns the new value, or -1.
func (s *Server) dimLamp(id, arg string) int {
	n, err := strconv.Atoi(strings.TrimSpace(arg))
	if err != nil || n < 0 || n > 255 {
		return -1
	}
	s.SetVariable(id, "brightness", n)
	s.Emit(id, "lamp/brightness", strconv.Itoa(n))
	return n
}

// drift moves the values of a sensor a little; the mutex is held.
func (s *Server) drift(d *device) {
	if d.Behaviour != Sensor {
		return
	}
	if t, ok := d.Variables["temp"].(float64); ok {
		t += s.random.r.Float64() - 0.5
		d.Variables["temp"] = math.Round(min(max(t, 12), 32)*10) / 10
	}
	if h, ok := d.Variables["humidity"].(int); ok {
		d.Variables["humidity"] = min(max(h+s.random.r.IntN(3)-1, 20), 90)
	}
}

// beat lets every sensor that is online publish once.
func (s *Server) beat() {
	type reading struct{ id, value string }
	var readings []reading
	offline := s.Faults.Get().Offline
	s.mu.Lock()
	for _, id := range s.order {
		if d := s.devices[id]; d.Behaviour == Sensor && !d.Offline && !offline {
			s.drift(d)
			if t, ok := d.Variables["temp"].(float64); ok {
				readings = append(readings, reading{id, strconv.FormatFloat(t, 'f', 1, 64)})
			}
		}
	}
	s.mu.Unlock()
	for _, r := range readings {
		s.Emit(r.id, "sensor/temp", r.value)
	}
}

// deviceObject is a device as the API describes it; the mutex is held.
func (s *Server) deviceObject(d *device, f Faults) object {
	online := !d.Offline && !f.Offline
	if online {
		d.lastHeard = s.Now()
	}
	o := object{
		"id": d.ID, "name": d.Name, "owner": nilIfEmpty(d.Owner), "online": online, "connected": online,
		"last_heard": stamp(d.lastHeard), "last_handshake_at": stamp(d.lastHeard), "last_ip_address": "203.0.113.9",
		"product_id": d.Platform, "platform_id": d.Platform, "cellular": d.Platform == 13, "notes": nilIfEmpty(d.Notes),
		"status": "normal", "serial_number": d.serial(), "system_firmware_version": "6.3.2",
		"firmware_updates_enabled": true, "firmware_updates_forced": false, "device_protection": object{"status": "disabled"},
		"functions": slices.Sorted(maps.Keys(d.Functions)), "variables": variableTypes(d.Variables),
	}
	if p := s.product(d.Product); p != nil {
		o["product_id"] = p.ID
		o["firmware_version"] = 1
		o["groups"] = append([]string{}, d.Groups...)
		o["quarantined"], o["denied"], o["development"], o["desired_firmware_version"] = d.Quarantined, false, d.Development, nil
	}
	if f.WrongShapes && !online {
		o["functions"], o["variables"] = nil, nil
	}
	return o
}

func variableTypes(variables map[string]any) map[string]string {
	types := make(map[string]string, len(variables))
	for name, v := range variables {
		if f, ok := v.(func() any); ok {
			v = f()
		}
		switch v.(type) {
		case int:
			types[name] = "int32"
		case float64:
			types[name] = "double"
		case bool:
			types[name] = "bool"
		default:
			types[name] = "string"
		}
	}
	return types
}

func nilIfEmpty(s string) any {
	if s == "" {
		return nil
	}
	return s
}
