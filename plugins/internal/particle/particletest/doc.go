// Package particletest simulates the Particle Device Cloud, so that everything that talks to it can be built, tried and tested
// without an account, a device or a network.
//
// Server is an http.Handler whose zero value is ready: it then has an account with an OAuth client of type "web" and five devices,
// and what a maker has: an organization, two products with three pages of lamps and of customers, API users whose scopes are
// enforced, and devices to import (see the Demo constants). A test seeds its own instead:
//
//	var cloud particletest.Server
//	cloud.AddAccount(particletest.Account{Username: "ann@example.com", Password: "secret"})
//	cloud.AddClient(particletest.Client{ID: "site-1234", Secret: "…", RedirectURIs: []string{callback}})
//	cloud.AddDevice(particletest.Device{ID: "0a10…", Name: "lamp", Owner: "ann@example.com", Behaviour: particletest.Lamp})
//	url, stop, err := cloud.Start("127.0.0.1:0")
//	defer stop()
//
// Faults are switched while it serves, by code (Server.Faults), by flags of cmd/particlesim, or on the page /__sim. That page
// has no protection: serve the simulator on local addresses only.
//
// A request that the simulator does not know is answered 404, logged, and listed by Unknown: tests check that it is empty.
//
// What it answers follows Particle's public documentation, recorded answers in the test suites of public clients, and, for the
// texts and the order of checks of OAuth, npm @particle/oauth2-server. npm particle-api-js works against it unchanged.
package particletest
