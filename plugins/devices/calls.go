package main

import (
	"sync"
	"time"

	"mortise/plugins/internal/particle"
)

// callView is one call of a function and what became of it, as pages and programs see it.
//
//	sent      it was sent, and nobody knows whether the cloud got it
//	accepted  the cloud took it, and the device has not answered in time
//	done      the device answered; return_value is its answer
//	failed    it was refused before it reached the device's code
type callView struct {
	Function    string    `json:"function"`
	Argument    string    `json:"argument"`
	State       string    `json:"state"`
	OK          bool      `json:"ok"` // done
	ReturnValue *int      `json:"return_value"`
	Kind        string    `json:"kind"` // of the failure; "" when done
	Message     string    `json:"message"`
	Remedy      string    `json:"remedy"`
	Tone        string    `json:"tone"` // good, warn, bad
	Relink      bool      `json:"relink"`
	At          time.Time `json:"at"`
	Millis      int64     `json:"milliseconds"`
	Status      int       `json:"-"`
}

func doneCall(function, argument string, result int, began, ended time.Time) callView {
	v := callView{Function: function, Argument: argument, State: "done", OK: true, ReturnValue: &result, Tone: "good", At: ended, Millis: ended.Sub(began).Milliseconds(), Status: 200}
	if result < 0 {
		v.Tone = "warn"
		v.Message = "The device answered with a negative number."
		v.Remedy = "By that, many devices say that they did not understand the argument. What it means is up to the device's program."
	}
	return v
}

func failedCallView(function, argument string, t *trouble, began, ended time.Time) callView {
	v := callView{Function: function, Argument: argument, State: "failed", Kind: t.Kind, Message: t.Message, Remedy: t.Remedy, Tone: "bad",
		Relink: t.Relink, At: ended, Millis: ended.Sub(began).Milliseconds(), Status: t.Status}
	switch particle.Kind(t.Kind) {
	case particle.DeviceTimeout:
		v.State, v.Tone = "accepted", "warn"
	case particle.NoAnswer, particle.Cancelled:
		v.State, v.Tone = "sent", "warn"
		v.Remedy = "Nobody knows whether the device got it: look before you try again."
	}
	return v
}

// callLog remembers the last call of each function, for the pages that follow.
type callLog struct {
	mu      sync.Mutex
	devices map[callKey]map[string]callView
}

type callKey struct {
	user   int64
	source string
	device string
}

const (
	maxCallDevices = 5000
	maxCallNames   = 50 // functions remembered of one device
)

func newCallLog() *callLog { return &callLog{devices: map[callKey]map[string]callView{}} }

func (c *callLog) put(key callKey, v callView) {
	c.mu.Lock()
	defer c.mu.Unlock()
	calls := c.devices[key]
	if calls == nil {
		if len(c.devices) >= maxCallDevices {
			for other := range c.devices { // any: it is a convenience, not a record
				delete(c.devices, other)
				break
			}
		}
		calls = map[string]callView{}
		c.devices[key] = calls
	}
	if _, known := calls[v.Function]; known || len(calls) < maxCallNames {
		calls[v.Function] = v
	}
}

func (c *callLog) of(key callKey) map[string]callView {
	c.mu.Lock()
	defer c.mu.Unlock()
	calls := make(map[string]callView, len(c.devices[key]))
	for name, v := range c.devices[key] {
		calls[name] = v
	}
	return calls
}

func (c *callLog) forget(match func(callKey) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key := range c.devices {
		if match(key) {
			delete(c.devices, key)
		}
	}
}
