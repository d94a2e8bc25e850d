// Package manifest reads module.yaml: everything that an administrator must know of a module before any of its code runs.
//
// Parse checks a file against the published schema (schema.json) and then what a schema cannot say: that a page names its
// permission, that names carry the module's prefix, that schedules, ranges and sizes can be read. A Manifest that Parse
// returned is right by itself; whether it fits the site (paths nobody else claims, services somebody provides) is the
// catalogue's question.
package manifest
