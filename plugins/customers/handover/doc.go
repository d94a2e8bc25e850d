// Package handover brings a device from the bench to its customer. A device record is made at the bench; it gets a claim key,
// which is printed on a label as words and as a QR code; whoever signs in with that key owns the device from then on.
//
// A record is in one of these states:
//
//	bench        made, without a key that works
//	ready        has a key that nobody has used yet
//	claimed      a customer has the device
//	transferred  a customer had it, and another one has it now
//	revoked      the key was taken back, and nobody has the device
//
// Whose a device is, package ownership decides; a record follows it, also when the device is attached or detached elsewhere.
//
// A key has 80 random bits. The store has its SHA-256 alone; the key itself is sealed, to print labels, until it is used or taken
// back. It is never written into history, logs or paths. A key works once, and wrong ones are counted in the store.
package handover
