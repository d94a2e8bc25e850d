package main

import (
	"net/http"

	"mortise/plugins/internal/particle"
)

// failure is one way in which linking ends without a link: what the person reads, and whose fault it is.
type failure struct {
	id       string // kept with the attempt, shown to programs
	status   int
	title    string // what happened, short
	sentence string // what happened
	remedy   string // what to do
	site     bool   // the site's settings or its network are to blame: the staff are told
	signIn   bool   // the page offers to sign in instead of to try again
}

// Failures that this module finds by itself.
var (
	notConfigured = failure{id: "not_configured", status: http.StatusServiceUnavailable, site: true,
		title:    "Linking is not set up yet.",
		sentence: "This site has not been given its Particle OAuth client.",
		remedy:   "Come back later."}
	tooManyOpen = failure{id: "too_many", status: http.StatusTooManyRequests,
		title:    "Too many attempts at once.",
		sentence: "You have started linking many times within a few minutes.",
		remedy:   "Wait ten minutes and try again."}
	sessionEnded = failure{id: "session_ended", status: http.StatusUnauthorized, signIn: true,
		title:    "Your session ended.",
		sentence: "Your session on this site ended before Particle sent you back, so nothing was linked.",
		remedy:   "Sign in and link again."}
	stateMissing = failure{id: "state_missing", status: http.StatusBadRequest,
		title:    "This answer does not belong to any link that was started here.",
		sentence: "Particle's answer came without the mark that this site had sent along.",
		remedy:   "Start linking again from this site."}
	stateUnknown = failure{id: "state_unknown", status: http.StatusBadRequest,
		title:    "This answer does not belong to any link that was started here.",
		sentence: "This site did not start the link that this answer is about, or has forgotten it.",
		remedy:   "Start linking again from this site."}
	stateForeign = failure{id: "state_foreign", status: http.StatusForbidden,
		title:    "This link was started by somebody else.",
		sentence: "The answer from Particle belongs to another person's sign-in on this site, so nothing was linked to yours.",
		remedy:   "If you followed a link that somebody sent you, do not trust it. To link your own account, start again here."}
	stateExpired = failure{id: "state_expired", status: http.StatusBadRequest,
		title:    "That took too long.",
		sentence: "More than ten minutes passed between starting and coming back from Particle.",
		remedy:   "Start linking again."}
	stateReplayed = failure{id: "state_replayed", status: http.StatusConflict,
		title:    "This answer was used already.",
		sentence: "This answer from Particle has been used before and works only once; nothing was changed now.",
		remedy:   "See your linked accounts, or start linking again."}
	callbackMalformed = failure{id: "callback_malformed", status: http.StatusBadRequest,
		title:    "Particle's answer cannot be read.",
		sentence: "The address that led here is not one that Particle makes.",
		remedy:   "Start linking again from this site."}
	saveFailed = failure{id: "save_failed", status: http.StatusInternalServerError, site: true,
		title:    "The link could not be kept.",
		sentence: "Particle agreed, but this site could not store the link; the access was given back.",
		remedy:   "Try again in a moment."}
)

