// Package hostapi answers the services that the host itself provides to modules: host.people, host.settings and host.privacy. Their
// contracts are core/manifest/host.yaml; that the module was granted the service, who the person is and that the input fits has been
// checked by core/services before a call comes here.
//
// What is left to check is what a module may reach: customers but never staff, its own settings, and what is kept about a person only for
// that person or for somebody who has the module's privacy permission.
package hostapi
