// Package secret seals values with AES-256-GCM under a key that is never in the store.
//
// A sealed value is text: "sealed:1:<key id>:<base64 of nonce and ciphertext>". The key id is the first 8 bytes of the key's
// SHA-256, in hexadecimal. The additional data is the owner (a module's id or "host"), the name and the key of the value, so
// that a sealed value copied to another row, also by who can write the database, does not open there.
//
// The nonce is random (96 bits). At one sealing a second for a century the chance of a repeated one under the same key stays under 2^-33,
// the bound of NIST SP 800-38D being 2^-32.
//
// The key file holds one key a line in base64. The first seals; the others, which a rotation was about to retire, still open. When
// a key is made, its check value is sealed into the store, so that a wrong key is noticed at the start and not at the first use.
package secret
