// Package moduletest runs a module's program inside a test: with the real store, the real tunnel and its confinement, and the
// real routes of its manifest, but without a process and without the rest of the host. Services of other modules, mail and
// secrets are kept in memory.
//
//	site := moduletest.Start(t, New(), manifest, moduletest.Options{Settings: sdk.Settings{…}})
//	answer := site.Get(ann, "/linking")
//	answer.Status, answer.View.Template, answer.Decode(&data)
//
// With Options.People the host's own services (host.people, host.settings, host.privacy) are the real ones:
//
//	carla := site.Person("Carla", "carla@example.com", "crm.use")
//	site.Post(carla, "/crm/leave", nil)   // the module calls host.privacy
//	site.DeliverFacts()                   // and gets user.erase_requested
package moduletest
