// Command linking is the module that links people's own Particle accounts by the OAuth 2 authorization-code flow.
//
//	start ──► Particle's sign-in and consent ──► callback: state ──► code for token ──► whose account ──► seal
//
// Each step of an attempt is recorded with its time, its result and a sentence; a failed link says to the person what to do,
// and to the staff what happened. No secret, code or token is ever recorded.
//
//	module.go    the program and its routes        flow.go      from the button to the sealed token
//	model.go     rows and migrations               callback.go  what Particle sends back, read with limits
//	store.go     all queries                       failures.go  every way to fail: sentence, remedy, whose fault
//	pages.go     pages of people                   tokens.go    sealed tokens: renew, revoke, erase
//	admin.go     pages of staff                    service.go   particle.token for other modules
//	hooks.go     events, jobs, findings            settings.go  the Test button
//	client_service.go, people_service.go           linking.client, linking.people
package main
