// Package moduletest runs a module's program inside a test: with the real store, the real tunnel and its confinement, and the
// real routes of its manifest, but without a process and without the rest of the host. Services of other modules, mail and
// secrets are kept in memory.
//
//	site := moduletest.Start(t, New(), manifest, moduletest.Options{Settings: sdk.Settings{…}})
//	answer := site.Get(ann, "/linking")
//	answer.Status, answer.View.Template, answer.Decode(&data)
package moduletest
