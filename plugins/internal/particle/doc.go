// Package particle is the client of the Particle Device Cloud HTTP API: linking by OAuth 2, devices, products with their
// organizations, teams, OAuth clients and customers, and the stream of events.
//
// Client makes single calls and never retries one that changes something: a function that timed out may have run. Hub holds
// one upstream event stream per account and hands its events to any number of subscribers.
//
//	cloud, err := particle.New(particle.Options{BaseURL: "https://api.particle.io"})
//	token, err := cloud.Exchange(ctx, particle.OAuthClient{ID: id, Secret: secret}, code, callbackURL)
//	value, err := cloud.Call(ctx, token.AccessToken, deviceID, "led", "on")
//
// A call that changes something and fails with Error.Uncertain may have been carried out: look, then repeat. EnsureCustomer,
// AddDevices and the removals (see IsGone) may be repeated without harm; CreateAPIUser and CreateClient may not.
//
// Every failure is an *Error: its Kind is what a program decides on, its Message and Hint are what a person reads, and
// neither ever holds a token, a secret or a code. Error also carries a kind of mortise/core/fault.
//
// Decoding is lenient, because the API grew over a decade and has self-hosted relatives: numbers may be strings, lists may be
// wrapped, fields may be missing. Answers are limited in size and time.
//
// Sources: https://docs.particle.io/reference/cloud-apis/api/, npm particle-api-js (request shapes), and
// npm @particle/oauth2-server (texts and order of the checks of the OAuth endpoints).
package particle
