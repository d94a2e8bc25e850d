// Package ownership knows which devices a customer has. A device is attached to at most one customer; a whole product may be
// attached to one customer instead. What is attached counts here and at once, whatever Particle says about the device's owner.
//
// Each product has one of three ways in which its devices are owned:
//
//	product  devices stay unclaimed in the product and are controlled with the workspace's credential; the default
//	account  the customer claims them into a Particle account of their own, which module linking links
//	shadow   the site makes a customer at Particle for each person, with a name that says nothing about them
//
// Whatever must also happen at Particle is an operation: it is recorded in the transaction of what it belongs to, carried out
// right afterwards, and resumed by a job when that failed or the program was stopped. Each may be repeated without harm.
package ownership
