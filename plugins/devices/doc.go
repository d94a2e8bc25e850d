// Command devices is the module that shows people their Particle devices and lets them control these.
//
// A page asks linking (service particle.token) for the accounts of whoever asks, and nobody else's: a device is found only in
// the device lists of those accounts, so an id of another person is as unknown as one that does not exist.
//
//	module.go    the program and its routes       lists.go     device lists of accounts, remembered for seconds
//	model.go     rows and migrations              values.go    variables: read on demand, kept with their age
//	store.go     all queries                      live.go      one upstream stream an account, fanned out to pages
//	accounts.go  tokens from linking              calls.go     functions, and what became of each
//	find.go      which device is meant            trouble.go   every failure: sentence and remedy
//	pages.go     list and device page             stream.go    events as they happen (SSE)
//	control.go   publish, rename, signal, ping    hooks.go     events, job
package main
