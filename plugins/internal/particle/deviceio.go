package particle

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

func itoa(n int) string { return strconv.Itoa(n) }

// Variable is a value read from a device.
type Variable struct {
	Name  string
	Value any // string, json.Number or bool; nil when the device sent null
	// Handshake is the device's last one, or zero; the value itself was read just now.
	Handshake time.Time
}

// Text is the value as a person reads it.
func (v Variable) Text() string {
	switch value := v.Value.(type) {
	case string:
		return value
	case json.Number:
		return value.String()
	case bool:
		return strconv.FormatBool(value)
	}
	return ""
}

// Variable reads one variable from the device itself, which costs a round trip to it: prefer events for what changes often.
//
// Error kinds: NotFound for an unknown variable, UnknownDevice, Offline, DeviceTimeout, DeadToken, RateLimited.
//
// Source: GET /v1/devices/{id}/{name}.
func (c *Client) Variable(ctx context.Context, token, id, name string) (Variable, error) {
	const op = "read variable"
	if err := notEmpty(op, id, name); err != nil {
		return Variable{}, err
	}
	if name == "events" { // the path is the device's event stream
		e := newError(NotFound, op)
		e.Message, e.Hint = "A variable named \"events\" cannot be read.", "Give it another name in the firmware."
		return Variable{}, e
	}
	body, err := c.do(ctx, call{op: op, method: http.MethodGet, url: c.devicePath(id, name), token: token, timeout: c.timeouts.Device})
	if err != nil {
		return Variable{}, ofVariable(ofDevice(err), name)
	}
	var answer struct {
		Result json.RawMessage `json:"result"`
		Core   struct {
			Connected flag   `json:"connected"`
			Handshake moment `json:"last_handshake_at"`
		} `json:"coreInfo"`
	}
	if json.Unmarshal(body, &answer) != nil || answer.Result == nil {
		return Variable{}, unexpected(op, "answer without a result")
	}
	if answer.Core.Connected.present && !answer.Core.Connected.value { // an early form of "offline"
		return Variable{}, newError(Offline, op)
	}
	v := Variable{Name: name, Handshake: answer.Core.Handshake.Time}
	decoder := json.NewDecoder(bytes.NewReader(answer.Result))
	decoder.UseNumber() // ids and counters keep every digit
	if decoder.Decode(&v.Value) != nil {
		return Variable{}, unexpected(op, "result cannot be read")
	}
	switch v.Value.(type) {
	case []any, map[string]any:
		v.Value = string(answer.Result)
	}
	return v, nil
}

func ofVariable(err error, name string) error {
	if e, ok := err.(*Error); ok && e.Kind == NotFound {
		e.Message, e.Hint = "The device has no variable named \""+short(name)+"\".", "Check the name; upper and lower case count."
	}
	return err
}

// Call runs a function on the device and returns the integer that the device returned, which may be negative: many
// firmwares say "bad argument" by -1. arg is passed as it is; "" is allowed.
//
// It is never repeated: after DeviceTimeout and NoAnswer nobody knows whether the function ran.
//
// Error kinds: NotFound for an unknown function, UnknownDevice, Offline, DeviceTimeout, DeadToken, RateLimited.
//
// Source: POST /v1/devices/{id}/{name}, form field arg. Nothing else may be in the form, since one self-hosted server takes
// every field for an argument.
func (c *Client) Call(ctx context.Context, token, id, name, arg string) (int, error) {
	const op = "call function"
	if err := notEmpty(op, id, name); err != nil {
		return 0, err
	}
	body, err := c.do(ctx, call{op: op, method: http.MethodPost, url: c.devicePath(id, name), token: token, form: url.Values{"arg": {arg}}, timeout: c.timeouts.Device})
	if err != nil {
		return 0, ofFunction(ofDevice(err), name)
	}
	var answer struct {
		Value     number `json:"return_value"`
		Connected flag   `json:"connected"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return 0, unexpected(op, "answer is not an object")
	}
	if !answer.Value.present {
		if answer.Connected.present && !answer.Connected.value {
			return 0, newError(Offline, op)
		}
		return 0, unexpected(op, "answer without a return value")
	}
	return int(answer.Value.value), nil
}

func ofFunction(err error, name string) error {
	if e, ok := err.(*Error); ok && e.Kind == NotFound {
		e.Message, e.Hint = "The device has no function named \""+short(name)+"\".", "Choose one from the device's list; upper and lower case count."
	}
	return err
}

// short keeps a name that somebody typed from filling a message.
func short(s string) string {
	if r := []rune(s); len(r) > 64 {
		return string(r[:64]) + "…"
	}
	return s
}

// Publish sends an event to the devices and streams of the token's owner, or in a product to those of the product. It is always
// private: older clouds published to everybody otherwise. data is text; encode objects yourself.
//
// Source: POST /v1/devices/events, POST /v1/products/{product}/events.
func (c *Client) Publish(ctx context.Context, token, name, data string) error {
	const op = "publish event"
	if err := notEmpty(op, name); err != nil {
		return err
	}
	target := c.path("v1", "devices", "events")
	if c.product != "" {
		target = c.path("v1", "products", c.product, "events")
	}
	form := url.Values{"name": {name}, "data": {data}, "private": {"true"}, "ttl": {"60"}}
	_, err := c.do(ctx, call{op: op, method: http.MethodPost, url: target, token: token, form: form, timeout: c.timeouts.Call})
	return err
}
