// Package history keeps who did what and when: with a customer, with a device, with a device record. Entries are sentences
// for people. They hold no address, no key and no token, and are written in the transaction of what they tell.
package history
