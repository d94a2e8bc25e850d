package main

import (
	"errors"
	"net/http"

	"mortise/core/fault"
	"mortise/plugins/internal/particle"
)

// trouble is a failure as people and programs read it.
type trouble struct {
	Kind    string `json:"kind"`    // offline, device_timeout, not_found, dead_token, rate_limited, upstream, …
	Message string `json:"message"` // what happened
	Remedy  string `json:"remedy"`  // what to do
	Relink  bool   `json:"relink"`  // linking the account again helps
	Setup   string `json:"setup"`   // path of the page that helps; "" for none
	Status  int    `json:"status"`
}

// sentences are the words for failures of one device, where those of the Particle client can be said better: here it is known
// which device and which account are meant. %s would be the device's name; it stands at the start of each message.
var sentences = map[particle.Kind][2]string{
	particle.Offline:       {"is offline.", "Check its power and its network, then try again."},
	particle.DeviceTimeout: {"did not answer in time.", "It may be busy or have just lost its connection. What you asked for may have been done all the same: look before you try again."},
	particle.UnknownDevice: {"is not in this Particle account any more.", "Claim it again with Particle's own tools, or link the account that has it."},
}

// general are the words for failures that are not about one device.
var general = map[particle.Kind][2]string{
	particle.DeadToken:   {"Particle does not accept the link to your account any more.", "Link the account again; nothing else is lost."},
	particle.RateLimited: {"Particle asks this site to slow down.", "Wait a minute, then try again."},
	particle.Upstream:    {"The Particle cloud has a problem of its own.", "Your device may be fine. Try again in a few minutes."},
	particle.NoAnswer:    {"The Particle cloud did not answer in time.", "Your device may be fine. Try again in a moment."},
	particle.Unreachable: {"This site cannot reach the Particle cloud.", "Your device may be fine. Try again in a few minutes."},
	particle.NotParticle: {"The Particle cloud's answer makes no sense.", "Try again in a few minutes, and tell the staff of this site if it stays so."},
	particle.Denied:      {"Your Particle account may not do this.", "Check in Particle's console what the account is allowed."},
	particle.Cancelled:   {"The request was given up before there was an answer.", "Try again."},
}

// troubleOf explains err. name is the device's, or "" when no single one is meant.
func troubleOf(err error, name string) *trouble {
	var e *particle.Error
	if !errors.As(err, &e) {
		return troubleOfFault(err)
	}
	t := &trouble{Kind: string(e.Kind), Message: e.Message, Remedy: e.Hint, Status: fault.KindOf(err).Status(), Relink: e.Kind == particle.DeadToken}
	if words, ok := general[e.Kind]; ok {
		t.Message, t.Remedy = words[0], words[1]
	}
	if words, ok := sentences[e.Kind]; ok && name != "" {
		t.Message, t.Remedy = name+" "+words[0], words[1]
	}
	switch e.Kind {
	case particle.DeadToken: // 401 would tell a program that its own session is over
		t.Status = http.StatusConflict
	case particle.Upstream, particle.Unreachable, particle.NotParticle:
		t.Status = http.StatusBadGateway
	}
	return t
}

func troubleOfFault(err error) *trouble {
	kind := fault.KindOf(err)
	message, visible := fault.Visible(err)
	if !visible {
		message = "Something went wrong."
	}
	return &trouble{Kind: kind.String(), Message: message, Status: kind.Status()}
}

// fault gives the trouble as an error for pages that show nothing else.
func (t *trouble) fault() error {
	text := t.Message
	if t.Remedy != "" {
		text += " " + t.Remedy
	}
	for kind := fault.Internal; kind <= fault.Timeout; kind++ {
		if kind.Status() == t.Status {
			return fault.New(kind, "%s", text)
		}
	}
	return fault.New(fault.Unavailable, "%s", text) // 502
}
