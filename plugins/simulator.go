// Package plugins is the folder of the modules, which are programs of their own and not imported by anybody. Its Go code is
// only a door: the simulated Particle cloud lives below internal, where modules reach it, and the programs below cmd reach it
// through here.
package plugins

import "mortise/plugins/internal/particle/particletest"

// ParticleCloud is the simulated Particle cloud, an http.Handler whose zero value is ready. See particletest.Server.
type ParticleCloud = particletest.Server

// ParticleDevice is a simulated device. See particletest.Device.
type ParticleDevice = particletest.Device

// What a ParticleCloud has when nothing was seeded.
const (
	ParticleDemoEmail        = particletest.DemoEmail
	ParticleDemoPassword     = particletest.DemoPassword
	ParticleDemoClientID     = particletest.DemoClientID
	ParticleDemoClientSecret = particletest.DemoClientSecret
	ParticleDemoProduct      = particletest.DemoProduct      // its number; the slug is garden-lamp-10001
	ParticleDemoProduct2     = particletest.DemoProduct2     // of the organization; the slug is weather-station-v1
	ParticleDemoOrganization = particletest.DemoOrganization // its slug
	ParticleDemoAPIToken     = particletest.DemoAPIToken     // of an API user of the product, with the scopes that a site needs
	ParticleDemoReadToken    = particletest.DemoReadToken    // of one that may only list and look
	ParticleDemoServerID     = particletest.DemoServerID     // OAuth client of the product, type installed
	ParticleDemoServerSecret = particletest.DemoServerSecret
	ParticleDemoCustomer     = particletest.DemoCustomer
	ParticleDemoCustomerPass = particletest.DemoCustomerPass
)

// ParticleSpareID is the id of the nth device that is in no product. See particletest.SpareID.
func ParticleSpareID(n int) string { return particletest.SpareID(n) }

// ParticleFaults are the faults of a ParticleCloud. See particletest.Faults.
type ParticleFaults = particletest.Faults

// ParseParticleFault reads a fault as it is written on a command line. See particletest.ParseFault.
func ParseParticleFault(text string) (func(*ParticleFaults), error) {
	return particletest.ParseFault(text)
}

// ParticleFaultNames are the names that ParseParticleFault knows.
func ParticleFaultNames() []string { return append([]string(nil), particletest.FaultNames...) }
