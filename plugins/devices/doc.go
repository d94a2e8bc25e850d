// Command devices is the module that shows people their Particle devices and lets them control these.
//
// On each request it asks linking (service particle.token) for the accounts of whoever asks, and customers (customers.devices) for what
// the maker gave them; nobody else's. A device is found only there, so an id of another person is as unknown as one that does not
// exist. What the maker gave is controlled through organizations (particle.product), the rest with the token of the linked account.
// Each of the three modules may be missing.
//
//	module.go          the program and its routes          find.go       what the person has, each device once; which one is meant
//	model.go           rows and migrations                 list.go       the list page
//	store.go           all queries                         device.go     the device page; view.go: a device as pages see it
//	source.go          where devices come from             values.go     variables: read on demand, kept with their age
//	source_account.go  a linked account                    calls.go      functions, and what became of each
//	source_product.go  a product of the maker's            control.go    call, publish, rename, signal, ping
//	attached.go        what the maker gave                 stream.go     events as they happen (SSE)
//	neighbour.go       services this module can do without live.go       one upstream a source, fanned out to pages: feed.go, watcher.go
//	lists.go           answers remembered for seconds      poll.go       the events of a product
//	gone.go            what people have no more            trouble.go    every failure: sentence and remedy
//	byname.go          lists of very many devices
//	hooks.go           events, job                        service.go    devices.pages, for other modules
package main
