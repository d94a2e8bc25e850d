// Command customers is the module with which a maker looks after customers: who they are, what devices each of them has, and
// how a device gets from the bench to its owner.
//
// It is made of parts, each with its own tables, pages and jobs:
//
//	people     the list of customers: a mirror of the site's accounts with states, notes, import and export
//	ownership  which devices a customer has, in which of three ways, and what that takes at Particle
//	handover   device records, claim keys and labels; the page on which a customer claims a device
//	privacy    what the site keeps about a person, erasing it, and the customer's own page
//	history    who did what and when, written by all of them
//	site       what they share
//
// people and history know none of the others; ownership knows people; handover and privacy know both. This package puts them
// together and hands each page, fact, job and service call to its part.
package main
