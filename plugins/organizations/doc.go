// Command organizations is the module with which a maker administers what is at Particle: workspaces (an account or an
// organization there, with one credential), their products, OAuth clients and API users.
//
// A credential never leaves the module: it is sealed by the host and goes to the cloud it was entered for, and nowhere else.
// Whatever changes something at Particle is one recorded operation. The record is written before the first call and is ended
// after the last one, so that an operation which a crash has cut in two is found at the next start and resumed, when repeating
// it does no harm, or undone, when what Particle said only once is lost.
package main