// byKind are the failures that Particle, or the way to it, reports.
var byKind = map[particle.Kind]failure{
	particle.Refused: {id: "refused", status: http.StatusForbidden,
		title:    "You did not allow access.",
		sentence: "Access was refused on Particle's page, so nothing was linked.",
		remedy:   "If you want to use your devices here, link again and choose to allow access."},
	particle.BadClient: {id: "bad_client", status: http.StatusBadGateway, site: true,
		title:    "Particle did not accept this site.",
		sentence: "This site's client id or client secret is wrong. Nothing you did caused this.",
		remedy:   "Try again later."},
	particle.BadClientType: {id: "bad_client_type", status: http.StatusBadGateway, site: true,
		title:    "Particle did not accept this site.",
		sentence: "This site's OAuth client may not be used for linking: it is not of the type \"web\". Nothing you did caused this.",
		remedy:   "Try again later."},
	particle.BadRedirectURI: {id: "bad_redirect_uri", status: http.StatusBadGateway, site: true,
		title:    "Particle did not accept this site.",
		sentence: "This site's redirect URI is not the one that is registered with its OAuth client. Nothing you did caused this.",
		remedy:   "Try again later."},
	particle.BadScope: {id: "bad_scope", status: http.StatusBadGateway, site: true,
		title:    "Particle did not accept this site.",
		sentence: "Particle does not accept the scope that this site asks for. Nothing you did caused this.",
		remedy:   "Try again later."},
	particle.BadCode: {id: "bad_code", status: http.StatusBadGateway,
		title:    "Particle did not accept the one-time code.",
		sentence: "The code in Particle's answer had been used before, or belongs to another site.",
		remedy:   "Start linking again, and do not reload the page on the way."},
	particle.ExpiredCode: {id: "expired_code", status: http.StatusBadGateway,
		title:    "Particle's one-time code had expired.",
		sentence: "The code in Particle's answer was too old when it arrived here.",
		remedy:   "Start linking again."},
	particle.Upstream: {id: "upstream", status: http.StatusBadGateway,
		title:    "Particle has a problem.",
		sentence: "The Particle cloud answered with an error of its own.",
		remedy:   "Try again in a few minutes."},
	particle.NoAnswer: {id: "no_answer", status: http.StatusGatewayTimeout,
		title:    "Particle did not answer.",
		sentence: "The Particle cloud did not answer within ten seconds.",
		remedy:   "Try again in a few minutes."},
	particle.RateLimited: {id: "rate_limited", status: http.StatusServiceUnavailable,
		title:    "Particle asks to slow down.",
		sentence: "This site has asked the Particle cloud too often within a few minutes.",
		remedy:   "Wait five minutes and try again."},
	particle.Unreachable: {id: "unreachable", status: http.StatusBadGateway, site: true,
		title:    "Particle cannot be reached from here.",
		sentence: "This site could not connect to the Particle cloud.",
		remedy:   "Try again in a few minutes."},
	particle.NotParticle: {id: "not_particle", status: http.StatusBadGateway, site: true,
		title:    "Particle's answer makes no sense.",
		sentence: "What answered this site does not speak like the Particle cloud.",
		remedy:   "Try again later."},
	particle.DeadToken: {id: "token_refused", status: http.StatusBadGateway,
		title:    "Particle took the access back.",
		sentence: "Particle gave access and refused it a moment later.",
		remedy:   "Start linking again."},
	particle.Invalid: callbackMalformed,
}

// failureOf finds the failure of an error of the Particle client.
func failureOf(err error) failure {
	if f, ok := byKind[particle.KindOf(err)]; ok {
		return f
	}
	return failure{id: "other", status: http.StatusBadGateway,
		title:    "Linking did not work.",
		sentence: "Particle refused for a reason that this site does not know.",
		remedy:   "Try again; quote the reference when you ask for help."}
}

// failureByID finds a failure that was kept with an attempt.
func failureByID(id string) (failure, bool) {
	for _, f := range []failure{notConfigured, tooManyOpen, sessionEnded, stateMissing, stateUnknown, stateForeign, stateExpired, stateReplayed, callbackMalformed, saveFailed} {
		if f.id == id {
			return f, true
		}
	}
	for _, f := range byKind {
		if f.id == id {
			return f, true
		}
	}
	return failure{}, false
}

// staffRemedies say to an administrator what to do about a failure that is the site's fault. Keys are failure ids.
var staffRemedies = map[string]string{
	"not_configured":   "Enter the client id and the client secret in the settings of Linking.",
	"bad_client":       "Press Test in the settings of Linking: it tells whether the client id or the secret is wrong. A lost secret needs a new client.",
	"bad_client_type":  "Create a new OAuth client of type \"web\" at Particle; the type of a client cannot be changed.",
	"bad_redirect_uri": "Register the redirect URI shown under Linking set-up, character for character, with a new OAuth client.",
	"bad_scope":        "Clear the scope in the settings of Linking; Particle needs none.",
	"unreachable":      "Check the base URL in the settings of Linking, and that this server may reach it.",
	"not_particle":     "Check the base URL in the settings of Linking; it is usually https://api.particle.io.",
	"save_failed":      "See the log: the store or the key file of this site has a problem.",
}
