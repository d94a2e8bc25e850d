// Package services is what the host does for modules when they ask: publish, call another module, keep secrets, look people up, send
// mail. Every method is told by the process boundary which module asks, and gives it only what its accepted manifest names.
//
// A call from module to module carries a claim: the host's own sealed note of whose request led to it, made for one module and one
// hour at most. A module hands its claim back and cannot make or change one, so it acts for the people who are at its pages just
// now and for nobody else. The host reads the person anew at every call: who was blocked or lost a role loses it at once.
//
// The host provides services itself as well, host.people and others; modules call them like those of another module. What they do is
// core/hostapi; here they pass the same checks: the grant, the claim, the person, the schema, the limits.
package services
